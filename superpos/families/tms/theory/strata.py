"""Loss of models on sets of features, however many: exact in which sets are active, quasi-random in
the values.

The evaluation samples of a sparse run hold few active sets, and others for every seed; here rare
sets weigh as they should and all models meet the same points, so that losses can be ranked. Where n
is small, `expected_loss` is exact.
"""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.theory.active import Correlation
from superpos.maths.types import Floats

N_POINTS: Final = 2**11  # a stratum; a power of two keeps a Sobol sequence balanced


def stratified_loss(
    W: Floats,
    b: Floats,
    density: float,
    importance: Floats,
    correlation: Correlation,
    set_size: int,
) -> Floats:
    """L [M] of ReLU models W[M, n, m], b[M, n]; `density` is that of the sets, `importance` [n].

    A sum over the 2^K choices of active sets, so K is to be small. Within 0.3% of the exact loss
    for n = 4 to 6.
    """
    X, weight = _strata(W.shape[1], set_size, density, exclusive=correlation == "anticorrelated")
    outputs = (np.maximum(X @ (w @ w.T) + bias, 0) for w, bias in zip(W, b, strict=True))
    return np.array([weight @ (np.square(X - output) @ importance) for output in outputs])


def _strata(n: int, set_size: int, density: float, *, exclusive: bool) -> tuple[Floats, Floats]:
    """Inputs [2^K N, n], N for each choice of active sets, and the probability [2^K N] that each
    stands for.
    """
    from scipy.stats import qmc  # slow to import: every plot would wait for it

    n_sets = n // set_size
    # without 0, which is its first
    points = qmc.Sobol(n + n_sets, scramble=False).random(N_POINTS) + 0.5 / N_POINTS
    values = points[:, :n]
    choice = points[:, n:]
    if exclusive:
        chosen = np.repeat((choice * set_size).astype(np.intp), set_size, axis=1)
        values = values * (chosen == np.arange(n) % set_size)
    active: NDArray[np.int64] = np.array(list(product((0, 1), repeat=n_sets)))
    chance = np.where(active, density, 1 - density).prod(axis=1)
    X = values * np.repeat(active, set_size, axis=1)[:, None]
    return X.reshape(-1, n), np.repeat(chance / N_POINTS, N_POINTS)
