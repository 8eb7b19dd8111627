"""Interference weights: what every entry of U = W W^T is worth (Olah, Turner and Conerly 2025).

U is seen as weights from features to features. The cost of U_ij is how much the loss of output i
rises when that one entry is 0. Shapes: M models, B samples, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.analysis.points import Point
from superpos.families.tms.data import inputs
from superpos.families.tms.purposes import Purpose
from superpos.figures.points import Run, all_equal
from superpos.maths.types import Floats

SAMPLES: Final = 2**14
MATTERS: Final = 1e-4  # a weight that costs more than that is a real one (Olah et al. 2025)
FEWEST_SEEDS: Final = 2
FEWEST_FEATURES: Final = 20  # so that there are some hundred entries to compare
MOST_FEATURES: Final = 512
PLAIN: Final = {
    "model.tied": True,
    "model.output": "relu",
    "model.hidden": "linear",
    "model.target": "identity",
    "data.n_points": None,
}


def reason(run: Run, chosen: Sequence[Point]) -> str | None:
    """Why the weights of the run cannot be compared between seeds; None when they can."""
    unequal = all_equal(run, PLAIN)
    if unequal:
        return unequal
    if len(chosen) > 1:
        return "needs a sweep of seeds alone"
    n = chosen[0].shape[0]
    seeds = len(chosen[0].models)
    if not FEWEST_FEATURES <= n <= MOST_FEATURES:
        return f"needs {FEWEST_FEATURES} to {MOST_FEATURES} features, found {n}"
    return None if seeds >= FEWEST_SEEDS else f"needs {FEWEST_SEEDS} seeds at least"


def interference(W: Floats) -> Floats:
    """U [..., F, F] of W [..., F, H]."""
    return np.asarray(W @ W.mT)


def costs(W: Floats, b: Floats, X: Floats, importance: Floats) -> Floats:
    """Rise of the loss [F, F] when U_ij alone is 0, a mean over samples X [B, F]; `W` [F, H], `b`,
    `importance` [F].
    """
    U = interference(W)
    before = X @ U.T + b
    loss = np.square(X - np.maximum(before, 0))
    rise = np.zeros_like(U)
    for j in range(len(U)):
        active = np.flatnonzero(X[:, j])
        without = before[active] - X[active, j, None] * U[:, j]
        rise[:, j] = (np.square(X[active] - np.maximum(without, 0)) - loss[active]).sum(axis=0)
    return importance[:, None] * rise / len(X)


def samples(point: Point) -> Floats:
    """Inputs [B, F] of a point, the same for all of its models."""
    drawn = inputs.sample(point.task(point.best), Purpose.EVALUATE, 0, range(SAMPLES))
    return np.asarray(drawn[0].numpy(), dtype=np.float64)


def off_diagonal(U: Floats) -> Floats:
    """The entries i != j [..., F (F - 1)]."""
    keep: NDArray[np.bool_] = ~np.eye(U.shape[-1], dtype=bool)
    return np.asarray(U[..., keep])
