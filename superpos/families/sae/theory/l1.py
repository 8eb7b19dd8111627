"""The optimum of L1 in an orthonormal world, with as many latents as features.

Features are independent, active with density p and then uniform on [0, 1]. At the truth, E = D = A,
the loss is a sum over features, each min over the code f of (x − c − f)² + λ f with c the decoder's
bias along the feature: f = max(x − c − t, 0), t = λ/2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from superpos.maths.types import Floats


class Optimum(NamedTuple):
    """What a feature contributes, [...] each, and the biases there."""

    encoder_bias: Floats
    """b_e = −t, while the latent lives."""
    decoder_bias: Floats
    """c, the part of b_d along the feature."""
    l0: Floats
    """Probability that the latent fires."""
    loss: Floats
    """E (x − x̂)² + λ E f."""
    fvu: Floats
    """E (x − x̂)² / Var x: of the whole world where features are alike."""
    gamma: Floats
    """E x x̂ / E x̂², in the same way; NaN where x̂ is 0."""


def l1_optimum(density: ArrayLike, penalty: ArrayLike, *, decoder_bias: bool = True) -> Optimum:
    """The optimum of a feature of density p under the penalty λ; arguments broadcast to [...].

    Without a decoder bias the loss is p [t³/3 + t(1 − t)], and a latent dies at λ = 2. With one, c
    solves 2(1 − p)c + p((c + t)² − 2t) = 0, and a latent dies where c + t = 1, at λ = 2 − p; c is
    then the mean p/2. Without one the truth is close to the optimum but not it: see `l1_mixing`.
    """
    p, t = np.broadcast_arrays(np.asarray(density, np.float64), np.asarray(penalty, np.float64) / 2)
    c = _decoder_bias(p, t) if decoder_bias else np.zeros_like(p)
    start = np.minimum(c + t, 1.0)  # the least value that fires
    live = 1 - start
    code = p * live**2 / 2  # E f
    squared_code = p * live**3 / 3
    product = p * (live**3 / 3 + start * live**2 / 2)  # E x f
    below = ((start - c) ** 3 + c**3) / 3  # E (x − c)² of the active values that do not fire
    error = (1 - p) * c**2 + p * (below + t**2 * live)
    output = c**2 + 2 * c * code + squared_code  # E x̂²
    gamma = (c * p / 2 + product) / np.where(output == 0, np.nan, output)
    variance = p / 3 - p**2 / 4
    return Optimum(-t, c, p * live, error + 2 * t * code, error / variance, gamma)


def _decoder_bias(p: Floats, t: Floats) -> Floats:
    """The best c: the root of the quadratic while a latent lives, else the mean."""
    half = (1 - p) + p * t
    root = (np.sqrt(half**2 + p**2 * (2 * t - t**2).clip(0)) - half) / p
    return np.asarray(np.where(t < 1 - p / 2, root, p / 2))


def l1_mixing(density: ArrayLike, penalty: ArrayLike, n_features: ArrayLike) -> Floats:
    """cos(A_g, D_g) [...] of n equal features without a decoder bias, to first order.

    Residuals r = x − f have a mean, so every latent leans on all others by
    ε = E f E r / (E x f + (n − 2)(E f)²), the best for codes as they are: the cosine is
    1/√(1 + (n − 1) ε²). With a decoder bias residuals have no mean, and ε is 0.
    """
    p, t = np.broadcast_arrays(np.asarray(density, np.float64), np.asarray(penalty, np.float64) / 2)
    live = np.maximum(1 - t, 0)
    code = p * live**2 / 2
    residual = p * (np.minimum(t, 1) - np.minimum(t, 1) ** 2 / 2)
    product = p * (live**3 / 3 + t * live**2 / 2)
    n = np.asarray(n_features, np.float64)
    stiffness = product + (n - 2) * code**2
    lean = code * residual / np.where(stiffness == 0, np.nan, stiffness)
    return np.asarray(1 / np.sqrt(1 + (n - 1) * lean**2))
