"""Interchange along one direction of a hidden layer, and directions that do it perfectly.

A hidden layer h = x w1 that is read as y = w2·h: copying what another input has along a unit vector
v, h + v v·(h' - h), moves y by (v·w1)(v·w2)(x' - x). So every v with (v·w1)(v·w2) = w1·w2 moves it
as if x had been exchanged, also where it mixes what varies and is not read with what is read and
does not vary (Makelov et al. 2311.17030). Directions are found as distributed alignment search
finds them (Geiger et al. 2303.02536): by making the interchange exact.

Shapes: S starts, d hidden dimensions.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from superpos.maths import bfgs
from superpos.maths.types import Floats

_STEPS: Final = 300


def moved(v: Floats, w1: Floats, w2: Floats) -> Floats:
    """By how much an interchange along unit vectors v [..., d] moves y, where 1 is what x does."""
    return np.asarray((v @ w1) * (v @ w2) / (w1 @ w2))


def aligned(w1: Floats, w2: Floats, starts: int, seed: int = 0) -> Floats:
    """Unit vectors [S, d] to which the search comes from random ones."""
    first = np.random.default_rng(seed).standard_normal((starts, len(w1)))

    def error(x: Floats, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """The squared error of the interchange along x, of any length, and its gradient."""
        length = np.linalg.norm(x, axis=-1, keepdims=True)
        v = x / length
        wrong = moved(v, w1, w2) - 1
        slope = ((v @ w2)[:, None] * w1 + (v @ w1)[:, None] * w2) / (w1 @ w2)
        across = slope - (slope * v).sum(-1, keepdims=True) * v
        return wrong**2, 2 * wrong[:, None] * across / length

    found = bfgs.bfgs(error, first, _STEPS).x
    return np.asarray(found / np.linalg.norm(found, axis=-1, keepdims=True))
