"""Hidden dimensions per feature D* against sparsity (TMS, "Uniform superposition")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from superpos.families.tms.analysis.d_star import (
    Exact,
    best_polytopes,
    by_other_settings,
    density_reason,
)
from superpos.families.tms.analysis.points import points
from superpos.figures import style
from superpos.figures.points import Run
from superpos.maths.types import Floats
from superpos.store.rows import healthy

# where D* stays while the sparsity changes
STICKY: Final = {1.0: "a dimension each", 0.5: "digons"}
EXACT_LABEL: Final = r"best polytope, exact ($n \gg m$)"


class Line(NamedTuple):
    """D* of the models of one setting, over density."""

    label: str
    density: Floats  # [P]
    best: Floats  # [P], of the seed with the lowest loss
    all_density: Floats  # [S]
    all_seeds: Floats  # [S]


def sparsity_axis(axes: Axes, density: Floats) -> None:
    """The x axis of the paper's geometry figures: 1/(1 − S), logarithmic, with plain numbers."""
    axes.set_xscale("log")
    axes.set_xlabel(r"$1/(1-S)$")
    high = 1 / float(density.min())
    ticks = [
        tick
        for tick in (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000)
        if tick <= high * 1.01
    ]
    step = -(-len(ticks) // 8)
    axes.set_xticks(ticks[::step])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def d_star(lines: Sequence[Line], exact: Exact | None = None) -> Figure:
    """D* over 1/(1 − S): a line through the best seeds, all seeds as pale dots, guides at 1 and ½,
    the exact curve.
    """
    with style.context():
        figure = style.new_figure(style.HALF, 2.3)
        axes = figure.subplots()
        for value, name in STICKY.items():
            axes.axhline(value, color=style.GREY, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
            axes.annotate(
                name, (1, value), (-2, 2), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", fontsize=7, color=style.GREY,
            )  # fmt: skip
        if exact is not None:
            axes.plot(
                1 / exact.density, exact.d_star, color=style.INK, linewidth=0.9, label=EXACT_LABEL
            )
        for line, colour in zip(lines, style.CYCLE, strict=False):
            if len(line.all_seeds) > len(line.best):
                axes.plot(
                    1 / line.all_density,
                    line.all_seeds,
                    ".",
                    color=colour,
                    alpha=0.35,
                    markersize=3.5,
                    mew=0,
                )
            label = line.label or ("trained" if exact is not None else "")
            axes.plot(1 / line.density, line.best, "o-", color=colour, label=label)
        shown = np.concatenate([line.all_seeds for line in lines])
        axes.set_ylim(0, 1.08 * max(1.05, float(shown[np.isfinite(shown)].max(initial=0))))
        sparsity_axis(axes, np.concatenate([line.density for line in lines]))
        axes.set_ylabel(r"dimensions per feature $D^*$")
        if exact is not None or any(line.label for line in lines):
            axes.legend(loc="lower left")
    return figure


def applies(run: Run) -> str | None:
    """Why D* cannot be drawn for this run; None when it can."""
    return density_reason(run)


def draw(run: Run) -> Figure:
    """A line for every setting beside the density."""
    table = healthy(run.table)
    d_star_of = dict(
        zip(table["model"].tolist(), table["d_star"].astype(float).tolist(), strict=True)
    )
    lines = []
    for label, group in by_other_settings(points(run)).items():
        density = np.array([point.density for point in group])
        seeds = [np.array([d_star_of[model] for model in point.models.tolist()]) for point in group]
        repeated = np.repeat(density, [len(values) for values in seeds])
        lines.append(
            Line(
                label,
                density,
                np.array([values[0] for values in seeds]),
                repeated,
                np.concatenate(seeds),
            )
        )
    return d_star(lines, best_polytopes(run))
