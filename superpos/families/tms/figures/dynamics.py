"""Learning dynamics: D_i of every feature above the loss, on one axis of steps (TMS, "Superposition
and learning dynamics").

Shapes: S snapshots, F features, H hidden.
"""

from __future__ import annotations

import textwrap
from typing import Final, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from numpy.typing import NDArray

from superpos.families.tms import geometry
from superpos.families.tms.analysis import trajectory
from superpos.families.tms.analysis.courses import Course, course, snapshots_reason
from superpos.families.tms.analysis.fractions import FRACTIONS
from superpos.families.tms.analysis.points import by_density, points
from superpos.families.tms.figures import directions
from superpos.figures import style
from superpos.figures.points import Run, all_equal
from superpos.maths.types import Floats

Colours: TypeAlias = NDArray[np.float64]
"""RGBA [F, 4] of the features."""

MIN_SNAPSHOTS: Final = 40  # two in a window
_LETTERS: Final = "abcde"  # of the geometries drawn, five at most
_NEAR: Final = 0.02  # of a fraction: a feature has come to it
_CAPTION_WIDTH: Final = 95  # letters


def resting(loss: Floats) -> NDArray[np.intp]:
    """A snapshot of each plateau, at most five: its middle, and the last one of training."""
    rests = trajectory.plateaus(loss)
    middle = np.where(rests[:, 1] == len(loss) - 1, rests[:, 1], rests.mean(axis=1).astype(np.intp))
    return middle[-len(_LETTERS) :]


def draw_course(shown: Course) -> Figure:
    """D_i over the loss above its lowest value; with m = 2 or 3 also the directions at every
    plateau of the loss.
    """
    D = trajectory.dimensionality(shown.W)
    jumps = trajectory.jumps(D)
    drawn = (
        resting(shown.loss)
        if shown.W.shape[-1] in directions.DRAWN_IN
        else np.zeros(0, dtype=np.intp)
    )
    colours, meaning = directions.colours(shown.settings, shown.W[-1])
    text = caption(
        jumps, trajectory.coincidence(jumps.at, shown.loss), int(np.ptp(shown.steps)), meaning
    )
    with style.context():
        figure = style.new_figure(
            0.75 * style.FULL, 3.6 + 1.2 * (len(drawn) > 0) + 0.14 * len(text.splitlines())
        )
        grid = GridSpec(3, 1, figure, height_ratios=[1.2 if len(drawn) else 1e-3, 2, 1.5])
        _drawings(figure, grid, shown, drawn, colours)
        upper = figure.add_subplot(grid[1])
        lower = figure.add_subplot(grid[2], sharex=upper)
        _dimensionality(upper, shown, D, jumps, colours)
        _loss(lower, shown, jumps, drawn)
        upper.set_title("" if len(drawn) else shown.title)
        figure.suptitle(shown.title if len(drawn) else "")
        figure.supxlabel(text, fontsize=7, x=0.01, ha="left", linespacing=1.3)
    return figure


def _drawings(
    figure: Figure, grid: GridSpec, shown: Course, drawn: NDArray[np.intp], colours: Colours
) -> None:
    """The directions at some snapshots, lettered."""
    if not len(drawn):
        return
    steady = directions.steady(shown.W)
    names = geometry.describe(shown.W[drawn])
    limit = directions.limit(shown.W[drawn])
    row = grid[0].subgridspec(1, len(drawn))
    for i, (at, name, letter) in enumerate(zip(drawn, names, _LETTERS, strict=False)):
        axes = figure.add_subplot(row[i])
        directions.Arrows(axes, colours, limit).show(steady[at])
        axes.set_title(f"{letter}  step {shown.steps[at]:,}")
        axes.set_xlabel(str(name).replace(" + ", "\n+ "), fontsize=7, labelpad=1)


def _dimensionality(
    axes: Axes, shown: Course, D: Floats, jumps: trajectory.Jumps, colours: Colours
) -> None:
    """A line per feature, a dot per jump; the fractions at which features end are named at the
    right.
    """
    values = np.array([value for value, _ in FRACTIONS.values()])
    off = np.abs(D[-1][:, None] - values)  # [F, fractions]
    reached = set(off.argmin(axis=1)[off.min(axis=1) <= _NEAR].tolist())
    for i, (name, (value, text)) in enumerate(FRACTIONS.items()):
        if i not in reached:
            continue
        axes.axhline(value, color=style.FAINT, linewidth=0.7, zorder=0)
        axes.annotate(
            f"{text} {name}",
            (1.01, value),
            xycoords=("axes fraction", "data"),
            fontsize=7,
            va="center",
        )
    for values, colour in zip(D.T, colours, strict=True):
        axes.plot(shown.steps, values, color=colour, linewidth=0.8, alpha=0.8)
    axes.plot(
        shown.steps[jumps.at],
        D[jumps.at, jumps.feature],
        ".",
        color=style.INK,
        markersize=3.5,
        mew=0,
        zorder=5,
    )
    _mark(axes, shown, jumps)
    axes.set_ylabel(r"dimensionality $D_i$")
    axes.set_ylim(-0.03, max(0.6, 1.05 * float(np.nanmax(D))))
    axes.tick_params(labelbottom=False)


def _loss(axes: Axes, shown: Course, jumps: trajectory.Jumps, drawn: NDArray[np.intp]) -> None:
    """The loss above its lowest value, down to where it is noise of training."""
    above = shown.loss - np.nanmin(shown.loss)
    axes.plot(shown.steps, np.where(above > 0, above, np.nan), color=style.INK)
    noise = np.nanmedian(above[-len(above) // 5 :])
    axes.set_yscale("log")
    axes.set_ylim(bottom=max(noise, 1e-6 * float(np.nanmax(above))) / 2)
    _mark(axes, shown, jumps)
    for at, letter in zip(drawn, _LETTERS, strict=False):
        near = above[max(at - 3, 0) : at + 4].max()
        axes.annotate(
            letter, (shown.steps[at], near), (0, 3), textcoords="offset points", ha="center"
        )
    axes.set(xlabel="training step", ylabel=f"loss above its lowest\n({shown.kind})")
    axes.set_xlim(shown.steps[0], shown.steps[-1])


def _mark(axes: Axes, shown: Course, jumps: trajectory.Jumps) -> None:
    """A faint line at every jump."""
    for step in np.unique(shown.steps[jumps.at]):
        axes.axvline(step, color=style.CYCLE[5], linewidth=0.5, alpha=0.5, zorder=0)


def caption(jumps: trajectory.Jumps, coincidence: float, steps: int, meaning: str) -> str:
    """How many jumps there are, how the loss falls at them, and what the colours mean."""
    window = f"{trajectory.WINDOW * steps:,.0f} steps"
    found = (
        f"Dots and lines: {len(jumps.at)} jumps, changes of $D_i$ by {trajectory.JUMP:g} or more "
        f"within {window}."
    )
    falls = (
        f"At a jump the loss falls faster than at {coincidence:.0%} of all steps (50% by chance)."
    )
    return textwrap.fill(
        " ".join([found, falls if len(jumps.at) else "", meaning]).rstrip(), _CAPTION_WIDTH
    )


def applies(run: Run) -> str | None:
    """Why the dynamics cannot be drawn; None when they can."""
    plain = {"model.tied": True, "model.hidden": "linear"}
    return all_equal(run, plain) or snapshots_reason(run, MIN_SNAPSHOTS)


def draw(run: Run) -> Figure:
    """The best model of the sparsest point of the sweep, where there is most superposition."""
    point = by_density(points(run))[-1]
    shown = course(run, point, point.best)
    seeds = len(point.models)
    return draw_course(
        shown._replace(title=f"{shown.title}, best of {seeds} seeds" if seeds > 1 else shown.title)
    )
