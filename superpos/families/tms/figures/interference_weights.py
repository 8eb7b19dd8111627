"""Entries of U = W W^T by what they are worth, and those of two seeds against each other (Olah et
al. 2025).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.figure import Figure

from superpos.families.tms.analysis import interference
from superpos.families.tms.analysis.points import points
from superpos.figures import style
from superpos.figures.points import Run
from superpos.maths.types import Floats

BINS: Final = 60
CAPTION: Final = (
    "Real: the loss rises by more than {limit:g} when that entry alone is 0. A dot: one entry in "
    "two seeds."
)


def interference_weights(first: Floats, second: Floats, cost: Floats) -> Figure:
    """Histogram of U [F, F] by its `cost` [F, F]; and a scatter of `first` against the U of a
    `second` seed.
    """
    with style.context():
        figure = style.new_figure(style.FULL, 2.8)
        left, right = figure.subplots(1, 2)
        real = cost > interference.MATTERS
        edges = np.histogram_bin_edges(first, BINS)
        kinds = {f"real ({real.sum():,})": real, f"interference ({(~real).sum():,})": ~real}
        for (name, chosen), colour in zip(
            kinds.items(), (style.CYCLE[1], style.CYCLE[0]), strict=True
        ):
            left.hist(first[chosen], edges, color=colour, label=name, alpha=0.8)
            right.plot(
                first[chosen], second[chosen], ".", color=colour, markersize=2, mew=0, alpha=0.5
            )
        left.set(yscale="log", xlabel=r"$U_{ij} = W_i \cdot W_j$", ylabel="entries")
        left.legend(loc="upper right")
        right.set(xlabel=r"$U_{ij}$ of one seed", ylabel=r"$U_{ij}$ of another", aspect="equal")
        figure.supxlabel(CAPTION.format(limit=interference.MATTERS), fontsize=7, x=0.01, ha="left")
    return figure


def applies(run: Run) -> str | None:
    """Why the weights cannot be compared; None when they can."""
    return interference.reason(run, points(run))


def draw(run: Run) -> Figure:
    """The two best seeds."""
    (point,) = points(run)
    first, second = (run.weights(int(model)) for model in point.models[:2])
    W = np.stack([first["W"], second["W"]]).astype(np.float64)
    cost = interference.costs(
        W[0], first["b"].astype(np.float64), interference.samples(point), point.importance
    )
    ours, theirs = interference.interference(W)
    return interference_weights(ours, theirs, cost)
