"""Few data points memorised in two dimensions: the T-gon of a finite data set (Henighan et al.
2023).

T points without a feature in common are memorised exactly by a ReLU model whose hidden vectors are
a regular T-gon. With the radius r of r^2 = 1 / (1 - cos 2 pi / T) every point is given back, and
its neighbours just stay off: W_i = x_ti h_t, b_i = x_ti (1 - r^2). So the training loss is 0 at
every T, while |W| grows as T^(3/2).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from superpos.maths.polygon import polygon
from superpos.maths.types import Floats


class Norms(NamedTuple):
    """What the T-gon of points of length 1 takes."""

    radius: Floats  # [...] r, the length of a hidden vector
    W: Floats  # [...] |W|_F = r T^1/2
    b: Floats  # [...] |b| = |1 - r^2| T^1/2


def data_polygon_norms(n_points: ArrayLike) -> Norms:
    """Norms of the T-gon of `n_points` [...]. Raises ValueError below 2 points."""
    count = np.asarray(n_points, dtype=np.float64)
    if not (count >= 2).all():
        raise ValueError("a T-gon needs at least 2 points")
    square = 1 / (1 - np.cos(2 * np.pi / count))
    root = np.sqrt(count)
    return Norms(np.sqrt(square), root * np.sqrt(square), root * np.abs(1 - square))


def data_polygon(points: ArrayLike) -> tuple[Floats, Floats]:
    """W [n, 2] and b [n] that memorise `points` X [T, n]: of length 1, not negative, with no
    feature in common.

    Raises ValueError for other points.
    """
    X = np.asarray(points, dtype=np.float64)
    if X.ndim != 2 or (X < 0).any() or not np.allclose(X @ X.T, np.eye(len(X)), atol=1e-9):
        raise ValueError(
            "points must be [T, n], of length 1, not negative, with no feature in common"
        )
    radius = float(data_polygon_norms(len(X)).radius)
    return radius * X.T @ polygon(len(X)), (1 - radius**2) * X.sum(axis=0)
