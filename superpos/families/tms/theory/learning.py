"""The local learning coefficient of weights: how fast the volume of low loss around them shrinks
(Watanabe 2009).

At a minimum w* the posterior of n samples, localised, is exp(-n beta L(w) - gamma/2 |w - w*|^2)
with beta = 1 / ln n. Its mean excess of the loss gives

    lambda = n beta (E L(w) - L(w*)),

which is half the number of parameters where the minimum is regular, and less where it is degenerate
(Lau et al. 2023; Chen et al. 2023 for the toy models). L here is the exact loss and not a sample's,
so that only the sampling of w has noise.

Sampled by Langevin steps with a Metropolis test, many chains at once. Steps are scaled by the
curvature at w*, which changes how fast chains mix and not what they sample.

Shapes: K chains, n features, m hidden, D = n m + n parameters (W, then b).
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superpos.families.tms.theory.active import ActiveSets, Correlation
from superpos.families.tms.theory.descent import Cells, grid_of_cells, parameters
from superpos.families.tms.theory.one_hot import one_hot_gradient
from superpos.maths.types import Floats

CHAINS = 64
BURN_IN = 0.3  # share of the steps
DIFFERENCE = 1e-5  # step of the finite differences of the exact gradient
FIRST_STEP = 0.5  # of the Langevin steps in units of the curvature
WANTED = 0.6  # share of steps accepted, to which the step is fitted during burn-in
PACE = 0.05


class LearningCoefficient(NamedTuple):
    """An estimate of lambda and what it rests on."""

    value: float  # below 0 at weights that are no minimum: chains find lower losses
    error: float  # standard error over the chains, which are independent
    accepted: float  # share of steps after burn-in


class _State(NamedTuple):
    """Where the chains are."""

    x: Floats  # [K, D]
    loss: Floats  # [K]
    potential: Floats  # [K]
    slope: Floats  # [K, D] gradient of the potential


def learning_coefficient(
    W: ArrayLike,
    b: ArrayLike,
    n: float,
    density: ArrayLike = 1.0,
    importance: ArrayLike = 1.0,
    *,
    correlation: Correlation = "none",
    set_size: int = 1,
    localisation: float = 1.0,
    steps: int = 1000,
    seed: int = 0,
) -> LearningCoefficient:
    """Estimate lambda of a ReLU model at a minimum: `W` [n_features, m], `b` [n_features].

    `n`: the number of samples, which sets the scale of the neighbourhood, beta = 1 / ln n.
    `localisation`: gamma, in units of 1 / parameter squared. `density`, `importance`,
    `correlation`, `set_size`: as for `expected_loss`. The estimate nears lambda as n grows; compare
    two n. Raises ValueError for an n of at most e or fewer than 10 steps.
    """
    if n <= np.e:
        raise ValueError(f"n must be above e, got {n}")
    if steps < 10:
        raise ValueError(f"steps must be at least 10, got {steps}")
    weights = np.asarray(W, np.float64)
    bias = np.asarray(b, np.float64)
    p, weight = (
        np.broadcast_to(np.asarray(each, np.float64), bias.shape) for each in (density, importance)
    )
    sets = ActiveSets(correlation, set_size)
    sets.check(p)
    _, cells = grid_of_cells(p, weight, weights.shape[1], sets)
    scale = n / log(n)
    centre = parameters(weights, bias)
    rng = np.random.default_rng(seed)

    def state(x: Floats) -> _State:
        loss, slope = _loss(cells, x)
        away = x - centre
        return _State(
            x,
            loss,
            scale * loss + localisation / 2 * (away**2).sum(axis=-1),
            scale * slope + localisation * away,
        )

    root = _inverse_root(cells, centre, scale, localisation)
    now = state(np.tile(centre, (CHAINS, 1)))
    least = now.loss[0]
    step = FIRST_STEP
    burn_in = round(BURN_IN * steps)
    total = np.zeros(CHAINS)
    accepted = 0.0
    for t in range(steps):
        noise = rng.standard_normal(now.x.shape)
        forward = step / 2 * now.slope @ root
        then = state(now.x + (np.sqrt(step) * noise - forward) @ root)
        # Both proposals in units in which the noise is white.
        back = np.sqrt(step) * noise - forward - step / 2 * then.slope @ root
        ratio = (
            now.potential
            - then.potential
            + ((noise**2).sum(axis=-1) - (back**2).sum(axis=-1) / step) / 2
        )
        taken = np.log(rng.random(CHAINS)) < ratio
        now = _State(*(_where(taken, new, old) for new, old in zip(then, now, strict=True)))
        if t < burn_in:
            step *= np.exp(PACE * (taken.mean() - WANTED))
        else:
            total += now.loss - least
            accepted += taken.mean()
    kept = steps - burn_in
    each = scale * total / kept
    return LearningCoefficient(
        float(each.mean()), float(each.std(ddof=1) / np.sqrt(CHAINS)), float(accepted / kept)
    )


def _where(taken: NDArray[np.bool_], new: Floats, old: Floats) -> Floats:
    """Rows of `new` where `taken` [K], of `old` elsewhere."""
    return np.where(taken.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _loss(cells: Cells, x: Floats) -> tuple[Floats, Floats]:
    """L [K] and its gradient [K, D] at x [K, D]."""
    W, b = cells.models(x)
    density = cells.density[0]
    importance = cells.importance[0]
    sets = cells.sets
    if sets.exclusive and sets.set_size == len(density):
        loss, by_w, by_b = one_hot_gradient(W, b, density, importance)
        return loss, parameters(by_w, by_b)
    got = cells.loss(x, np.zeros(len(x), dtype=np.intp))
    return got.loss, parameters(got.W, got.b)


def _inverse_root(cells: Cells, centre: Floats, scale: float, localisation: float) -> Floats:
    """[D, D]: the inverse square root of the potential's curvature at the centre.

    Flat directions, such as a rotation of the hidden space, are orbits that leave their tangents at
    second order: a step of the length at which that costs as much as a step across sets the least
    curvature.
    """
    shift = DIFFERENCE * np.eye(len(centre))
    curvature = (_loss(cells, centre + shift)[1] - _loss(cells, centre - shift)[1]) / (
        2 * DIFFERENCE
    )
    values, axes = np.linalg.eigh(scale * (curvature + curvature.T) / 2)
    least = np.sqrt(max(values.max(), 0.0))
    root: Floats = (axes / np.sqrt(np.maximum(values, least) + localisation)) @ axes.T
    return root
