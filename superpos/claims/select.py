"""Rows of a run that a measure looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from superpos.store import Run
from superpos.store.rows import healthy


def where(run: Run, conditions: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Healthy rows whose columns have the given values, numbers to a relative 1e-9.

    A list of values allows any of them; two numbers under `{"from": a, "to": b}` a range with both
    ends. A model of infinite loss is left out just as one that diverged: its weights have blown up
    too, only not beyond what their type can hold. A verdict is shown with the number of its trials,
    which says how many models are left.
    """
    table = healthy(run.table)
    for key, wanted in (conditions or {}).items():
        table = table[_match(table[key], wanted)]
    return table


def _match(column: pd.Series, wanted: Any) -> pd.Series:
    if isinstance(wanted, Mapping):
        return column.astype(float).between(wanted["from"] * (1 - 1e-9), wanted["to"] * (1 + 1e-9))
    wanted = wanted if isinstance(wanted, list) else [wanted]
    if isinstance(wanted[0], str | bool):
        return column.isin(wanted)
    return pd.Series(
        np.isclose(column.astype(float).to_numpy()[:, None], wanted, rtol=1e-9).any(axis=1),
        column.index,
    )
