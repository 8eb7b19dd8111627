"""Losses of models with a ReLU hidden layer: a neuron, a pair of neurons, a shared pair for each
feature.

The ReLU makes neurons a privileged basis (TMS, "Superposition in a privileged basis", "Computation
in superposition"). V = p/3 - p^2/4 is the variance of a feature, and of |x| for a signed one: both
have the same distribution. A feature without a neuron costs I_i V, with its mean p/2 as the bias.

Features have one density p. Shapes: n features, m neurons.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from superpos.families.tms.theory.exact import variance
from superpos.maths.types import Floats


def dedicated_floor(density: float, importance: ArrayLike, n_neurons: int) -> float:
    """Smallest L of x' = relu(W^T relu(W x) + b) with one feature per neuron: V sum I_i over all
    but the m largest I_i.

    It is the floor of a linear model with m dimensions too: at p = 1 the hidden ReLU neither helps
    nor costs anything.
    """
    return float(variance(density) * _largest_first(importance)[n_neurons:].sum())


def positive_part_floor(density: float, importance: ArrayLike, n_neurons: int) -> float:
    """L of y = W2 relu(W1 x) for the target max(x, 0), x in [-1, 1], with one feature per neuron
    and no bias.

    Each feature without a neuron costs I_i E max(x, 0)^2 = I_i p/6 (Braun et al. 2025).
    """
    return float(density / 6 * _largest_first(importance)[n_neurons:].sum())


def absolute_value_loss(density: float, n_neurons: int) -> float:
    """Smallest loss of one output |x| (importance 1) with 0, 1 or 2 monosemantic neurons.

    Two neurons relu(x), relu(-x) give |x|. One gives the regression of t = |x| on u = relu(x),
    slope and bias >= 0: V - C^2 / U with C = cov(t, u) = p/6 - p^2/8 and U = var(u) = p/6 - p^2/16,
    so 1/15 at p = 1, where V = 1/12. Raises ValueError for another number of neurons.
    """
    if n_neurons not in (0, 1, 2):
        raise ValueError(f"n_neurons must be 0, 1 or 2, got {n_neurons}")
    # C^2 / U; at most V / 2, its value for p -> 0
    one = density * (4 - 3 * density) ** 2 / (12 * (8 - 3 * density))
    return float(variance(density)) * (n_neurons < 2) - one * (n_neurons == 1)


def absolute_value_floor(density: float, importance: ArrayLike, n_neurons: int) -> float:
    """Smallest L of y = relu(W2 relu(W1 x) + b) for the target |x| with monosemantic neurons.

    The second neuron of a feature saves at least as much as its first, so the m // 2 most important
    features have two each, and the next one has the odd neuron. Polysemantic neurons can do better
    where features are sparse.
    """
    rest = _largest_first(importance)[n_neurons // 2 :]
    loss = float(variance(density) * rest[1:].sum())
    return loss + (
        float(rest[0]) * absolute_value_loss(density, n_neurons % 2) if len(rest) else 0.0
    )


def pair_code(n_neurons: int) -> Floats:
    """W [m (m - 1) / 2, m], b = 0, that gives every feature a pair of neurons: 1/sqrt 2 there,
    -1/sqrt 2 elsewhere.

    A feature active alone comes out as it is, and no other output fires: the hidden ReLU cuts the
    negative weights.
    """
    W = np.full((comb(n_neurons, 2), n_neurons), -np.sqrt(0.5))
    for i, pair in enumerate(combinations(range(n_neurons), 2)):
        W[i, list(pair)] *= -1
    return W


def pair_code_loss(density: float, importance: ArrayLike, n_neurons: int) -> float:
    """L of `pair_code` up to order p^2: binom(m - 2, 2) p^2 / 2 sum I_i.

    `importance`: [m (m - 1) / 2].

    Two active features x, y with no neuron in common both lose min(x, y); with one in common they
    come out as they are, and m - 3 other features fire with min(x, y). E min(x, y)^2 = 1/6, and
    every feature loses to binom(m - 2, 2) partners of the first kind and twice as many pairs of the
    second.
    """
    return float(comb(n_neurons - 2, 2) / 2 * density**2 * np.sum(importance))


def _largest_first(importance: ArrayLike) -> Floats:
    return np.sort(np.asarray(importance, dtype=np.float64))[::-1]
