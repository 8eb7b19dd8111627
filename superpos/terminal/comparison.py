"""What `superpos diff` prints of two runs."""

from __future__ import annotations

from typing import Any

from superpos.terminal.tables import Column, Table
from superpos.units import count

_MAX_VALUES = 4  # of a sweep; more are counted


def fields_of(found: dict[str, Any]) -> list[tuple[str, str]]:
    """`store.compare.compare` as fields, a name and a text each."""
    models = found["models"]
    same = found["digests"][0] == found["digests"][1]
    fields = [
        ("first", found["runs"][0]),
        ("second", found["runs"][1]),
        (
            "models",
            f"{models['first']:,} and {models['second']:,} finished, {models['shared']:,} of equal "
            "settings",
        ),
        ("digest", f"equal, {found['digests'][0]}" if same else "they differ"),
    ]
    if models["shared"]:
        fields.append(
            ("equal", f"{found['equal']:,} of {count(models['shared'], 'model')} bit for bit")
        )
    return fields


def settings_table(found: dict[str, Any]) -> Table | None:
    """Settings, and what trained the runs, where they differ."""
    both = found["settings"] | found["made"]
    rows = [[name, _words(values[0]), _words(values[1])] for name, values in both.items()]
    return Table([Column("differs"), Column("first"), Column("second")], rows) if rows else None


def results_table(found: dict[str, Any]) -> Table | None:
    """Results of models of equal settings, where they differ."""
    rows = [
        [name, f"{facts['models']:,}", _gap(facts["greatest"])]
        for name, facts in found["columns"].items()
    ]
    columns = [
        Column("result"),
        Column("models that differ", right=True),
        Column("by at most", right=True),
    ]
    return Table(columns, rows) if rows else None


def _words(value: Any) -> str:
    if not isinstance(value, list):
        return "" if value is None else str(value)
    if len(value) > _MAX_VALUES:
        return f"{value[0]} … {value[-1]} ({len(value):,} values)"
    return ", ".join(map(str, value))


def _gap(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
