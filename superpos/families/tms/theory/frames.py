"""Directions spread as evenly as they can be, and what their interference costs when there are
many.

The mean squared cosine of n unit vectors in m dimensions is at least the Welch bound (n - m) / (m
(n - 1)), and equal to it for tight frames, whose n vectors are spread evenly; random directions
have 1/m (Welch 1974).

In a large model with all features represented a tight frame, interference is a sum of many small
terms, hence normal. A feature then meets x' = (g x + b + s Z)+ with g the squared norm, Z standard
normal and

    s^2 = g^2 V(p) (n - m) / m,

the variance of sum_j G_ij x_j over j != i with sum_j G_ij^2 = g^2 (n - m) / m. Its mean is part of
b. What is left are two numbers, g and b (after Cowsik et al. 2024, who have the symmetric solution;
the Gaussian limit is derived here).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from superpos.families.tms.theory.exact import variance
from superpos.maths.types import Floats

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)  # on [-1, 1]; the integrand is smooth


class Symmetric(NamedTuple):
    """The best symmetric model of many features."""

    loss: float  # of one feature of importance 1
    gain: float  # g, the squared norm of a feature
    offset: float  # b plus the mean interference


def welch_bound(n_features: int, n_hidden: int) -> float:
    """Smallest mean squared cosine of n unit vectors in m dimensions, over pairs i != j; 0 for n <=
    m.

    Raises ValueError for fewer than 2 vectors or no dimension.
    """
    if n_features < 2 or n_hidden < 1:
        raise ValueError(
            f"needs 2 vectors and 1 dimension at least, got {n_features} and {n_hidden}"
        )
    return max(n_features - n_hidden, 0) / (n_hidden * (n_features - 1))


def mean_squared_cosine(W: ArrayLike) -> Floats:
    """Mean of (W_i.W_j)^2 / |W_i|^2 |W_j|^2 over pairs i != j of the rows that are not 0; NaN for
    fewer than 2 of them.

    `W`: [..., n, m]; returns [...].
    """
    weights = np.asarray(W, dtype=np.float64)
    norm = np.linalg.norm(weights, axis=-1, keepdims=True)
    unit = np.divide(weights, norm, out=np.zeros_like(weights), where=norm > 0)
    count = (norm[..., 0] > 0).sum(axis=-1)
    spread = ((unit.mT @ unit) ** 2).sum(axis=(-2, -1))  # the sum over all pairs, i = j included
    pairs = count * (count - 1)
    return np.where(pairs > 0, (spread - count) / np.where(pairs > 0, pairs, 1), np.nan)


def symmetric_loss(density: float, n_features: int, n_hidden: int) -> Symmetric:
    """The smallest loss of a feature in a tight frame of many equal ones, n > m, each active with
    `density`.

    Good where np >> 1, so that interference is normal. A linear model's floor, V(p) (n - m) / n a
    feature, lies above. Raises ValueError for n <= m or a density outside (0, 1].
    """
    from scipy.optimize import minimize  # slow to import, and training does without

    if n_features <= n_hidden or not 0 < density <= 1:
        raise ValueError(
            f"needs n > m and a density in (0, 1], got n = {n_features}, m = {n_hidden}, {density}"
        )
    ratio = float(np.sqrt(variance(density) * (n_features - n_hidden) / n_hidden))
    share = n_hidden / n_features  # the linear model's gain

    def loss(x: Floats) -> float:
        return _feature_loss(x[0], x[1], abs(x[0]) * ratio, density)

    starts = [
        (gain, offset * gain * ratio) for gain in (share, 1.0) for offset in (0.5, 0.0, -1.0, -2.0)
    ]
    found = [
        minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13})
        for start in starts
    ]
    best = min(found, key=lambda each: float(each.fun))
    return Symmetric(float(best.fun), float(best.x[0]), float(best.x[1]))


def _feature_loss(gain: float, offset: float, spread: float, density: float) -> float:
    """E (x - (g x + b + s Z)+)^2 for x uniform on [0, 1] with probability p, else 0."""
    x = (_NODES + 1) / 2
    active = _WEIGHTS @ _error(x, gain * x + offset, spread) / 2
    idle = _error(np.zeros(1), np.array([offset]), spread)[0]
    return float(density * active + (1 - density) * idle)


def _error(x: Floats, mean: Floats, spread: float) -> Floats:
    """E (x - (mean + spread Z)+)^2."""
    from scipy.special import ndtr  # slow to import

    t = mean / max(spread, 1e-300)
    above = ndtr(t)
    peak = np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi)
    first = mean * above + spread * peak
    second = (mean**2 + spread**2) * above + mean * spread * peak
    error: Floats = x**2 - 2 * x * first + second
    return error
