"""Neurons that features share by chance (Lecomte et al. 2023). Shapes: K models, F features, H
neurons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms.analysis import incidental
from superpos.maths.types import Floats
from superpos.store import Run

Where = Mapping[str, Any] | None


def _weights(run: Run, where: Where) -> list[Floats]:
    """W [F, H] of each model."""
    return [run.weights(int(i))["W"].astype(np.float64) for i in select.where(run, where)["model"]]


def shared_neurons(run: Run, where: Where = None) -> Measured:
    """Number of each model's shared neurons; expected is what chance makes, in the mean."""
    weights = _weights(run, where)
    chance = np.mean([incidental.by_chance(*W.shape) for W in weights])
    return Measured(
        np.array([incidental.shared(W).sum() for W in weights], dtype=np.float64), float(chance)
    )


def winners(run: Run, where: Where = None) -> Measured:
    """Share of each model's features that have exactly one large weight."""
    return Measured(
        np.array([(incidental.large(W).sum(axis=1) == 1).mean() for W in _weights(run, where)])
    )


def opposite(run: Run, where: Where = None) -> Measured:
    """1 for each shared neuron of all models whose large weights have both signs, 0 for others; NaN
    without any.
    """
    found = []
    for W in _weights(run, where):
        signs = (np.sign(W) * incidental.large(W))[:, incidental.shared(W)]
        found += ((signs.max(axis=0, initial=-1) > 0) & (signs.min(axis=0, initial=1) < 0)).tolist()
    return Measured(np.array(found or [np.nan], dtype=np.float64))
