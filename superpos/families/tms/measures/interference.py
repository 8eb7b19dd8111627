"""Weights from features to features, U = W W^T: which matter, and on which two seeds agree (Olah et
al. 2025).

The statements are about models of one setting that differ by their seed. Shapes: M models, F
features, H hidden.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms import theory
from superpos.families.tms.analysis import interference
from superpos.families.tms.analysis.points import points
from superpos.maths.types import Floats
from superpos.store import Run


def _weights(run: Run) -> Floats:
    """W [M, F, H] of all models that did not diverge."""
    return run.tensor("W", select.where(run)["model"]).astype(np.float64)


def spread_of_own(run: Run) -> Measured:
    """Standard deviation of the diagonal of each model's U, as a share of its mean."""
    own = np.diagonal(interference.interference(_weights(run)), axis1=1, axis2=2)
    return Measured(own.std(axis=1) / own.mean(axis=1))


def agreement(run: Run) -> Measured:
    """How well the entries off the diagonal agree: the size of their correlation, for each pair of
    seeds.
    """
    others = interference.off_diagonal(interference.interference(_weights(run)))
    return Measured(np.array([abs(np.corrcoef(a, b)[0, 1]) for a, b in combinations(others, 2)]))


def size_of_others(run: Run) -> Measured:
    """Root mean square off the diagonal of each model's U, over what the Welch bound makes of its
    mean diagonal.
    """
    W = _weights(run)
    U = interference.interference(W)
    own = np.diagonal(U, axis1=1, axis2=2).mean(axis=1)
    others = np.sqrt((interference.off_diagonal(U) ** 2).mean(axis=1))
    return Measured(others / own / np.sqrt(theory.welch_bound(*W.shape[1:])))


def greatest_cost(run: Run) -> Measured:
    """The most that the loss rises when one entry off the diagonal is 0, for each model."""
    return Measured(np.array([others.max() for others in _costs_of_others(run)]))


def share_that_hurts(run: Run) -> Measured:
    """Share of the entries off the diagonal without which each model has a lower loss."""
    return Measured(np.array([(others < 0).mean() for others in _costs_of_others(run)]))


def _costs_of_others(run: Run) -> list[Floats]:
    """What every entry off the diagonal is worth [F (F - 1)], of each model."""
    found = []
    for point in points(run):
        X = interference.samples(point)
        for model in np.sort(point.models):
            weights = {
                name: value.astype(np.float64) for name, value in run.weights(int(model)).items()
            }
            cost = interference.costs(weights["W"], weights["b"], X, point.importance)
            found.append(interference.off_diagonal(cost))
    return found
