"""Features on a circle: whether weights follow their covariance or stand opposite to each other
(Prieto et al. 2026).

G = W W^T. Shapes: F features (n), H hidden.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from superpos.families.tms.data.circle import covariance
from superpos.figures.points import Run, all_equal
from superpos.maths.dimensionality import directions
from superpos.maths.types import Floats
from superpos.store.rows import healthy

SHARPNESS: Final = "data.sharpness"
PLAIN: Final = {
    "model.tied": True,
    "model.hidden": "linear",
    "model.target": "identity",
    "data.correlation": "circle",
    "data.values": "one",
    "data.density": 1.0,
    "data.n_points": None,
}


def off_diagonal(symmetric: Floats) -> Floats:
    """The entries i < j of a symmetric matrix [F, F]."""
    return symmetric[np.triu_indices(len(symmetric), 1)]


def follows_covariance(W: Floats, sharpness: float) -> float:
    """Correlation of G_ij with the covariance of features i and j on a circle of all, i < j; 0
    where G is constant.
    """
    ours = off_diagonal(W @ W.T)
    theirs = off_diagonal(covariance(len(W), sharpness))
    return float(np.corrcoef(ours, theirs)[0, 1]) if np.ptp(ours) else 0.0


def in_order(W: Floats) -> float:
    """Share of features whose next one, by the angle in the two greatest components, is a neighbour
    of theirs.

    Components are those of the rows of W about their mean.
    """
    left, size, _ = np.linalg.svd(W - W.mean(axis=0), full_matrices=False)
    x, y = (left[:, :2] * size[:2]).T
    around = np.arctan2(y, x).argsort()
    step = np.abs(np.diff(around, append=around[:1]))
    return float(np.isin(step, (1, len(W) - 1)).mean())


def most_opposite(W: Floats) -> float:
    """Mean over features of the smallest cosine with another one; -1 where each has one opposite to
    it.
    """
    unit = directions(W)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, np.inf)
    return float(cosines.min(axis=1).mean())


def reason(run: Run) -> str | None:
    """Why the run has no features on a circle; None when it has."""
    unequal = all_equal(run, PLAIN)
    if unequal:
        return unequal
    table = healthy(run.table)
    return (
        None
        if (table["model.n_features"] == table["data.set_size"]).all()
        else "needs one set of all features"
    )
