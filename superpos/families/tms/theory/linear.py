"""The best that a linear model can do: principal components of the features."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from superpos.families.tms.theory.active import ActiveSets, Correlation
from superpos.maths.types import Floats


def linear_floor(
    density: ArrayLike,
    importance: ArrayLike,
    n_hidden: int,
    *,
    correlation: Correlation = "none",
    set_size: int = 1,
) -> Floats:
    """Smallest L of x' = A x + b with A of rank m: the sum of the n - m smallest eigenvalues of C.

    `density`, `importance`: broadcast to [..., n]; returns [...]. C = I^1/2 Cov(x) I^1/2: the best
    b leaves tr(I (1 - A) Cov (1 - A)') = |(1 - M) C^1/2|^2 with M = I^1/2 A I^-1/2, which projects
    on the principal components of C (Eckart and Young). For independent features L is the sum of
    I_i V(p_i) over all but the m largest of these products. The tied model A = W W' attains it
    where that A is symmetric: for independent features, and where the features of each set are
    equally important; elsewhere it is a lower bound. `correlation`, `set_size`: as for
    `expected_loss`.
    """
    p, scale = np.broadcast_arrays(
        np.asarray(density, np.float64), np.asarray(importance, np.float64)
    )
    sets = ActiveSets(correlation, set_size)
    sets.check(p)
    root = np.sqrt(scale)
    # ascending
    spectrum = np.linalg.eigvalsh(root[..., :, None] * sets.covariance(p) * root[..., None, :])
    return np.asarray(spectrum[..., : max(p.shape[-1] - n_hidden, 0)].sum(axis=-1))
