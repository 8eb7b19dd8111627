"""Features as arrows: the directions W_i of models with two hidden dimensions (TMS, introduction).

Shapes: P panels, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from superpos.families.tms import geometry
from superpos.families.tms.analysis.points import DENSITY, by_density, points
from superpos.figures import style
from superpos.figures.points import Run, all_equal, points_reason, short
from superpos.maths.types import Floats

MAX_PANELS: Final = 30
_PER_ROW: Final = 5


def importance_norm(importance: Sequence[Floats]) -> Normalize:
    """Scale of the colours: logarithmic, from the least to the most important feature of all
    panels.
    """
    values = np.concatenate(list(importance))
    low = float(values[values > 0].min(initial=np.inf))
    high = float(values.max(initial=0))
    if not low < high:
        return Normalize(0, max(high, 1.0))
    return LogNorm(low, high, clip=True)


def _panel(axes: Axes, W: NDArray[np.floating], colours: NDArray[np.float64], limit: float) -> None:
    """One model: one arrow per feature, the most important on top, over a faint unit circle."""
    axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor=style.FAINT, linewidth=0.7, zorder=0))
    axes.axhline(0, color=style.FAINT, linewidth=0.5, zorder=0)
    axes.axvline(0, color=style.FAINT, linewidth=0.5, zorder=0)
    for i, (x, y) in enumerate(W):
        axes.plot(
            [0, x], [0, y], color=colours[i], linewidth=1.5, zorder=100 - i, solid_capstyle="round"
        )
        axes.plot([x], [y], "o", color=colours[i], markersize=3.6, zorder=100 - i)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def arrows(
    W: Sequence[NDArray[np.floating]],
    titles: Sequence[str],
    importance: Sequence[Floats],
    per_row: int = _PER_ROW,
) -> Figure:
    """One panel for each W[F, 2], all with the same limits; colours by importance[F], the geometry
    in words below.
    """
    columns = min(per_row, len(W))
    rows = -(-len(W) // columns)
    with style.context():
        figure = style.new_figure(style.FULL * max(columns, 2.5) / per_row, 1.75 * rows + 0.1)
        panels = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
        scale = importance_norm(importance)
        limit = 1.12 * max(1.0, *(float(np.linalg.norm(w, axis=1).max(initial=0)) for w in W))
        for axes, w, title, weight in zip(panels, W, titles, importance, strict=False):
            _panel(axes, geometry.align(w[None])[0], style.IMPORTANCE(scale(weight)), limit)
            axes.set_title(title)
            axes.set_xlabel(
                str(geometry.describe(w[None])[0]).replace(" + ", "\n+ "), fontsize=7, labelpad=1
            )
        for axes in panels[len(W) :]:
            axes.set_axis_off()
        if isinstance(scale, LogNorm):
            _importance_bar(figure, scale, panels.tolist())
    return figure


def _importance_bar(figure: Figure, scale: Normalize, panels: list[Axes]) -> None:
    bar = figure.colorbar(
        ScalarMappable(scale, style.IMPORTANCE), ax=panels, shrink=0.7, aspect=25, pad=0.01
    )
    ends = [float(scale.vmin or 0), float(scale.vmax or 1)]
    bar.set_ticks(ends, labels=[short(end) for end in ends])
    bar.minorticks_off()
    bar.set_label("importance", labelpad=-6)
    bar.outline.set_visible(False)


def applies(run: Run) -> str | None:
    """Why the run cannot be drawn as arrows; None when it can."""
    reason = all_equal(run, {"model.tied": True, "model.hidden": "linear", "model.n_hidden": 2})
    if reason:
        return reason
    return points_reason(points(run), MAX_PANELS)


def draw(run: Run) -> Figure:
    """A panel for each point of the sweep, the best seed of each."""
    chosen = by_density(points(run))
    keys = list(chosen[0].varied) or [DENSITY]
    return arrows(
        [run.weights(point.best)["W"] for point in chosen],
        [point.label(keys) for point in chosen],
        [point.importance for point in chosen],
    )
