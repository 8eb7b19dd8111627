"""Columns of the table of a run as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.store import Run
from superpos.store.rows import best


def column(
    run: Run, name: str, where: Mapping[str, Any] | None = None, by: str | list[str] | None = None
) -> Measured:
    """A column, such as "loss" or "n_represented", of the models that `where` selects; with `by`,
    of the best there.
    """
    rows = select.where(run, where)
    chosen = rows if by is None else best(rows, by)
    return Measured(chosen[name].to_numpy(dtype=np.float64))
