"""The feature graph of a model: represented features, joined where abs(W_i·W_j) > τ, and its
components.

Shapes: M models, F features (n), K features of one component, H hidden (m).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.metrics import Weights, represented
from superpos.maths.types import Floats

TAU: Final = 0.1
TAUS: Final = (0.05, TAU, 0.2)
"""A label that is the same for all of these does not hang on the choice of τ."""
GRAM_ENTRIES: Final = 2**22  # inner products held at once; 32 MiB


def components(W: Weights, tau: float = TAU) -> NDArray[np.int64]:
    """Component of every feature [M, F], numbered from 0 in each model; −1 for a feature that is
    not represented.
    """
    W64 = np.where(np.isfinite(W), W, 0.0).astype(np.float64)
    nodes = represented(W)
    models, features = nodes.shape
    numbers = np.empty(nodes.shape, dtype=np.int64)
    step = max(1, GRAM_ENTRIES // features**2)
    for start in range(0, models, step):
        part = slice(start, start + step)
        joined = (
            (np.abs(W64[part] @ W64[part].mT) > tau) & nodes[part, :, None] & nodes[part, None, :]
        )
        lowest = _lowest(joined | np.eye(features, dtype=bool))
        first = nodes[part] & (lowest == np.arange(features))
        numbers[part] = np.take_along_axis(first.cumsum(axis=1) - 1, lowest, axis=1)
    return np.where(nodes, numbers, -1)


def _lowest(joined: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The lowest feature [M, F] that each one reaches; `joined` [M, F, F] is symmetric, and true on
    the diagonal.
    """
    features = joined.shape[-1]
    lowest: NDArray[np.intp] = joined.argmax(axis=-1)
    while True:
        lower = np.where(joined, lowest[:, None, :], features).min(axis=-1)
        # what that one reaches: long chains shrink to half
        lower = np.take_along_axis(lower, lower, axis=1)
        if (lower == lowest).all():
            return lowest
        lowest = lower


def n_components(W: Weights, tau: float = TAU) -> NDArray[np.int64]:
    """Number of components of each model [M]; equal for τ in 0.05–0.2 where the shapes are well
    separated.
    """
    count: NDArray[np.int64] = components(W, tau).max(axis=-1, initial=-1) + 1
    return count


def strengths(W: Floats) -> Floats:
    """Edges [K, K] among the features W[K, H]: abs(W_i·W_j) above τ, else 0."""
    products = np.abs(W @ W.T) * (1 - np.eye(len(W)))
    return np.where(products > TAU, products, 0.0)
