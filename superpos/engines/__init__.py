"""Engines train chunks of models. This is the one place that chooses between them, and says why."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.engines.reference import ReferenceEngine
from superpos.errors import ConfigError
from superpos.task import State, Structure, Task

Params = dict[str, NDArray[np.float32]]


class Engine(Protocol):
    """What every engine does. `advance` may be called in any stretches: the result is the same bit for bit."""

    @property
    def name(self) -> str:
        """Name in results: "reference" or "fused"."""
        ...

    def first_use(self) -> str | None:
        """What the first call in this process will wait for (a compilation), or None."""
        ...

    def unsupported(self, structure: Structure) -> str | None:
        """Why a structure cannot be trained, or None."""
        ...

    def gradients(self, task: Task, params: Params, step: int) -> tuple[NDArray[Any], Params]:
        """Losses [M] and gradients {name: [M, ...]} of one training step."""
        ...

    def advance(self, task: Task, state: State, stop: int) -> None:
        """Train all models from `state.step` to `stop`, updating `state` in place."""
        ...

    def evaluate(self, task: Task, params: Params, samples: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Loss L and its standard error, each [M], on fresh samples of the evaluation stream."""
        ...


class Choice(NamedTuple):
    """An engine, and why it was taken."""

    engine: Engine
    reason: str


def choose(
    structure: Structure,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    memory_gb: float | None = None,
) -> Choice:
    """The engine for a structure. Raises ConfigError if a forced backend or device cannot do it."""
    on_gpu = device == "cuda"
    if on_gpu and not torch.cuda.is_available():
        raise ConfigError("engine.device: cuda was asked for, but torch finds no CUDA device; allowed here: cpu, auto")
    reference = ReferenceEngine("cuda" if on_gpu else "cpu", threads, memory_gb)
    if backend == "reference":
        return Choice(reference, "engine.backend=reference")
    reason = "the fused engine runs on the CPU only (engine.device=cuda)"
    if not on_gpu:
        from superpos.engines.cpu import FusedCpuEngine  # numba loads only when it is used

        fused = FusedCpuEngine(threads)
        unsupported = fused.unsupported(structure)
        if unsupported is None:
            return Choice(fused, "the fused CPU engine has every operation of this structure")
        reason = unsupported
    if backend == "fused":
        raise ConfigError(f"engine.backend: fused was asked for, but {reason}; use engine.backend=reference")
    return Choice(reference, reason)
