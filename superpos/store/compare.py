"""Two runs side by side: what they were made of, and whether models of equal settings have equal
results.

Models of equal settings are the same model, whatever sweep holds them. They have the same row id,
unless they were trained by engines of other names or by another version of the numerics: those are
compared as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from superpos.family import DEFAULT

if TYPE_CHECKING:
    from superpos.store.run import Run

_MADE = ("engine", "versions", "machine", "git")
"""Parts of a manifest that say what trained a run."""


def compare(first: Run, second: Run) -> dict[str, Any]:
    """What differs, ready for JSON.

    "settings" and "made": {name: [of the first, of the second]} where these differ; settings are
    lists of values. "models": how many each has finished, and how many of them both have. Of those,
    "equal" have the same numbers in every tensor that both keep, bit for bit, and "columns" says of
    each result how many models differ in it and by how much at most (None for text). Raises
    `IncompleteError` for damaged results.
    """
    keys = [key for key in first.manifest["config"] if key in first.table and key in second.table]
    found = [_by_settings(run, keys) for run in (first, second)]
    shared = [settings for settings in found[0] if settings in found[1]]
    models = [[numbers[settings] for settings in shared] for numbers in found]
    return {
        "runs": [str(first.path), str(second.path)],
        "settings": _differing(settings_of(first), settings_of(second)),
        "made": _differing(_made(first), _made(second)),
        "models": {"first": len(first.table), "second": len(second.table), "shared": len(shared)},
        "equal": sum(map(_equal_tensors, _weights(first, models[0]), _weights(second, models[1]))),
        "columns": _columns(first.table.loc[models[0]], second.table.loc[models[1]]),
        "digests": [first.digest(), second.digest()],
    }


def _differing(first: dict[str, Any], second: dict[str, Any]) -> dict[str, list[Any]]:
    names = [*first, *(name for name in second if name not in first)]
    both = {name: [first.get(name), second.get(name)] for name in names}
    return {name: values for name, values in both.items() if values[0] != values[1]}


def settings_of(run: Run) -> dict[str, list[Any]]:
    """Every key with the values that it takes in the sweep."""
    settings = {key: [value] for key, value in run.manifest["config"].items() if key != "name"}
    for axis in run.manifest["plan"]["axes"]:
        for at, key in enumerate(axis["keys"]):
            settings[key] = list({str(point[at]): point[at] for point in axis["values"]}.values())
    return settings


def _made(run: Run) -> dict[str, Any]:
    found = {part: run.manifest.get(part) or {} for part in _MADE}
    made = {
        f"{part} {name}": value for part, facts in found.items() for name, value in facts.items()
    }
    plan = run.manifest["plan"]
    return made | {"numerics version": plan["numerics_version"], "own functions": plan.get("own")}


def _by_settings(run: Run, keys: list[str]) -> dict[tuple[str, ...], int]:
    """The number of each finished model by its family and settings."""
    columns = [run.table[key].map(_text) for key in keys]
    settings = zip(*columns, strict=True) if keys else ()
    family = str(run.manifest.get("family", DEFAULT))
    models = run.table["model"].tolist()
    return {(family, *values): int(model) for values, model in zip(settings, models, strict=False)}


def _weights(run: Run, models: list[int]) -> Iterator[dict[str, Any]]:
    return (run.weights(model) for model in models)


def _equal_tensors(first: dict[str, Any], second: dict[str, Any]) -> bool:
    names = first.keys() & second.keys()
    return all(_same_bits(first[name], second[name]) for name in names)


def _same_bits(first: Any, second: Any) -> bool:
    same_kind = first.shape == second.shape and first.dtype == second.dtype
    return bool(same_kind and first.tobytes() == second.tobytes())


def _columns(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Results that differ, by column."""
    found = {}
    for name in first.columns:
        if name in ("model", "row_id") or name not in second.columns:
            continue
        one = first[name].reset_index(drop=True)
        other = second[name].reset_index(drop=True)
        numbers = pd.api.types.is_numeric_dtype(one) and pd.api.types.is_numeric_dtype(other)
        different = (
            _different_numbers(one, other) if numbers else one.map(_text) != other.map(_text)
        )
        if not different.any():
            continue
        gaps = (one.astype(float) - other.astype(float)).abs() if numbers else None
        greatest = None if gaps is None or gaps.isna().all() else float(gaps.max())
        found[name] = {"models": int(different.sum()), "greatest": greatest}
    return found


def _different_numbers(one: pd.Series, other: pd.Series) -> pd.Series:
    """Whether cells differ; two gaps are equal."""
    differ = (one.astype(float) != other.astype(float)).astype(bool)
    return differ & ~(one.isna() & other.isna())


def _text(cell: Any) -> str:
    return str(cell.tolist() if isinstance(cell, np.ndarray) else cell)
