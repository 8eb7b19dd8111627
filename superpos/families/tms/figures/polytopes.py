"""Polytopes in three hidden dimensions: features, and the hull that they span (TMS, "The geometry
of superposition").

Shapes: P panels, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon

from superpos.families.tms import geometry, metrics
from superpos.families.tms.analysis.hulls import MAX_FEATURES, hull
from superpos.families.tms.analysis.points import Point, points
from superpos.families.tms.figures.features import importance_norm
from superpos.figures import style
from superpos.figures.points import Array, Run, all_equal, points_reason, short
from superpos.maths.types import Floats

MAX_PANELS: Final = 12
_PER_ROW: Final = 4
_VIEWS: Final = 2000  # directions tried, some 3° apart
_TITLES: Final = {"3 digons": "octahedron (3 digons)"}


def view(W: Floats) -> Floats:
    """W [F, 3] turned so that features, the middles of edges and the origin lie well apart on the
    page (x, y).

    z is depth, towards the eye. Of fixed directions the one with the greatest smallest distance.
    """
    from scipy.spatial.distance import pdist  # slow to import

    shown = W[metrics.represented(W)]
    turns = _rotations()  # [V, 3, 3]
    if len(shown) < 2:
        return np.asarray(W @ turns[0])
    marks = np.concatenate([np.zeros((1, 3)), shown, shown[hull(shown).edges].mean(axis=1)])
    marks = np.unique(marks.round(6), axis=0)  # the middle of a digon is the origin
    apart = [pdist(flat).min() for flat in (marks @ turns)[..., :2]]
    return np.asarray(W @ turns[int(np.argmax(apart))])


def _rotations() -> Floats:
    """Rotations [V, 3, 3] that look from above, from evenly spread directions (a Fibonacci
    lattice), z upright.
    """
    index = np.arange(_VIEWS) + 0.5
    height = index / _VIEWS * 0.8
    angle = np.pi * (1 + np.sqrt(5)) * index
    towards = np.stack(
        [np.cos(angle) * np.sqrt(1 - height**2), np.sin(angle) * np.sqrt(1 - height**2), height],
        axis=-1,
    )
    right = np.cross([0.0, 0.0, 1.0], towards)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([right, np.cross(towards, right), towards], axis=-1)


def _panel(axes: Axes, W: Floats, colours: Floats, limit: float) -> None:
    """One model, the nearer the stronger: the hull of what is represented, and a line from the
    middle a feature.
    """
    place = view(W)
    alive = np.flatnonzero(metrics.represented(W))
    near = 0.5 + 0.5 * np.clip(place[:, 2] / limit, -1, 1)  # [F] 0 is far, 1 near
    if len(alive) > 1:
        found = hull(place[alive])
        for face, slope in zip(alive[found.faces], found.slope, strict=True):
            axes.add_patch(
                Polygon(
                    place[face, :2],
                    facecolor=style.INK,
                    alpha=0.02 + 0.1 * slope,
                    linewidth=0,
                    zorder=1,
                )
            )
        for edge, behind in zip(alive[found.edges], found.hidden, strict=True):
            dashes = (0, (2.5, 2)) if behind else "-"
            axes.plot(
                *place[edge, :2].T,
                color=style.GREY,
                linewidth=0.6 if behind else 1,
                linestyle=dashes,
                zorder=2,
            )
    for i in np.argsort(place[:, 2]):
        colour = 1 - (0.45 + 0.55 * near[i]) * (1 - colours[i])  # far ones fade to white
        order = 3 + near[i]
        axes.plot(
            [0, place[i, 0]], [0, place[i, 1]], color=colour, linewidth=1 + near[i], zorder=order
        )
        axes.plot(
            *place[i, :2],
            "o",
            color=colour,
            markersize=3 + 3 * near[i],
            mec="white",
            mew=0.5,
            zorder=order,
        )
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def polytopes(
    W: Sequence[Array],
    titles: Sequence[str],
    colours: Sequence[Floats],
    legend: dict[str, Floats] | None = None,
) -> Figure:
    """A panel for each W [F, 3], all on one scale, with its geometry below; `colours` RGB [F, 3] of
    its features.

    `legend` names colours. Lengths are true, and what is nearer is larger and darker; dashed edges
    lie behind.
    """
    columns = min(_PER_ROW, len(W))
    rows = -(-len(W) // columns)
    with style.context():
        figure = style.new_figure(
            style.FULL * max(columns, 2) / _PER_ROW, 2.15 * rows + 0.25 * bool(legend)
        )
        panels = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
        limit = 1.12 * max(1.0, *(float(np.linalg.norm(w, axis=1).max(initial=0)) for w in W))
        for axes, w, title, colour in zip(panels, W, titles, colours, strict=False):
            _panel(axes, geometry.align(w[None])[0], colour, limit)
            name = str(geometry.describe(w[None])[0])
            axes.set_title(title)
            axes.set_xlabel(_TITLES.get(name, name).replace(" + ", "\n+ "), fontsize=7, labelpad=1)
        for axes in panels[len(W) :]:
            axes.set_axis_off()
        if legend:
            handles = [
                Line2D([], [], marker="o", color=to_hex(tuple(colour.tolist())), label=name)
                for name, colour in legend.items()
            ]
            figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _colours(chosen: Sequence[Point]) -> tuple[list[Floats], dict[str, Floats]]:
    """RGB [F, 3] of the features of every point, and the legend: by set where there are sets, else
    by importance.
    """
    cycle = np.array([to_rgb(colour) for colour in style.CYCLE])
    if all(int(point.settings["data.set_size"]) > 1 for point in chosen):
        sets = [
            np.arange(point.shape[0]) // int(point.settings["data.set_size"]) for point in chosen
        ]
        count = min(len(cycle), max(int(own.max()) for own in sets) + 1)
        return [cycle[own % len(cycle)] for own in sets], {
            f"set {i + 1}": cycle[i] for i in range(count)
        }
    scale = importance_norm([point.importance for point in chosen])
    colours = [np.asarray(style.IMPORTANCE(scale(point.importance)))[:, :3] for point in chosen]
    ends = np.array([float(scale.vmin or 0), float(scale.vmax or 1)])
    if ends[0] == 0:
        return colours, {}
    return colours, {
        f"importance {short(end)}": np.array(style.IMPORTANCE(scale(end))[:3]) for end in ends[::-1]
    }


def applies(run: Run) -> str | None:
    """Why the run cannot be drawn as polytopes; None when it can."""
    reason = all_equal(run, {"model.tied": True, "model.hidden": "linear", "model.n_hidden": 3})
    if reason:
        return reason
    chosen = points(run)
    if reason := points_reason(chosen, MAX_PANELS):
        return reason
    most = max(point.shape[0] for point in chosen)
    return None if most <= MAX_FEATURES else f"needs at most {MAX_FEATURES} features, found {most}"


def draw(run: Run) -> Figure:
    """A panel for each point of the sweep, the best seed of each."""
    chosen = points(run)
    colours, legend = _colours(chosen)
    keys = list(chosen[0].varied) or ["model.n_features"]
    return polytopes(
        [run.weights(point.best)["W"] for point in chosen],
        [point.label(keys) for point in chosen],
        colours,
        legend,
    )
