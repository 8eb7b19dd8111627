"""What the keys of circuits mean: values that follow from the kind, the task of a chunk.

Shapes: M models.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from superpos.families.circuit.keys import (
    DEFAULT_ALWAYS_ON,
    DEFAULT_BETA,
    DEFAULT_RHO,
    GATES,
    INDUCTION,
)
from superpos.families.circuit.structure import Structure, Task
from superpos.family import Shared
from superpos.maths.types import Floats
from superpos.plan import settings
from superpos.plan.columns import Rows
from superpos.plan.sweep import Sweep

_FILLED_IN = (
    ("circuit.always_on", DEFAULT_ALWAYS_ON, GATES),
    ("circuit.rho", DEFAULT_RHO, ("backup",)),
    ("circuit.beta", DEFAULT_BETA, INDUCTION),
)
"""Keys whose null stands for a value in some kinds, and for nothing in others."""


class Settings(settings.Settings):
    """Structures, and columns with the values that were used."""

    sweep: Sweep

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep, Structure)

    def structure_values(self, row: int) -> dict[str, Any]:
        """Values of the fields of a model's structure."""
        values = super().structure_values(row)
        always_on = self.column("circuit.always_on", np.array([row]))[0]
        return values | {"always_on": 0 if np.isnan(always_on) else int(always_on)}

    def columns(self, rows: Rows) -> dict[str, Any]:
        """The filled-in columns; what a kind does not have is NaN."""
        return {key: self.column(key, rows) for key, _, _ in _FILLED_IN}

    def column(self, key: str, rows: Rows) -> Floats:
        """One of them, [M]."""
        default, kinds = next((value, kinds) for name, value, kinds in _FILLED_IN if name == key)
        given = self.sweep.column(key, rows).astype(np.float64)
        has = np.isin(self.sweep.column("circuit.kind", rows).astype(str), kinds)
        return np.where(np.isnan(given) & has, default, given)


def task(made: Settings, rows: Rows, shared: Shared) -> Task:
    """The rows of one chunk as arrays for an engine."""
    column = partial(made.sweep.column, rows=rows)
    return Task(
        made.structure(int(rows[0])),
        seed=column("seed").astype(np.uint64),
        lr=column("train.lr"),
        weight_decay=column("train.weight_decay"),
        beta=made.column("circuit.beta", rows),
        rho=made.column("circuit.rho", rows),
    )
