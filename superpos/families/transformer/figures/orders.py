"""Paths with attention as it is: the excess by how many heads a path to the logits may go through,
a line for each model.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from superpos.families.transformer.analysis import paths
from superpos.families.transformer.analysis.models import CLASSES, classed_rows, task
from superpos.families.transformer.counts import SEQUENCES, asked
from superpos.figures import style
from superpos.figures.points import Run
from superpos.maths.types import Floats


def applies(run: Run) -> str | None:
    """Why there is nothing to show; None when there is."""
    if len(classed_rows(run)):
        return None
    return "needs models of 2 or more layers that look back: a language such as pairs, solved"


def diagram(by_class: dict[str, Floats]) -> Figure:
    """Excess [K, orders] of the models of each class."""
    with style.context():
        figure = style.new_figure(style.HALF * 1.1, 2.3)
        axes = figure.subplots()
        at = np.arange(len(paths.ORDERS))
        for name, lines in by_class.items():
            colour = style.CYCLE[CLASSES.index(name)]
            axes.plot(at, lines.T, "-o", color=colour, linewidth=0.6, markersize=2, alpha=0.7)
            axes.plot([], [], "-o", color=colour, markersize=2, label=f"{name} ({len(lines)})")
        axes.set_xticks(at, paths.ORDERS)
        axes.set(
            xlabel="heads that a path may go through",
            ylabel="excess over the floor, nats",
            ylim=(-0.05, None),
        )
        axes.legend()
    return figure


def draw(run: Run) -> Figure:
    """All models that have a class."""
    rows = classed_rows(run)
    found = {}
    for name in CLASSES:
        models = rows.loc[rows["circuit"] == name, "model"].tolist()
        if models:
            found[name] = np.array([_orders(run, model) for model in models])
    return diagram(found)


def _orders(run: Run, model: int) -> Floats:
    one = task(run, model)
    return np.array(list(paths.orders(one, run.weights(model), asked(one, 0, SEQUENCES)).values()))
