"""What is measured of transformers, on models made by hand and on weights written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

import superpos
from superpos.engines.task import State
from superpos.families.transformer import metrics, results
from superpos.families.transformer.structure import Structure, Task
from superpos.maths import attention, hand_made


def task_of(structure: Structure, models: int = 1) -> Task:
    """A task without tables."""
    zeros = np.zeros(models)
    return Task(
        structure,
        seed=np.arange(models, dtype=np.uint64),
        lr=zeros,
        weight_decay=zeros,
        language=np.zeros(models, dtype=np.intp),
        init_std=zeros,
        tables={},
    )


def repeats_of(model: hand_made.HandMade, **options: Any) -> Task:
    """Repeated blocks of distinct tokens, for a model made by hand."""
    d, k = model.weights["W_Q"].shape[2:]
    layers, heads = attention.sizes(model.params)
    return task_of(
        Structure(
            kind="repeats",
            distinct=True,
            tokens=model.tokens,
            context=model.context,
            n_layers=layers,
            n_heads=heads,
            d_model=d,
            d_head=k,
            positions=model.positions,
            **options,
        )
    )


def measured(model: hand_made.HandMade, task: Task) -> dict[str, Any]:
    """The columns of a model made by hand."""
    params = {name: value[None].astype(np.float32) for name, value in model.weights.items()}
    found = results.measure(task, State.initial(task, params), lambda: None)
    return {name: value[0] for name, value in found.items()}


PATHS = {
    "induction_k": {"path_k"},
    "induction_q": {"path_q"},
    "shifted": {"path_k", "path_v"},
}
"""What is read in each model; any other path costs exactly nothing."""


@pytest.mark.parametrize("name", PATHS)
def test_paths_of_models_made_by_hand(name: str) -> None:
    model = superpos.known(name, tokens=16, context=24, gain=20.0)
    found = measured(model, repeats_of(model))
    assert found["floor"] == 0
    assert found["excess"] < 0.01
    assert found["solved"]
    for path in ("path_q", "path_k", "path_v", "path_logits"):
        assert (found[path] > 2) if path in PATHS[name] else (found[path] == 0), path


def test_classes_of_models_made_by_hand() -> None:
    """The Q model reads no key of another head, and attends to what followed."""
    classes = {}
    for name in PATHS:
        model = superpos.known(name, tokens=16, context=24, gain=20.0)
        found = measured(model, repeats_of(model))
        classes[name] = (found["circuit"], bool(found["prefix"] > 0.99))
    assert classes == {
        "induction_k": ("induction", True),
        "induction_q": ("induction", True),
        "shifted": ("shifted", False),
    }


def test_composition_of_models_made_by_hand() -> None:
    """K: OV writes 11 tokens, keys read 10 of them beside 10 halves for BOS: √10 / √(11 · 12.5)."""
    by_name: dict[str, Mapping[str, float]] = {}
    for name in ("induction_k", "induction_q"):
        model = superpos.known(name, tokens=10, context=24)
        by_name[name] = metrics.compositions(model.weights, (0, 0), (1, 0))
    assert by_name["induction_k"] == pytest.approx(
        {"q": 0, "k": np.sqrt(10 / (11 * 12.5)), "v": 0}, abs=1e-12
    )
    assert by_name["induction_q"]["q"] == pytest.approx(0.21, abs=0.01)
    assert by_name["induction_q"]["k"] == by_name["induction_q"]["v"] == 0


@pytest.mark.parametrize(("d", "k"), [(16, 8), (32, 16), (64, 16)])
def test_random_heads_compose_by_one_over_root_d(d: int, k: int) -> None:
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(60):
        first, second = (rng.normal(size=(d, k)) @ rng.normal(size=(k, d)) for _ in range(2))
        scores.append(metrics.composition(first, second))
    assert np.mean(scores) == pytest.approx(d**-0.5, abs=3 * np.std(scores) / 60**0.5 + 2e-3)


def test_composition_by_hand() -> None:
    half = np.diag([1.0, 0.0])
    assert metrics.composition(half, half) == 1
    assert metrics.composition(half, np.diag([0.0, 1.0])) == 0
    assert metrics.composition(np.eye(2), half) == pytest.approx(1 / np.sqrt(2))
    assert np.isnan(metrics.composition(np.zeros((2, 2)), half))


def test_positivity_by_hand() -> None:
    left = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert metrics.positivity(left, left.T) == pytest.approx(1)
    assert metrics.positivity(left, -left.T) == pytest.approx(-1)
    assert metrics.positivity(left, np.diag([3.0, -1.0]) @ left.T) == pytest.approx(0.5)
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])  # eigenvalues ±i
    assert metrics.positivity(left, turn @ left.T) == pytest.approx(0, abs=1e-12)
    assert np.isnan(metrics.positivity(left, 0 * left.T))


def test_positivity_of_the_full_circuit_is_that_of_the_small_one() -> None:
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(9, 3)), rng.normal(size=(3, 9))
    values = np.linalg.eigvals(left @ right)
    assert metrics.positivity(left, right) == pytest.approx(
        values.real.sum() / np.abs(values).sum()
    )


def test_attention_scores_by_hand() -> None:
    """Tokens a b a: the last a attends to b, after the first a; the offset -1 would be the first
    token.
    """
    tokens = np.array([[7, 8, 7]])
    everywhere = np.ones((1, 3), dtype=bool)
    pattern = np.array([[[1.0, 0, 0], [0.25, 0.75, 0], [0.1, 0.7, 0.2]]])
    assert metrics.prefix_matching(pattern, tokens, everywhere) == pytest.approx(0.7)
    assert metrics.previous_token(pattern) == pytest.approx((0.25 + 0.7) / 2)
    assert np.isnan(metrics.prefix_matching(pattern, np.array([[1, 2, 3]]), everywhere))
    assert np.isnan(metrics.prefix_matching(pattern, tokens, np.array([[True, True, False]])))


def test_removed_edges() -> None:
    two = Structure(n_layers=2, n_heads=2)
    assert results.removed(two, "k") == ["0.0->1.0:k", "0.1->1.0:k", "0.0->1.1:k", "0.1->1.1:k"]
    assert results.removed(two, "logits") == ["0.0->logits", "0.1->logits"]
    assert len(results.removed(Structure(n_layers=3), "v")) == 3
    assert results.removed(Structure(n_layers=1), "q") == []


@pytest.mark.parametrize(
    ("excess", "path_k", "path_v", "prefix", "expected"),
    [
        (0.0, 2.0, 0.0, 0.9, "induction"),
        (0.0, 2.0, 0.5, 0.5, "mixed"),
        (0.0, 2.0, 1.5, 0.1, "shifted"),
        (0.2, 0.0, 0.0, 0.02, "recency"),
        (0.2, 0.0, 0.0, 0.9, "induction"),
        (0.2, np.nan, np.nan, 0.9, "induction"),
        (0.3, 2.0, 0.0, 0.9, "none"),
        (np.nan, 2.0, 0.0, 0.9, "none"),
    ],
)
def test_classes(excess: float, path_k: float, path_v: float, prefix: float, expected: str) -> None:
    found = {"excess": excess, "path_k": path_k, "path_v": path_v, "prefix": prefix}
    assert results.circuit(Structure(), found) == expected
    assert results.circuit(Structure(kind="markov"), found) == "none"


def test_formation_by_hand() -> None:
    """Below 75%, 50% and 10% of log 2 at the second, third and fourth snapshot."""
    structure = Structure(kind="pairs", values=2, steps=30, snapshots=4)
    assert structure.snapshot_steps.tolist() == [0, 10, 20, 30]
    course = np.array([0.9, 0.6, 0.2, 0.05]) * np.log(2)
    assert results.formed(structure, course) == {"formed_at": 20.0, "width": 20.0}
    never = results.formed(structure, np.full(4, 1.0))
    assert np.isnan(list(never.values())).all()


def test_models_that_diverged_are_measured() -> None:
    structure = Structure(
        kind="pairs", keys=2, values=2, context=6, d_model=4, d_head=2, steps=3, snapshots=2
    )
    task = task_of(structure)
    params = {
        name: np.full((1, *shape), np.nan, np.float32)
        for name, shape in structure.param_shapes.items()
    }
    state = State.initial(task, params)
    state.snapshots = {name: np.stack([value, value], axis=1) for name, value in params.items()}
    found = results.measure(task, state, lambda: None)
    assert np.isnan(found["excess"]).all()
    assert found["circuit"].tolist() == ["none"]
    assert not found["solved"].any()


def test_answers() -> None:
    assert results.answers_of(Structure(kind="pairs", values=5)) == 5
    assert results.answers_of(Structure(kind="triggers", tokens=16, triggers=4)) == 12
    assert results.answers_of(Structure(kind="chain")) is None


def test_excess_is_zero_for_the_law_itself() -> None:
    task = task_of(Structure(kind="markov", states=3, context=10))
    given = results.asked(task, 0, 50)
    everywhere = torch.zeros(1, 50, 10, 3)
    everywhere[0, torch.from_numpy(given.where)] = torch.from_numpy(given.bayes).float()
    assert given.excess(everywhere) == pytest.approx(0, abs=1e-6)
    assert given.excess(torch.zeros(1, 50, 10, 3)) == pytest.approx(
        np.log(3) - given.floor, abs=1e-6
    )
