"""What may not change a single bit of a transformer: batch-mates, order, threads, stretches,
restarts of the program, memory that holds garbage, the divergence of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from transformer_tasks import KINDS, make_task, start_of

from superpos.engines.reference import ReferenceEngine
from superpos.engines.task import State
from superpos.families.transformer import FAMILY, cpu
from superpos.families.transformer.cpu import FusedTransformerEngine
from superpos.families.transformer.cpu.call import Memory
from superpos.families.transformer.structure import Task

FUSED, REFERENCE = FusedTransformerEngine(threads=1), ReferenceEngine(FAMILY, threads=1)
OPTIONS: dict[str, dict[str, Any]] = {
    "relative": {"context": 13, "d_model": 18, "d_head": 6, "n_heads": 2, "batch_size": 21},
    "smeared": {
        "smear": True,
        "positions": "scores",
        "direct": False,
        "n_layers": 1,
        **KINDS["triggers"],
    },
    "pointer": {"positions": "pointer", "context": 11, **KINDS["distinct"]},
    "no layers": {"n_layers": 0, "positions": "none", "optimizer": "adamw", **KINDS["chain"]},
}


def varied(name: str, models: int) -> Task:
    """Models that differ in everything that may."""
    random = np.random.default_rng(5)
    rates = {
        "lr": random.uniform(1e-3, 1e-2, models),
        "weight_decay": random.uniform(0, 0.1, models),
    }
    return make_task(models, languages=min(models, 3), **rates, **OPTIONS[name])


def train(engine: Any, task: Task, stops: Sequence[int] = (12,)) -> State:
    state = start_of(task)
    for stop in stops:
        engine.advance(task, state, stop)
    return state


def arrays_of(state: State) -> dict[str, np.ndarray]:
    """Everything in a state that is [M, ...]."""
    return {name: np.asarray(value) for name, value in state.to_arrays().items() if name != "step"}


def everything(engine: Any, task: Task, stops: Sequence[int] = (12,)) -> dict[str, np.ndarray]:
    """All that an engine computes of a task, by name; each [M, ...]."""
    state = train(engine, task, stops)
    loss, grads = engine.gradients(task, state.params, 3)
    mean, error = engine.evaluate(task, state.params, 100)
    arrays = arrays_of(state) | {f"grad/{name}": grad for name, grad in grads.items()}
    return arrays | {"loss": loss, "mean": mean, "se": error}


def assert_same(
    found: dict[str, np.ndarray], expected: dict[str, np.ndarray], rows: Any = slice(None)
) -> None:
    for name, value in expected.items():
        assert np.array_equal(found[name], value[rows], equal_nan=True), name


@pytest.mark.parametrize("name", OPTIONS)
def test_a_model_alone_and_among_others(name: str) -> None:
    task = varied(name, 12)
    expected = everything(FUSED, task)
    assert len(np.unique(expected["mean"])) == 12
    for i in (0, 7, 11):
        rows = slice(i, i + 1)
        assert_same(everything(FUSED, task.take(rows)), expected, rows)
    order = np.random.default_rng(1).permutation(12)
    assert_same(everything(FUSED, task.take(order)), expected, order)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("models", [1, 5])
@pytest.mark.parametrize("threads", [2, 3])
def test_number_of_threads(name: str, models: int, threads: int) -> None:
    task = varied(name, models)
    assert_same(everything(FusedTransformerEngine(threads), task), everything(FUSED, task))


@pytest.mark.parametrize("name", OPTIONS)
def test_stretches_and_checkpoints(name: str) -> None:
    """12 steps at once, in stretches, and through the flat arrays of a checkpoint."""
    task = varied(name, 3)
    expected = everything(FUSED, task)
    assert_same(everything(FUSED, task, [1, 1, 6, 12]), expected)
    kept = {
        name: value.copy(order="C") for name, value in train(FUSED, task, [5]).to_arrays().items()
    }
    again = State.from_arrays(kept)
    FUSED.advance(task, again, 12)
    found = arrays_of(again)
    assert_same(found, {name: expected[name] for name in found})


@pytest.mark.parametrize("positions", ["none", "stream", "scores", "relative", "pointer"])
def test_memory_that_holds_nan_is_never_read(
    positions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of sizes that fill vectors and tiles; else zeros that fill up are read, which nothing
    writes.
    """
    options = {
        "smear": True,
        "direct": False,
        "context": 8,
        "d_model": 16,
        "d_head": 4,
        "n_heads": 2,
    }
    task = make_task(3, positions=positions, **options)
    clean = everything(FUSED, task)
    rooms = 0

    class Poisoned(Memory):
        def __init__(self, *arguments: Any) -> None:
            nonlocal rooms
            rooms += 1
            super().__init__(*arguments)
            for name, array in self.arrays.items():
                if name != "zeros":
                    array[...] = np.nan

    monkeypatch.setattr(cpu, "Memory", Poisoned)
    assert_same(everything(FUSED, task), clean)
    assert rooms == 3  # training, gradients, evaluation
    assert all(np.isfinite(value).all() for value in clean.values())


@pytest.mark.parametrize("engine", [FUSED, REFERENCE], ids=["fused", "reference"])
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_diverging_model_freezes_and_disturbs_nobody(engine: Any, name: str) -> None:
    """A rate beyond float32: the first loss is finite, the next weights are not."""
    task, others = varied(name, 5), np.arange(5) != 2
    expected = arrays_of(train(engine, task))
    task.lr[2] = 1e39
    state = train(engine, task)
    found = arrays_of(state)
    assert_same({name: value[others] for name, value in found.items()}, expected, others)
    assert state.diverged_at.tolist() == [-1, -1, 0, -1, -1]
    before = start_of(task)
    for group in ("params", "first", "second"):
        for key, value in getattr(state, group).items():
            assert np.array_equal(value[2], getattr(before, group)[key][2]), (group, key)
    assert np.isfinite(state.history[2, 0])
    assert np.isnan(state.history[2, 1:]).all()


@pytest.mark.parametrize("name", OPTIONS)
def test_an_infinite_loss_is_a_divergence(name: str) -> None:
    """Weights whose logits are beyond float32; what a thread then holds disturbs no model that it
    trains next.
    """
    for engine in (FUSED, REFERENCE):
        task = varied(name, 2)
        expected = arrays_of(train(engine, task))
        state = start_of(task)
        for key in ("W_E", "W_U"):
            state.params[key][0] = 1e25 * np.sign(state.params[key][0])
        engine.advance(task, state, 12)
        assert state.diverged_at.tolist() == [0, -1]
        rest = slice(1, 2)
        assert_same({name: value[rest] for name, value in arrays_of(state).items()}, expected, rest)
