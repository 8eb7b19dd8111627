"""Capacity shared among features by a quadratic model: the closed form (after Scherlis et al.
2022).

The model y' = |W^T x|^2 + c learns y = sum_i v_i x_i^2 from independent, symmetric x_i of variance
1 and kurtosis k. With the best c, and G = W W^T of rank m,

    L = (k - 1) sum_i (v_i - G_ii)^2 + 2 sum_{i != j} G_ij^2.

For given lengths g_i = G_ii the interference is least where the longest features have dimensions of
their own and the others form a tight frame in what is left (Casazza et al. 2006), so that only the
g_i are unknown. A dedicated feature has g_i = v_i. In the frame of m' dimensions, with S the sum of
its g_i,

    g_i = ((k - 1) v_i - 2 S / m')+ / (k - 3),

which is linear in S for given features that are not ignored. A feature of the frame has the
capacity C_i = m' g_i / S, a dedicated one 1, and they add up to m. For k <= 3 no feature shares.

Shapes: n features, m hidden.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from superpos.maths.types import Floats

GAUSSIAN = 3.0  # kurtosis up to which sharing never pays
SLACK = 1e-12  # of comparisons of lengths


class Capacity(NamedTuple):
    """The best quadratic model."""

    loss: float
    square: Floats  # [n] g_i, the squared norms
    capacity: Floats  # [n] C_i = g_i^2 / sum_j G_ij^2; 0 for a feature that is ignored


def sharing_boundary(kurtosis: ArrayLike) -> Floats:
    """r = 2 / (k - 1): two features of weights 1 and r <= 1 share one dimension above it, else the
    weaker is ignored.

    At least 1 for a kurtosis of at most 3: they never share. Infinite for the kurtosis 1 of signs,
    the smallest there is.
    """
    k = np.asarray(kurtosis, dtype=np.float64)
    if not (k >= 1).all():
        raise ValueError("kurtosis must be at least 1")
    with np.errstate(divide="ignore"):
        return np.asarray(2 / (k - 1))


def quadratic_loss(W: ArrayLike, values: ArrayLike, kurtosis: ArrayLike) -> Floats:
    """L [...] of a quadratic model with the best constant: `W` [..., n, m], `values` v [..., n],
    `kurtosis` [...].
    """
    weights = np.asarray(W, dtype=np.float64)
    gram = weights @ weights.mT
    square = np.diagonal(gram, axis1=-2, axis2=-1)
    error = ((np.asarray(values, dtype=np.float64) - square) ** 2).sum(axis=-1)
    others = (gram**2).sum(axis=(-2, -1)) - (square**2).sum(axis=-1)
    return np.asarray((np.asarray(kurtosis, dtype=np.float64) - 1) * error + 2 * others)


def capacity_optimum(values: ArrayLike, n_hidden: int, kurtosis: float) -> Capacity:
    """The smallest L of a quadratic model for target weights `values` v [n] > 0 in m dimensions.

    Raises ValueError for values that are not positive, no dimension, or a kurtosis below 1.
    """
    v = np.asarray(values, dtype=np.float64)
    if v.ndim != 1 or not (v > 0).all() or n_hidden < 1 or kurtosis < 1:
        raise ValueError("needs positive values [n], 1 dimension and a kurtosis of 1 at least")
    order = np.argsort(-v, kind="stable")
    options = [
        _with_dedicated(v[order], n_hidden, kurtosis, alone)
        for alone in range(min(n_hidden, len(v)) + 1)
    ]
    best = min((option for option in options if option is not None), key=lambda option: option.loss)
    back = np.argsort(order)
    return Capacity(best.loss, best.square[back], best.capacity[back])


def _with_dedicated(v: Floats, m: int, kurtosis: float, alone: int) -> Capacity | None:
    """The best model whose first `alone` features are dedicated, for descending v [n]; None where
    there is none.
    """
    square = np.zeros_like(v)
    capacity = np.zeros_like(v)
    square[:alone], capacity[:alone] = v[:alone], 1.0
    rest = v[alone:]
    left = m - alone
    interference = 0.0
    if left and len(rest):
        if kurtosis <= GAUSSIAN or len(rest) <= left:
            return None  # sharing does not pay, or is not needed
        shared = _frame(rest, left, kurtosis)
        total = shared.sum()
        if shared.max() > total / left * (1 + SLACK):
            return None  # too long for a tight frame: it is dedicated
        square[alone:], capacity[alone:] = shared, left * shared / total
        interference = total**2 / left - (shared**2).sum()
    error = ((v - square) ** 2).sum()
    return Capacity(float((kurtosis - 1) * error + 2 * interference), square, capacity)


def _frame(v: Floats, m: int, kurtosis: float) -> Floats:
    """g [n] of descending v [n] in a tight frame of m dimensions; the last ones may be ignored."""
    for count in range(len(v), 0, -1):
        # The sum of (k - 1) v_i - 2 S / m over the features that are used is (k - 3) S.
        total = (kurtosis - 1) * v[:count].sum() / (kurtosis - GAUSSIAN + 2 * count / m)
        g = ((kurtosis - 1) * v[:count] - 2 * total / m) / (kurtosis - GAUSSIAN)
        if g[-1] > 0 or count == 1:
            break
    return np.concatenate((np.maximum(g, 0.0), np.zeros(len(v) - count)))
