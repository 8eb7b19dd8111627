"""Engines train chunks of models. This is the one place that chooses between them, and says why."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from superpos.engines.task import State, Structure, Task
from superpos.errors import ConfigError
from superpos.family import Arrays, Family

Params = dict[str, NDArray[np.float32]]


class Engine(Protocol):
    """What every engine does.

    `advance` may be called in any stretches: the result is the same bit for bit.
    """

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

    def gradients(
        self, task: Task, params: Params, step: int, extra: Arrays | None = None
    ) -> tuple[NDArray[Any], Params]:
        """Losses [M] and gradients {name: [M, ...]} of one training step; `extra` is the family's
        extra state.
        """
        ...

    def advance(self, task: Task, state: State, stop: int) -> None:
        """Train all models from `state.step` to `stop`, updating `state` in place."""
        ...

    def evaluate(
        self, task: Task, params: Params, samples: int, extra: Arrays | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Loss and its standard error, each [M], on fresh samples of the evaluation stream; `extra`
        as above.
        """
        ...


class Choice(NamedTuple):
    """An engine, and why it was taken."""

    engine: Engine
    reason: str


def choose(
    family: Family,
    structure: Structure,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    memory_gb: float | None = None,
    here: bool = True,
) -> Choice:
    """The engine for a structure of a family.

    Raises ConfigError if a forced backend or device cannot do it.

    `here` is whether this machine will train: one that submits to others needs no device. device
    "auto" is the CPU on every machine: engines agree to rounding only, and no shard of a run may
    differ.
    """
    if family.untrainable:
        raise ConfigError(family.untrainable)
    on_gpu = device == "cuda"
    if on_gpu and here:
        _require_cuda()
    if backend == "reference":
        return Choice(_reference(family, on_gpu, threads, memory_gb), "engine.backend=reference")
    fused, reason = _fused(family, structure, on_gpu, threads)
    if fused is not None:
        return Choice(fused, reason)
    if backend == "fused":
        raise ConfigError(
            f"engine.backend: fused was asked for, but {reason}; use engine.backend=reference"
        )
    return Choice(_reference(family, on_gpu, threads, memory_gb), reason)


def _fused(
    family: Family, structure: Structure, on_gpu: bool, threads: int | None
) -> tuple[Engine | None, str]:
    """The family's fused engine where it can train the structure, and why it is taken or not."""
    kind, make = (
        ("GPU", family.engines.get("cuda")) if on_gpu else ("CPU", family.engines.get("cpu"))
    )
    if make is None:
        return (
            None,
            family.reference_only or f"there is no fused {kind} engine for family={family.name}",
        )
    if on_gpu and find_spec("triton") is None:
        return None, 'the fused GPU engine needs triton: pip install "superpos[gpu]"'
    fused: Engine = make(threads)
    unsupported = fused.unsupported(structure)
    if unsupported is not None:
        return None, unsupported
    return fused, f"the fused {kind} engine has every operation of this structure"


def _reference(
    family: Family, on_gpu: bool, threads: int | None, memory_gb: float | None
) -> Engine:
    # torch takes a second to load, and only this engine uses it
    from superpos.engines.reference import ReferenceEngine

    return ReferenceEngine(family, "cuda" if on_gpu else "cpu", threads, memory_gb)


def _require_cuda() -> None:
    import torch

    if not torch.cuda.is_available():
        raise ConfigError(
            "engine.device: cuda was asked for, but torch finds no CUDA device; allowed here: cpu, "
            "auto"
        )
