"""WᵀW, b, and how long and how disturbed every feature is (TMS, "Demonstrating superposition").

Shapes: F features (n), H hidden (m).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from superpos.families.tms import metrics
from superpos.families.tms.analysis.points import DENSITY, Point, by_density, points
from superpos.figures import style
from superpos.figures.points import Run, all_equal, points_reason, short

MAX_COLUMNS: Final = 8
MAX_MODELS: Final = 32
MIN_FEATURES: Final = 4  # smaller matrices say more as arrows or in a phase diagram
MAX_FEATURES: Final = 200


class Column(NamedTuple):
    """One model of the figure, the most important feature first."""

    title: str
    W: NDArray[np.floating[Any]]  # [F, H]
    b: NDArray[np.floating[Any]]  # [F]
    ranked: bool = True  # whether importance differs between the features


def _matrix(axes: Axes, W: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> None:
    """WᵀW as a heat map with b as one more column, a gap before it; both from −1 to 1."""
    n = len(W)
    gap = max(1, n // 12)
    canvas = np.full((n, n + gap + max(1, n // 12)), np.nan)
    canvas[:, :n] = W @ W.T
    canvas[:, n + gap :] = b[:, None]
    axes.imshow(canvas, cmap=style.SIGNED, vmin=-1, vmax=1, interpolation="nearest", aspect="equal")
    axes.add_patch(_frame(-0.5, n, n))
    axes.add_patch(_frame(n + gap - 0.5, canvas.shape[1] - n - gap, n))
    axes.set_axis_off()


def _frame(left: float, width: float, height: float) -> Rectangle:
    """The outline of the matrix or of b."""
    return Rectangle(
        (left, -0.5), width, height, fill=False, edgecolor=style.GREY, linewidth=0.5, clip_on=False
    )


def _bars(axes: Axes, W: NDArray[np.floating[Any]], limit: float) -> None:
    """‖W_i‖ as bars, the most important feature on top, coloured by interference clipped to [0,
    1].
    """
    colours = style.SUPERPOSED(np.clip(metrics.interference(W), 0, 1))
    axes.barh(
        np.arange(len(W)),
        metrics.feature_norms(W),
        height=0.85 if len(W) < 50 else 1.0,
        color=colours,
    )
    axes.set(xlim=(0, limit), ylim=(len(W) - 0.5, -0.5), yticks=[], xticks=[0, 1])


def heat_maps(bands: Sequence[Sequence[Column]]) -> Figure:
    """For every band a row of heat maps over a row of bars; the models of a band have equal numbers
    of features.
    """
    width = max(len(band) for band in bands)
    with style.context():
        figure = style.new_figure(
            style.FULL * max(width, 3) / MAX_COLUMNS + 0.4, 2.1 * len(bands) + 0.3
        )
        axes = figure.subplots(2 * len(bands), width, squeeze=False)
        limit = 1.1 * max(
            1.0, *(float(metrics.feature_norms(c.W).max(initial=0)) for band in bands for c in band)
        )
        for band, (upper, lower) in zip(bands, axes.reshape(len(bands), 2, width), strict=True):
            for column, matrix, bars in zip(band, upper, lower, strict=False):
                _matrix(matrix, column.W, column.b)
                matrix.set_title(column.title)
                _bars(bars, column.W, limit)
            for unused in (*upper[len(band) :], *lower[len(band) :]):
                unused.set_axis_off()
            n, m = band[0].W.shape
            lower[0].set_ylabel(
                f"n = {n}, m = {m}\n" + ("← more important" if band[0].ranked else "features")
            )
            lower[0].set_xlabel(r"$\|W_i\|$", labelpad=1)
        _keys(figure, axes)
    return figure


def _keys(figure: Figure, axes: NDArray[Any]) -> None:
    """The two colour keys at the right: signed entries beside heat maps, interference beside
    bars.
    """
    _key(figure, axes[0], Normalize(-1, 1), style.SIGNED, r"$W^T W$ and $b$")
    _key(figure, axes[1], Normalize(0, 1), style.SUPERPOSED, "interference")


def _key(
    figure: Figure, row: NDArray[Any], scale: Normalize, colours: Colormap, label: str
) -> None:
    bar = figure.colorbar(
        ScalarMappable(scale, colours), ax=row.tolist(), aspect=12, pad=0.015, shrink=0.9
    )
    bar.set_ticks(sorted({float(scale.vmin or 0), 0.0, 1.0}))
    bar.set_label(label)
    bar.outline.set_linewidth(0.4)


def _title(point: Point) -> str:
    """ "linear" or "ReLU" and the density, and whatever else varies."""
    others = [key for key in point.varied if key not in _IN_TITLE]
    output = "ReLU" if point.settings["model.output"] == "relu" else "linear"
    density = f"\n1−S = {short(point.density)}" if np.isfinite(point.density) else ""
    return output + density + (f"\n{point.label(others)}" if others else "")


_IN_TITLE: Final = {
    "model.output",
    DENSITY,
    "model.n_features",
    "model.n_hidden",
    "importance.decay",
}


def applies(run: Run) -> str | None:
    """Why the run cannot be drawn as heat maps; None when it can."""
    reason = all_equal(run, {"model.tied": True, "model.hidden": "linear"})
    if reason:
        return reason
    chosen = points(run)
    if reason := points_reason(chosen, MAX_MODELS):
        return reason
    sizes = {point.shape[0] for point in chosen}
    if min(sizes) < MIN_FEATURES or max(sizes) > MAX_FEATURES:
        return (
            f"needs {MIN_FEATURES} to {MAX_FEATURES} features, found "
            f"{', '.join(map(str, sorted(sizes)))}"
        )
    return None


def _order(point: Point) -> tuple[tuple[int, int], bool]:
    return point.shape, point.settings["model.output"] == "relu"


def draw(run: Run) -> Figure:
    """The best seed of every point; linear models first, then ReLU from dense to sparse, at most
    eight to a band.
    """
    chosen = sorted(by_density(points(run)), key=_order)
    bands = []
    for _, group in groupby(chosen, key=lambda point: point.shape):
        columns = [_column(run, point) for point in group]
        length = -(-len(columns) // -(-len(columns) // MAX_COLUMNS))  # bands of equal length
        bands += [columns[i : i + length] for i in range(0, len(columns), length)]
    return heat_maps(bands)


def _column(run: Run, point: Point) -> Column:
    """The best model of a point with its features in order of importance."""
    weights = run.weights(point.best)
    importance = point.importance
    order = np.argsort(-importance, kind="stable")
    ranked = bool(importance.min() < importance.max())
    return Column(_title(point), weights["W"][order], weights["b"][order], ranked)
