"""The arrays that the compiled loop is called with, and the call.

Shapes: M models, G models of a group, P parameters of a model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.engines.compiled.vectors import WIDTH
from superpos.families.tms import FAMILY
from superpos.families.tms.cpu import kernel
from superpos.families.tms.cpu.arrays import Buffers, Crew, Models, Rates, Shape, Trained, Work
from superpos.families.tms.cpu.shape import padded_params, shape_of
from superpos.families.tms.data import sparse
from superpos.families.tms.data.feature_values import cells
from superpos.families.tms.fused import gradient_factor
from superpos.families.tms.structure import Task
from superpos.maths.streams import key_words


class Call:
    """One call of the engine for a task, whose models that share draws are neighbours."""

    def __init__(
        self, task: Task, mode: int, purpose: int, start: int, stop: int, samples: int = 0
    ) -> None:
        structure = task.structure
        if mode == kernel.TRAIN and stop > structure.steps:
            raise ValueError(f"advance to step {stop} of {structure.steps}")
        self.task = task
        self.mode = mode
        self.times = (int(purpose), start, stop)
        self.shape = shape_of(structure, samples if mode == kernel.SCORE else None)
        self.models = models_of(task)
        self.rates = _rates(task, start, stop)
        self.state = _state(len(task), padded_params(structure), len(structure.loss_steps))

    def work(self, edges: NDArray[np.int64]) -> Work:
        """Room for the largest of these groups."""
        return room(self.shape, int(np.diff(edges).max()), self.state.theta.shape[1])

    def run(self, buffers: Buffers, edges: NDArray[np.int64], work: Work, crew: Crew) -> None:
        """Call the kernel for the groups between the edges."""
        constants: tuple[Any, ...] = (self.rates, self.state, work, crew)
        kernel.run(self.mode, self.shape, buffers, self.models, edges, *self.times, *constants)


def models_of(task: Task) -> Models:
    """What differs between the models and does not change."""
    structure = task.structure
    sparsity = task.sparsity
    rules = (sparse.candidate_cells if structure.sampler == "sparse" else cells)(
        structure, sparsity
    )
    uniform = (structure.correlation == "none") & (np.ptp(sparsity, axis=1) == 0)
    return Models(
        low=rules.low.view(np.int32),
        span=rules.span.view(np.int32),
        shift=rules.shift.view(np.int32),
        scale=rules.scale,
        offset=rules.offset,
        importance=task.importance.astype(np.float32),
        key=np.stack(key_words(task.seed), axis=1),
        rate=sparse.gap_rate(sparsity),
        uniform=uniform.astype(np.int64),
    )


def room(shape: Shape, models: int, params: int) -> Work:
    """Sums and intermediate results of a step of so many models; all is written before it is
    read.
    """
    return Work(
        transposed=np.empty((models, shape.n_hidden * shape.n_features), np.float32),
        grad=np.empty((shape.parts, models, params), np.float32),
        sums=np.empty((shape.parts, models, shape.sum_rows * WIDTH), np.float32),
        loss=np.empty((shape.parts, models)),
        empty=np.empty(shape.parts, np.int64),
        empty_loss=np.empty(1),
        proposed=np.empty((3, params), np.float32),
        check=np.empty(1, np.float32),
    )


def _rates(task: Task, start: int, stop: int) -> Rates:
    structure = task.structure
    factors = structure.lr_factors[start:stop]
    return Rates(
        lr=(task.lr[:, None] * factors).astype(np.float32),
        weight_decay=task.weight_decay.astype(np.float32),
        factor=np.float32(gradient_factor(structure)),
        adam=FAMILY.adam,
    )


def _state(models: int, params: int, records: int) -> Trained:
    return Trained(
        theta=np.empty((models, params), np.float32),
        first=np.empty((models, params), np.float32),
        second=np.empty((models, params), np.float32),
        diverged_at=np.empty(models, np.int64),
        history=np.empty((models, records), np.float32),
        moments=np.zeros((models, 2)),
    )
