"""Neurons that features share against the number of neurons, and how large weights are (Lecomte et
al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from superpos.families.tms.analysis import incidental
from superpos.figures import style
from superpos.figures.points import Run
from superpos.maths.types import Floats
from superpos.store.rows import healthy

BINS: Final = 56
WIDEST: Final = 1.4


def incidental_neurons(groups: Sequence[Sequence[Floats]]) -> Figure:
    """Counts of shared neurons, with chance, and histograms of sizes of weights; groups of W [F, H]
    of one width.
    """
    with style.context():
        figure = style.new_figure(style.FULL, 2.6)
        counts, sizes = figure.subplots(1, 2)
        colours = style.IMPORTANCE(np.linspace(0, 1, len(groups)))
        edges = np.linspace(0, WIDEST, BINS + 1)
        for group, colour in zip(groups, colours, strict=True):
            m = group[0].shape[1]
            found = np.array([incidental.shared(W).sum() for W in group])
            kind = {"color": colour, "marker": "o", "markersize": 4, "capsize": 3, "linewidth": 1}
            counts.errorbar([m], [found.mean()], [found.std()], **kind)
            weights = np.concatenate([np.abs(W).ravel() for W in group])
            share = np.histogram(weights, edges)[0] / len(weights)
            sizes.stairs(share, edges, color=colour, label=f"m = {m}")
        n = groups[0][0].shape[0]
        ends = np.array([group[0].shape[1] for group in groups], dtype=np.float64)
        line = np.geomspace(ends.min() / 1.2, ends.max() * 1.2)
        counts.plot(
            line, incidental.by_chance(n, line), color=style.FAINT, label="by chance", zorder=0
        )
        limit = incidental.in_the_limit(n, line)
        counts.plot(line, limit, color=style.FAINT, linestyle="--", label="n²/(4m)", zorder=0)
        counts.set(xscale="log", xlabel="neurons m", ylabel="neurons that features share")
        style.plain_log_numbers(counts.xaxis)
        counts.legend(loc="upper right")
        sizes.axvline(incidental.LARGE, color=style.FAINT, linewidth=0.7, zorder=0)
        sizes.set(yscale="log", xlabel="size of a weight", ylabel="share of weights")
        sizes.legend(loc="upper center")
    return figure


def applies(run: Run) -> str | None:
    """Why the run has no such neurons to count; None when it has."""
    return incidental.reason(run)


def draw(run: Run) -> Figure:
    """All widths of the run; mean and one standard deviation over the models of each."""
    table = healthy(run.table)
    groups = []
    for _, rows in table.groupby("model.n_hidden"):
        groups.append([run.weights(int(i))["W"].astype(np.float64) for i in rows["model"]])
    return incidental_neurons(groups)
