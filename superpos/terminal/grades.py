"""`superpos explain`: grades of explanations as a table."""

from __future__ import annotations

import math
from typing import Any, Final

import pandas as pd

from superpos.store import Run
from superpos.terminal.tables import Column, Table
from superpos.units import number

_MEANS: Final = ("grade", "missed", "signs", "error")
_COUNTS: Final = ("graded", "still")


def by_setting(run: Run, found: pd.DataFrame) -> pd.DataFrame:
    """One row per setting, method and question: mean and spread of the grade over models, means of
    the others.
    """
    keys = [key for key in run.swept if key != "seed"]
    settings = run.table.loc[found["model"], keys].map(_cell).reset_index(drop=True)
    whole = pd.concat([settings, found.reset_index(drop=True)], axis=1)
    groups = whole.groupby([*keys, "question", "method"], sort=False, dropna=False)
    summary = groups[[*_MEANS]].mean()
    summary["spread"] = groups["grade"].std(ddof=0)
    summary[list(_COUNTS)] = groups[list(_COUNTS)].sum().astype(int)
    summary["models"] = groups.size()
    order = {name: place for place, name in enumerate(dict.fromkeys(found["question"]))}
    flat = summary.reset_index()
    flat["order"] = flat["question"].map(order)
    return flat.sort_values([*keys, "order"], kind="stable").drop(columns="order")


def table(summary: pd.DataFrame) -> Table:
    """The same for people."""
    keys = [name for name in summary.columns if "." in name]
    columns = [Column(name, right=True) for name in keys]
    columns += [Column("question"), Column("method")]
    columns += [Column(name, right=True) for name in ("grade", "±")]
    columns += [
        Column(name, right=True, spare=True)
        for name in ("missed", "signs", "graded", "still", "models")
    ]
    names = [
        *keys,
        "question",
        "method",
        "grade",
        "spread",
        "missed",
        "signs",
        "graded",
        "still",
        "models",
    ]
    rows = [[_text(value) for value in row] for row in summary[names].itertuples(index=False)]
    return Table(columns, rows)


def to_json(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """The same for programs; null where there is no number."""
    rows = summary.to_dict("records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def _cell(value: Any) -> Any:
    """A setting that can be grouped by."""
    return tuple(value) if hasattr(value, "__len__") and not isinstance(value, str) else value


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str:
    value = _plain(value)
    if value is None:
        return ""
    return number(value, 3) if isinstance(value, float) else str(value)
