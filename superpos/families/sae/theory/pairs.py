"""Two orthonormal features of size 1, and why one latent of both can be the better code.

L1 pays for lengths: a vector of length s on one latent costs λ s − λ²/4, and two features that come
together are shorter as one vector (√2) than as two (1 + 1). So absorption and composed features are
the optimum of the loss, not failures of training.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from superpos.maths.types import Floats

ABSORPTION_ENDS: Final = 4 * (2 - 2**0.5)
"""Where both formulas of a pair cost the same, λ = 2.34; latents of one feature die at 2."""


class Codes(NamedTuple):
    """Two codes of the same inputs, [...] each."""

    truth: Floats
    """Every feature has its own latent."""
    together: Floats
    """A latent points at the sum of both."""


def code_cost(length: ArrayLike, penalty: ArrayLike) -> Floats:
    """min over f ≥ 0 of (s − f)² + λ f [...], for a vector of length s along a latent."""
    s = np.asarray(length, np.float64)
    t = np.asarray(penalty, np.float64) / 2
    return np.asarray(np.where(s > t, 2 * t * s - t**2, s**2))


def pair_costs(penalty: ArrayLike) -> Codes:
    """Objective of an input with both on: 2λ − λ²/2 apart, √2 λ − λ²/4 together, for λ ≤ 2."""
    return Codes(2 * code_cost(1, penalty), code_cost(2**0.5, penalty))


def absorption_gain(penalty: ArrayLike, frequency: ArrayLike) -> Floats:
    """What an absorbed code gains in loss [...], for a child that comes with its parent only.

    b [(2 − √2)λ − λ²/4] at the frequency b of both: above 0 wherever a latent lives. The child's
    latent is then (A_P + A_C)/√2, and the parent's is silent where the child is.
    """
    truth, together = pair_costs(penalty)
    return np.asarray(np.asarray(frequency, np.float64) * (truth - together))


def composed_losses(alone: ArrayLike, together: ArrayLike, penalty: ArrayLike) -> Codes:
    """Loss [...] of two features, alone with probability q each and together with r.

    The composed code has three latents, of either feature and of both. No decoder bias.
    """
    q = np.asarray(alone, np.float64)
    r = np.asarray(together, np.float64)
    single = 2 * q * code_cost(1, penalty)
    pair = pair_costs(penalty)
    return Codes(single + r * pair.truth, single + r * pair.together)


class Cosines(NamedTuple):
    """Cosines of one latent with a parent and with a child of it, [...] each."""

    parent: Floats
    child: Floats


def hedging_cosines(
    parent: ArrayLike, child: ArrayLike, alone: ArrayLike = 0.0, n_children: ArrayLike = 1
) -> Cosines:
    """One latent for a parent and its children, λ → 0, with decoder bias: the principal direction.

    `parent`: P(P); `child`: P(C | P); `alone`: P(C | no P), of each of n equal children that
    exclude each other. With S = Σ C / √n the angle to the parent has
    tan 2θ = 2 Cov(P, S) / (Var P − Var S). The cosine with the parent is the positive one.
    """
    p, q, a, n = (np.asarray(value, np.float64) for value in (parent, child, alone, n_children))
    of_child = p * q + (1 - p) * a
    covariance = np.sqrt(n) * (p * q - p * of_child)
    difference = p * (1 - p) - of_child * (1 - n * of_child)
    angle = np.arctan2(2 * covariance, difference) / 2
    return Cosines(np.asarray(np.cos(angle)), np.asarray(np.sin(angle) / np.sqrt(n)))
