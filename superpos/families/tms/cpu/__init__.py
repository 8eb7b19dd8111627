"""The fused CPU engine: whole stretches of training in one compiled call, one group of models per
thread.

A model's bits depend on its own row alone: models of a group share only their draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from superpos.engines import Params
from superpos.engines.compiled.cache import no_compiler
from superpos.engines.compiled.threads import on_threads
from superpos.engines.compiled.vectors import WIDTH
from superpos.engines.machine import available_threads
from superpos.engines.task import State
from superpos.families.tms.cpu import kernel
from superpos.families.tms.cpu.arrays import Work
from superpos.families.tms.cpu.cache import KERNELS
from superpos.families.tms.cpu.call import Call
from superpos.families.tms.cpu.lane_blocks import LaneBlocks
from superpos.families.tms.cpu.schedule import Share, by_draws, shares
from superpos.families.tms.fused import gradient_factor, unknown_law
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Structure, Task
from superpos.family import Arrays
from superpos.maths.sampling import mean_and_error


@dataclass(frozen=True)
class FusedCpuEngine:
    """Trains and evaluates groups of models on `threads` threads (default: the processors this
    process may use).
    """

    threads: int | None = None
    name = "fused"

    def first_use(self) -> str | None:
        """That kernels will be compiled, where they are not in the cache."""
        return KERNELS.first_use(kernel.run, seconds=15)

    def unsupported(self, structure: Structure) -> str | None:
        """Why a structure cannot be trained here, or None."""
        if law := unknown_law(structure):
            return f"the fused CPU engine {law}"
        return no_compiler()

    def gradients(
        self, task: Task, params: Params, step: int, extra: Arrays | None = None
    ) -> tuple[NDArray[np.float64], Params]:
        """Losses [M] and gradients {name: [M, ...]} of the training loss of one step."""
        structure = task.structure
        task = task.in_training
        order = by_draws(task)
        call = Call(task.take(order), kernel.GRADIENTS, _purpose(structure), step, step + 1)
        call.state.theta[:] = structure.flat(params, WIDTH)[order]
        losses = np.empty(len(task))
        grads = np.empty_like(call.state.theta)

        def keep(edges: NDArray[np.int64], work: Work) -> None:
            rows = order[edges[0] : edges[1]]
            losses[rows] = work.loss[0, : len(rows)] / structure.samples_per_step
            grads[rows] = work.grad[0, : len(rows)] * np.float32(gradient_factor(structure))

        self._run(call, keep)
        found = structure.unflat(grads)
        return losses, {name: grad for name, grad in found.items() if name not in structure.frozen}

    def advance(self, task: Task, state: State, stop: int) -> None:
        """Train all models from `state.step` to `stop`, updating `state` in place."""
        structure = task.structure
        task = task.in_training
        order = by_draws(task)
        call = Call(task.take(order), kernel.TRAIN, _purpose(structure), state.step, stop)
        groups = (
            (state.params, call.state.theta),
            (state.first, call.state.first),
            (state.second, call.state.second),
        )
        for values, flat in groups:
            flat[:] = structure.flat(values, WIDTH)[order]
        call.state.diverged_at[:] = state.diverged_at[order]
        call.state.history[:] = state.history[order]
        self._run(call)
        for values, flat in groups:
            for name, value in structure.unflat(flat).items():
                values[name][order] = value
        state.diverged_at[order] = call.state.diverged_at
        state.history[order] = call.state.history
        state.step = stop

    def evaluate(
        self, task: Task, params: Params, samples: int, extra: Arrays | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Loss L and its standard error, each [M], on `samples` fresh samples of the evaluation
        stream.
        """
        order = by_draws(task)
        call = Call(task.take(order), kernel.SCORE, Purpose.EVALUATE, 0, 1, samples)
        call.state.theta[:] = task.structure.flat(params, WIDTH)[order]
        self._run(call)
        sums = np.empty((len(task), 2))
        sums[order] = call.state.moments
        return mean_and_error(sums, samples)

    def _run(
        self, call: Call, keep: Callable[[NDArray[np.int64], Work], None] = lambda *_: None
    ) -> None:
        """Run a call on all threads: each takes its shares from one queue, or all share the parts
        of every batch.
        """

        def work(taken: Iterator[Share]) -> None:
            blocks = LaneBlocks(call.task.structure)
            for share in taken:
                room = share.work or call.work(share.edges)
                call.run(blocks.addresses, share.edges, room, share.crew)
                keep(share.edges, room)

        threads = self.threads or available_threads()
        on_threads(threads, shares(call, threads), work)


def _purpose(structure: Structure) -> Purpose:
    """What training inputs are drawn for."""
    return Purpose.POINTS if structure.same_inputs else Purpose.TRAIN
