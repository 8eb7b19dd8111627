"""What weights and attention patterns say, in numpy and float64. Row vectors: x W.

Shapes: B sequences, T positions, V tokens, d dimensions of the stream, k of a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.maths.types import Floats

Weights = Mapping[str, NDArray[Any]]
"""Weights of one model by TransformerLens' names."""


def ov(weights: Weights, layer: int, head: int) -> Floats:
    """W_OV = W_V W_O [d, d]: what a head writes of what it attends to."""
    return np.asarray(weights["W_V"][layer, head].astype(np.float64) @ weights["W_O"][layer, head])


def qk(weights: Weights, layer: int, head: int) -> Floats:
    """W_QK = W_Q W_Kᵀ [d, d], rows are queries; scores are it over √k."""
    return np.asarray(
        weights["W_Q"][layer, head].astype(np.float64) @ weights["W_K"][layer, head].T
    )


def composition(written: Floats, read: Floats) -> float:
    """‖W R‖ / (‖W‖ ‖R‖), Frobenius: how much of what a head writes [d, d] another one reads [d, d].

    Random matrices have 1/√d. R is W_QK of the later head for queries, its transpose for keys, W_OV
    for values. NaN where one of both is 0.
    """
    scale = np.linalg.norm(written) * np.linalg.norm(read)
    return float(np.linalg.norm(written @ read) / scale) if scale > 0 else np.nan


def compositions(
    weights: Weights, earlier: tuple[int, int], later: tuple[int, int]
) -> dict[str, float]:
    """Composition of two heads (layer, head) by queries, keys and values: {"q": ..., "k": ..., "v":
    ...}.
    """
    written = ov(weights, *earlier)
    scores = qk(weights, *later)
    read = {"q": scores, "k": scores.T, "v": ov(weights, *later)}
    return {into: composition(written, matrix) for into, matrix in read.items()}


def positivity(left: Floats, right: Floats) -> float:
    """Σ λ / Σ |λ| of the eigenvalues of left right, from -1 to 1: 1 where a map copies, 0 where it
    does not.

    The product may be [V, V], of matrices [V, k] and [k, V]: that in the other order has the same
    eigenvalues beside 0. NaN where all of them are 0, or a number is not finite.
    """
    product = right @ left
    if not np.isfinite(product).all():
        return np.nan
    values = np.linalg.eigvals(product)
    size = np.abs(values).sum()
    return float(values.real.sum() / size) if size > 0 else np.nan


def ov_positivity(weights: Weights, layer: int, head: int) -> float:
    """Copying: `positivity` of the full OV circuit E W_OV U of a head."""
    left = weights["W_E"].astype(np.float64) @ weights["W_V"][layer, head]
    right = weights["W_O"][layer, head].astype(np.float64) @ weights["W_U"]
    return positivity(left, right)


def previous_token(pattern: Floats) -> float:
    """Mean attention [B, T, T] to the position before, over all positions but the first."""
    return float(np.diagonal(pattern, -1, 1, 2).mean())


def prefix_matching(pattern: Floats, tokens: NDArray[np.int64], where: NDArray[np.bool_]) -> float:
    """Mean attention [B, T, T] to positions right after earlier copies of the token now (offset
    +1).

    Over the queries among `where` [B, T] that have such copies; NaN of none. Tokens are [B, T].
    """
    follows = np.zeros(pattern.shape, dtype=bool)
    follows[:, :, 1:] = tokens[:, :, None] == tokens[:, None, :-1]
    follows &= np.tril(np.ones(pattern.shape[1:], dtype=bool))
    queries = where & follows.any(-1)
    return float((pattern * follows).sum(-1)[queries].mean()) if queries.any() else np.nan
