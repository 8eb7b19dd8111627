"""The fused CPU engine: whole stretches of training in one compiled call, one model per thread.

A model's bits depend on its own row alone: nothing is shared, and no sum depends on the number of
threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from superpos.engines import Params
from superpos.engines.compiled.cache import no_compiler
from superpos.engines.compiled.threads import on_threads
from superpos.engines.machine import available_threads
from superpos.engines.task import State
from superpos.families.transformer.cpu import kernel
from superpos.families.transformer.cpu.arrays import FLOAT, Trained
from superpos.families.transformer.cpu.cache import KERNELS
from superpos.families.transformer.cpu.call import (
    Memory,
    get,
    models_of,
    put_back,
    shape_of,
    sizes_of,
    trained,
)
from superpos.families.transformer.purposes import Purpose
from superpos.families.transformer.structure import Structure, Task
from superpos.family import Arrays
from superpos.maths.sampling import mean_and_error

MOST_BYTES: Final = 2**26
"""Of a thread's room: beyond it, caches no longer hold what passes hand to each other."""


@dataclass(frozen=True)
class FusedTransformerEngine:
    """Trains and evaluates transformers on `threads` threads (default: the processors this process
    may use).
    """

    threads: int | None = None
    name = "fused"

    def first_use(self) -> str | None:
        """That kernels will be compiled, where they are not in the cache."""
        return KERNELS.first_use(kernel.run, seconds=30)

    def unsupported(self, structure: Structure) -> str | None:
        """Why a structure cannot be trained here, or None."""
        room = FLOAT * sum(sizes_of(shape_of(structure)).values())
        if room > MOST_BYTES:
            return (
                "the fused CPU engine keeps 16 sequences in cache, which would take "
                f"{room / 2**20:,.0f} MiB here; "
                f"allowed: {MOST_BYTES // 2**20} MiB"
            )
        return no_compiler()

    def gradients(
        self, task: Task, params: Params, step: int, extra: Arrays | None = None
    ) -> tuple[NDArray[np.float64], Params]:
        """Losses [M] and gradients {name: [M, ...]} of the training loss of one step."""
        found = trained(task, params, gradients=True)
        self._run(task, found, kernel.GRADIENTS, step, step + 1, task.structure.batch_size)
        return found.losses, get(task.structure, found.gradients)

    def advance(self, task: Task, state: State, stop: int) -> None:
        """Train all models from `state.step` to `stop`, updating `state` in place."""
        if stop > task.structure.steps:
            raise ValueError(f"advance to step {stop} of {task.structure.steps}")
        found = trained(task, state.params, state)
        self._run(task, found, kernel.TRAIN, state.step, stop, task.structure.batch_size)
        put_back(task, found, state)
        state.step = stop

    def evaluate(
        self, task: Task, params: Params, samples: int, extra: Arrays | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Loss and its standard error, each [M], on `samples` fresh samples of the evaluation
        stream.
        """
        found = trained(task, params)
        self._run(task, found, kernel.SCORE, 0, 1, samples)
        return mean_and_error(found.moments, samples)

    def _run(
        self, task: Task, found: Trained, mode: int, start: int, stop: int, samples: int
    ) -> None:
        """Call the kernel for all models: each thread takes some of them, one after the other."""
        threads = self.threads or available_threads()
        shape = shape_of(task.structure)
        models = models_of(task, start, stop)
        purpose = int(Purpose.EVALUATE if mode == kernel.SCORE else Purpose.TRAIN)
        each = max(1, len(task) // (8 * threads))
        shares = [range(first, min(first + each, len(task))) for first in range(0, len(task), each)]

        def work(taken: Iterator[range]) -> None:
            memory = Memory(shape)
            for some in taken:
                which = (some.start, some.stop, purpose, start, stop, samples)
                kernel.run(mode, shape, models, *which, found, memory.room)

        on_threads(threads, shares, work)
