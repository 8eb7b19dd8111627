"""What the page says of a run: a JSON object that names its arrays.

Shapes: M models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from superpos.family import Family
from superpos.report import parts, sweep_axes
from superpos.report.layers import Layers
from superpos.report.pack import Pack, codes
from superpos.report.parts import Arrays, Coded, Kept, Models, Part
from superpos.store import Run
from superpos.store.plans import swept_keys
from superpos.units import moment

_T = TypeVar("_T")
# columns that the page does without, or has by another way
_HIDDEN: Final = ("model", "row_id", sweep_axes.SEED)


def content(run: Run, pack: Pack, budget: float) -> dict[str, Any]:
    """What the page says of a run, its arrays added to `pack`; `budget` is bytes for both."""
    before = pack.size
    plan = run.plan
    family = run.require_family()
    explorer = family.shows.explorer
    layers = Layers() if explorer.layers is None else explorer.layers(run)
    # No command line names a user's functions, nor where another run lies.
    commanded = family.functions is None and not _named_runs(plan, family)
    held = {
        "name": run.name,
        "models": run.n_models,
        "finished": len(run.table),
        "axes": sweep_axes.axes(plan),
        "command": sweep_axes.fixed_overrides(plan, f"{run.name}_model") if commanded else None,
        "config": {
            key: sweep_axes.safe(value)
            for key, value in sorted(_sealed(run, "config", dict).items())
        },
        "label": None if run.label is None else run.label.column,
        "constants": {} if explorer.constants is None else explorer.constants(),
        "layers": layers.to_json(pack),
        "provenance": _provenance(run),
        "notes": [[moment(note.time), note.text] for note in run.notes],
    }
    return held | _models(run, pack, budget - len(to_text(held).encode()) - (pack.size - before))


def _named_runs(plan: Mapping[str, Any], family: Family) -> bool:
    """Whether models take something of other runs."""
    swept = swept_keys(plan)
    return any(source.key in plan["values"] or source.key in swept for source in family.sources)


def _models(run: Run, pack: Pack, budget: float) -> dict[str, Any]:
    """What the page holds of the models within a budget, and what it does not."""
    best = np.zeros(run.n_models, dtype=np.bool_)
    best[run.by_setting()["best"].dropna().to_numpy(dtype=np.intp)] = True
    kept = parts.fit(parts.parts(run, _rows(run)), best, budget)
    return {"parts": _sections(pack, kept), "omitted": parts.left_out(kept)}


def to_text(value: Any) -> str:
    """JSON that may stand in a script element: no text can end the element or open another."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    # bytes of a path that are no UTF-8 are escaped
    return text.encode("utf-8", "backslashreplace").decode()


def _rows(run: Run) -> Part:
    """The results of all models by name; their settings follow from the axes."""
    names = [name for name in run.table.columns if "." not in name and name not in _HIDDEN]
    columns = {name: _column(run.table[name]) for name in names}
    finished = run.table["model"].to_numpy(dtype=np.intp)
    number = np.dtype(np.uint32).itemsize
    size = number + sum(_values(column).itemsize for column in columns.values())

    def make(rows: Models) -> Arrays:
        at = np.searchsorted(finished, rows)
        return {name: _taken(column, at) for name, column in columns.items()}

    return Part("rows", finished, size, make)


def _column(column: pd.Series) -> NDArray[Any] | Coded:
    """Numbers, or what stands for text."""
    if pd.api.types.is_numeric_dtype(column):
        with np.errstate(over="ignore"):  # the loss of a diverged model may be infinite in float32
            return column.to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32)
    place, names = pd.factorize(column.astype(str))
    return Coded(place.astype(codes(len(names))), [str(name) for name in names])


def _values(array: NDArray[Any] | Coded) -> NDArray[Any]:
    return array.codes if isinstance(array, Coded) else array


def _taken(array: NDArray[Any] | Coded, at: NDArray[np.intp]) -> NDArray[Any] | Coded:
    return array._replace(codes=array.codes[at]) if isinstance(array, Coded) else array[at]


def _sections(pack: Pack, kept: Sequence[Kept]) -> dict[str, list[dict[str, Any]]]:
    """The parts by kind; rows are listed even where the page has none of them."""
    kinds = parts.kinds(part for part, _ in kept)
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for part, rows in kept:
        if len(rows) or part.kind == "rows":
            found[part.kind].append(_section(pack, part, rows))
    return found


def _section(pack: Pack, part: Part, rows: Models) -> dict[str, Any]:
    arrays = part.make(rows) if len(rows) else {}
    section: dict[str, Any] = {
        "models": pack.add(rows.astype(np.uint32)),
        "arrays": {name: _array(pack, array) for name, array in arrays.items()},
    }
    if part.tensors:
        section["tensors"] = list(part.tensors)
    if part.steps is not None:
        section["steps"] = part.steps.tolist()
    return section


def _array(pack: Pack, array: NDArray[Any] | Coded) -> Mapping[str, Any]:
    names = {"names": list(array.names)} if isinstance(array, Coded) else {}
    return pack.add(_values(array)) | names


_FACTS: Final[Mapping[str, type[Any]]] = {
    "run_id": str,
    "created": str,
    "command": list,
    "versions": dict,
    "machine": dict,
    "engine": dict,
    "git": dict,
    "reasons": list,
}


def _provenance(run: Run) -> dict[str, Any]:
    kept = {key: _sealed(run, key, kind) or None for key, kind in _FACTS.items()}
    own = run.plan.get("own")  # text of a user's functions
    return {**kept, "own": own, "digest": run.digest(), "folder": str(run.path)}


def _sealed(run: Run, key: str, kind: type[_T]) -> _T:
    """What the manifest says, or nothing of that kind: the page must not fail for what it shows
    beside results.
    """
    value = run.manifest.get(key)
    return value if isinstance(value, kind) else kind()
