"""When models learn to look back: excess over the floor along training, one line for each model.

Shapes: C snapshots.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from superpos.families.transformer.analysis.models import task
from superpos.families.transformer.counts import AT_SNAPSHOTS, asked, course
from superpos.figures import style
from superpos.figures.points import Point, Run, points
from superpos.maths.types import Floats

MOST = 16
"""Models of a setting that are drawn."""


def applies(run: Run) -> str | None:
    """Why there is nothing to show; None when there is."""
    chosen = points(run)
    if not chosen:
        return "has no model that finished without diverging"
    return (
        None
        if len(run.snapshots(chosen[0].best)[0]) > 1
        else "needs snapshots: record.snapshots=41"
    )


def courses(run: Run, point: Point) -> tuple[NDArray[np.int64], Floats]:
    """Steps [C], and the excess of models of a setting, [K, C]."""
    found = []
    for model in np.sort(point.models)[:MOST].tolist():
        steps, snapshots = run.snapshots(model)
        one = task(run, model)
        found.append(course(one, snapshots, asked(one, 0, AT_SNAPSHOTS)))
    return np.asarray(steps), np.array(found)


def diagram(steps: NDArray[np.int64], by_setting: dict[str, Floats]) -> Figure:
    """One colour for each setting."""
    with style.context():
        figure = style.new_figure(style.FULL * 0.6, 2.4)
        axes = figure.subplots()
        for (name, lines), colour in zip(
            by_setting.items(), style.CYCLE * len(by_setting), strict=False
        ):
            axes.plot(steps, lines.T, color=colour, linewidth=0.6, alpha=0.6)
            axes.plot([], [], color=colour, label=name)
        axes.set(
            xlabel="step", ylabel="excess over the floor, nats", ylim=(0, None), xlim=(0, steps[-1])
        )
        if len(by_setting) > 1:
            axes.legend()
    return figure


def draw(run: Run) -> Figure:
    """Up to sixteen seeds of every setting."""
    found = {}
    for point in points(run):
        steps, lines = courses(run, point)
        found[point.label()] = lines
    return diagram(steps, found)
