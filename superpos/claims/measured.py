"""What a measure returns, and the statistics that make one number of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.maths.types import Floats


class Measured(NamedTuple):
    """Values [K], one an independent trial (a seed, a cell), and the exact value where theory
    computes it.

    What a claim itself expects comes first.
    """

    values: NDArray[np.floating[Any]]
    expected: float | None = None


STATISTICS: Final[Mapping[str, Callable[[Floats], float]]] = {
    "best": lambda values: float(values.min()),  # the lowest loss
    "min": lambda values: float(values.min()),
    "median": lambda values: float(np.median(values)),
    "mean": lambda values: float(values.mean()),
    "max": lambda values: float(values.max()),
}
