"""One feature at a time: the exact ReLU loss of one-hot data for any number of features, and its
energy levels.

With probability p exactly one of n features is active, each as likely as the others (an
anticorrelated set of all features, docs/science.md, Data). Output i meets feature j alone: z = G_ij
u + b_i with u uniform on [0, 1], so that the loss is a sum over pairs,

    L = sum_i I_i [(1 - p) (b_i+)^2 + p/n sum_j E(d_ij u - z+)^2],    d_ij = 1 for j = i, else 0,

and each term is the integral of a square on each side of the kink: nothing cancels.

With p = 1 and m = 2 this is the model of Chen et al. 2023 (docs/science.md, One feature at a time).
A k-gon and c - k features without weights have L = H / 3c with H = h_k + (c - k) - 3 s / 4c, s the
features without weights whose bias is 1/2c, the best one; that of the others is negative, so that
they stay off.

Shapes: models [...], n features, m hidden.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from superpos.maths.polygon import polygon
from superpos.maths.types import Floats

# of an energy level: four directions in the plane are at no less than 90°, and cost nothing
FEWEST_SIDES = 4
OFF = -1.0  # bias of a feature that stays off: any negative one


class Pairs(NamedTuple):
    """Loss of single outputs, and its derivatives."""

    loss: Floats  # [M, n]
    gram: Floats  # [M, n, n] row i by G_ij
    b: Floats  # [M, n]


class Polygon(NamedTuple):
    """The best regular k-gon of one-hot data in two dimensions."""

    length: float
    bias: float
    energy: float  # h_k: 3c L of c features, less the c - k of the features outside that stay off


class Level(NamedTuple):
    """An energy level of c one-hot features in two dimensions: a k-gon, and features that have no
    weights.
    """

    name: str  # k, and a + for each feature with a positive bias
    sides: int
    positive: int  # features without weights whose bias is 1/2c; of the others it is negative
    loss: float
    W: Floats  # [c, 2]
    b: Floats  # [c]


def one_hot_outputs(gram: Floats, b: Floats, density: Floats) -> Pairs:
    """Every output of models with `gram` [M, n, n]; `b`, `density` (of the set): [M, n]."""
    n = b.shape[-1]
    offset = np.broadcast_to(b[..., None], gram.shape)  # z at u = 0
    top = gram + offset  # z at u = 1
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        kink = np.nan_to_num(np.clip(-offset / gram, 0.0, 1.0))
    low = np.where(offset > 0, 0.0, np.where(top > 0, kink, 1.0))  # z > 0 between low and high
    high = np.where(top > 0, 1.0, np.where(offset > 0, kink, low))
    width = high - low
    own = np.eye(n)
    slope = own - gram  # of the residual
    first, last = slope * low - offset, slope * high - offset  # the residual at both ends
    off = own * (low**3 + 1 - high**3) / 3  # of the feature's own square, where the output is 0
    chance = density[..., None] / n
    square = chance * (width * (first**2 + first * last + last**2) / 3 + off)
    pull = chance * width * (first * (2 * low + high) + last * (low + 2 * high)) / 6  # E residual u
    drift = chance * width * (first + last) / 2
    quiet, rest = np.maximum(b, 0.0), 1 - density  # nothing is active
    return Pairs(
        loss=square.sum(axis=-1) + rest * quiet**2,
        gram=-2 * pull,
        b=-2 * drift.sum(axis=-1) + 2 * rest * quiet,
    )


def one_hot_gradient(
    W: Floats, b: Floats, density: Floats, importance: Floats
) -> tuple[Floats, Floats, Floats]:
    """L [M] and its derivatives by W [M, n, m] and b [M, n]; `density` of the set and `importance`:
    [n].
    """
    pairs = one_hot_outputs(W @ W.mT, b, np.broadcast_to(density, b.shape))
    by_gram = importance[:, None] * pairs.gram
    return pairs.loss @ importance, (by_gram + by_gram.mT) @ W, importance * pairs.b


def one_hot_loss(W: ArrayLike, b: ArrayLike, density: float = 1.0) -> Floats:
    """Exact L [...] of equally important features, one of them active with probability `density`,
    else none.

    `W`: [..., n, m]; `b`: [..., n]. For any n; the same loss as that of `expected_loss` with one
    anticorrelated set of all features. NaN for a model with a weight that is not finite.
    """
    weights = np.asarray(W, dtype=np.float64)
    lead = weights.shape[:-2]
    n = weights.shape[-2]
    bias = np.broadcast_to(np.asarray(b, dtype=np.float64), (*lead, n)).reshape(-1, n)
    gram = (weights @ weights.mT).reshape(-1, n, n)
    good = np.asarray(np.isfinite(gram).all(axis=(-2, -1)) & np.isfinite(bias).all(axis=-1))
    pairs = one_hot_outputs(
        np.where(good[:, None, None], gram, 0.0),
        np.where(good[:, None], bias, 0.0),
        np.full(bias.shape, density),
    )
    return np.where(good, pairs.loss.sum(axis=-1), np.nan).reshape(lead)


def one_hot_polygon(sides: int) -> Polygon:
    """Length, bias and energy h_k of a k-gon, downhill from a start that grows with its sides.

    With 5 to 8 sides it is the one of Chen et al. 2023, table of (l*, b*). A square costs nothing:
    length 1, no bias. Raises ValueError below 4 sides.
    """
    from scipy.optimize import minimize  # slow to import, and training does without

    if sides < FEWEST_SIDES:
        raise ValueError(f"sides must be at least {FEWEST_SIDES}, got {sides}")
    if sides == FEWEST_SIDES:
        return Polygon(1.0, 0.0, 0.0)
    shape = polygon(sides)

    def energy(x: Floats) -> tuple[float, Floats]:
        W = x[0] * shape
        b = np.full(sides, x[1])
        loss, by_w, by_b = one_hot_gradient(W[None], b[None], np.ones(sides), np.ones(sides))
        return 3 * sides * float(loss[0]), 3 * sides * np.array(
            [(by_w[0] * shape).sum(), by_b.sum()]
        )

    start = np.array([1.0 + 0.1 * (sides - 4), -0.3 * (sides - 4)])
    found = minimize(energy, start, jac=True, method="BFGS", options={"gtol": 1e-10})
    return Polygon(float(found.x[0]), float(found.x[1]), float(found.fun))


def one_hot_levels(n_features: int) -> list[Level]:
    """The levels of c one-hot features in two dimensions, a k-gon with 4 to c sides each, the
    lowest first.

    Fewer than four features in use are no local minimum: one more costs nothing. Raises ValueError
    below 4 features.
    """
    if n_features < FEWEST_SIDES:
        raise ValueError(f"n_features must be at least {FEWEST_SIDES}, got {n_features}")
    found = []
    for sides in range(FEWEST_SIDES, n_features + 1):
        best = one_hot_polygon(sides)
        W = np.zeros((n_features, 2))
        W[:sides] = best.length * polygon(sides)
        for positive in range(n_features - sides + 1):
            b = np.full(n_features, OFF)
            b[:sides] = best.bias
            b[sides : sides + positive] = 1 / (2 * n_features)
            found.append(
                Level(f"{sides}{'+' * positive}", sides, positive, float(one_hot_loss(W, b)), W, b)
            )
    return sorted(found, key=lambda level: level.loss)
