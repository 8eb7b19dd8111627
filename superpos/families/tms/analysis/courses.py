"""One model of a run along its training: its weights and its loss at every snapshot.

Shapes: S snapshots, F features, H hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.analysis import trajectory
from superpos.families.tms.analysis.points import DENSITY, Point, points
from superpos.families.tms.exact_loss import has_exact_loss
from superpos.figures.points import NOTHING, Run
from superpos.maths.types import Floats


class Course(NamedTuple):
    """One model along its training."""

    title: str
    settings: Mapping[str, Any]
    steps: NDArray[np.int64]  # [S]
    W: Floats  # [S, F, H]
    loss: Floats  # [S]
    kind: str  # how the loss was computed


def course(run: Run, point: Point, model: int) -> Course:
    """A model of a point with the loss at each of its snapshots."""
    steps, params = run.snapshots(model)
    task = point.task(model)
    return Course(
        title=point.label(list(point.varied) or [DENSITY]).replace("\n", ", "),
        settings=point.settings,
        steps=steps,
        W=np.asarray(params["W"], dtype=np.float64),
        loss=trajectory.losses(task, params),
        kind="exact" if has_exact_loss(task.structure) else f"on {trajectory.SAMPLES:,} inputs",
    )


def snapshots_reason(run: Run, fewest: int) -> str | None:
    """Why a run has too few snapshots for a figure; None when it has enough."""
    chosen = points(run)
    if not chosen:
        return NOTHING
    found = len(run.snapshots(chosen[-1].best)[0])
    if found >= fewest:
        return None
    return f"needs record.snapshots of at least {fewest}, found {found}"
