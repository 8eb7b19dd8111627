"""How vectors that represent features share their space: lengths, interference, and the
dimensionality D_i of each.

Shapes: `...` any leading dimensions (models M, snapshots), F features, H dimensions of their space;
W_i is row i of W[..., F, H]. Pure numpy in float64. Weights that are not finite give NaN, without a
warning, for every number they enter.

Sources: TMS is Elhage et al. 2022, *Toy Models of Superposition*.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from superpos.maths.types import Floats

Weights: TypeAlias = NDArray[np.floating[Any]]


def finite_or_nan(array: Weights) -> Floats:
    """Float64 with every infinity made NaN, so that no infinity cancels or overflows into a
    warning.
    """
    array64 = np.asarray(array, dtype=np.float64)
    return np.where(np.isfinite(array64), array64, np.nan)


def feature_norms(W: Weights) -> Floats:
    """Lengths ‖W_i‖ [..., F] of the features (TMS, "Demonstrating superposition")."""
    norms: Floats = np.sqrt(np.square(finite_or_nan(W)).sum(axis=-1))
    return norms


def directions(W: Floats) -> Floats:
    """Ŵ_i = W_i / ‖W_i‖ [..., F, H]; 0 for a row of zeros."""
    norms = feature_norms(W)[..., None]
    unit: Floats = np.divide(W, norms, out=np.zeros_like(W), where=norms != 0)
    return unit


def _overlaps(W: Floats) -> Floats:
    """Σ_j (Ŵ_i·W_j)² [..., F], j = i included: Ŵ_iᵀ (Σ_j W_j W_jᵀ) Ŵ_i needs no F×F matrix."""
    unit = directions(W)
    second_moment = W.mT @ W  # [..., H, H]
    overlaps: Floats = ((unit @ second_moment) * unit).sum(axis=-1)
    return overlaps


def interference(W: Weights) -> Floats:
    """Interference (superposition) of each feature, Σ_{j≠i} (Ŵ_i·W_j)² [..., F] (TMS,
    "Demonstrating superposition").

    0 for a row of zeros. Figures clip it to [0, 1] for colour.
    """
    W64 = finite_or_nan(W)
    return np.maximum(_overlaps(W64) - np.square(feature_norms(W64)), 0.0)


def dimensionality(W: Weights) -> Floats:
    """Fraction of a dimension that each feature has for itself, D_i = ‖W_i‖² / Σ_j (Ŵ_i·W_j)² [...,
    F].

    The sum includes j = i. 0 for a row of zeros. TMS, "Feature dimensionality"; it equals the
    capacity C_i = ‖W_i‖⁴ / Σ_j (W_i·W_j)² of Scherlis et al. 2022. Σ_i D_i ≤ rank W.
    """
    W64 = finite_or_nan(W)
    overlaps = _overlaps(W64)
    squared = np.square(feature_norms(W64))
    share: Floats = np.divide(squared, overlaps, out=np.zeros_like(overlaps), where=overlaps != 0)
    return share
