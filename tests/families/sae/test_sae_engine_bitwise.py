"""What may not change a single bit of an autoencoder: batch-mates, order, threads, stretches,
restarts of the program, memory that holds garbage, the divergence of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sae_tasks import make_task, start_of

from superpos.engines.reference import ReferenceEngine
from superpos.engines.task import State
from superpos.families.sae import FAMILY
from superpos.families.sae.cpu import FusedSaeEngine, batches, call, schedule
from superpos.families.sae.structure import Task

pytestmark = pytest.mark.slow

FUSED = FusedSaeEngine(threads=1)
REFERENCE = ReferenceEngine(FAMILY, threads=1)
KINDS: dict[str, dict[str, Any]] = {
    "l1": {"kind": "l1", "penalty": 0.1},
    "topk": {"kind": "topk", "k": 2, "anneal_k": 2},
    "batchtopk": {"kind": "batchtopk", "k": 1.5, "restart_every": 3},
    "jumprelu": {"kind": "jumprelu", "penalty": 0.03, "tied": True},
    "prefixes": {"kind": "l1", "penalty": 0.2, "prefixes": (3,), "restart_every": 3},
}
SIZES = [(6, 4, 9, 40), (40, 70, 9, 129)]


def varied(
    kind: str,
    size: tuple[int, int, int, int],
    models: int,
    worlds: int = 0,
    **options: Any,
) -> Task:
    """Models that differ in everything that may; worlds take turns, so that order by world is not
    theirs.
    """
    n, d, m, batch = size
    random = np.random.default_rng(5)
    given = KINDS[kind] | options
    if "prefixes" in given:
        given["prefixes"] = (3, m)
    for name in ("penalty", "k"):
        if name in given:
            given[name] = given[name] * np.linspace(0.6, 1.4, models).round(
                1 if name == "penalty" else 0,
            )
    return make_task(
        n, d, m, models, worlds=worlds or min(models, 3), batch_size=batch,
        lr=random.uniform(1e-3, 1e-2, models), weight_decay=random.uniform(0, 0.1, models),
        **({"steps": 12, "loss_every": 1} | given),
    )  # fmt: skip


def train(engine: Any, task: Task, stops: Sequence[int] = (12,)) -> State:
    state = start_of(task)
    for stop in stops:
        engine.advance(task, state, stop)
    return state


def everything(engine: Any, task: Task, stops: Sequence[int] = (12,)) -> dict[str, np.ndarray]:
    """All that an engine computes of a task, by name; each [M, ...]."""
    state = train(engine, task, stops)
    arrays = {
        name: np.asarray(value) for name, value in state.to_arrays().items() if name != "step"
    }
    loss, grads = engine.gradients(task, state.params, 3, state.extra)
    mean, error = engine.evaluate(task, state.params, 1500, state.extra)
    arrays |= {f"grad/{name}": grad for name, grad in grads.items()}
    return arrays | {"loss": loss, "mean": mean, "se": error}


def assert_same(
    found: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    rows: Any = slice(None),
) -> None:
    for name, value in expected.items():
        assert np.array_equal(found[name], value[rows], equal_nan=True), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_a_model_alone_and_among_others(kind: str, size: tuple[int, int, int, int]) -> None:
    task = varied(kind, size, 20)
    expected = everything(FUSED, task)
    assert len(np.unique(expected["mean"])) == 20
    for i in (0, 7, 19):
        rows = slice(i, i + 1)
        assert_same(everything(FUSED, task.take(rows)), expected, rows)
    order = np.random.default_rng(1).permutation(20)
    assert_same(everything(FUSED, task.take(order)), expected, order)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("models", [1, 5])
@pytest.mark.parametrize("threads", [2, 3])
def test_number_of_threads(
    kind: str,
    models: int,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Threads that take models in turn, and (as if models were large) that share every step of a
    model.
    """
    task = varied(kind, (40, 70, 70, 129), models)
    expected = everything(FUSED, task)
    assert_same(everything(FusedSaeEngine(threads), task), expected)
    monkeypatch.setattr(schedule, "_CREW_WORK", 0)
    team = schedule.Team(task, call.shape_of(task.structure, 129), threads, 1)
    assert team.shares_steps()
    assert_same(everything(FusedSaeEngine(threads), task), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_many_worlds_are_taken_one_after_the_other(kind: str) -> None:
    task = varied(kind, SIZES[0], 30, worlds=13)
    expected = everything(FusedSaeEngine(threads=8), task)
    for threads in (1, 3):
        shape = call.shape_of(task.structure, 40)
        ways = [schedule.Team(task, shape, n, 1)._way.__name__ for n in (8, threads)]
        assert ways == ["_by_model", "_by_world"]
        assert_same(everything(FusedSaeEngine(threads), task), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_stretches_and_checkpoints(
    kind: str,
    size: tuple[int, int, int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """12 steps at once, in stretches, through the flat arrays of a checkpoint, and with little
    memory for batches.
    """
    task = varied(kind, size, 4)
    expected = everything(FUSED, task)
    assert_same(everything(FUSED, task, [1, 1, 6, 12]), expected)
    state = train(FUSED, task, [5])
    kept = {name: value.copy(order="C") for name, value in state.to_arrays().items()}
    again = State.from_arrays(kept)
    FUSED.advance(task, again, 12)
    arrays = {
        name: np.asarray(value) for name, value in again.to_arrays().items() if name != "step"
    }
    assert_same(arrays, {name: value for name, value in expected.items() if name in arrays})
    monkeypatch.setattr(schedule, "_BATCH_BYTES", 1)
    assert_same(everything(FUSED, task), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [*SIZES, (9, 17, 33, 1)])
def test_memory_that_holds_nan_is_never_read(
    kind: str, size: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = varied(kind, size, 3)
    clean = everything(FUSED, task)
    rooms = 0

    class Poisoned(call.Memory):
        def __init__(self, *arguments: Any) -> None:
            nonlocal rooms
            rooms += 1
            super().__init__(*arguments)
            for name, array in self.arrays.items():
                if name != "grad":  # its ends are read: zeros that fill up
                    array[...] = np.nan if array.dtype.kind == "f" else -7

    monkeypatch.setattr(schedule, "Memory", Poisoned)
    assert_same(everything(FUSED, task), clean)
    assert rooms == 3  # training, gradients, evaluation
    assert all(np.isfinite(value).all() for value in clean.values())


@pytest.mark.parametrize("engine", [FUSED, REFERENCE], ids=["fused", "reference"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_diverging_model_freezes_and_disturbs_nobody(engine: Any, kind: str) -> None:
    """A rate beyond float32: the first loss is finite, the next weights are not."""
    task, others = varied(kind, SIZES[0], 6), np.arange(6) != 3
    expected = train(engine, task)
    task.lr[3] = 1e39
    found = train(engine, task)
    arrays = [
        {
            name: np.asarray(value)[others]
            for name, value in state.to_arrays().items()
            if name != "step"
        }
        for state in (found, expected)
    ]
    assert_same(*arrays)
    assert found.diverged_at.tolist() == [-1, -1, -1, 0, -1, -1]
    before = start_of(task)
    for group in ("params", "first", "second", "extra"):
        for name, value in getattr(found, group).items():
            assert np.array_equal(value[3], getattr(before, group)[name][3]), (group, name)
    assert np.isfinite(found.history[3, 0])
    assert np.isnan(found.history[3, 1:]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_infinite_loss_is_a_divergence(kind: str) -> None:
    task = varied(kind, SIZES[0], 2)
    for engine in (FUSED, REFERENCE):
        state = start_of(task)
        state.params["b_e"][1, 0] = 1e30  # codes whose squares are beyond float32
        engine.advance(task, state, 5)
        assert state.diverged_at.tolist() == [-1, 0]
        assert state.params["b_e"][1, 0] == np.float32(1e30)


def test_models_of_one_world_are_trained_on_the_same_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each world's batches are made once, however many models it has."""
    task = varied("l1", SIZES[0], 20)
    filled, fill = [], batches.fill

    def counted(out: Any, *arguments: Any) -> None:
        filled.append(len(out.rows))
        fill(out, *arguments)

    monkeypatch.setattr(batches, "fill", counted)
    train(FUSED, task)
    assert sum(filled) == 3 * 12
