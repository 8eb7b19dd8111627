"""Dimensionality D_i of every feature against sparsity, with the polytopes' fractions (TMS,
"Feature dimensionality").

Shapes: F features (n).
"""

from __future__ import annotations

import textwrap
from collections.abc import Container, Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from superpos.families.tms import metrics
from superpos.families.tms.analysis.d_star import by_other_settings, density_reason
from superpos.families.tms.analysis.fractions import FRACTIONS, lines_found
from superpos.families.tms.analysis.points import points
from superpos.families.tms.figures.d_star import sparsity_axis
from superpos.figures import style
from superpos.figures.graph_layout import spread
from superpos.figures.points import Run
from superpos.maths.types import Floats

MIN_FEATURES: Final = 5
_LABEL_GAP: Final = 0.055  # of D_i, between the middles of two labels
_CAPTION_WIDTH: Final = 76  # letters


def caption(found: Mapping[str, metrics.LineCounts]) -> str:
    """Which fractions stand out, by what test, and with which counts."""
    test = (
        f"Bold: at least {metrics.LINE_FEATURES} features within {metrics.LINE_HALF_WIDTH:g} of "
        "the fraction, and "
        f"{metrics.LINE_CONTRAST} times as many as in a window of that width "
        f"{metrics.FLANK_DISTANCE:g} to either side"
    )
    counts = [
        f"{FRACTIONS[name][1]} {name} {inside} (below {below}, above {above})"
        for name, (inside, below, above) in found.items()
    ]
    return textwrap.fill(f"{test}: {'; '.join(counts) or 'none'}.", _CAPTION_WIDTH)


def _guides(axes: Axes, found: Container[str]) -> None:
    """A line at every fraction, named at the right; those that stand out are dark."""
    values = [value for value, _ in FRACTIONS.values()]
    for (name, (value, text)), place in zip(
        FRACTIONS.items(), spread(values, _LABEL_GAP), strict=True
    ):
        axes.axhline(
            value, color=style.GREY if name in found else style.FAINT, linewidth=0.7, zorder=0
        )
        axes.annotate(
            f"{text} {name}", (1, value), (1.04, place), xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"), fontsize=7, va="center", color=style.INK,
            fontweight="bold" if name in found else "normal",
            arrowprops={
                "arrowstyle": "-", "color": style.GREY, "linewidth": 0.4,
                "shrinkA": 0, "shrinkB": 0,
            },
        )  # fmt: skip


def scatter(density: Floats, dimensionality: Sequence[Floats]) -> Figure:
    """D_i[F] of one model at each density[P]; inside a column the features stand in order of D_i,
    so plateaus show.
    """
    order = np.argsort(-density)
    place = np.log(1 / density[order])
    pitch = np.diff(place).min() if len(place) > 1 else 1.0
    found = lines_found(np.concatenate(dimensionality))
    text = caption(found)
    with style.context():
        figure = style.new_figure(style.HALF * 1.25, 2.9 + 0.14 * len(text.splitlines()))
        axes = figure.subplots()
        _guides(axes, found)
        for column, centre in zip(order, place, strict=True):
            values = np.sort(dimensionality[column])[::-1]
            x = np.exp(centre + pitch * np.linspace(-0.36, 0.36, len(values)))
            axes.plot(x, values, ".", color=style.CYCLE[0], markersize=2.6, mew=0, alpha=0.8)
        axes.set_ylim(-0.03, 1.05)
        axes.set_yticks(np.linspace(0, 1, 6))
        sparsity_axis(axes, density)
        axes.set_xlim(np.exp(place[0] - 0.7 * pitch), np.exp(place[-1] + 0.7 * pitch))
        axes.set_ylabel(r"dimensionality of a feature, $D_i$")
        figure.supxlabel(text, fontsize=7, x=0.01, ha="left", linespacing=1.3)
    return figure


def applies(run: Run) -> str | None:
    """Why D_i cannot be drawn for this run; None when it can."""
    reason = density_reason(run, MIN_FEATURES)
    if reason:
        return reason
    settings = len(by_other_settings(points(run)))
    return (
        None
        if settings == 1
        else f"needs a sweep of the density alone, found {settings} settings beside it"
    )


def draw(run: Run) -> Figure:
    """The best seed of every density."""
    chosen = points(run)
    density = np.array([point.density for point in chosen])
    return scatter(
        density, [metrics.dimensionality(run.weights(point.best)["W"]) for point in chosen]
    )
