"""What `superpos circuits` prints: the tables that a family reads off a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from superpos.terminal.tables import Column, Table

if TYPE_CHECKING:
    import pandas as pd


def table(rows: pd.DataFrame) -> Table:
    """One table; numbers stand right, with three decimals."""
    records = rows.to_dict("records")
    columns = [Column(str(name), right=_is_number(records[0][name])) for name in rows.columns]
    return Table(columns, [[_text(value) for value in record.values()] for record in records])


def to_json(found: Mapping[str, pd.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """All tables for programs; null where there is no number."""
    return {
        name: [
            {str(key): _plain(value) for key, value in record.items()}
            for record in rows.to_dict("records")
        ]
        for name, rows in found.items()
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    return "" if math.isnan(value) else f"{value + 0.0:.3f}"
