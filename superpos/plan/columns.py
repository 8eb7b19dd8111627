"""Config values as arrays: the columns of a sweep's table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from superpos.config.schema import KeySpec

Rows = NDArray[np.intp]
"""Numbers of models in a sweep."""

_TYPES: Final[dict[str, type]] = {
    "int": np.int64,
    "number": np.float64,
    "numbers": np.float64,
    "bool": np.bool_,
}


def objects(values: Sequence[Any]) -> NDArray[np.object_]:
    """A 1-D array of objects, also where they are lists of equal length."""
    return np.fromiter(values, dtype=object, count=len(values))


def array_of(spec: KeySpec, values: Sequence[Any]) -> NDArray[Any]:
    """Canonical values of a key as the narrowest array that holds them all."""
    kind = np.uint64 if spec.key == "seed" else _TYPES.get(spec.kind)
    mixed = any(value is None or isinstance(value, tuple) for value in values)
    return objects(values) if mixed or kind is None else np.array(values, dtype=kind)


def table_column(spec: KeySpec, values: NDArray[Any]) -> Any:
    """The values of a key as a table holds them: integers with gaps stay integers, lists become
    lists.
    """
    if values.dtype != object or spec.kind in ("choice", "run"):
        return values
    if spec.kind == "value":  # of any form: as JSON
        return objects([None if value is None else json.dumps(value) for value in values])
    if spec.kind == "int":
        # nullable integers; imported here, as expanding sweeps must not wait for pandas
        from pandas import array

        return array(list(values), dtype="Int64")
    return objects([None if value is None else list(value) for value in values])


def groups_of(code: NDArray[np.int64]) -> list[Rows]:
    """Positions of equal codes, in order of their first."""
    _, first, group = np.unique(code, return_index=True, return_inverse=True)
    ordered = np.argsort(group, kind="stable").astype(np.intp)
    ends = np.cumsum(np.bincount(group))[:-1]
    groups = np.split(ordered, ends)
    return [groups[k] for k in np.argsort(first)]
