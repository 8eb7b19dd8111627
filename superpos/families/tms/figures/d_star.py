"""Hidden dimensions per feature D* against sparsity (TMS, "Uniform superposition")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from superpos.families.tms import theory
from superpos.figures import style
from superpos.figures.points import DENSITY, Floats, Point, Run, all_equal, healthy, points

STICKY: Final = {1.0: "a dimension each", 0.5: "digons"}  # where D* stays while the sparsity changes
MIN_DENSITIES: Final = 3
EXACT_POINTS: Final = 60
EXACT_LABEL: Final = r"best polytope, exact ($n \gg m$)"
MANY: Final = 5  # features per dimension from which on the exact curve for n >> m is drawn
MAX_LINES: Final = len(style.CYCLE)  # settings beside the density


class Line(NamedTuple):
    """D* of the models of one setting, over density."""

    label: str
    density: Floats  # [P]
    best: Floats  # [P], of the seed with the lowest loss
    all_density: Floats  # [S]
    all_seeds: Floats  # [S]


class Exact(NamedTuple):
    """D* of the best polytopes for many more features than dimensions."""

    density: Floats  # [P]
    d_star: Floats  # [P]; NaN where a shape too large for exact losses is best


def exact_curve(density: Floats) -> Exact:
    """The exact D* from the highest to the lowest of the densities."""
    grid = np.geomspace(density.max(), density.min(), EXACT_POINTS)
    return Exact(grid, theory.d_star(grid))


def sparsity_axis(axes: Axes, density: Floats) -> None:
    """The x axis of the paper's geometry figures: 1/(1 − S), logarithmic, with plain numbers."""
    axes.set_xscale("log")
    axes.set_xlabel(r"$1/(1-S)$")
    high = 1 / float(density.min())
    ticks = [tick for tick in (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000) if tick <= high * 1.01]
    step = -(-len(ticks) // 8)
    axes.set_xticks(ticks[::step])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def d_star(lines: Sequence[Line], exact: Exact | None = None) -> Figure:
    """D* over 1/(1 − S): a line through the best seeds, all seeds as pale dots, guides at 1 and ½, the exact curve."""
    with style.context():
        figure = style.new_figure(style.HALF, 2.3)
        axes = figure.subplots()
        for value, name in STICKY.items():
            axes.axhline(value, color=style.GREY, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
            axes.annotate(
                name, (1, value), (-2, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
                ha="right", fontsize=7, color=style.GREY,
            )  # fmt: skip
        if exact is not None:
            axes.plot(1 / exact.density, exact.d_star, color=style.INK, linewidth=0.9, label=EXACT_LABEL)
        for line, colour in zip(lines, style.CYCLE, strict=False):
            if len(line.all_seeds) > len(line.best):
                axes.plot(1 / line.all_density, line.all_seeds, ".", color=colour, alpha=0.35, markersize=3.5, mew=0)
            label = line.label or ("trained" if exact is not None else "")
            axes.plot(1 / line.density, line.best, "o-", color=colour, label=label)
        shown = np.concatenate([line.all_seeds for line in lines])
        axes.set_ylim(0, 1.08 * max(1.05, float(shown[np.isfinite(shown)].max(initial=0))))
        sparsity_axis(axes, np.concatenate([line.density for line in lines]))
        axes.set_ylabel(r"dimensions per feature $D^*$")
        if exact is not None or any(line.label for line in lines):
            axes.legend(loc="lower left")
    return figure


def families(chosen: Sequence[Point]) -> dict[str, list[Point]]:
    """The points by what varies beside the density; in each the densest first."""
    groups: dict[str, list[Point]] = {}
    for point in sorted(chosen, key=lambda point: -point.density):
        others = [key for key in point.varied if key != DENSITY]
        groups.setdefault(point.label(others).replace("\n", ", "), []).append(point)
    return groups


def density_reason(run: Run, min_features: int = 1) -> str | None:
    """Why the run is no sweep of the density of all features of tied models; None when it is."""
    reason = all_equal(run, {"model.tied": True, "model.hidden": "linear", "data.last": 1.0})
    if reason:
        return reason
    chosen = points(run)
    densities = {point.density for point in chosen}
    if not np.isfinite(list(densities)).all():
        return "needs one density for all features"
    if len(densities) < MIN_DENSITIES:
        return f"needs at least {MIN_DENSITIES} densities in the sweep, found {len(densities)}"
    if min(point.shape[0] for point in chosen) < min_features:
        return f"needs at least {min_features} features"
    lines = len(families(chosen))
    return None if lines <= MAX_LINES else f"needs at most {MAX_LINES} settings beside the density, found {lines}"


def uniform_reason(run: Run) -> str | None:
    """Why the models are not those of uniform superposition; None when they are."""
    reason = all_equal(run, {"model.output": "relu", "model.hidden": "linear", "data.correlation": "none"})
    if reason or run.own:
        return reason or f"needs superpos's own model, data and target, found {run.own}"
    equal = all(np.ptp(point.importance) == 0 for point in points(run))
    return None if equal else "needs features of equal importance"


def applies(run: Run) -> str | None:
    """Why D* cannot be drawn for this run; None when it can."""
    return density_reason(run)


def draw(run: Run) -> Figure:
    """A line for every setting beside the density."""
    table = healthy(run)
    d_star_of = dict(zip(table["model"].tolist(), table["d_star"].astype(float).tolist(), strict=True))
    lines = []
    for label, group in families(points(run)).items():
        density = np.array([point.density for point in group])
        seeds = [np.array([d_star_of[model] for model in point.models.tolist()]) for point in group]
        repeated = np.repeat(density, [len(values) for values in seeds])
        lines.append(Line(label, density, np.array([values[0] for values in seeds]), repeated, np.concatenate(seeds)))
    crowded = min(n / m for n, m in (point.shape for point in points(run))) >= MANY
    known = crowded and uniform_reason(run) is None
    return d_star(lines, exact_curve(np.concatenate([line.density for line in lines])) if known else None)
