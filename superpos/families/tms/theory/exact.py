"""Exact expected loss of a tied model and its gradient, without sampling (docs/science.md, Exact
theory).

L = E sum_i I_i (x_i - x'_i)^2 with x' = relu(G x + b) or x' = G x + b, G = W W^T. Features are
uniform on [0, 1] when active, else 0; each is active with probability density_i, or they are active
in sets (module `active`).

With a = row i of G, z = a.x + b_i and the residual's coefficients d = e_i - a, an output's ReLU
loss is

    E[(d.x - b_i)^2 1(z > 0)] + E[x_i^2 1(z <= 0)] = d'Md - 2 b_i d.mu + b_i^2 P + Q,

where P, mu, M are the moments of x over z > 0 (module `moments`) and Q is the second moment of x_i
over z <= 0. Each term is a sum of positive parts, so a small loss keeps its digits too.

Shapes: models [...], n features, m hidden; E elements (one per model and output), K features of an
element's block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superpos.families.tms.theory.active import ActiveSets, Correlation
from superpos.families.tms.theory.one_hot import one_hot_outputs
from superpos.maths.moments import Monomial, half_space_moments, second_order
from superpos.maths.types import Floats

Output = Literal["relu", "linear"]
MAX_BLOCK = 10  # features that one output may depend on: 3^10 states take about a second per output
CACHE_STATES = 80_000  # states computed together, so that a table stays in the processor's cache
# but no fewer elements: a call of numpy takes as long for one as for some hundred
FEWEST_ELEMENTS = 1000
MOST_STATES = 800_000  # and no more states, some hundred MB


class Gradient(NamedTuple):
    """The loss and its derivatives."""

    loss: Floats  # [...]
    W: Floats  # [..., n, m]
    b: Floats  # [..., n]


class Rows(NamedTuple):
    """Loss of single outputs x'_i = f(a.x + b), and its derivatives."""

    loss: Floats  # [E]
    a: Floats  # [K, E]
    b: Floats  # [E]


def variance(density: ArrayLike) -> Floats:
    """V(p) = p/3 - p^2/4, the variance of a feature with density p."""
    p = np.asarray(density, dtype=np.float64)
    return np.asarray(p / 3 - p**2 / 4)


def expected_loss(
    W: ArrayLike,
    b: ArrayLike,
    density: ArrayLike,
    importance: ArrayLike,
    output: Output = "relu",
    *,
    correlation: Correlation = "none",
    set_size: int = 1,
) -> Floats:
    """Exact L of each model, good to about 12 digits; NaN for a model with a weight that is not
    finite.

    `W`: [..., n, m]; `b`, `density`, `importance`: broadcast to [..., n]. Returns [...]. With a
    `correlation`, `set_size` neighbouring features form a set and share its density.
    Raises ValueError where shapes do not fit, or where a ReLU output depends on more than
    `MAX_BLOCK` features (G_ij = 0 exactly decouples features or sets). One anticorrelated set of
    all features may have any size.
    """
    return loss_and_gradient(
        W, b, density, importance, output, correlation=correlation, set_size=set_size
    ).loss


def loss_and_gradient(
    W: ArrayLike,
    b: ArrayLike,
    density: ArrayLike,
    importance: ArrayLike,
    output: Output = "relu",
    *,
    correlation: Correlation = "none",
    set_size: int = 1,
) -> Gradient:
    """Exact L of each model with its gradient; shapes and errors as `expected_loss`."""
    weights = np.asarray(W, dtype=np.float64)
    if weights.ndim < 2:
        raise ValueError(f"W has shape {weights.shape}, expected [..., n_features, n_hidden]")
    n, m = weights.shape[-2:]
    named = {"b": b, "density": density, "importance": importance}
    vectors = [_per_feature(name, value, n) for name, value in named.items()]
    if not ((vectors[1] >= 0) & (vectors[1] <= 1)).all():
        raise ValueError("density must lie in [0, 1]")
    sets = ActiveSets(correlation, set_size)
    sets.check(vectors[1])
    lead = np.broadcast_shapes(weights.shape[:-2], *(v.shape[:-1] for v in vectors))
    bias, p, scale = (np.broadcast_to(v, (*lead, n)).reshape(-1, n) for v in vectors)
    flat_w = np.broadcast_to(weights, (*lead, n, m)).reshape(-1, n, m)
    got = _flat_gradient(flat_w, bias, p, scale, output, sets)
    return Gradient(got.loss.reshape(lead), got.W.reshape(*lead, n, m), got.b.reshape(*lead, n))


def _per_feature(name: str, values: ArrayLike, n: int) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim and array.shape[-1] not in (1, n):
        raise ValueError(f"{name} has shape {array.shape}, expected [..., {n}]")
    return np.broadcast_to(array, (*array.shape[:-1], n))


def _flat_gradient(
    W: Floats, b: Floats, density: Floats, importance: Floats, output: Output, sets: ActiveSets
) -> Gradient:
    """`loss_and_gradient` for W [M, n, m] and the others [M, n]."""
    bad = np.logical_not(np.isfinite(W).all(axis=(-2, -1)) & np.isfinite(b).all(axis=-1))
    W = np.where(bad[:, None, None], 0.0, W)
    b = np.where(bad[:, None], 0.0, b)
    gram = W @ np.swapaxes(W, -1, -2)  # [M, n, n]
    rows = (_relu_outputs if output == "relu" else _linear_outputs)(gram, b, density, sets)
    loss, grad_gram, grad_b = rows.loss, rows.a, rows.b  # [M, n], [M, n, n], [M, n]
    loss = np.where(bad, np.nan, (importance * loss).sum(axis=-1))
    grad_gram = importance[..., None] * grad_gram
    grad_w = (grad_gram + np.swapaxes(grad_gram, -1, -2)) @ W
    return Gradient(
        loss,
        np.where(bad[:, None, None], np.nan, grad_w),
        np.where(bad[:, None], np.nan, importance * grad_b),
    )


def _linear_outputs(gram: Floats, b: Floats, density: Floats, sets: ActiveSets) -> Rows:
    """Outputs of the linear model, arrays [M, n], [M, n, n], [M, n]: bias squared plus variance of
    the residual.
    """
    residual = np.eye(gram.shape[-1]) - gram  # x - x' = residual x - b
    inputs = sets.mean(density)
    mean = (residual @ inputs[..., None])[..., 0] - b
    spread = residual @ sets.covariance(density)
    return Rows(
        loss=mean**2 + (residual * spread).sum(axis=-1),
        a=-2 * (mean[..., None] * inputs[..., None, :] + spread),
        b=-2 * mean,
    )


def _relu_outputs(gram: Floats, b: Floats, density: Floats, sets: ActiveSets) -> Rows:
    """Outputs of the ReLU model, arrays [M, n], [M, n, n], [M, n]; each depends on its own block of
    G only.
    """
    models, n = b.shape
    if sets.exclusive and sets.set_size == n > MAX_BLOCK:
        return Rows(*one_hot_outputs(gram, b, density))
    own = np.tile(np.arange(n), models)
    gram, bias = gram.reshape(-1, n), b.reshape(-1)  # [E, n], [E]
    density = np.repeat(density, n, axis=0)
    order, counts = _blocks(gram, density, own, sets)
    result = Rows(np.zeros(models * n), np.zeros((models * n, n)), np.zeros(models * n))
    for count in np.unique(counts):
        members = np.flatnonzero(counts == count)
        step = max(1, min(max(FEWEST_ELEMENTS, CACHE_STATES // 3**count), MOST_STATES // 3**count))
        for start in range(0, len(members), step):
            part = members[start : start + step]
            at = (part[:, None], order[part, :count])
            rows = relu_rows(gram[at].T, bias[part], sets.chances(density[at].T, at[1].T))
            result.loss[part], result.b[part], result.a[at] = rows.loss, rows.b, rows.a.T
    # Outside its block an output is independent of x_j, so that only the mean of x_j counts.
    outside = np.argsort(order, axis=1) >= counts[:, None]
    result.a[outside] = (result.b[:, None] * sets.mean(density))[outside]
    return Rows(
        result.loss.reshape(models, n), result.a.reshape(models, n, n), result.b.reshape(models, n)
    )


def _blocks(
    gram: Floats, density: Floats, own: NDArray[np.intp], sets: ActiveSets
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each element's features with its own first, then those it depends on, then the rest; and how
    many it needs.

    A block has whole sets, so that it is independent of the rest.
    """
    index = np.arange(len(own)), own
    needed = gram != 0
    needed[index] = True
    rank = np.where(sets.closure(needed & (density != 0)), 1, 2)
    rank[index] = 0
    counts = (rank < 2).sum(axis=1)
    if len(own) and counts.max() > MAX_BLOCK:
        raise ValueError(
            f"an output depends on {counts.max()} features, the exact ReLU loss allows {MAX_BLOCK} "
            "(n_features, or the "
            "features j with (W W^T)_ij != 0)"
        )
    return np.argsort(rank, axis=1, kind="stable"), counts


def relu_rows(a: Floats, b: Floats, chance: Callable[[Monomial], Floats]) -> Rows:
    """Outputs E[(x_0 - relu(a.x + b))^2]: `a` [K, E], `b` [E]; `chance(Y)` [E]: exactly the
    features Y are active.
    """
    size = len(a)
    monomials = second_order(size)
    above, below = half_space_moments(a, b, chance, monomials, [(), (0,), (0, 0)])
    moments = dict(zip(monomials, above, strict=True))
    dead = below[2]  # E[x_0^2 1(z <= 0)]
    mean = np.stack([moments[(j,)] for j in range(size)])  # [K, E]
    second = np.stack([[moments[(min(j, k), max(j, k))] for k in range(size)] for j in range(size)])
    residual = -a
    residual[0] += 1
    # No einsum: it adds up a single element in another order than one of many.
    pull = (second * residual).sum(axis=1) - b * mean  # E[(x_0 - z) x_j 1(z > 0)]
    drift = (residual * mean).sum(axis=0) - b * moments[()]  # E[(x_0 - z) 1(z > 0)]
    return Rows(loss=(residual * pull).sum(axis=0) - b * drift + dead, a=-2 * pull, b=-2 * drift)
