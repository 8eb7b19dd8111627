"""The fused CPU engine: stretches of training in compiled calls, one model per thread.

Models of one world are trained on the same batches, which are made once. Nothing else is shared,
and no sum depends on the number of threads, so a model's bits depend on its own row alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from superpos.engines import Params
from superpos.engines.compiled.cache import no_compiler
from superpos.engines.machine import available_threads
from superpos.engines.task import State
from superpos.families.sae.cpu import kernel
from superpos.families.sae.cpu.cache import KERNELS
from superpos.families.sae.cpu.call import by_world, gradients_of, put_back, trained
from superpos.families.sae.cpu.schedule import score, train
from superpos.families.sae.structure import Structure, Task
from superpos.family import Arrays
from superpos.maths.sampling import mean_and_error


@dataclass(frozen=True)
class FusedSaeEngine:
    """Trains and evaluates autoencoders on `threads` threads (default: the processors this process
    may use).
    """

    threads: int | None = None
    name = "fused"

    def first_use(self) -> str | None:
        """That kernels will be compiled, where they are not in the cache."""
        return KERNELS.first_use(kernel.train, seconds=20)

    def unsupported(self, structure: Structure) -> str | None:
        """Why a structure cannot be trained here, or None."""
        if structure.kind == "gated":
            return "the fused CPU engine has no gates (sae.kind=gated)"
        if structure.aux_k:
            return "the fused CPU engine has no AuxK (sae.aux_k is set)"
        if structure.optimizer == "sgd":
            return "the fused CPU engine takes steps of Adam and AdamW only (train.optimizer=sgd)"
        return no_compiler()

    def gradients(
        self, task: Task, params: Params, step: int, extra: Arrays | None = None
    ) -> tuple[NDArray[np.float64], Params]:
        """Losses [M] and gradients {name: [M, ...]} of the training loss of one step."""
        order = by_world(task)
        state = trained(task, order, params, extra=extra)
        grads = np.zeros_like(state.numbers[:, 0])
        losses = np.zeros(len(task))
        train(task.take(order), state, step, step + 1, self._threads, (grads, losses))
        back = np.argsort(order)
        return losses[back], gradients_of(task, grads[back])

    def advance(self, task: Task, state: State, stop: int) -> None:
        """Train all models from `state.step` to `stop`, updating `state` in place."""
        if stop > task.structure.steps:
            raise ValueError(f"advance to step {stop} of {task.structure.steps}")
        order = by_world(task)
        found = trained(task, order, state.params, state, state.extra)
        train(task.take(order), found, state.step, stop, self._threads)
        put_back(task, order, found, state)
        state.step = stop

    def evaluate(
        self, task: Task, params: Params, samples: int, extra: Arrays | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Loss and its standard error, each [M], on `samples` fresh samples of the evaluation
        stream.
        """
        order = by_world(task)
        state = trained(task, order, params, extra=extra)
        score(task.take(order), state, samples, self._threads)
        return mean_and_error(state.moments[np.argsort(order)], samples)

    @property
    def _threads(self) -> int:
        return self.threads or available_threads()
