"""What may not change a single bit: batch-mates, order, threads, stretches, memory that holds
garbage, divergence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from tasks import make_task, start
from tms import reference

from superpos.engines import Engine
from superpos.engines.task import State
from superpos.families.tms import cpu
from superpos.families.tms.cpu import FusedCpuEngine, kernel
from superpos.families.tms.cpu import call as calls
from superpos.families.tms.cpu.lane_blocks import LaneBlocks
from superpos.families.tms.cpu.schedule import shares
from superpos.families.tms.cpu.shape import parts_of
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Task

pytestmark = pytest.mark.slow

ABSOLUTE = {"tied": False, "hidden": "relu", "target": "abs", "signed": True}
FAMILIES: dict[str, dict[str, Any]] = {
    "relu": {},
    "absolute value": ABSOLUTE,
    "anticorrelated": {
        "correlation": "anticorrelated",
        "set_size": 3,
        "optimizer": "adam",
        "lr_schedule": "cosine",
    },
    "points": {"n_points": 150},
    "sparse": {"sampler": "sparse"},
    "sparse fourth powers": {"sampler": "sparse", "loss_power": 4, "l1": 0.01, "bias": "none"},
    "sparse absolute value": ABSOLUTE | {"sampler": "sparse"},
    "sparse anticorrelated": {"sampler": "sparse", "correlation": "anticorrelated", "set_size": 3},
}
SIZES = [(6, 2, 129), (33, 17, 100), (3, 1, 5)]
ENGINES = {"reference": reference(threads=1), "fused": FusedCpuEngine(threads=1)}
EPS = float(np.finfo(np.float32).eps)


def varied(n: int, m: int, models: int, batch: int = 64, **structure: Any) -> Task:
    """Models that differ in everything that may; the first half share a seed, the others have their
    own.
    """
    seed = np.where(np.arange(models) < models // 2, 7, np.arange(models))
    random = np.random.default_rng(5)
    return make_task(
        n, m, models, seed=seed, density=random.uniform(0.1, 1, models)[:, None], batch_size=batch,
        importance=random.uniform(0.2, 2, (models, n)), lr=random.uniform(1e-3, 1e-2, models),
        weight_decay=random.uniform(0, 0.1, models), init_std=random.uniform(0.2, 0.8, models),
        **{"steps": 10, "loss_every": 1, **structure},
    )  # fmt: skip


def train(engine: Engine, task: Task, stops: Sequence[int] = (10,)) -> State:
    state = start(task)
    for stop in stops:
        engine.advance(task, state, stop)
    return state


def everything(engine: Engine, task: Task, stops: Sequence[int] = (10,)) -> dict[str, np.ndarray]:
    """All that an engine computes of a task, by name; each [M, ...]."""
    state = train(engine, task, stops)
    arrays = {
        name: np.asarray(value) for name, value in state.to_arrays().items() if name != "step"
    }
    loss, grads = engine.gradients(task, state.params, 3)
    mean, error = engine.evaluate(task, state.params, 1000)
    return (
        arrays
        | {f"grad/{name}": grad for name, grad in grads.items()}
        | {"loss": loss, "mean": mean, "se": error}
    )


def assert_same(
    found: dict[str, np.ndarray], expected: dict[str, np.ndarray], rows: Any = slice(None)
) -> None:
    for name, value in expected.items():
        assert np.array_equal(found[name], value[rows], equal_nan=True), name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "m", "batch"), SIZES)
def test_a_model_alone_and_among_hundreds(family: str, n: int, m: int, batch: int) -> None:
    task = varied(n, m, 200, batch, **FAMILIES[family])
    expected = everything(ENGINES["fused"], task)
    assert len(np.unique(expected["mean"])) == 200
    for i in (0, 57, 99, 100, 199):
        rows = slice(i, i + 1)
        assert_same(everything(ENGINES["fused"], task.take(rows)), expected, rows)


@pytest.mark.parametrize("family", FAMILIES)
def test_order_of_the_models(family: str) -> None:
    task = varied(6, 2, 50, **FAMILIES[family])
    expected = everything(ENGINES["fused"], task)
    order = np.random.default_rng(1).permutation(50)
    assert_same(everything(ENGINES["fused"], task.take(order)), expected, order)
    assert_same(everything(ENGINES["fused"], task.take(slice(13, 31))), expected, slice(13, 31))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("threads", [2, 3])
def test_number_of_threads(family: str, threads: int) -> None:
    task = varied(6, 2, 50, **FAMILIES[family])
    assert_same(everything(FusedCpuEngine(threads), task), everything(ENGINES["fused"], task))


@pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "m", "batch"), [*SIZES, (18, 3, 129)])
def test_stretches_and_checkpoints(engine: Engine, family: str, n: int, m: int, batch: int) -> None:
    """10 steps at once, as 3 + 3 + 4, step by step, and through the flat arrays of a checkpoint."""
    task = varied(n, m, 7, batch, **FAMILIES[family])
    expected = everything(engine, task)
    assert_same(everything(engine, task, [3, 3, 6, 10]), expected)
    state = train(engine, task, [4])
    # as a file gives them back: copies in C order
    kept = {name: value.copy(order="C") for name, value in state.to_arrays().items()}
    again = State.from_arrays(kept)
    engine.advance(task, again, 10)
    found = {name: np.asarray(value) for name, value in again.to_arrays().items() if name != "step"}
    assert_same(found, {name: value for name, value in expected.items() if name in kept})


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "m", "batch"), [*SIZES, (9, 8, 333), (15, 33, 1)])
def test_memory_that_holds_nan_is_never_read(
    family: str, n: int, m: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = varied(n, m, 9, batch, **FAMILIES[family])
    clean = everything(ENGINES["fused"], task)
    poisoned = 0

    class Poisoned(LaneBlocks):
        def __init__(self, structure: Any) -> None:
            nonlocal poisoned
            poisoned += 1
            super().__init__(structure, fill=np.nan)

    room = calls.room

    def poisoned_room(*arguments: Any) -> Any:
        made = room(*arguments)
        for array in made:
            array[...] = np.nan if array.dtype.kind == "f" else -7
        return made

    monkeypatch.setattr(cpu, "LaneBlocks", Poisoned)
    monkeypatch.setattr(calls, "room", poisoned_room)
    assert_same(everything(ENGINES["fused"], task), clean)
    assert poisoned == 3  # training, gradients, evaluation
    assert all(np.isfinite(value).all() for value in clean.values())


@pytest.mark.parametrize("sampler", ["dense", "sparse"])
@pytest.mark.parametrize(("models", "threads"), [(1, 2), (3, 2), (1, 3)])
def test_a_large_batch_on_many_threads(sampler: str, models: int, threads: int) -> None:
    """Few models: all threads share the parts of every batch."""
    task = varied(33, 17, models, 5000, sampler=sampler, steps=3)
    assert parts_of(task.structure)[0] > 4
    call = calls.Call(task, kernel.TRAIN, Purpose.TRAIN, 0, 3)
    crews = [share.crew.threads for share in shares(call, threads)]
    assert crews == [threads] * threads
    expected = everything(FusedCpuEngine(threads=1), task, [3])
    assert_same(everything(FusedCpuEngine(threads=threads), task, [1, 3]), expected)
    alone = everything(FusedCpuEngine(threads=threads), task.take(slice(0, 1)), [3])
    assert_same(alone, expected, slice(0, 1))
    reference = everything(ENGINES["reference"], task, [3])
    assert np.allclose(expected["loss"], reference["loss"], rtol=1e-4)


def test_parts_hold_every_sample_once() -> None:
    for batch in (1, 127, 128, 129, 5000, 100_003):
        for sampler, unit in (("dense", 128), ("sparse", 1024)):
            parts, size = parts_of(make_task(65, 33, batch_size=batch, sampler=sampler).structure)
            assert size % unit == 0
            assert (parts - 1) * size < batch <= parts * size


def raised_lr(task: Task, i: int) -> None:
    task.lr[i] = 1e30


def raised_importance(task: Task, i: int) -> None:
    task.importance[i] = 1e39  # beyond float32: losses and gradients are infinite


def infinite_loss(task: Task, i: int) -> None:
    # outputs of 1e20, losses of 1e40: the gradient is finite, and so are the next weights
    task.init_std[i] = 1e10


def infinite_weights(task: Task, i: int) -> None:
    task.lr[i] = 1e39  # beyond float32: the first loss is finite, the next weights are not


@pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))
@pytest.mark.parametrize("spoil", [raised_lr, raised_importance, infinite_loss, infinite_weights])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_diverging_model_freezes_and_disturbs_nobody(
    engine: Engine, spoil: Callable[[Task, int], None], optimizer: str
) -> None:
    task, others = varied(6, 2, 8, optimizer=optimizer), np.arange(8) != 3
    expected = train(engine, task)
    spoil(task, 3)
    found = train(engine, task)
    arrays = (
        {k: np.asarray(v)[others] for k, v in s.to_arrays().items() if k != "step"}
        for s in (found, expected)
    )
    assert_same(*arrays)
    assert found.diverged_at[others].tolist() == [-1] * 7
    stopped = int(found.diverged_at[3])
    assert 0 <= stopped < 10
    # kept: the state after the last step that was finite
    before = train(engine, task, [stopped] if stopped else [])
    for group in ("params", "first", "second"):
        for name, value in getattr(found, group).items():
            assert np.isfinite(found.params[name][3]).all()
            assert np.array_equal(value[3], getattr(before, group)[name][3], equal_nan=True), (
                group,
                name,
            )
    assert before.diverged_at[3] == -1
    assert np.isnan(found.history[3, stopped + 1 :]).all()
    assert np.isfinite(found.history[3, :stopped]).all()


@pytest.mark.parametrize("spoil", [raised_lr, raised_importance, infinite_loss, infinite_weights])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_engines_agree_on_the_step_of_divergence(
    spoil: Callable[[Task, int], None], optimizer: str
) -> None:
    task = varied(6, 2, 4, optimizer=optimizer)
    spoil(task, 2)
    found = [train(engine, task).diverged_at.tolist() for engine in ENGINES.values()]
    assert found[0] == found[1]
    assert found[0][2] >= 0


@pytest.mark.parametrize(
    ("n", "m", "batch"), [(1, 1, 1), (5, 2, 1024), (17, 3, 129), (33, 17, 100)]
)
def test_memory_of_the_reference_changes_only_rounding(n: int, m: int, batch: int) -> None:
    """Models stacked in other numbers meet other code paths of BLAS; sums of L terms differ by 4
    sqrt(L) eps.
    """
    task = varied(n, m, 12, batch, optimizer="sgd")
    whole, split = (train(reference(threads=1, memory_gb=memory), task) for memory in (None, 1e-9))
    rows = list(reference(memory_gb=1e-9)._slices(task, batch))
    assert rows == [slice(i, i + 1) for i in range(12)]
    assert len(list(reference()._slices(task, batch))) == 1
    bound = 10 * 4 * np.sqrt(2 * n + m + batch) * EPS  # ten steps of a learning rate far below 1
    assert np.allclose(split.history, whole.history, rtol=bound, atol=0)
    for name, value in whole.params.items():
        assert np.allclose(split.params[name], value, rtol=0, atol=bound)
