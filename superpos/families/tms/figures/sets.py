"""Correlated and anticorrelated sets of features (TMS, "The geometry of superposition").

For every setting the best model, as arrows and as WᵀW with the sets outlined, and how often each
geometry was found. Shapes: F features, H hidden; a set is `set_size` neighbouring features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from textwrap import fill
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from superpos.families.tms import geometry, metrics
from superpos.families.tms.analysis.points import Point, points
from superpos.families.tms.analysis.set_losses import losses, set_size, sets_reason
from superpos.figures import style
from superpos.figures.points import Run, points_reason, short

Weights = NDArray[np.floating[Any]]

MAX_POINTS: Final = 5
MAX_FEATURES: Final = 60
# members of a set; the first is large and hollow, so that a collapsed pair shows both
_MARKERS: Final = "osD^v"
_SHOWN: Final = 4  # geometries a setting: the three most frequent and that of the best
_LETTERS: Final = 32  # in a line of their names


class Setting(NamedTuple):
    """One point of the sweep."""

    title: str
    set_size: int
    W: Weights  # [M, F, H], the lowest loss first


def arrows(axes: Axes, W: Weights, set_size: int, limit: float = 1.15) -> None:
    """W[F, 2] over a faint unit circle: one colour per set, one marker per member of a set."""
    axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor=style.FAINT, linewidth=0.7, zorder=0))
    for i, (x, y) in enumerate(geometry.align(W[None])[0]):
        colour = style.CYCLE[i // set_size]
        member = i % set_size
        axes.plot([0, x], [0, y], color=colour, linewidth=1.3, zorder=1)
        axes.plot(
            [x],
            [y],
            _MARKERS[member % len(_MARKERS)],
            markersize=3.2 if member else 6.2,
            markerfacecolor=colour if member else "white",
            markeredgecolor=colour,
            zorder=2 + member,
        )
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _spread(axes: Axes, W: Weights, set_size: int) -> None:
    """The inner products of all pairs within and between the sets of W[F, H], where H is not
    two.
    """
    first, second = np.triu_indices(len(W), 1)
    same = first // set_size == second // set_size
    products = (W @ W.T)[first, second]
    bins = np.linspace(-1.05, 1.05, 43).tolist()
    for chosen, colour, label in ((~same, style.GREY, "between"), (same, style.INK, "within sets")):
        share = np.full(chosen.sum(), 1 / max(1, chosen.sum()))
        axes.hist(products[chosen], bins, weights=share, color=colour, alpha=0.75, label=label)
    axes.set(xlim=(-1.05, 1.05), xticks=[-1, 0, 1], yticks=[])
    axes.set_xlabel(r"$W_i \cdot W_j$", labelpad=0)
    axes.set_ylabel("share of pairs", labelpad=2)
    axes.legend(loc="upper left", borderaxespad=0, handlelength=0.6, handletextpad=0.4, fontsize=6)


def _heat_map(axes: Axes, W: Weights, set_size: int) -> None:
    """WᵀW from −1 to 1, the block of each set framed in its colour."""
    n = len(W)
    axes.imshow(W @ W.T, cmap=style.SIGNED, vmin=-1, vmax=1, interpolation="nearest")
    for k in range(n // set_size):
        corner = (k * set_size - 0.5, k * set_size - 0.5)
        frame = Rectangle(
            corner,
            set_size,
            set_size,
            fill=False,
            edgecolor=style.CYCLE[k],
            linewidth=1.4,
            clip_on=False,
        )
        axes.add_patch(frame)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)


def _frequencies(axes: Axes, W: Weights, set_size: int) -> None:
    """The share of the models W[M, F, H] with each geometry, the most frequent on top; that of the
    best in blue.
    """
    names = [f"{geometry.describe(w[None])[0]}, {geometry.partners(w, set_size)}" for w in W]
    ranked = enumerate(Counter(names).most_common())
    shown = [
        (label, count) for rank, (label, count) in ranked if rank < _SHOWN - 1 or label == names[0]
    ]
    for row, (label, count) in enumerate(shown):
        axes.barh(
            row,
            count / len(names),
            height=0.25,
            color=style.CYCLE[0] if label == names[0] else style.GREY,
        )
        lines = fill(label.replace(" of ", "\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}"), _LETTERS)
        words = axes.text(0, row - 0.17, lines, va="bottom", fontsize=6, linespacing=1.05)
        words.set_in_layout(False)
    axes.set(
        xlim=(0, 1), ylim=(max(_SHOWN - 1, len(shown)) - 0.7, -0.8), xticks=[0, 0.5, 1], yticks=[]
    )
    axes.set_xticklabels(["0", "0.5", "1"])
    axes.set_xlabel(f"share of {len(names)} seeds", labelpad=0)
    axes.spines["left"].set_visible(False)


def settings(chosen: Sequence[Setting]) -> Figure:
    """One column per setting: its best model as arrows (H = 2) and as WᵀW, and the geometries of
    all.
    """
    with style.context():
        figure = style.new_figure(style.FULL * max(len(chosen), 2) / 4 + 0.5, 5.1)
        axes = figure.subplots(3, len(chosen), squeeze=False, height_ratios=[1, 1, 0.95])
        for (top, middle, bottom), setting in zip(axes.T, chosen, strict=True):
            best = setting.W[0]
            if best.shape[1] == 2:
                arrows(
                    top,
                    best,
                    setting.set_size,
                    1.15 * max(1.0, float(metrics.feature_norms(best).max())),
                )
            else:
                _spread(top, best, setting.set_size)
            top.set_title(setting.title)
            _heat_map(middle, best, setting.set_size)
            _frequencies(bottom, setting.W, setting.set_size)
        bar = figure.colorbar(
            ScalarMappable(Normalize(-1, 1), style.SIGNED),
            ax=axes[1].tolist(),
            aspect=14,
            pad=0.015,
            shrink=0.9,
        )
        bar.set_ticks([-1, 0, 1])
        bar.set_label(r"$W^T W$")
        bar.outline.set_linewidth(0.4)
    return figure


def _title(point: Point) -> str:
    """ "3 × 2 correlated" and the shape and density below."""
    n, m = point.shape
    size = set_size(point)
    return (
        f"{n // size} × {size} {point.settings['data.correlation']}\nn = {n}, m = {m}, 1−S = "
        f"{short(point.density)}"
    )


def applies(run: Run) -> str | None:
    """Why the run cannot be drawn; None when it can."""
    reason = sets_reason(run)
    if reason:
        return reason
    chosen = points(run)
    if reason := points_reason(chosen, MAX_POINTS):
        return reason
    largest = max(point.shape[0] for point in chosen)
    return (
        None
        if largest <= MAX_FEATURES
        else f"needs at most {MAX_FEATURES} features, found {largest}"
    )


def draw(run: Run) -> Figure:
    """Every point of the sweep in the order of the table."""
    return settings([_setting(run, point) for point in points(run)])


def _setting(run: Run, point: Point) -> Setting:
    order = losses(run, point).argsort()
    return Setting(_title(point), set_size(point), run.tensor("W", point.models[order]))
