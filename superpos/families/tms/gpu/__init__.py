"""The fused GPU engine (Triton): small models are trained for whole stretches in one launch, one
program per model.

For larger ones a batch is split over several programs; two launches a step, recorded once as a CUDA
graph.

What it lacks `unsupported` says. A model's bits depend on its own row and the kind of device alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray

from superpos.engines import Params
from superpos.engines.splitting import in_memory
from superpos.engines.task import State
from superpos.families.tms import FAMILY
from superpos.families.tms.data import sparse
from superpos.families.tms.data.feature_values import cells
from superpos.families.tms.fused import unknown_law
from superpos.families.tms.gpu import kernels
from superpos.families.tms.gpu.plan import MOST_HIDDEN, Shape, launch_options, shape_of
from superpos.families.tms.structure import Structure, Task
from superpos.family import Arrays
from superpos.maths.sampling import mean_and_error

_OLDEST_TRITON = (3, 7)
_RECORDED = 32  # steps in a CUDA graph


class Models(NamedTuple):
    """What differs between the models: `feature_values.Cells` and importances [M, F]."""

    seed: torch.Tensor  # [M], uint64
    low: torch.Tensor  # uint32, as the next two
    span: torch.Tensor
    shift: torch.Tensor
    scale: torch.Tensor
    offset: torch.Tensor
    importance: torch.Tensor
    rate: torch.Tensor  # [M], float64; of the sparse sampler's gaps


class Rates(NamedTuple):
    """Hyperparameters of the optimiser; T steps."""

    lr: torch.Tensor  # [M], float64
    weight_decay: torch.Tensor  # [M]
    factor: torch.Tensor  # [T], float64; the schedule's
    unbias1: torch.Tensor  # [T], float64; Adam's 1 - beta1^t
    unbias2: torch.Tensor  # [T]; sqrt(1 - beta2^t)


class Trained(NamedTuple):
    """What training changes; P parameters of a model, in the order of `Structure.param_shapes`."""

    theta: torch.Tensor  # [M, P]
    first: torch.Tensor  # [M, P]
    second: torch.Tensor  # [M, P]
    diverged_at: torch.Tensor  # [M], int64
    history: torch.Tensor  # [M, records of this stretch]


class Work(NamedTuple):
    """Sums of one step, in a slot for each program that shares a batch; x and g of a block of
    tiles.
    """

    grad: torch.Tensor  # [slots, P]
    loss: torch.Tensor  # [slots]
    clock: torch.Tensor  # [M], int32; the step that a model has come to
    x: torch.Tensor  # [slots, rows, F]
    g: torch.Tensor  # [slots, rows, F]
    grid: torch.Tensor  # [slots, SEGMENT, F]; a segment of the sparse sampler, all zero between two
    flags: torch.Tensor  # [slots, SEGMENT], int32; rows of the grid that are not empty, likewise
    rows: torch.Tensor  # [slots, SEGMENT], int32; those rows' numbers


@dataclass(frozen=True)
class FusedGpuEngine:
    """Trains and evaluates on a CUDA device; on "cpu" under Triton's interpreter, to be tested
    without one.
    """

    device: str = "cuda"
    name = "fused-gpu"

    def first_use(self) -> str | None:
        """That kernels will be compiled: Triton keeps them, and does not say whether it has one."""
        return "compiling the training kernels, a few seconds unless Triton's cache has them"

    def unsupported(self, structure: Structure) -> str | None:
        """Why a structure cannot be trained here, or None."""
        if tuple(map(int, triton.__version__.split(".")[:2])) < _OLDEST_TRITON:
            return f"the fused GPU engine needs triton 3.7 or later (this is {triton.__version__})"
        if structure.n_points is not None:
            return "the fused GPU engine draws fresh batches only (data.n_points is set)"
        if law := unknown_law(structure):
            return f"the fused GPU engine {law}"
        if lacking := _lacking(structure):
            return f"the fused GPU engine does not have {lacking}"
        if structure.n_hidden > MOST_HIDDEN:
            return (
                f"the fused GPU engine has no kernel for more than {MOST_HIDDEN} hidden dimensions"
            )
        return None

    def gradients(
        self, task: Task, params: Params, step: int, extra: Arrays | None = None
    ) -> tuple[NDArray[np.float32], Params]:
        """Losses [M] and gradients {name: [M, ...]} of the training loss of one step."""
        structure = task.structure
        shape = shape_of(task.structure)
        losses = np.empty(len(task), np.float32)
        grads = np.empty((len(task), shape.params), np.float32)

        def run(rows: slice) -> None:
            part = task.take(rows)
            theta = self._tensor(structure.flat(params)[rows])
            work = self._work(shape, len(part), shape.splits, step)
            kernels.gradients[(len(part), shape.splits)](
                self._models(part), theta, work, **_compiled(shape)
            )
            sums = [
                tensor.cpu().numpy().reshape(len(part), shape.splits, -1)
                for tensor in (work.loss, work.grad)
            ]
            loss, grad = (value.sum(axis=1) for value in sums)
            losses[rows], grads[rows] = (
                loss[:, 0] / np.float32(shape.samples),
                grad * np.float32(shape.factor),
            )

        in_memory(slice(0, len(task)), run)
        return losses, structure.unflat(grads)

    def advance(self, task: Task, state: State, stop: int) -> None:
        """Train all models from `state.step` to `stop`, updating `state` in place."""
        if stop > state.step:
            in_memory(
                slice(0, len(task)),
                lambda rows: self._advance_rows(task.take(rows), state, rows, stop),
            )
        state.step = stop

    def evaluate(
        self, task: Task, params: Params, samples: int, extra: Arrays | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Loss L and its standard error, each [M], on `samples` fresh samples of the evaluation
        stream.
        """
        shape = shape_of(task.structure)
        sums = np.empty((len(task), 2))
        parts = -(-samples // shape.part)

        def run(rows: slice) -> None:
            part = task.take(rows)
            theta = self._tensor(task.structure.flat(params)[rows])
            moments = _empty((len(part), parts, 2), torch.float64, self.device)
            work = self._work(shape, len(part), parts, 0)
            models = self._models(part)
            kernels.evaluate[(len(part), parts)](
                models, theta, work, moments, samples, **_compiled(shape)
            )
            sums[rows] = moments.cpu().numpy().sum(axis=1)

        in_memory(slice(0, len(task)), run)
        return mean_and_error(sums, samples)

    def _advance_rows(self, task: Task, state: State, rows: slice, stop: int) -> None:
        structure = task.structure
        records = _records(task.structure, state.step, stop)
        groups = (state.params, state.first, state.second)
        theta, first, second = (self._tensor(structure.flat(group)[rows]) for group in groups)
        history = self._tensor(state.history[rows, records])
        trained = Trained(theta, first, second, self._tensor(state.diverged_at[rows]), history)
        self._train(task, trained, state.step, stop)
        for group, tensor in zip(groups, (theta, first, second), strict=True):
            for name, value in structure.unflat(tensor.cpu().numpy()).items():
                group[name][rows] = value
        state.diverged_at[rows] = trained.diverged_at.cpu().numpy()
        state.history[rows, records] = trained.history.cpu().numpy()

    def _train(self, task: Task, trained: Trained, start: int, stop: int) -> None:
        shape = shape_of(task.structure)
        records = _records(task.structure, start, stop)
        models = self._models(task)
        rates = self._rates(task)
        work = self._work(shape, len(task), shape.splits, start)
        columns = (records.start, records.stop - records.start)
        if shape.lanes:
            kernels.train[(len(task),)](
                models, trained, rates, work, start, stop, *columns, **_compiled(shape)
            )
            return

        def step() -> None:
            kernels.gradients[(len(task), shape.splits)](
                models, trained.theta, work, **_compiled(shape)
            )
            kernels.apply[(len(task),)](trained, rates, work, *columns, **_compiled(shape))

        self._repeat(step, stop - start)

    def _repeat(self, step: Callable[[], None], count: int) -> None:
        """Launch the same kernels `count` times; on a device many of them at once, recorded as a
        CUDA graph.
        """
        recorded = _RECORDED if self.device != "cpu" and count > _RECORDED else count + 1
        step()  # compiles what is to be recorded
        if (graphs := (count - 1) // recorded) > 0:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                for _ in range(recorded):
                    step()
            for _ in range(graphs):
                graph.replay()
        for _ in range((count - 1) % recorded):
            step()

    def _models(self, task: Task) -> Models:
        rules = (sparse.candidate_cells if task.structure.sampler == "sparse" else cells)(
            task.structure, task.sparsity
        )
        facts: tuple[NDArray[Any], ...] = (
            task.seed,
            *rules,
            task.importance.astype(np.float32),
            sparse.gap_rate(task.sparsity),
        )
        return Models(*map(self._tensor, facts))

    def _rates(self, task: Task) -> Rates:
        structure = task.structure
        factor = structure.lr_factors
        count = np.arange(1, structure.steps + 1)
        return Rates(
            lr=self._tensor(task.lr),
            weight_decay=self._tensor(task.weight_decay.astype(np.float32)),
            factor=self._tensor(factor),
            unbias1=self._tensor(1 - FAMILY.adam.beta1**count),
            unbias2=self._tensor(((1 - FAMILY.adam.beta2**count) ** 0.5).astype(np.float32)),
        )

    def _work(self, shape: Shape, models: int, slots: int, step: int) -> Work:
        """`slots` programs share the samples of a model."""
        cells = 0 if shape.lanes else models * slots * shape.rows * shape.n_features
        sizes = {
            "grad": models * slots * shape.params,
            "loss": models * slots,
            "x": cells,
            "g": cells,
        }
        sums = {name: _empty((size,), torch.float32, self.device) for name, size in sizes.items()}
        rows = models * slots * sparse.SEGMENT if shape.sparse else 0
        return Work(
            **sums,
            clock=torch.full((models,), step, dtype=torch.int32, device=self.device),
            grid=torch.zeros(rows * shape.n_features, device=self.device),
            flags=torch.zeros(rows, dtype=torch.int32, device=self.device),
            rows=_empty((rows,), torch.int32, self.device),
        )

    def _tensor(self, values: NDArray[Any]) -> torch.Tensor:
        """A copy on the device."""
        return torch.from_numpy(np.array(values, order="C")).to(self.device)


def _lacking(structure: Structure) -> str | None:
    """What is minimised that no kernel here has, or None."""
    given = {
        "model.target=relu": structure.target == "relu",
        "model.bias=none": structure.bias == "none",
        f"train.loss_power={structure.loss_power}": structure.loss_power != 2,
        f"train.l1={structure.l1:g}": structure.l1 != 0,
        f"train.norm_pull={structure.norm_pull:g}": structure.norm_pull != 0,
        "train.decay_bias=false": not structure.decay_bias,
    }
    return next((words for words, holds in given.items() if holds), None)


def on_cuda(_: int | None) -> FusedGpuEngine:
    """The engine on the CUDA device, whatever the number of CPU threads."""
    return FusedGpuEngine()


def _compiled(shape: Shape) -> dict[str, Any]:
    """What a kernel is compiled for, and how.

    Only the interpreter takes plain numbers for constants.
    """
    constants = shape if triton.knobs.runtime.interpret else Shape(*map(tl.constexpr, shape))
    return {"shape": constants, **launch_options(shape)}


def _empty(size: tuple[int, ...], dtype: torch.dtype, device: str) -> torch.Tensor:
    """Memory that a kernel writes before it is read."""
    return torch.empty(size, dtype=dtype, device=device)


def _records(structure: Structure, start: int, stop: int) -> slice:
    """The columns of the loss history that the steps start ... stop - 1 fill."""
    every = structure.loss_every
    return slice(-(-start // every), -(-stop // every)) if every else slice(0, 0)
