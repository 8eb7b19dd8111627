"""What `superpos patch` prints: one table for each question."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from superpos.terminal.tables import Column, Table
from superpos.units import number

if TYPE_CHECKING:
    import pandas as pd

_QUESTION: Final = ("direction", "ablation", "corrupt", "metric", "estimate")
_DEFAULTS: Final = ("corrupt", "exact")
"""Values of a question that go without saying."""


def blocks(found: pd.DataFrame) -> Iterator[tuple[str, Table]]:
    """A line in words, and a table of parts, for each question."""
    for values, rows in found.groupby([*_QUESTION], sort=False, dropna=False):
        first = rows.iloc[0]
        said = [value for value in values if isinstance(value, str) and value not in _DEFAULTS]
        numbers = [f"total {number(first['total'])}"]
        if first["graded"]:
            numbers += [f"{name} {_text(first[name])}" for name in ("precision", "recall")]
        if isinstance(first["key"], str):
            numbers.append(f"true parts: {first['key']}")
        yield ", ".join([*said, *numbers]), _table(rows)


def _table(rows: pd.DataFrame) -> Table:
    columns = [Column("part"), *(Column(name, right=True) for name in ("share", "effect"))]
    columns += [Column(name, right=True) for name in ("true", "found")]
    names = ["part", "share", "effect", "true", "found"]
    cells = [[_text(value) for value in row] for row in rows[names].itertuples(index=False)]
    return Table(columns, cells)


def to_json(found: pd.DataFrame) -> list[dict[str, Any]]:
    """The same for programs; null where there is no number."""
    rows = found.to_dict("records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return "" if math.isnan(value) else f"{value + 0.0:.3f}"
