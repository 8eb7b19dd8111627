"""The fused GPU engine against the reference: in Triton's interpreter, and on a CUDA device
(`pytest -m gpu`).

Helpers and tolerances are those of the fused CPU engine's tests. The interpreter takes milliseconds
an operation, so batches and steps are few.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tasks import make_task, start
from test_engines import FAMILIES as ALL
from test_engines import (
    REFERENCE,
    check_evaluation,
    check_gradients,
    check_step,
    random_params,
    varied,
)
from test_engines_bitwise import (
    assert_same,
    infinite_loss,
    infinite_weights,
    raised_importance,
    raised_lr,
)

from superpos.engines.splitting import in_memory
from superpos.engines.task import State
from superpos.families.tms.structure import Structure, Task

pytest.importorskip("triton")

from superpos.families.tms import gpu
from superpos.families.tms.gpu import FusedGpuEngine
from superpos.families.tms.gpu.plan import shape_of

pytestmark = pytest.mark.slow

FAMILIES = {
    name: family
    for name, family in ALL.items()
    if not name.startswith("points")
    and FusedGpuEngine().unsupported(Structure(6, 2, **family)) is None
}
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICES = ["interpreter", pytest.param("cuda", marks=pytest.mark.gpu)]
# n, m, batch: every number of lanes, with a last piece that is not full; more than one block of
# samples
LANES = [
    (1, 1, 1),
    (1, 3, 33),
    (2, 1, 65),
    (3, 5, 1),
    (5, 2, 513),
    (17, 3, 33),
    (20, 5, 6),
    (33, 5, 3),
    (7, 6, 17),
]
TILES = [(33, 17, 65), (17, 33, 1), (65, 65, 3), (3, 65, 33), (65, 8, 129)]


@pytest.fixture(params=DEVICES)
def engine(request: pytest.FixtureRequest) -> FusedGpuEngine:
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("torch finds no CUDA device")
        return FusedGpuEngine("cuda")
    if not INTERPRETED:
        pytest.skip("Triton compiles in this process: its interpreter needs TRITON_INTERPRET=1")
    return FusedGpuEngine("cpu")


def test_every_kernel_is_among_the_shapes() -> None:
    assert {shape_of(Structure(n, m)).lanes for n, m, _ in LANES} == {1, 2, 4, 8}
    assert {shape_of(Structure(n, m)).lanes for n, m, _ in TILES} == {0}
    assert max(shape_of(Structure(n, m, batch_size=batch)).splits for n, m, batch in TILES) > 1


@pytest.mark.parametrize(("n", "m", "batch"), LANES + TILES)
def test_gradients_on_awkward_shapes(engine: FusedGpuEngine, n: int, m: int, batch: int) -> None:
    check_gradients(varied(n, m, 3, batch_size=batch), engine=engine)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "m", "batch"), [(9, 4, 33), (33, 17, 65)])
def test_gradients_of_every_family(
    engine: FusedGpuEngine, family: str, n: int, m: int, batch: int
) -> None:
    check_gradients(
        varied(n, m, 2, batch_size=batch, reduction="sum", **FAMILIES[family]), engine=engine
    )


@pytest.mark.parametrize(("n", "m", "batch"), [(2, 1, 1100), (15, 17, 1100)])
@pytest.mark.parametrize("density", [1.0, 0.02, 1e-6])
def test_gradients_of_sparse_segments(
    engine: FusedGpuEngine, n: int, m: int, batch: int, density: float
) -> None:
    """More than one segment; every sample, a few samples and none at all with active features."""
    task = varied(n, m, 1, batch_size=batch, sampler="sparse")
    task.sparsity[:] = 1 - density * (1 - task.sparsity)
    check_gradients(task, engine=engine)


@pytest.mark.parametrize("family", ["relu output", "absolute value"])
def test_a_relu_is_flat_at_zero(engine: FusedGpuEngine, family: str) -> None:
    task = varied(3, 1, 2, batch_size=33, **FAMILIES[family])
    params = random_params(task)
    params["b"][:] = 0
    check_gradients(task, params=params, engine=engine)
    nothing = {name: np.zeros_like(value) for name, value in params.items()}
    assert not any(grad.any() for grad in engine.gradients(task, nothing, 0)[1].values())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_of_every_family(engine: FusedGpuEngine, family: str) -> None:
    check_step(
        varied(6, 2, 2, batch_size=33, steps=10, loss_every=1, **FAMILIES[family]), 3, engine
    )
    check_step(
        varied(33, 17, 1, batch_size=150, steps=10, loss_every=1, **FAMILIES[family]), 3, engine
    )


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize(
    ("kind", "warmup", "reduction"),
    [("constant", 0, "mean"), ("linear", 8, "sum"), ("cosine", 3, "mean")],
)
def test_a_step_of_every_optimiser(
    engine: FusedGpuEngine, optimizer: str, kind: str, warmup: int, reduction: str
) -> None:
    options = {
        "optimizer": optimizer,
        "reduction": reduction,
        "lr_schedule": kind,
        "warmup_steps": warmup,
    }
    check_step(varied(2, 1, 2, batch_size=33, steps=8, loss_every=1, **options), 0, engine)
    check_step(varied(2, 1, 2, batch_size=33, steps=8, loss_every=1, **options), 6, engine)
    check_step(varied(33, 33, 2, batch_size=33, steps=8, loss_every=1, **options), 6, engine)


@pytest.mark.parametrize("family", FAMILIES)
def test_evaluation(engine: FusedGpuEngine, family: str) -> None:
    check_evaluation(varied(6, 3, 2, **FAMILIES[family]), 33, engine)
    check_evaluation(varied(33, 17, 2, **FAMILIES[family]), 33, engine)


@pytest.mark.parametrize("samples", [1, 4100])
def test_evaluation_in_parts(engine: FusedGpuEngine, samples: int) -> None:
    check_evaluation(varied(2, 1, 1), samples, engine)
    check_evaluation(varied(15, 17, 1), samples, engine)


def train(engine: Any, task: Task, *stops: int) -> State:
    state = start(task)
    for stop in stops:
        engine.advance(task, state, stop)
    return state


def everything(engine: FusedGpuEngine, task: Task, *stops: int) -> dict[str, np.ndarray]:
    """All that an engine computes of a task, by name; each [M, ...]."""
    state = train(engine, task, *stops)
    arrays = {
        name: np.asarray(value) for name, value in state.to_arrays().items() if name != "step"
    }
    loss, grads = engine.gradients(task, state.params, 3)
    mean, error = engine.evaluate(task, state.params, 40)
    return (
        arrays
        | {f"grad/{name}": grad for name, grad in grads.items()}
        | {"loss": loss, "mean": mean, "se": error}
    )


def different(n: int, m: int, models: int, **structure: Any) -> Task:
    """Models with other seeds, importances and rates."""
    return make_task(
        n, m, models, lr=np.linspace(1e-3, 1e-2, models),
        density=np.linspace(0.3, 1, models)[:, None],
        importance=np.random.default_rng(2).uniform(0.2, 2, (models, n)),
        **{"steps": 3, "batch_size": 17, "loss_every": 2, **structure},
    )  # fmt: skip


@pytest.mark.parametrize(("n", "m"), [(2, 1), (33, 17)])
@pytest.mark.parametrize("sampler", ["dense", "sparse"])
def test_batch_mates_order_and_stretches_change_no_bit(
    engine: FusedGpuEngine, n: int, m: int, sampler: str
) -> None:
    task = different(n, m, 2, sampler=sampler)
    expected = everything(engine, task, 3)
    assert len(np.unique(expected["mean"])) == 2
    assert np.isfinite(expected["history"]).all()
    order = np.array([1, 0])
    assert_same(everything(engine, task.take(order), 1, 1, 3), expected, order)
    assert_same(everything(engine, task.take(order[:1]), 3), expected, order[:1])


@pytest.mark.parametrize(("n", "m"), [(3, 1), (33, 17)])
def test_memory_that_holds_nan_is_never_read(
    engine: FusedGpuEngine, n: int, m: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, made = different(n, m, 2), 0
    clean = everything(engine, task, 2)

    def poisoned(size: tuple[int, ...], dtype: torch.dtype, device: str) -> torch.Tensor:
        nonlocal made
        made += 1
        return torch.full(
            size, float("nan") if dtype.is_floating_point else -1, dtype=dtype, device=device
        )

    monkeypatch.setattr(gpu, "_empty", poisoned)
    assert_same(everything(engine, task, 2), clean)
    assert made >= 3  # training, gradients, evaluation


@pytest.mark.parametrize("spoil", [raised_lr, raised_importance, infinite_loss, infinite_weights])
@pytest.mark.parametrize(
    ("n", "m", "optimizer"), [(3, 1, "adamw"), (3, 1, "sgd"), (33, 33, "adamw")]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_diverging_model_freezes_and_disturbs_nobody(
    engine: FusedGpuEngine, spoil: Callable[[Task, int], None], n: int, m: int, optimizer: str
) -> None:
    task = different(n, m, 2, optimizer=optimizer, loss_every=1)
    expected = train(engine, task.take(slice(0, 1)), 3)
    spoil(task, 1)
    found, reference = train(engine, task, 3), train(REFERENCE, task, 3)
    assert found.diverged_at.tolist() == reference.diverged_at.tolist()
    stopped = int(found.diverged_at[1])
    assert 0 <= stopped < 3
    arrays = (
        {k: np.asarray(v)[:1] for k, v in s.to_arrays().items() if k != "step"}
        for s in (found, expected)
    )
    assert_same(*arrays)
    before = train(engine, task.take(slice(1, 2)), stopped)
    for group in ("params", "first", "second"):
        for name, value in getattr(found, group).items():
            assert np.isfinite(found.params[name][1]).all()
            assert np.array_equal(value[1], getattr(before, group)[name][0]), (group, name)
    assert np.isnan(found.history[1, stopped + 1 :]).all()
    assert np.isfinite(found.history[1, :stopped]).all()


def test_models_are_halved_until_they_fit() -> None:
    done: list[int] = []

    def run(rows: slice) -> None:
        if rows.stop - rows.start > limit:
            raise torch.OutOfMemoryError("no memory")
        done.extend(range(rows.start, rows.stop))

    limit = 3
    in_memory(slice(0, 17), run)
    assert done == list(range(17))
    limit = 0
    with pytest.raises(MemoryError, match="no memory"):
        in_memory(slice(0, 17), run)
