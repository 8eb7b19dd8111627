"""What a patch along one feature carries of the others, measured against 1/D_i − 1."""

from __future__ import annotations

from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from superpos.families.tms.analysis.contamination import PAIRS, Contamination, contamination
from superpos.figures import style
from superpos.figures.points import NOTHING, Run, all_equal
from superpos.maths.types import Floats
from superpos.store.rows import healthy

MIN_DENSITIES: Final = 4
MOST_NAMED: Final = 8
"""Densities in the legend: more would cover the dots."""


def scatter(found: Contamination, density: Floats) -> Figure:
    """Every feature as a dot, coloured by the density of its model; the line is equality."""
    with style.context():
        figure = style.new_figure(style.HALF * 1.15, 2.8)
        axes = figure.subplots()
        shown = (found.exact > 0) & (found.measured > 0)
        each = np.unique(density)[::-1]
        named = np.linspace(0, len(each) - 1, min(len(each), MOST_NAMED)).round()
        for number, p in enumerate(each):
            here = shown & (density == p)
            colour = mpl.colormaps["viridis"](number / max(len(each) - 1, 1))
            label = f"{p:.2g}" if number in named else None
            axes.plot(
                found.exact[here],
                found.measured[here],
                ".",
                color=colour,
                alpha=0.6,
                mew=0,
                label=label,
            )
        ends = np.array([found.exact[shown].min(), found.exact[shown].max()])
        axes.plot(ends, ends, color=style.INK, linewidth=0.8)
        axes.set(xscale="log", yscale="log")
        style.plain_log_numbers(axes.xaxis)
        style.plain_log_numbers(axes.yaxis)
        axes.set_xlabel(r"$1/D_i-1$, exact")
        axes.set_ylabel(f"error of a patch over its signal, {PAIRS:,} pairs")
        axes.legend(title="density", ncols=2, markerscale=2)
    return figure


def applies(run: Run) -> str | None:
    """Why contamination cannot be drawn for this run; None when it can."""
    if healthy(run.table).empty:
        return NOTHING
    if "data.density" not in run.table.columns or run.table["data.density"].map(np.ndim).any():
        return "needs features of equal density"
    densities = healthy(run.table)["data.density"].nunique()
    if densities < MIN_DENSITIES:
        return f"needs {MIN_DENSITIES} densities at least, found {densities}"
    return all_equal(
        run,
        {
            "data.signed": False,
            "data.values": "uniform",
            "data.n_points": None,
            "data.correlation": "none",
        },
    )


def draw(run: Run) -> Figure:
    """All represented features of the healthy models."""
    table = healthy(run.table)
    found = contamination(run)
    density = table.set_index("model").loc[found.models, "data.density"].to_numpy(dtype=np.float64)
    return scatter(found, density)
