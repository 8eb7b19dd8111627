"""Dimensionality D_i of every feature against sparsity, with the polytopes' fractions (TMS, "Feature dimensionality").

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
from superpos.families.tms.figures.d_star import density_reason, families, sparsity_axis
from superpos.figures import style
from superpos.figures.points import Floats, Run, points

FRACTIONS: Final = {  # name: (share of a dimension, as it is written)
    "dedicated": (1.0, "1"),
    "tetrahedron": (3 / 4, "3/4"),
    "triangle": (2 / 3, "2/3"),
    "digon": (1 / 2, "1/2"),
    "pentagon": (2 / 5, "2/5"),
    "square antiprism": (3 / 8, "3/8"),
    "not represented": (0.0, "0"),
}
MIN_FEATURES: Final = 5
_LABEL_GAP: Final = 0.055  # of D_i, between the middles of two labels
_NO_SHAPE: Final = "not represented"
_CAPTION_WIDTH: Final = 76  # letters


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Descending positions moved apart to at least `gap`, each crowded group about its own middle."""
    groups: list[list[float]] = []
    for position in positions:
        groups.append([position])
        while len(groups) > 1 and _ends(groups[-2], gap)[1] - _ends(groups[-1], gap)[0] < gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_ends(group, gap)[0] - gap * i for group in groups for i in range(len(group))]


def _ends(group: Sequence[float], gap: float) -> tuple[float, float]:
    """Highest and lowest place of a group laid out about its middle."""
    middle, half = float(np.mean(group)), gap * (len(group) - 1) / 2
    return middle + half, middle - half


def lines_found(values: Floats) -> dict[str, metrics.LineCounts]:
    """The polytopes at whose fraction the values of D_i stand out, with the counts that say so."""
    shapes = {name: value for name, (value, _) in FRACTIONS.items() if name != _NO_SHAPE}
    return {
        name: metrics.line_counts(values, value) for name, value in shapes.items() if metrics.stands_out(values, value)
    }


def caption(found: Mapping[str, metrics.LineCounts]) -> str:
    """Which fractions stand out, by what test, and with which counts."""
    test = (
        f"Bold: at least {metrics.LINE_FEATURES} features within {metrics.LINE_HALF_WIDTH:g} of the fraction, and "
        f"{metrics.LINE_CONTRAST} times as many as in a window of that width {metrics.FLANK_DISTANCE:g} to either side"
    )
    counts = [
        f"{FRACTIONS[name][1]} {name} {inside} (below {below}, above {above})"
        for name, (inside, below, above) in found.items()
    ]
    return textwrap.fill(f"{test}: {'; '.join(counts) or 'none'}.", _CAPTION_WIDTH)


def _guides(axes: Axes, found: Container[str]) -> None:
    """A line at every fraction, named at the right; those that stand out are dark."""
    values = [value for value, _ in FRACTIONS.values()]
    for (name, (value, text)), place in zip(FRACTIONS.items(), spread(values, _LABEL_GAP), strict=True):
        axes.axhline(value, color=style.GREY if name in found else style.FAINT, linewidth=0.7, zorder=0)
        axes.annotate(
            f"{text} {name}", (1, value), (1.04, place), xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"), fontsize=7, va="center", color=style.INK,
            fontweight="bold" if name in found else "normal",
            arrowprops={"arrowstyle": "-", "color": style.GREY, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip


def scatter(density: Floats, dimensionality: Sequence[Floats]) -> Figure:
    """D_i[F] of one model at each density[P]; inside a column the features stand in order of D_i, so plateaus show."""
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
    settings = len(families(points(run)))
    return None if settings == 1 else f"needs a sweep of the density alone, found {settings} settings beside it"


def draw(run: Run) -> Figure:
    """The best seed of every density."""
    chosen = points(run)
    density = np.array([point.density for point in chosen])
    return scatter(density, [metrics.dimensionality(run.weights(point.best)["W"]) for point in chosen])
