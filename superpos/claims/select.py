"""Rows of a run that a measure looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from superpos.store import Run


def where(run: Run, conditions: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Rows of models that did not diverge whose columns have the given values, numbers to a relative 1e-9.

    A list of values allows any of them; two numbers under `{"from": a, "to": b}` a range with both ends.
    """
    table = run.table[run.table["status"] == "ok"]
    for key, wanted in (conditions or {}).items():
        table = table[_match(table[key], wanted)]
    return table


def _match(column: pd.Series, wanted: Any) -> pd.Series:
    if isinstance(wanted, Mapping):
        return column.astype(float).between(wanted["from"] * (1 - 1e-9), wanted["to"] * (1 + 1e-9))
    wanted = wanted if isinstance(wanted, list) else [wanted]
    if isinstance(wanted[0], str | bool):
        return column.isin(wanted)
    return pd.Series(np.isclose(column.astype(float).to_numpy()[:, None], wanted, rtol=1e-9).any(axis=1), column.index)


def best(table: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """The row of lowest loss for every value of the columns `by`, in the order of their first rows."""
    lowest = table.groupby(by, sort=False)["loss"].idxmin()
    return table.loc[lowest.to_numpy()]
