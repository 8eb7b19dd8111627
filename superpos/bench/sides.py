"""Who trains: the engine that a family's models get, and the baselines beside it.

All start from the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol, TypeAlias

import numpy as np

from superpos.engines import Params, choose
from superpos.engines.task import State
from superpos.family import Family

ENGINE: Final = "engine"
ONE_SEED: Final = "engine, one seed"


def has_draws_of_its_own(side: str) -> bool:
    """Whether a side draws for every model apart: not so the engine with one seed, or one world,
    for all.
    """
    return not side.startswith(f"{ENGINE}, ")


class MissingError(Exception):
    """Why a side cannot be timed here."""


class Side(Protocol):
    """Trains the models of a task from the weights that their family's `init` gives."""

    def advance(self, steps: int) -> None:
        """Train so many more steps; returns once the device has finished them."""
        ...

    def params(self) -> Params:
        """The weights now, [M, ...] by the names that the family's engines use."""
        ...


Maker: TypeAlias = Callable[[Any, str], Side]
"""(task, device) -> who trains it; raises `MissingError` where it cannot."""


class EngineSide:
    """The engine that `choose` takes, of some backend; it starts again where a run would end."""

    def __init__(self, family: Family, task: Any, device: str, backend: str = "auto") -> None:
        self.family = family
        self.task = task
        self.engine = choose(family, task.structure, backend, device).engine
        self._restart()

    def advance(self, steps: int) -> None:
        """Train so many more steps in one call."""
        if self.state.step + steps > self.task.structure.steps:
            self._restart()
        self.engine.advance(self.task, self.state, self.state.step + steps)

    def params(self) -> Params:
        """The weights now."""
        return self.state.params

    def _restart(self) -> None:
        params = dict(self.family.init(self.task))
        self.state = State.initial(self.task, params, self.family.extra_state(self.task))


def one_seed(task: Any) -> Any:
    """The same models with one seed for all."""
    return replace(task, seed=np.zeros_like(task.seed))


def sides_of(
    family: Family, baselines: Mapping[str, Maker], together: Mapping[str, Callable[[Any], Any]]
) -> dict[str, Maker]:
    """All sides by name: the baselines, the engine, and the engine with draws in common."""

    def engine(task: Any, device: str) -> Side:
        return EngineSide(family, task, device)

    def sharing(change: Callable[[Any], Any]) -> Maker:
        return lambda task, device: engine(change(task), device)

    return {
        **baselines,
        ENGINE: engine,
        **{name: sharing(change) for name, change in together.items()},
    }
