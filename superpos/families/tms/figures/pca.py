"""PCA against superposition: the correlated sets collapse one by one as they get denser (TMS,
section of that name).

Shapes: M models of one density, F features, K sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from superpos.families.tms import metrics
from superpos.families.tms.analysis.points import DENSITY, Point, points
from superpos.families.tms.analysis.set_losses import losses, set_size, sets_reason
from superpos.families.tms.figures import sets
from superpos.figures import style
from superpos.figures.points import Run, all_equal, short
from superpos.maths.types import Floats

MIN_POINTS: Final = 4
_PANELS: Final = 8
AREA: Final = 60.0  # of the dot for all seeds, in points²
LIMIT: Final = 25.0  # percent; far above the best is another kind of solution with the same count


class Density(NamedTuple):
    """The models of one density."""

    density: float
    counts: NDArray[np.intp]  # [M] collapsed sets
    loss: Floats  # [M]
    W: NDArray[np.floating[Any]]  # [M, F, 2]

    @property
    def best(self) -> int:
        """The model with the lowest loss."""
        return int(self.loss.argmin())

    def lowest(self, n_sets: int) -> Floats:
        """Lowest loss [K + 1] of the models with 0 … K collapsed sets; NaN where there is none."""
        found = [self.loss[self.counts == count] for count in range(n_sets + 1)]
        return np.array([own.min() if len(own) else np.nan for own in found])


def _counts(axes: Axes, chosen: Sequence[Density], n_sets: int) -> None:
    """Collapsed sets against density: a dot for every count, its area the share of the seeds; a
    line for the best.
    """
    # [P, K + 1]
    shares = np.array([np.bincount(d.counts, minlength=n_sets + 1) / len(d.counts) for d in chosen])
    at, count = np.nonzero(shares)
    density = np.array([d.density for d in chosen])
    area = AREA * shares[at, count]
    label = "all seeds: area is their share"
    axes.scatter(density[at], count, area, color=style.GREY, alpha=0.45, linewidths=0, label=label)
    best = [d.counts[d.best] for d in chosen]
    axes.plot(
        density, best, "o-", color=style.INK, markersize=3, drawstyle="steps-mid", label="best seed"
    )
    axes.set(ylim=(-0.4, n_sets + 0.4), ylabel="collapsed sets")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left")


def _families(axes: Axes, chosen: Sequence[Density], n_sets: int) -> None:
    """How far the best model with each number of collapsed sets is above the best of all, in
    percent.
    """
    losses = np.array([d.lowest(n_sets) for d in chosen])  # [P, K + 1]
    density = np.array([d.density for d in chosen])
    excess = 100 * (losses / np.nanmin(losses, axis=1, keepdims=True) - 1)
    excess[excess > LIMIT] = np.nan
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.85, n_sets + 1))
    for count, colour in enumerate(colours):
        axes.plot(
            density,
            excess[:, count],
            "o-",
            color=colour,
            markersize=2.5,
            label=f"{count} collapsed",
        )
    axes.axhline(0, color=style.FAINT, zorder=0)
    axes.set(
        ylim=(-0.04 * LIMIT, LIMIT),
        ylabel="loss above\nthe best (%)",
        xlabel="density 1 − S of a set",
    )
    axes.legend(
        loc="upper center",
        ncols=n_sets + 1,
        bbox_to_anchor=(0.5, 1.2),
        columnspacing=1,
        handlelength=1.2,
    )


def shown_densities(counts: Sequence[int]) -> list[int]:
    """Densities to draw as arrows: both ends of every stretch of equal counts, at most eight."""
    change = np.flatnonzero(np.diff(counts))
    ends = sorted({0, *change.tolist(), *(change + 1).tolist(), len(counts) - 1})
    return [ends[i] for i in sorted({round(at) for at in np.linspace(0, len(ends) - 1, _PANELS)})]


def diagram(chosen: Sequence[Density], set_size: int) -> Figure:
    """The best model of some densities as arrows, over the collapsed sets and the losses of all;
    sparse at the left.
    """
    n_sets = chosen[0].W.shape[1] // set_size
    shown = shown_densities([int(d.counts[d.best]) for d in chosen])
    with style.context():
        figure = style.new_figure(style.FULL, 4.3)
        (top,), (bottom,) = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 2.5])
        panels = top.subplots(1, len(shown), squeeze=False)[0]
        for axes, at in zip(panels, shown, strict=True):
            d = chosen[at]
            sets.arrows(axes, d.W[d.best], set_size)
            axes.set_title(f"1−S = {short(d.density)}" if at == shown[0] else short(d.density))
            axes.set_xlabel(f"{d.counts[d.best]} of {n_sets}", labelpad=1)
        counts, families = bottom.subplots(2, 1, sharex=True)
        _counts(counts, chosen, n_sets)
        _families(families, chosen, n_sets)
        families.set_xscale("log")
        style.plain_log_numbers(families.xaxis)
    return figure


def applies(run: Run) -> str | None:
    """Why the run cannot be drawn; None when it can."""
    reason = all_equal(run, {"model.n_hidden": 2, "data.correlation": "correlated"}) or sets_reason(
        run
    )
    if reason:
        return reason
    chosen = points(run)
    if len(chosen) < MIN_POINTS or any(set(point.varied) != {DENSITY} for point in chosen):
        return f"needs {MIN_POINTS} or more densities, and nothing else but seeds to vary"
    return None


def _density(run: Run, point: Point) -> Density:
    W = run.tensor("W", point.models)
    size = set_size(point)
    return Density(point.density, metrics.collapsed(W, size).sum(axis=-1), losses(run, point), W)


def draw(run: Run) -> Figure:
    """All densities of the sweep, every seed."""
    chosen = sorted(points(run), key=lambda point: point.density)
    return diagram([_density(run, point) for point in chosen], set_size(chosen[0]))
