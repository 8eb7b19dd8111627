"""Graphs of the represented features, joined where abs(W_i·W_j) > τ (TMS, "The geometry of
superposition").

Every component is drawn for itself: a polytope as its directions project to the plane, what has no
such drawing by springs. Shapes: F features (n), K features of one component, H hidden (m).
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from superpos.families.tms import geometry, metrics
from superpos.families.tms.analysis.feature_graph import in_rows, kind, kinds
from superpos.families.tms.analysis.points import by_density, points
from superpos.families.tms.figures.dimensionality import applies as one_density_sweep
from superpos.figures import style
from superpos.figures.points import Run, short
from superpos.maths.types import Floats

MIN_HIDDEN: Final = 3
_LETTERS: Final = 20  # in an inch of a caption
_KEY_WIDTH: Final = 1.7  # inches of a column of the key
_FULL_WIDTH: Final = 25  # features of a component from which on its edges become thinner
_NO_BREAK: Final = "\xa0"  # a space at which a line does not break


class Component(NamedTuple):
    """One component of a feature graph."""

    name: str
    W: Floats  # [K, H]


def components(W: Floats) -> list[Component]:
    """The components of one model W[F, H], the largest first."""
    W64 = W.astype(np.float64)
    return [Component(name, W64[features]) for name, features in geometry.named_components(W64)]


def _draw(axes: Axes, shape: Component, place: Floats) -> None:
    """One component at its place [K, 2]; the stronger an edge, the darker, wider and higher up."""
    strength = np.triu(geometry.strengths(shape.W)).clip(0, 1)
    i, j = np.nonzero(strength)
    order = strength[i, j].argsort()
    i, j, strength = i[order], j[order], strength[i, j][order]
    grey = np.repeat(0.97 - 0.85 * strength[:, None], 3, axis=1)
    thin = min(1.0, _FULL_WIDTH / len(place))  # so that a tangle does not become a blot
    edges = list(np.stack((place[i], place[j]), axis=1))
    axes.add_collection(
        LineCollection(edges, colors=grey, linewidths=thin * (0.3 + strength), zorder=1)
    )
    axes.plot(
        *place.T, "o", color=kind(shape.name)[1], markersize=3.4, mew=0.3, mec="white", zorder=2
    )


def _panel(axes: Axes, shapes: Sequence[Component]) -> None:
    """The components of one model in rows."""
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set(visible=True, color=style.FAINT)
    if not shapes:
        return
    places, size = in_rows([shape.W for shape in shapes])
    for shape, place in zip(shapes, places, strict=True):
        _draw(axes, shape, place)
    half = max(3.0, 0.52 * float(size.max()))
    x, y = size / 2
    axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half))


def graphs(W: Sequence[Floats], titles: Sequence[str]) -> Figure:
    """A panel for each W[F, H], what its components are below it."""
    shapes = [components(w) for w in W]
    per_row = 3 if len(W) <= 6 else 4
    columns = min(per_row, len(W))
    rows = -(-len(W) // columns)
    width = style.FULL / per_row
    words = [caption(w, int(width * _LETTERS)) for w in W]
    lines = max(len(text.splitlines()) for text in words)
    with style.context():
        figure = style.new_figure(width * columns, (width + 0.25 + 0.12 * lines) * rows + 0.5)
        figure.set_layout_engine("constrained", h_pad=0.08)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, found, title, text in zip(panels, shapes, titles, words, strict=False):
            _panel(axes, found)
            axes.set_title(title)
            axes.set_xlabel(text, fontsize=7, labelpad=2)
        for axes in panels[len(W) :]:
            axes.set_axis_off()
        _key(
            figure,
            int(width * columns / _KEY_WIDTH),
            {shape.name for found in shapes for shape in found},
        )
    return figure


def caption(W: Floats, width: int) -> str:
    """What the components of W[F, H] are, in lines that break between shapes; their numbers where
    those hang on τ.
    """
    label = (
        str(geometry.describe(W[None])[0]).replace(" ", _NO_BREAK).replace(f"{_NO_BREAK}+", " +")
    )
    lines = [textwrap.fill(label, width).replace(_NO_BREAK, " ")]
    counts = [int(geometry.n_components(W[None], tau)[0]) for tau in geometry.TAUS]
    if len(set(counts)) > 1:
        lines.append(
            textwrap.fill(f"components at τ = {_listed(geometry.TAUS)}: {_listed(counts)}", width)
        )
    return "\n".join(lines)


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def _key(figure: Figure, columns: int, names: set[str]) -> None:
    """The colours that occur, in the order of the table, and what an edge is."""
    found = {kind(name) for name in names}
    nodes = [
        Line2D([], [], marker="o", linestyle="", color=colour, markersize=4, label=text)
        for text, colour in kinds()
        if (text, colour) in found
    ]
    edge = Line2D(
        [],
        [],
        color=style.INK,
        linewidth=1,
        label=rf"$|W_i\cdot W_j|$ > {geometry.TAU:g}, darker = larger",
    )
    figure.legend(handles=[*nodes, edge], loc="outside lower center", ncols=columns)


def panels(shapes: Sequence[Sequence[Component]]) -> list[int]:
    """For every kind of shape the model with the most features in it, the first of several;
    ascending, never empty.
    """
    counts = [Counter[tuple[str, str]]() for _ in shapes]
    for count, found in zip(counts, shapes, strict=True):
        for shape in found:
            count[kind(shape.name)] += len(shape.W)
    occurring = {which for count in counts for which in count}
    best = {max(range(len(counts)), key=lambda i: counts[i][which]) for which in occurring}
    return sorted(best) or [0]


def applies(run: Run) -> str | None:
    """Why the graphs cannot be drawn for this run; None when they can."""
    reason = one_density_sweep(run)
    if reason:
        return reason
    hidden = min(point.shape[1] for point in points(run))
    return (
        None
        if hidden >= MIN_HIDDEN
        else f"needs at least {MIN_HIDDEN} hidden dimensions, found {hidden}"
    )


def draw(run: Run) -> Figure:
    """The densities at which the shapes show best, the best seed of each."""
    chosen = by_density(points(run))
    W = [run.weights(point.best)["W"] for point in chosen]
    shown = panels([components(w) for w in W])
    titles = [
        f"1 − S = {short(chosen[i].density)},  D* = {metrics.dimensions_per_feature(W[i]):.2f}"
        for i in shown
    ]
    return graphs([W[i] for i in shown], titles)
