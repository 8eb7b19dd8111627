"""Features on a circle: weights beside the covariance of the features (Prieto et al. 2026).

The circle is that of all features of a model, also where its data have none: that is what the
controls are. Shapes: K models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms.analysis import circle
from superpos.maths.types import Floats
from superpos.store import Run

Where = Mapping[str, Any] | None


def _weights(run: Run, where: Where) -> list[Floats]:
    """W [F, H] of each model."""
    return [run.weights(int(i))["W"].astype(np.float64) for i in select.where(run, where)["model"]]


def follows_covariance(run: Run, where: Where = None) -> Measured:
    """Correlation of W_i · W_j with the covariance of features i and j on a circle, for each
    model.
    """
    sharpness = select.where(run, where)[circle.SHARPNESS].astype(np.float64)
    pairs = zip(_weights(run, where), sharpness, strict=True)
    return Measured(np.array([circle.follows_covariance(W, s) for W, s in pairs]))


def in_order(run: Run, where: Where = None) -> Measured:
    """Share of each model's features that stand in the order of the circle in the two greatest
    components.
    """
    return Measured(np.array([circle.in_order(W) for W in _weights(run, where)]))


def most_opposite(run: Run, where: Where = None) -> Measured:
    """Mean over each model's features of the smallest cosine with another one."""
    return Measured(np.array([circle.most_opposite(W) for W in _weights(run, where)]))
