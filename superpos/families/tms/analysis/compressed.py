"""max(x, 0) of many features by few neurons: which features are computed, how evenly, and by which
neurons.

Compressed computation (Braun et al. 2025, Bhagat et al. 2026). With W1, W2 [F, H] and no bias,
neuron k alone gives output i the share W1_ik⁺ W2_ik of a positive x_i. Shapes: F features (n), H
neurons (m), B samples.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from superpos.figures.points import Run, all_equal
from superpos.maths.types import Floats
from superpos.store.rows import healthy

COMPUTED: Final = 0.5  # of x_i > 0 that comes out where x_i alone is active
PLAIN: Final = {
    "model.tied": False,
    "model.output": "linear",
    "model.hidden": "relu",
    "model.target": "relu",
    "model.bias": "none",
    "data.signed": True,
    "data.values": "uniform",
    "data.correlation": "none",
    "data.last": 1.0,
    "data.n_points": None,
    "importance.decay": 1.0,
    "importance.last": 1.0,
    "importance.values": None,
}


def codes(W1: Floats, W2: Floats) -> Floats:
    """Share [F, H] of each feature that each neuron gives to its output."""
    return np.maximum(W1, 0) * W2


def response(W1: Floats, W2: Floats) -> Floats:
    """What comes out of each feature [F] that is 1 alone; 1 is right."""
    found: Floats = codes(W1, W2).sum(axis=1)
    return found


def neurons_a_feature(W1: Floats, W2: Floats) -> Floats:
    """Participation ratio [F] of the neurons that a feature uses, (Σ c²)² / Σ c⁴; NaN for one that
    uses none.
    """
    square = codes(W1, W2) ** 2
    with np.errstate(invalid="ignore"):
        ratio: Floats = square.sum(axis=1) ** 2 / (square**2).sum(axis=1)
    return ratio


def feature_losses(W1: Floats, W2: Floats, X: Floats) -> Floats:
    """Mean squared error [F] of each output over samples X [B, F]."""
    out = np.maximum(X @ W1, 0) @ W2.T
    losses: Floats = np.square(out - np.maximum(X, 0)).mean(axis=0)
    return losses


def untied(run: Run, model: int) -> tuple[Floats, Floats]:
    """W1 and W2 [F, H] of a model."""
    weights = run.weights(model)
    return weights["W1"].astype(np.float64), weights["W2"].astype(np.float64)


def reason(run: Run) -> str | None:
    """Why the run is none of max(x, 0) on fewer neurons than features; None when it is."""
    unequal = all_equal(run, PLAIN)
    if unequal:
        return unequal
    table = healthy(run.table)
    if table["data.density"].map(np.ndim).any() or table["data.density"].nunique() > 1:
        return "needs features of one density"
    few: NDArray[np.bool_] = (table["model.n_hidden"] < table["model.n_features"]).to_numpy()
    return None if few.all() else "needs fewer neurons than features"
