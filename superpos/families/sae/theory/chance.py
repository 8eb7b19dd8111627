"""What random latents score: the number that stands beside every MMCS.

The cosine of two random directions in d dimensions has the distribution function
F(t) = ½ + sign(t)/2 · I(t²; ½, (d − 1)/2), I the regularised incomplete beta function. The greatest
of m independent cosines has F(t)^m, so that its mean is 1 − ∫ F(t)^m dt over [−1, 1].
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc

from superpos.maths.types import Floats

_NODES: Final = 256  # of the quadrature: seven digits up to a million latents


def _below(t: Floats, n_dims: Floats) -> Floats:
    """F(t), the probability of a cosine below t in d dimensions; for d = 1 a cosine is −1 or 1."""
    half = np.maximum((n_dims - 1) / 2, np.finfo(np.float64).tiny)  # the limit of d = 1
    share = np.where(n_dims == 1, 0.0, betainc(0.5, half, np.square(t)))
    return 0.5 + 0.5 * np.sign(t) * share


def chance(n_dims: ArrayLike, n_latents: ArrayLike) -> Floats:
    """Mean greatest cosine [...] of a feature with m random latents in d dimensions.

    It is the MMCS of a dictionary that knows nothing: 0.80 for 5 latents in two dimensions, 0.32
    for 128 in 64.
    """
    d, m = (np.asarray(value, np.float64)[..., None] for value in (n_dims, n_latents))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    angle = nodes * np.pi / 2  # t = sin(angle): F is smooth in it, also for d = 2
    t = np.sin(angle)
    integral = (_below(t, d) ** m * np.cos(angle) * weights).sum(axis=-1) * np.pi / 2
    return np.asarray(1 - integral)


def chance_found(n_dims: ArrayLike, n_latents: ArrayLike, threshold: ArrayLike) -> Floats:
    """Share of the features [...] that m random latents "find" at a threshold of the cosine."""
    d, m, t = (np.asarray(value, np.float64) for value in (n_dims, n_latents, threshold))
    return np.asarray(1 - _below(t, d) ** m)
