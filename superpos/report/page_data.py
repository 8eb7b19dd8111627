"""What the page says of a run: a JSON object that names its arrays.

Shapes: M models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from superpos.families.tms.explorer import theory
from superpos.families.tms.explorer.graphs import Legend
from superpos.report import palette, parts, sweep_axes
from superpos.report.pack import Pack, codes
from superpos.report.parts import Kept, Models, Part
from superpos.store import Run

_HIDDEN: Final = ("model", "row_id", sweep_axes.SEED)  # columns that the page does without, or has by another way


class Column(NamedTuple):
    """A column of the table: numbers, or codes and the names that they count."""

    values: NDArray[Any]  # [M]
    names: list[str] | None


Columns = Mapping[str, Column]


def content(run: Run, pack: Pack, budget: float) -> dict[str, Any]:
    """The object of a run's page, its arrays added to `pack`; `budget` is bytes of the page for both."""
    plan = run.manifest["plan"]
    held = {
        "name": run.name,
        "models": run.n_models,
        "finished": len(run.table),
        "axes": sweep_axes.axes(plan),
        "command": None if run.own else sweep_axes.fixed_overrides(plan, f"{run.name}_model"),
        "config": {key: sweep_axes.safe(value) for key, value in sorted(run.manifest["config"].items())},
        "layers": theory.layers(run, pack),
        "look": palette.look(),
        "provenance": _provenance(run),
    }
    return held | _models(run, pack, budget - len(to_text(held).encode()) - pack.size)


def _models(run: Run, pack: Pack, budget: float) -> dict[str, Any]:
    """What the page holds of the models within a budget, and what it does not."""
    legend: Legend = {}
    columns = _columns(run.table)
    best = np.zeros(run.n_models, dtype=np.bool_)
    best[run.by_setting()["best"].dropna().to_numpy(dtype=np.intp)] = True
    kept = parts.fit(parts.parts(run, _rows(run, columns), legend), best, budget)
    listed = next(found.models for found in kept if found.part.kind == "rows")
    sections = _sections(pack, kept, columns)
    shapes = [{"words": words, "colour": colour} for words, colour in legend]
    omitted = parts.left_out(kept)
    return {"listed": pack.add(listed.astype(np.uint32)), **sections, "shapes": shapes, "omitted": omitted}


def to_text(value: Any) -> str:
    """JSON that may stand in a script element: no text can end the element or open another."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _columns(table: pd.DataFrame) -> Columns:
    """The results of all models by name; their settings follow from the axes."""
    names = [name for name in table.columns if "." not in name and name not in _HIDDEN]
    return {name: _column(table[name]) for name in names}


def _column(column: pd.Series) -> Column:
    if pd.api.types.is_numeric_dtype(column):
        with np.errstate(over="ignore"):  # the loss of a diverged model may be infinite in float32
            return Column(column.to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32), None)
    place, names = pd.factorize(column.astype(str))
    return Column(place.astype(codes(len(names))), [str(name) for name in names])


def _rows(run: Run, columns: Columns) -> Part:
    size = np.dtype(np.uint32).itemsize + sum(column.values.itemsize for column in columns.values())
    finished = run.table["model"].to_numpy(dtype=np.intp)

    def make(rows: Models) -> parts.Arrays:
        at = np.searchsorted(finished, rows)
        return {name: column.values[at] for name, column in columns.items()}

    return Part("rows", finished, size, make)


def _sections(pack: Pack, kept: Sequence[Kept], columns: Columns) -> dict[str, Any]:
    """Lists of the arrays of equal shape in "weights", "history", "snapshots", "graphs"; "columns" of the table."""
    found: dict[str, list[Any]] = {kind: [] for kind in parts.KINDS}
    for part, rows in kept:
        arrays = {name: pack.add(values) for name, values in part.make(rows).items()} if len(rows) else {}
        if part.kind == "rows":
            found["columns"] = [{"name": name, "names": columns[name].names, **array} for name, array in arrays.items()]
        elif arrays:
            steps = {} if part.steps is None else {"steps": part.steps.tolist()}
            found[part.kind].append({"models": pack.add(rows.astype(np.uint32)), "arrays": arrays, **steps})
    return found


def _provenance(run: Run) -> dict[str, Any]:
    manifest = run.manifest
    kept = {key: manifest.get(key) for key in ("run_id", "created", "command", "versions", "machine", "engine", "git")}
    own = manifest["plan"].get("own")  # text of a user's functions
    return {**kept, "reasons": manifest.get("reasons"), "own": own, "digest": run.digest(), "folder": str(run.path)}
