"""What is learned first: what holds in all sequences, or what a sequence says of itself."""

from __future__ import annotations

from typing import get_args

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from superpos.families.transformer.analysis.triggers import WORDS, Of, courses
from superpos.families.transformer.figures import formation
from superpos.figures import style
from superpos.figures.points import Point, Run, points
from superpos.maths.types import Floats
from superpos.store.rows import healthy


def applies(run: Run) -> str | None:
    """Why there is nothing to show; None when there is."""
    rows = healthy(run.table)
    if not len(rows) or not (rows["language.kind"] == "triggers").all():
        return "needs language.kind=triggers"
    return formation.applies(run)


def diagram(steps: NDArray[np.int64], panels: dict[str, dict[str, Floats]]) -> Figure:
    """A panel for each setting, a colour for each of both; lines [K, C] of models."""
    with style.context():
        figure = style.new_figure(style.HALF * max(len(panels), 1), 2.2)
        every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, kinds) in zip(every, panels.items(), strict=True):
            for (name, lines), colour in zip(kinds.items(), style.CYCLE, strict=False):
                axes.plot(steps[1:], lines[:, 1:].T, color=colour, linewidth=0.6, alpha=0.6)
                axes.plot([], [], color=colour, label=name)
            axes.set(xscale="log", xlabel="step", title=title, ylim=(0, None))
        every[0].set_ylabel("excess over the floor, nats")
        every[0].legend()
    return figure


def draw(run: Run) -> Figure:
    """Up to sixteen seeds of every setting."""
    found = {}
    for point in points(run):
        steps, found[point.label()] = _lines(run, point)
    return diagram(steps, found)


def _lines(run: Run, point: Point) -> tuple[NDArray[np.int64], dict[str, Floats]]:
    models = np.sort(point.models)[: formation.MOST].tolist()
    lines = {}
    for of in get_args(Of):
        every = [courses(run, model, of) for model in models]
        steps = every[0][0]
        lines[WORDS[of]] = np.array([excess for _, excess in every])
    return steps, lines
