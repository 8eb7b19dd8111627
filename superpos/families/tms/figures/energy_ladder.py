"""One feature at a time: losses along training on the ladder of energy levels, and where all seeds
end.

Chen et al. 2023. Shapes: M models, S snapshots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from superpos.families.tms import geometry, theory
from superpos.families.tms.analysis import one_hot
from superpos.families.tms.analysis.points import Point, points
from superpos.figures import style
from superpos.figures.points import Run
from superpos.maths.types import Floats

COURSES: Final = 60  # models whose losses are drawn along training
MOST_POINTS: Final = 6
POLYGON: Final = 0.2  # inches: a polygon beside its rung
CAPTION: Final = (
    "Lines: exact levels, a k-gon and a + for each feature without weights that has a positive "
    "bias. Dots: all seeds."
)


class Ladder(NamedTuple):
    """The models of one point of the sweep and their levels."""

    title: str
    levels: Sequence[theory.Level]
    steps: NDArray[np.int64]  # [S], S = 0 without snapshots
    course: Floats  # [M, S] of the first seeds
    loss: Floats  # [M] at the end
    W: Floats  # [M, F, 2] at the end


def ladder(run: Run, point: Point) -> Ladder:
    """What there is to draw of a point."""
    n = point.shape[0]
    W = run.tensor("W", point.models)
    b = run.tensor("b", point.models)
    some = np.sort(point.models)[:COURSES]
    steps, _ = run.snapshots(int(some[0]))
    return Ladder(
        title=point.label(list(point.varied)),
        levels=theory.one_hot_levels(n),
        steps=steps,
        course=one_hot.losses(run, some),
        loss=theory.one_hot_loss(W, b),
        W=np.asarray(W, dtype=np.float64),
    )


def energy_ladder(ladders: Sequence[Ladder]) -> Figure:
    """A row for each ladder: losses along training, and beside them the losses of all seeds with a
    model at each.
    """
    with style.context():
        figure = style.new_figure(style.FULL, 2.1 * len(ladders) + 0.3)
        grid = figure.subplots(len(ladders), 2, sharey="row", squeeze=False, width_ratios=[1.4, 1])
        for (left, right), shown in zip(grid, ladders, strict=True):
            _rungs([left, right], shown)
            if len(shown.steps):
                left.plot(
                    shown.steps, shown.course.T, color=style.CYCLE[0], linewidth=0.5, alpha=0.4
                )
            left.set(
                ylabel="loss (exact)", xlim=(0, max(1, *shown.steps)) if len(shown.steps) else None
            )
            left.set_title(shown.title.replace("\n", ", "), loc="left")
            _ends(right, shown)
        grid[-1][0].set_xlabel("training step")
        grid[-1][1].set_xlabel("seeds, and a model of each level")
        figure.supxlabel(CAPTION, fontsize=7, x=0.01, ha="left")
    return figure


def _rungs(both: Sequence[Axes], shown: Ladder) -> None:
    """The levels as lines, on a logarithmic axis that reaches from below the lowest to above the
    highest.
    """
    rungs = [level for level in shown.levels if level.loss > 0]
    for axes in both:
        axes.set_yscale("log")
        for level in rungs:
            axes.axhline(level.loss, color=style.FAINT, linewidth=0.7, zorder=0)
    energy = [level.loss for level in rungs]
    both[0].set_ylim(0.85 * min(energy), 1.6 * max(energy))
    style.plain_log_numbers(both[0].yaxis)


def _ends(axes: Axes, shown: Ladder) -> None:
    """Every seed as a dot; at the right of each level its name, how many end there, and one of them
    as a polygon.
    """
    at, off = one_hot.nearest(shown.loss, shown.levels)
    place = np.linspace(0.02, 0.45, len(shown.loss))
    axes.plot(place, shown.loss, ".", color=style.CYCLE[0], markersize=3, mew=0, alpha=0.7)
    count = Counter(at[off <= one_hot.NEAR].tolist())
    for rank, (index, number) in enumerate(sorted(count.items())):
        level = shown.levels[index]
        axes.annotate(f"{level.name}  {number}", (0.5, level.loss), fontsize=7, va="center")
        best = np.flatnonzero(at == index)[off[at == index].argmin()]
        _polygon(axes, shown.W[best], 0.76 + 0.15 * (rank % 2), level.loss)
    axes.set(xlim=(0, 1), xticks=[])


def _polygon(axes: Axes, W: Floats, x: float, loss: float) -> None:
    """Feature directions as arrows at a place of the axes."""
    low, high = np.log(axes.get_ylim())
    width = POLYGON / axes.bbox.width * axes.figure.dpi
    height = POLYGON / axes.bbox.height * axes.figure.dpi
    y = (np.log(loss) - low) / (high - low)
    inset = axes.inset_axes((x - width / 2, y - height / 2, width, height))
    for end in geometry.align(W[None])[0]:
        inset.plot([0, end[0]], [0, end[1]], color=style.CYCLE[1], linewidth=0.9)
    limit = 1.05 * max(1.0, np.linalg.norm(W, axis=1).max())
    inset.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    inset.set_axis_off()


def applies(run: Run) -> str | None:
    """Why the run has no ladder; None when it has one."""
    reason = one_hot.reason(run)
    if reason:
        return reason
    found = len(points(run))
    return (
        None
        if 0 < found <= MOST_POINTS
        else f"needs 1 to {MOST_POINTS} points of the sweep, found {found}"
    )


def draw(run: Run) -> Figure:
    """The ladder of every point of the sweep."""
    return energy_ladder([ladder(run, point) for point in points(run)])
