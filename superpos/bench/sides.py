"""Who trains: the fused or reference engine, and the baselines beside it. All start from the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from superpos.engines import choose
from superpos.engines.task import State
from superpos.families.tms.bench.cases import Case
from superpos.family import DEFAULT, find

Arrays = dict[str, NDArray[np.float32]]


class MissingError(Exception):
    """Why a side cannot be timed here."""


class Side(Protocol):
    """Trains the models of a task from `model.initial_params`."""

    def advance(self, steps: int) -> None:
        """Train so many more steps; returns once the device has finished them."""
        ...

    def params(self) -> Arrays:
        """The weights now: W [M, F, H] and b [M, F]."""
        ...


class EngineSide:
    """The engine that `choose` takes; it starts again where a run would end."""

    def __init__(self, task: Any, device: str) -> None:
        self.task, self.engine = task, choose(find(DEFAULT), task.structure, device=device).engine
        self._restart()

    def advance(self, steps: int) -> None:
        """Train so many more steps in one call."""
        if self.state.step + steps > self.task.structure.steps:
            self._restart()
        self.engine.advance(self.task, self.state, self.state.step + steps)

    def params(self) -> Arrays:
        """The weights now."""
        return self.state.params

    def _restart(self) -> None:
        self.state = State.initial(self.task, dict(find(DEFAULT).init(self.task)))


def _one_seed(task: Any, device: str) -> Side:
    return EngineSide(replace(task, seed=np.zeros_like(task.seed)), device)


def _eager(task: Any, device: str) -> Side:
    from superpos.families.tms.bench.eager import EagerSide

    return EagerSide(task, device)


def _compiled(task: Any, device: str) -> Side:
    from superpos.families.tms.bench.eager import compiled_side

    return compiled_side(task, device)


def _jax(task: Any, device: str) -> Side:
    from superpos.families.tms.bench.jit_scan import JaxSide

    return JaxSide(task, device)


EAGER: Final = "eager"
ENGINE: Final = "engine"
ONE_SEED: Final = "engine, one seed"
COMPILED: Final = "torch.compile"
JAX: Final = "JAX"
SIDES: Final[dict[str, Callable[[Any, str], Side]]] = {
    EAGER: _eager,
    COMPILED: _compiled,
    JAX: _jax,
    ENGINE: EngineSide,
    ONE_SEED: _one_seed,
}
"""By name; each raises `MissingError` where it cannot train."""


def for_table(_: Case) -> Iterable[str]:
    """Everything."""
    return SIDES


def for_scaling(case: Case) -> Iterable[str]:
    """Without what compiles for half a minute; a baseline knows one sampler."""
    return (EAGER, JAX, ENGINE) if case.sampler == "dense" else (ENGINE,)
