"""Attributions by gradients, along lines, and by taking single features away; importances over all
data.

All are exact for the models of `layers`: a line through such a model is a few pieces on which it is
linear. Sundararajan et al. 2017 (integrated gradients); Shrikumar et al. 2017 (DeepLIFT; with its
rescale rule it is the same for one ReLU); Breiman 2001, Fisher et al. 2019 (permutation
importance); Saltelli et al. 2010 (total Sobol indices).

Shapes: M models, B inputs x [B, n] or [M, B, n], n features, k outputs; densities are a number, [M]
or [M, n].
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from superpos.explain.layers import (
    Activation,
    Layers,
    Weights,
    mean_output,
    mean_square,
    pieces,
    share_on,
)
from superpos.explain.values import MAX_INTEGRATED, baseline_of, rows_of
from superpos.maths.moments import Monomial, Monomials, half_space_moments, second_order
from superpos.maths.types import Floats


def gradient(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """∂f_i/∂x_j [M, B, k, n]; 0 for every input of an output that is off, and at a kink."""
    model = Layers.of(W, b, hidden, output)
    values = model.inputs(x)
    return model.is_on(model.before(values))[..., None] * model.slopes(values)


def gradient_times_input(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """x_j ∂f_i/∂x_j [M, B, k, n]."""
    values = np.asarray(x, dtype=np.float64)
    slopes = gradient(W, b, values, hidden=hidden, output=output)
    return np.asarray(slopes * values[..., None, :])


def integrated_gradients(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    background: ArrayLike | None = None,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """The gradient integrated along the straight line from the baseline, times the way: [M, B, k,
    n], exactly.

    The baseline is [n], [B, n] or [M, B, n], 0 without one; with a `background` [R, n] or [M, R, n]
    it is each of its rows in turn, and the mean is returned (expected gradients). With a linear
    hidden layer this is DeepLIFT too.
    """
    model = Layers.of(W, b, hidden, output)
    values = model.inputs(x)
    if background is None:
        return _along(model, baseline_of(model, values, baseline), values)
    if baseline is not None:
        raise ValueError("baseline, background: got both; allowed: one of them")
    rows = rows_of(model, background)
    starts = (np.broadcast_to(rows[:, [row]], values.shape) for row in range(rows.shape[1]))
    total = sum((_along(model, start, values) for start in starts), start=np.zeros(()))
    return np.asarray(total / rows.shape[1])


def _along(model: Layers, start: Floats, end: Floats) -> Floats:
    """Integrated gradients [M, B, k, n] of each line."""
    total = np.zeros(())
    for piece in pieces(model, start, end):
        share = piece.length * share_on(model, piece.low, piece.high)
        total = total + share[..., None] * piece.slopes
    return total * (end - start)[:, :, None]


def occlusion(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """f_i(x) − f_i(x with x_j from the baseline, 0 without one): [M, B, k, n]."""
    model = Layers.of(W, b, hidden, output)
    values = model.inputs(x)
    others = baseline_of(model, values, baseline)
    if model.is_affine:
        z = model.before(values)[..., None]
        without = z - model.products[:, None] * (values - others)[:, :, None]
        return model.activate(z) - model.activate(without)
    whole = model(values)
    return np.stack(
        [whole - model(_replaced(values, j, others)) for j in range(model.n_inputs)], axis=-1
    )


def resample_effect(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    density: ArrayLike,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """f_i(x) less its mean over x_j drawn anew from the data: [M, B, k, n]."""
    model = Layers.of(W, b, hidden, output)
    values = model.inputs(x)
    p = model.per_feature(density)
    whole = model(values)
    means = [_redrawn(model, values, j, p[:, j])[0] for j in range(model.n_inputs)]
    return np.stack([whole - mean for mean in means], axis=-1)


def sobol_total(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike | None = None,
    *,
    density: ArrayLike,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """Total Sobol indices, not divided: T_ij = ½ E[(f_i(x) − f_i(x with x_j drawn anew))²], [M, k,
    n].

    Over all data, exactly, without inputs; that needs a linear hidden layer and up to 8 features.
    With inputs x the mean over the other features is that over x, and only what x_j does is
    integrated. Raises `ValueError`.
    """
    model = Layers.of(W, b, hidden, output)
    p = model.per_feature(density)
    if x is not None:
        values = model.inputs(x)
        found = []
        for j in range(model.n_inputs):
            mean, square = _redrawn(model, values, j, p[:, j])
            found.append(np.maximum(square - mean**2, 0).mean(axis=1))
        return np.stack(found, axis=-1)
    _check_integral(model)
    if model.output == "linear":
        return model.products**2 * (p / 3 - p**2 / 4)[:, None]
    return np.stack([_total(model, p, j) for j in range(model.n_inputs)], axis=-1)


def permutation_importance(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike | None = None,
    *,
    of: Literal["loss", "output"] = "loss",
    density: ArrayLike | None = None,
    seed: int = 0,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """What permuting feature j does to output i, [M, n, n], of models whose output i should be x_i.

    of="loss": the rise of E (x_i − f_i)²; of="output": E (f_i(x) − f_i(x permuted))². With inputs x
    their feature j is permuted once, by `seed`, the same for all models. With a `density` it is the
    exact value over independent features: 2 T_ij of the output, and of the loss 2 Cov(x_i, f_i) for
    j = i and exactly 0 for every j ≠ i, since x_i and the permuted inputs have the law of the data.
    Raises `ValueError`.
    """
    model = Layers.of(W, b, hidden, output)
    if of not in ("loss", "output"):
        raise ValueError(f"of: got {of!r}; allowed: loss, output")
    if (x is None) == (density is None):
        raise ValueError("x, density: allowed: one of them")
    if model.n_inputs != model.n_outputs:
        raise ValueError(
            f"got {model.n_inputs} inputs and {model.n_outputs} outputs; allowed: as many"
        )
    if density is not None:
        if of == "output":
            return 2 * sobol_total(W, b, density=density, hidden=hidden, output=output)
        return _own_covariance(model, model.per_feature(density))
    assert x is not None
    values = model.inputs(x)
    rng = np.random.default_rng(seed)
    whole = model(values)
    found = []
    for j in range(model.n_inputs):
        changed = model(_replaced(values, j, values[:, rng.permutation(values.shape[1])]))
        if of == "loss":
            found.append(((values - changed) ** 2 - (values - whole) ** 2).mean(axis=1))
        else:
            found.append(((whole - changed) ** 2).mean(axis=1))
    return np.stack(found, axis=-1)


def _replaced(x: Floats, j: int, others: Floats | float) -> Floats:
    """x [M, B, n] with feature j of `others`."""
    changed = np.array(x)
    changed[..., j] = others[..., j] if isinstance(others, np.ndarray) else others
    return changed


def _redrawn(model: Layers, x: Floats, j: int, p: Floats) -> tuple[Floats, Floats]:
    """Mean and mean square [M, B, k] of the outputs over x_j drawn anew, with density p [M]."""
    off = _replaced(x, j, 0.0)
    on = _replaced(x, j, 1.0)
    mean = np.zeros(())
    square = np.zeros(())
    for piece in pieces(model, off, on):
        mean = mean + piece.length * mean_output(model, piece.low, piece.high)
        square = square + piece.length * mean_square(model, piece.low, piece.high)
    zero = model(off)
    density = p[:, None, None]
    return (1 - density) * zero + density * mean, (1 - density) * zero**2 + density * square


def _check_integral(model: Layers) -> None:
    if not model.is_affine:
        raise ValueError(
            "density: got models with a ReLU hidden layer; allowed: a linear one; give inputs x as "
            "well"
        )
    if model.n_inputs > MAX_INTEGRATED:
        raise ValueError(
            f"density: got {model.n_inputs} features; allowed: up to {MAX_INTEGRATED}; give inputs "
            "x as well"
        )


def _total(model: Layers, p: Floats, j: int) -> Floats:
    """T_ij [M, k] of one feature j: E f² − E f f', where f' has x_j drawn anew.

    Where both draws of x_j are on, the output is on for both just if it is on for the one that it
    is lower for. With G_ij < 0 the feature is turned around, 1 − x_j: then the lower draw counts,
    whose density is 2 (1 − t), and the mean of the other one is (1 + t)/2. All that is left are
    moments over one half-space, z = c + a·t > 0.
    """
    n = model.n_inputs
    order = [*(k for k in range(n) if k != j), j]
    a = model.products[:, :, order].reshape(-1, n).T.copy()
    chances = np.broadcast_to(p[:, None, order], (*model.b.shape, n)).reshape(-1, n).T
    bias = model.b.ravel()
    signed = a[-1].copy()
    a[-1] = np.abs(signed)
    # With x_j on, and turned around where the coefficient is negative.
    low = bias + np.minimum(signed, 0)
    last = n - 1
    second = second_order(n)
    wanted = dict.fromkeys([*second, *(tuple(sorted((*w, last))) for w in second)])
    moments = _moments(a, low, chances, list(wanted), certain=last)
    z = _power(a, low, moments, 1)
    z2 = _power(a, low, moments, 2)
    z_t = _power(a, low, moments, 1, (last,))
    z2_t = _power(a, low, moments, 2, (last,))
    z_t2 = _power(a, low, moments, 1, (last, last))
    both_on = 2 * (z2 - z2_t) + a[-1] * (z - 2 * z_t + z_t2)
    # With x_j off.
    without = _moments(a[:-1], bias, chances[:-1], second_order(n - 1))
    c = _power(a[:-1], bias, without, 1)
    c2 = _power(a[:-1], bias, without, 2)
    one_on = np.where(signed > 0, c2 + a[-1] / 2 * c, z2 + a[-1] * (z - z_t))
    chance = chances[-1]
    square = chance * z2 + (1 - chance) * c2
    product = chance**2 * both_on + 2 * chance * (1 - chance) * one_on + (1 - chance) ** 2 * c2
    return np.where(signed == 0, 0.0, np.maximum(square - product, 0)).reshape(model.b.shape)


def _moments(
    a: Floats, b: Floats, chances: Floats, wanted: Monomials, certain: int | None = None
) -> dict[Monomial, Floats]:
    """E[x^w 1(a·x + b > 0)] by monomial, of features [K, E] on with these chances, one of them for
    certain.
    """

    def chance(active: Monomial) -> Floats:
        if certain is not None and certain not in active:
            return np.zeros(len(b))
        found = np.ones(len(b))
        for k in range(len(a)):
            if k != certain:
                found *= chances[k] if k in active else 1 - chances[k]
        return found

    values, _ = half_space_moments(a, b, chance, wanted, [()])
    return dict(zip(wanted, values, strict=True))


def _power(
    a: Floats, b: Floats, moments: Mapping[Monomial, Floats], power: int, times: Monomial = ()
) -> Floats:
    """E[zᵖ x^times 1(z > 0)] [E] of z = a·x + b."""
    found = b**power * moments[times]
    for k in range(len(a)):
        found = found + power * b ** (power - 1) * a[k] * moments[tuple(sorted((k, *times)))]
    if power == 2:
        for first, other in product(range(len(a)), repeat=2):
            found = found + a[first] * a[other] * moments[tuple(sorted((first, other, *times)))]
    return found


def _own_covariance(model: Layers, p: Floats) -> Floats:
    """2 Cov(x_i, f_i) on the diagonal, else 0: [M, n, n]."""
    _check_integral(model)
    n = model.n_inputs
    found = np.zeros((len(model), n, n))
    for i in range(n):
        a = model.products[:, i].T
        b = model.b[:, i]
        density = p.T
        if model.output == "linear":
            found[:, i, i] = 2 * a[i] * (density[i] / 3 - density[i] ** 2 / 4)
            continue
        moments = _moments(a, b, density, second_order(n))
        mean = _power(a, b, moments, 1)
        found[:, i, i] = 2 * (_power(a, b, moments, 1, (i,)) - density[i] / 2 * mean)
    return found
