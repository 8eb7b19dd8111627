"""From some features to all: share of represented features and loss against the width (Guo, Liu and
Gore 2026).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from superpos.families.tms.analysis import represented
from superpos.figures import style
from superpos.figures.points import Run, short


def emergent_phases(curves: Sequence[represented.Curve]) -> Figure:
    """Share against m; the same against m / (E ln(n/E)); loss per active feature against m.

    A colour for each E.
    """
    with style.context():
        figure = style.new_figure(style.FULL, 2.4)
        shares, collapsed, losses = figure.subplots(1, 3)
        colours = style.IMPORTANCE(np.linspace(0, 1, len(curves)))
        for curve, colour in zip(curves, colours, strict=True):
            kind = {"color": colour, "marker": "o", "markersize": 3, "linewidth": 1}
            shares.plot(curve.width, curve.share, label=f"E = {short(curve.active)}", **kind)
            collapsed.plot(curve.width / curve.unit, curve.share, **kind)
            losses.plot(curve.width, curve.loss / curve.active, **kind)
        for axes in (shares, collapsed):
            axes.axhline(represented.ALL, color=style.FAINT, linewidth=0.7, zorder=0)
            axes.set(ylim=(0, 1.05), ylabel="share of features represented")
        _logarithmic(shares, "hidden dimensions m")
        _logarithmic(collapsed, "m / (E ln(n/E))")
        _logarithmic(losses, "hidden dimensions m")
        losses.set(yscale="log", ylabel="loss per active feature, L/E")
        style.plain_log_numbers(losses.yaxis)
        shares.legend(loc="lower right")
    return figure


def _logarithmic(axes: Axes, label: str) -> None:
    axes.set(xscale="log", xlabel=label)
    style.plain_log_numbers(axes.xaxis)


def applies(run: Run) -> str | None:
    """Why the run is no sweep of widths; None when it is."""
    return represented.reason(run)


def draw(run: Run) -> Figure:
    """All densities of the run."""
    return emergent_phases(represented.curves(run))
