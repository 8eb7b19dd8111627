"""Weights of every neuron, stacked, and as a heat map (TMS, "Superposition in a privileged basis",
"Computation ...").

Shapes: F features (n), H neurons (m), [F, H] weights. Features stand in order of importance,
neurons in that of the feature with their largest weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from superpos.families.tms import metrics
from superpos.families.tms.analysis.neurons import FEW, MANY, features_used
from superpos.families.tms.analysis.points import DENSITY, Point, by_density, points
from superpos.figures import style
from superpos.figures.points import Run, all_equal, points_reason, short
from superpos.maths.types import Floats

MAX_MODELS: Final = 8
MAX_FEATURES: Final = 200
MAX_NEURONS: Final = 64
WORDS: Final = {"W": "weights $W$", "W1": "input $W_1$", "W2": "output $W_2$"}
Place = Literal["right", "bottom"]
_SLIVER: Final = 0.02  # of the largest weight of a panel: thinner pieces of a bar are left out


class Panel(NamedTuple):
    """One model, features and neurons in their order."""

    title: str
    weights: dict[str, Floats]  # {"W": [F, H]}, or input and output weights "W1", "W2"
    counts: NDArray[np.int64]  # [H], features of each neuron by its input weights

    @property
    def shape(self) -> tuple[int, int]:
        """(features, neurons)."""
        n, m = next(iter(self.weights.values())).shape
        return n, m

    @property
    def monosemantic(self) -> str:
        """How many neurons have one feature."""
        return f"{(self.counts == 1).sum()} of {len(self.counts)}"


def stack(axes: Axes, W: Floats, colours: NDArray[np.float64]) -> None:
    """One bar per neuron: positive weights on top of each other upwards, negative ones downwards.

    `colours`: RGBA [F, H, 4]. The most important feature is next to the axis.
    """
    m = W.shape[1]
    W = np.where(np.abs(W) > _SLIVER * np.abs(W).max(initial=0), W, 0)
    tops = np.where(W > 0, np.maximum(W, 0).cumsum(axis=0), np.minimum(W, 0).cumsum(axis=0))
    features, neurons = np.nonzero(W)
    top = tops[features, neurons]
    size = W[features, neurons]
    x = neurons
    left = x - 0.42
    right = x + 0.42
    corners = np.stack(
        [left, top - size, left, top, right, top, right, top - size], axis=-1
    ).reshape(-1, 4, 2)
    edge = 0.3 if m <= FEW else 0.1
    axes.add_collection(
        PolyCollection(
            list(corners),
            facecolors=colours[features, neurons],
            edgecolors="white",
            linewidths=edge,
        )
    )
    axes.axhline(0, color=style.INK, linewidth=0.5)
    axes.set(xlim=(-0.7, m - 0.3), xticks=[])
    axes.autoscale_view(scalex=False)
    axes.spines["bottom"].set_visible(False)


def heat_map(axes: Axes, W: Floats) -> None:
    """Features down, neurons across, weights clipped to −1 ... 1."""
    axes.imshow(W, cmap=style.SIGNED, vmin=-1, vmax=1, interpolation="nearest", aspect="auto")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=style.GREY, linewidth=0.5)


def neurons(panels: Sequence[Panel]) -> Figure:
    """Stacked bars and a heat map of each weight: one column per model, or one row where neurons
    are many.

    Only features are drawn that come through some neuron of some model, and those before them.
    """
    names, (n, m) = list(panels[0].weights), panels[0].shape
    columns = m <= FEW
    shown = max(features_used(panel.weights) for panel in panels) if n > FEW else n
    with style.context():
        figure, grid = _grid(len(panels), len(names), shown if columns else None)
        for models_axes, panel in zip(grid.T, panels, strict=True):
            colours = _colours(panel)
            for upper, lower, W in zip(
                models_axes, models_axes[len(names) :], panel.weights.values(), strict=False
            ):
                stack(upper, W[:shown], colours[:shown])
                heat_map(lower, W[:shown])
        (_label_columns if columns else _label_rows)(grid, panels, names)
        place: Place = "right" if columns else "bottom"
        _stack_key(figure, grid[: len(names)], n, place)
        _key(figure, grid[len(names) :], Normalize(-1, 1), style.SIGNED, "weight", place).set_ticks(
            [-1, 0, 1]
        )
    return figure


def _grid(models: int, weights: int, features: int | None) -> tuple[Figure, NDArray[Any]]:
    """A figure and its axes [2 weights, models]: first the stacked bars, then the heat maps.

    `features`: rows of a heat map, for one column per model; None for one row per model.
    """
    if features is not None:
        heights = [1.25] * weights + [max(0.7, min(1.3, 0.13 * features))] * weights
        figure = style.new_figure(max(style.HALF, 0.82 * models + 1.0), sum(heights) + 0.5)
        return figure, figure.subplots(
            2 * weights, models, squeeze=False, sharey="row", height_ratios=heights
        )
    figure = style.new_figure(style.FULL, 0.95 * models + 0.9)
    widths = [2.0] * weights + [1.1] * weights
    return figure, figure.subplots(models, 2 * weights, squeeze=False, width_ratios=widths).T


def _feature_colours(n: int) -> ListedColormap:
    return ListedColormap(style.IMPORTANCE(np.linspace(1, 0, n)))


def _count_colours() -> ListedColormap:
    """Of neurons with 0 (grey), 1, 2 ... `MANY` or more features."""
    return ListedColormap(
        np.vstack([[0.7, 0.7, 0.7, 1], style.SUPERPOSED(np.linspace(0, 1, MANY))])
    )


def _colours(panel: Panel) -> NDArray[np.float64]:
    """RGBA [F, H, 4]: of the feature where there are few, else of the number of the neuron's
    features.
    """
    n, m = panel.shape
    by_feature = _feature_colours(n)(np.arange(n))[:, None]
    by_count = _count_colours()(np.minimum(panel.counts, MANY))[None]
    return np.broadcast_to(by_feature if n <= FEW else by_count, (n, m, 4))


def _label_columns(grid: NDArray[Any], panels: Sequence[Panel], names: list[str]) -> None:
    """Models on top, weights at the left, the number of monosemantic neurons below."""
    for axes, panel in zip(grid.T, panels, strict=True):
        axes[0].set_title(panel.title)
        axes[-1].set_xlabel(f"monosemantic:\n{panel.monosemantic}", fontsize=7)
    labels = [WORDS[name] for name in names]
    for axes, label in zip(
        grid[:, 0], [*labels, *(f"{label}\n← features" for label in labels)], strict=True
    ):
        axes.set_ylabel(label)
    for axes in grid[: len(names), 1:].ravel():
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)


def _label_rows(grid: NDArray[Any], panels: Sequence[Panel], names: list[str]) -> None:
    """Models at the left, weights on top, the number of monosemantic neurons below each row."""
    for axes, name in zip(grid[:, 0], [*names, *names], strict=True):
        axes.set_title(WORDS[name])
    for axes, panel in zip(grid.T, panels, strict=True):
        axes[0].set_ylabel(panel.title)
        axes[0].set_xlabel(f"monosemantic: {panel.monosemantic}", labelpad=1)
        axes[len(names)].set_ylabel("← features", fontsize=7)
    for axes in grid[len(names) :, -1]:
        axes.set_xlabel("neurons", labelpad=1)


def _stack_key(figure: Figure, axes: NDArray[Any], n: int, place: Place) -> None:
    """What the colours of the bars mean: the feature, or the number of features of the neuron."""
    if n <= FEW:
        bar = _key(
            figure,
            axes,
            BoundaryNorm(np.arange(n + 1) - 0.5, n),
            _feature_colours(n),
            "feature",
            place,
        )
        bar.set_ticks([0, n - 1])
        return
    scale = BoundaryNorm(np.arange(MANY + 2) - 0.5, MANY + 1)
    bar = _key(figure, axes, scale, _count_colours(), "features of the neuron", place)
    bar.set_ticks(list(range(MANY + 1)), labels=[*map(str, range(MANY)), f"≥ {MANY}"])


def _key(
    figure: Figure,
    axes: NDArray[Any],
    scale: Normalize,
    colours: Colormap,
    label: str,
    place: Place,
) -> Colorbar:
    """A colour key beside or below some axes."""
    aspect, pad = (15, 0.015) if place == "right" else (25, 0.01)
    scalars = ScalarMappable(scale, colours)
    chosen = axes.ravel().tolist()
    bar = figure.colorbar(scalars, ax=chosen, location=place, shrink=0.8, aspect=aspect, pad=pad)
    bar.set_label(label)
    bar.minorticks_off()
    bar.outline.set_linewidth(0.4)
    return bar


def applies(run: Run) -> str | None:
    """Why the run cannot be drawn neuron by neuron; None when it can."""
    reason = all_equal(run, {"model.hidden": "relu"})
    if reason:
        return reason
    chosen = points(run)
    if reason := points_reason(chosen, MAX_MODELS):
        return reason
    shapes = {point.shape for point in chosen}
    if len(shapes) > 1:
        return "needs one number of features and of neurons"
    n, m = shapes.pop()
    if n > MAX_FEATURES or m > MAX_NEURONS:
        return f"needs at most {MAX_FEATURES} features and {MAX_NEURONS} neurons, found {n} and {m}"
    return None


def draw(run: Run) -> Figure:
    """The best seed of every point, the densest first."""
    return neurons([_panel(run, point) for point in by_density(points(run))])


def _panel(run: Run, point: Point) -> Panel:
    """The best model of a point, features by importance, neurons by their top feature and its
    sign.
    """
    found = {
        name: np.nan_to_num(w.astype(np.float64))
        for name, w in run.weights(point.best).items()
        if name != "b"
    }
    ranked = {name: w[np.argsort(-point.importance, kind="stable")] for name, w in found.items()}
    into = ranked[next(iter(ranked))]
    top = np.abs(into).argmax(axis=0)
    order = np.lexsort((-into[top, np.arange(len(top))], top))
    density = f"1−S = {short(point.density)}" if np.isfinite(point.density) else ""
    others = point.label([key for key in point.varied if key != DENSITY])
    title = "\n".join(part for part in (density, others) if part)
    return Panel(
        title,
        {name: w[:, order] for name, w in ranked.items()},
        metrics.neuron_monosemanticity(into)[order],
    )
