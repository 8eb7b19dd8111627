"""Rows of a run's table: which of them are results, which share a setting, which is the best of its
setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

Keys = str | Sequence[str]
"""A column, several of them, or none: then all rows are of one setting. Cells may be lists."""


def healthy(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of models that did not diverge and whose loss is finite; none where nothing has
    finished.

    Weights can be finite and yet so large that their loss is infinite or NaN. Such a model is no
    result either: it would be the worst of every comparison, and its mean and its place on an axis
    are not numbers.
    """
    if table.empty:
        return table
    has_loss = np.isfinite(table["loss"].astype(float))
    return table[(table["status"] == "ok") & has_loss]


def same_setting(table: pd.DataFrame, keys: Keys) -> pd.Series:
    """A number per row, the same where all `keys` agree; settings are counted in the order of their
    first rows.

    An empty cell is a value like any other.
    """
    names = [keys] if isinstance(keys, str) else list(keys)
    if not names:
        return pd.Series(0, index=table.index)
    cells = pd.DataFrame({name: _hashable(table[name]) for name in names}, index=table.index)
    return cells.groupby(names, sort=False, dropna=False).ngroup()


def best(table: pd.DataFrame, by: Keys) -> pd.DataFrame:
    """The row of lowest loss of every setting, in the order of their first rows.

    Of several equally low ones it is the first. All losses must be numbers, as in `healthy` rows.
    """
    loss = table["loss"].astype(float)
    lowest = loss.groupby(same_setting(table, by), sort=False).idxmin()
    return table.loc[lowest.to_numpy()]


def _hashable(column: pd.Series) -> pd.Series:
    """The column with tuples in the place of arrays and lists, which cannot be compared as a
    whole.
    """
    return column.map(_cell) if column.dtype == object else column


def _cell(value: Any) -> Any:
    return tuple(np.ravel(value)) if isinstance(value, np.ndarray | list | tuple) else value
