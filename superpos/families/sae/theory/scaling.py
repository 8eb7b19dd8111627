"""Fewer latents than features: the most frequent are kept, and the loss follows from their law."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from superpos.families.sae.theory.l1 import l1_optimum
from superpos.maths.types import Floats


def zipf_constant(active: ArrayLike, n_features: int, exponent: float = 1.0) -> Floats:
    """p_m · m [...] of the m-th feature of Zipf's law p_g ∝ g^−s, for s = 1: K / H_G.

    K features are active in the mean. If m latents keep the m most frequent features, the density
    at which a feature is as likely found as not is p_m, so this is "f50 · alive": a number of the
    law, not of autoencoders. For other exponents p_m m is this times m^(1 − s).
    """
    harmonic = (np.arange(1, n_features + 1, dtype=np.float64) ** -exponent).sum()
    return np.asarray(np.asarray(active, np.float64) / harmonic)


def scaling_loss(
    density: ArrayLike,
    n_latents: ArrayLike,
    penalty: ArrayLike,
    *,
    decoder_bias: bool = True,
) -> Floats:
    """Loss [...] of m latents that keep the m densest of the features `density`[G].

    Kept ones cost what `l1_optimum` says, others their variance (without a decoder bias E x²).
    `n_latents` and `penalty` broadcast to [...]; a penalty of 0 is that of a code without one.
    """
    p = np.sort(np.asarray(density, np.float64))[::-1]
    m, penalty_ = np.broadcast_arrays(np.asarray(n_latents), np.asarray(penalty, np.float64))
    kept = l1_optimum(p, penalty_[..., None], decoder_bias=decoder_bias).loss
    dropped = p / 3 - p**2 / 4 if decoder_bias else p / 3
    is_kept = np.arange(len(p)) < m[..., None]
    return np.asarray(np.where(is_kept, kept, dropped).sum(axis=-1))
