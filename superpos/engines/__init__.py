"""Engines train chunks of models. This is the one place that chooses between them, and says why."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from superpos.engines.task import State, Structure, Task
from superpos.errors import ConfigError

Params = dict[str, NDArray[np.float32]]


class Engine(Protocol):
    """What every engine does. `advance` may be called in any stretches: the result is the same bit for bit."""

    @property
    def name(self) -> str:
        """Name in results: "reference", "fused" (CPU) or "fused-gpu"."""
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
    """The engine for a structure. Raises ConfigError if a forced backend or device cannot do it.

    device "auto" is the CPU on every machine: engines agree to rounding only, and no shard of a run may differ.
    """
    if structure.own and not structure.own.trainable:
        raise ConfigError(
            f"this run has functions of its own ({structure.own}), and its folder holds their text alone; "
            f"it is trained from Python: superpos.train(..., {structure.own})"
        )
    on_gpu = device == "cuda"
    if on_gpu:
        _require_cuda()
    if backend == "reference":
        return Choice(_reference(on_gpu, threads, memory_gb), "engine.backend=reference")
    if structure.own:
        reason = f"only the reference engine runs functions of one's own ({structure.own})"
    elif on_gpu and find_spec("triton") is None:
        reason = 'the fused GPU engine needs triton: pip install "superpos[gpu]"'
    else:
        fused = _fused(on_gpu, threads)
        unsupported = fused.unsupported(structure)
        if unsupported is None:
            kind = "GPU" if on_gpu else "CPU"
            return Choice(fused, f"the fused {kind} engine has every operation of this structure")
        reason = unsupported
    if backend == "fused":
        raise ConfigError(f"engine.backend: fused was asked for, but {reason}; use engine.backend=reference")
    return Choice(_reference(on_gpu, threads, memory_gb), reason)


def _fused(on_gpu: bool, threads: int | None) -> Engine:
    if on_gpu:
        from superpos.families.tms.gpu import FusedGpuEngine  # triton loads only when it is used

        return FusedGpuEngine()
    from superpos.families.tms.cpu import FusedCpuEngine  # and so does numba

    return FusedCpuEngine(threads)


def _reference(on_gpu: bool, threads: int | None, memory_gb: float | None) -> Engine:
    from superpos.engines.reference import ReferenceEngine  # torch takes a second to load, and only this engine uses it

    return ReferenceEngine("cuda" if on_gpu else "cpu", threads, memory_gb)


def _require_cuda() -> None:
    import torch

    if not torch.cuda.is_available():
        raise ConfigError("engine.device: cuda was asked for, but torch finds no CUDA device; allowed here: cpu, auto")
