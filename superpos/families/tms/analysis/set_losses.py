"""Correlated and anticorrelated sets: which runs have them, and losses that rank their models."""

from __future__ import annotations

from typing import Final

import numpy as np

from superpos.families.tms.analysis.points import Point, points
from superpos.families.tms.theory.strata import stratified_loss
from superpos.figures.colours import CYCLE
from superpos.figures.points import Run, all_equal
from superpos.maths.types import Floats

MAX_SETS: Final = len(CYCLE)  # each has a colour
_PLAIN: Final = {
    "model.tied": True,
    "model.hidden": "linear",
    "model.output": "relu",
    "data.signed": False,
    "data.values": "uniform",
}


def set_size(point: Point) -> int:
    """Features in a set."""
    return int(point.settings["data.set_size"])


def losses(run: Run, point: Point) -> Floats:
    """Loss of the models of a point on the same inputs.

    Sampled evaluations differ too much to rank sparse models.
    """
    W = run.tensor("W", point.models)
    b = run.tensor("b", point.models)
    correlation = point.settings["data.correlation"]
    return stratified_loss(W, b, point.density, point.importance, correlation, set_size(point))


def sets_reason(run: Run) -> str | None:
    """Why the features of the run form no sets that can be drawn; None when they do."""
    reason = all_equal(run, _PLAIN)
    if reason:
        return reason
    for point in points(run):
        n = point.shape[0]
        size = set_size(point)
        if (
            point.settings["data.correlation"] not in ("correlated", "anticorrelated")
            or not 1 < size < n <= MAX_SETS * size
        ):
            return (
                f"needs 2 to {MAX_SETS} correlated or anticorrelated sets of 2 or more features in "
                "every model"
            )
        if not np.isfinite(point.density):
            return "needs one density for all features"
    return None
