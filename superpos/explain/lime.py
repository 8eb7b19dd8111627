"""LIME for tables, in closed form and sampled (Ribeiro et al. 2016; Garreau & von Luxburg 2020).

LIME draws N samples around the mean of the data, not around the input: independent normals with the
mean μ and the standard deviation s of each feature. A sample at the distance d of the input, in
units of s, weighs exp(−d²/2w²); a ridge regression with penalty α on the scaled features gives one
coefficient each.

Weights and samples together are normal, with centre c = (w²μ/s + u)/(1 + w²) and variance κ = w²/(1
+ w²) in scaled units, u = x/s, and total weight N ω, ω = κ^(n/2) exp(−‖u − μ/s‖²/2(1 + w²)). By
Stein's lemma the coefficient of feature j for one ReLU output is, as N grows,

    s_j G_ij · Φ(z_i(c s)/σ_i) · Nωκ/(Nωκ + α),    σ_i² = κ Σ_j (s_j G_ij)².

So every explanation is parallel to row i of G, at every input and width: what is local is one
scale. And with a small width it is the ridge that decides, since ω falls far below α/N.

Shapes: M models, B inputs x [B, n] or [M, B, n], n features, k outputs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from superpos.explain.layers import Activation, Layers, Weights
from superpos.explain.values import rows_of
from superpos.maths.types import Floats


class _Law(NamedTuple):
    """What the package takes from its training data."""

    mean: Floats  # [M, n]
    std: Floats  # [M, n]


def lime(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    density: ArrayLike | None = None,
    background: ArrayLike | None = None,
    width: float | None = None,
    samples: int = 5000,
    ridge: float = 1.0,
    seed: int | None = None,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """What LIME's linear model says that each input contributes, coefficient times value: [M, B, k,
    n].

    `lime_coefficients` has the arguments and the coefficients as the package prints them.
    """
    model = Layers.of(W, b, hidden, output)
    values = model.inputs(x)
    law = _law(model, density, background)
    coefficients = _coefficients(model, values, law, width, samples, ridge, seed)
    return coefficients * (values / law.std[:, None])[:, :, None]


def lime_coefficients(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    density: ArrayLike | None = None,
    background: ArrayLike | None = None,
    width: float | None = None,
    samples: int = 5000,
    ridge: float = 1.0,
    seed: int | None = None,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """LIME's coefficients of every output, for features in units of their standard deviation: [M,
    B, k, n].

    Mean and standard deviation are those of data of a `density` (a number, [M] or [M, n]), or of
    the rows of a `background` [R, n] or [M, R, n]. `width` is that of the kernel, .75 √n without
    one. Without a `seed` this is the value to which the coefficients converge with that many
    samples' worth of weight, else what such samples give; the input is the first of them, as in the
    package. Raises `ValueError`, also for models with a ReLU hidden layer without a seed: they have
    no closed form.
    """
    model = Layers.of(W, b, hidden, output)
    law = _law(model, density, background)
    return _coefficients(model, model.inputs(x), law, width, samples, ridge, seed)


def _coefficients(
    model: Layers,
    values: Floats,
    law: _Law,
    width: float | None,
    samples: int,
    ridge: float,
    seed: int | None,
) -> Floats:
    """The same of inputs [M, B, n], once the arguments are known to fit."""
    w = 0.75 * np.sqrt(model.n_inputs) if width is None else float(width)
    if w <= 0 or samples < 2 or ridge < 0:
        raise ValueError(
            f"width, samples, ridge: got {w}, {samples} and {ridge}; allowed: above 0, 2 or more, "
            "0 or more"
        )
    if seed is not None:
        return _sampled(model, values, law, w, samples, ridge, seed)
    if not model.is_affine:
        raise ValueError(
            "LIME has no closed form with a ReLU hidden layer; give a seed to sample it"
        )
    return (
        _closed(model, values, law, w)
        * ridge_factor(model, values, law, w, samples, ridge)[..., None, None]
    )


def lime_ridge_factor(
    n: int,
    distance: ArrayLike,
    *,
    width: float | None = None,
    samples: int = 5000,
    ridge: float = 1.0,
) -> Floats:
    """The factor by which the ridge shrinks coefficients, at inputs at these `distance`s of the
    data mean (scaled).
    """
    w = 0.75 * np.sqrt(n) if width is None else float(width)
    return _ridge_factor(n, np.asarray(distance, dtype=np.float64) ** 2, w, samples, ridge)


def ridge_factor(
    model: Layers, x: Floats, law: _Law, w: float, samples: int, ridge: float
) -> Floats:
    """The same [M, B] of inputs."""
    square = (((x - law.mean[:, None]) / law.std[:, None]) ** 2).sum(-1)
    return _ridge_factor(model.n_inputs, square, w, samples, ridge)


def _ridge_factor(n: int, square: Floats, w: float, samples: int, ridge: float) -> Floats:
    kappa = w**2 / (1 + w**2)
    weight = samples * kappa ** (n / 2 + 1) * np.exp(-square / (2 * (1 + w**2)))
    return np.asarray(weight / (weight + ridge)) if ridge else np.ones_like(weight)


def _closed(model: Layers, x: Floats, law: _Law, w: float) -> Floats:
    """Coefficients [M, B, k, n] without a ridge."""
    from scipy.special import ndtr  # commands that only list figures do without it

    slopes = model.products * law.std[:, None]  # [M, k, n]
    if model.output == "linear":
        return np.broadcast_to(slopes[:, None], (*x.shape[:2], *slopes.shape[1:]))
    kappa = w**2 / (1 + w**2)
    centre = (w**2 * law.mean[:, None] + x) / (1 + w**2)
    spread = np.sqrt(kappa * (slopes**2).sum(-1))[:, None]
    z = model.before(centre)
    with np.errstate(divide="ignore", invalid="ignore"):
        on = np.where(spread > 0, ndtr(z / spread), model.is_on(z))
    return on[..., None] * slopes[:, None]


def _law(model: Layers, density: ArrayLike | None, background: ArrayLike | None) -> _Law:
    if (density is None) == (background is None):
        raise ValueError("density, background: allowed: one of them")
    if background is not None:
        rows = rows_of(model, background)
        std = rows.std(axis=1)
        return _Law(rows.mean(axis=1), np.where(std > 0, std, 1.0))
    assert density is not None
    p = model.per_feature(density)
    return _Law(p / 2, np.sqrt(p / 3 - p**2 / 4))


def _sampled(
    model: Layers, x: Floats, law: _Law, w: float, samples: int, ridge: float, seed: int
) -> Floats:
    """Coefficients [M, B, k, n] of one set of samples, which all models and inputs share in scaled
    units.
    """
    n = model.n_inputs
    drawn = np.random.default_rng(seed).standard_normal((samples - 1, n))  # beside the input itself
    found = np.empty((*x.shape[:2], model.n_outputs, n))
    for number in range(len(model)):
        one = slice(number, number + 1)
        part = model[one]
        outputs = part(law.mean[one, None] + drawn * law.std[one, None])[0]
        own = part(x[one])[0]
        scaled = (x[number] - law.mean[number]) / law.std[number]
        for at in range(x.shape[1]):
            features = np.vstack([scaled[at], drawn])
            targets = np.vstack([own[at], outputs])
            weights = np.exp(-((features - scaled[at]) ** 2).sum(-1) / (2 * w**2))
            share = weights / weights.sum()
            features = features - share @ features
            weighted = features.T * weights
            gram = weighted @ features + ridge * np.eye(n)
            found[number, at] = np.linalg.solve(gram, weighted @ (targets - share @ targets)).T
    return found
