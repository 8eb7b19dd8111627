"""Averages over samples, with their errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean_and_error(
    sums: NDArray[np.float64], samples: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and its standard error from sum l and sum l² over the samples, [M, 2]; the error of a
    sum of ∞ is NaN.
    """
    mean = sums[:, 0] / samples
    known = np.where(np.isfinite(sums).all(axis=1, keepdims=True), sums / samples, np.nan)
    variance = np.maximum(known[:, 1] - known[:, 0] ** 2, 0)
    return mean, np.sqrt(variance / max(samples - 1, 1))
