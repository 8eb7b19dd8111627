"""Classes of circuits, and the paths that carry them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.transformer.analysis.models import solved_rows
from superpos.store import Run

Where = Mapping[str, Any] | None


def solved(run: Run, where: Where = None) -> Measured:
    """Whether each model has solved its language, 1 or 0: the mean is the share of seeds."""
    return Measured(select.where(run, where)["solved"].to_numpy(dtype=np.float64))


def share(run: Run, circuit: str, where: Where = None) -> Measured:
    """Whether each solved model has a circuit of a class, 1 or 0."""
    return Measured(
        (solved_rows(run, where)["circuit"] == circuit).astype(float).to_numpy(dtype=np.float64)
    )


def below(run: Run, column: str, bound: float, where: Where = None) -> Measured:
    """Whether a column of each solved model is below a number, 1 or 0."""
    return Measured(
        (solved_rows(run, where)[column] < bound).astype(float).to_numpy(dtype=np.float64)
    )


def solved_column(run: Run, column: str, where: Where = None) -> Measured:
    """A column of the solved models."""
    return Measured(solved_rows(run, where)[column].to_numpy(dtype=np.float64))


def of_class(run: Run, column: str, circuit: str, where: Where = None) -> Measured:
    """A column of the solved models whose circuit is of a class."""
    rows = solved_rows(run, where)
    return Measured(rows[rows["circuit"] == circuit][column].to_numpy(dtype=np.float64))
