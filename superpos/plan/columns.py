"""Arrays of config values, the columns of a sweep's table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.config.schema import KEYS, complement


def objects(values: Sequence[Any]) -> NDArray[np.object_]:
    """A 1-D array of objects, also where they are lists of equal length."""
    return np.fromiter(values, dtype=object, count=len(values))


def array_of(key: str, values: Sequence[Any]) -> NDArray[Any]:
    """Canonical values of a key as the narrowest array that holds them all."""
    types: dict[str, type] = {"int": np.int64, "number": np.float64, "numbers": np.float64, "bool": np.bool_}
    kind = np.uint64 if key == "seed" else types.get(KEYS[key].kind)
    mixed = any(value is None or isinstance(value, tuple) for value in values)
    return objects(values) if mixed or kind is None else np.array(values, dtype=kind)


def either(here: Any, there: Any, default: float) -> Any:
    """A probability where it was given, else the complement of the other one, else the default."""
    if here is not None or there is None:
        return default if here is None else here
    return tuple(map(complement, there)) if isinstance(there, tuple) else complement(there)


def repeated(value: Any, n: int) -> list[float]:
    """A list as it is, a number n times."""
    return list(value) if isinstance(value, tuple) else [value] * n
