"""Features and latents as arrows, in two or three dimensions or in the space of so many features.

Shapes: G features, m latents, d dimensions, q = 2 or 3 dimensions that are drawn.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from superpos.families.sae.analysis.points import settings, title, values
from superpos.families.sae.analysis.worlds import features
from superpos.figures import style
from superpos.figures.points import NOTHING, Point, Run
from superpos.maths.dimensionality import directions
from superpos.maths.types import Floats

MAX_POINTS: Final = 24
COLUMNS: Final = 6
DRAWN: Final = (2, 3)


class Picture(NamedTuple):
    """What one panel shows."""

    title: str
    features: Floats  # [G, q] of length 1 or less
    latents: Floats  # [m, q]
    rates: Floats  # [m]; 0 for latents that never fire


def coordinates(A: Floats, D: Floats) -> tuple[Floats, Floats]:
    """Unit features and latents in the dimensions that are drawn: all, or the features' own."""
    A = directions(A)
    D = directions(D)
    if A.shape[1] in DRAWN:
        return A, D
    basis = np.linalg.qr(A.T)[0]
    signs = np.sign((basis * A.T).sum(axis=0))  # the first feature to the right, the second up
    return A @ (basis * signs), D @ (basis * signs)


def panels(shown: list[Picture]) -> Figure:
    """Features as grey lines, latents as arrows: the more often one fires the darker."""
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    solid = shown[0].features.shape[1] == 3
    with style.context():
        figure = style.new_figure(style.FULL * columns / COLUMNS, 1.45 * rows)
        for i, picture in enumerate(shown):
            projection: Any = "3d" if solid else None
            axes = figure.add_subplot(rows, columns, i + 1, projection=projection)
            (_solid if solid else _flat)(axes, picture)
            axes.set_title(picture.title, fontsize=6)
    return figure


def _colour(rate: float) -> str:
    return style.CYCLE[0] if rate > 0 else style.FAINT


def _flat(axes: Any, picture: Picture) -> None:
    for x, y in picture.features:
        axes.plot(
            [0, x],
            [0, y],
            color=style.GREY,
            linewidth=3.5,
            alpha=0.35,
            solid_capstyle="butt",
        )
    for (x, y), rate in zip(picture.latents, picture.rates, strict=True):
        arrow = {"arrowstyle": "-|>", "color": _colour(rate), "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (x, y), (0, 0), arrowprops=arrow | {"linewidth": 0.9})
    axes.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set_visible(False)


def _solid(axes: Any, picture: Picture) -> None:
    for x, y, z in picture.features:
        axes.plot([0, x], [0, y], [0, z], color=style.GREY, linewidth=3.5, alpha=0.35)
    for (x, y, z), rate in zip(picture.latents, picture.rates, strict=True):
        axes.quiver(0, 0, 0, x, y, z, color=_colour(rate), linewidth=0.9, arrow_length_ratio=0.15)
    axes.set(xlim=(-0.8, 0.8), ylim=(-0.8, 0.8), zlim=(-0.8, 0.8))
    axes.set_axis_off()


def applies(run: Run) -> str | None:
    """Why a run has no such arrows; None when it has."""
    chosen = settings(run)
    if not chosen:
        return NOTHING
    if len(chosen) > MAX_POINTS:
        return f"needs at most {MAX_POINTS} settings, found {len(chosen)}"
    drawn = {_drawn(run, point) for point in chosen}
    if drawn not in ({2}, {3}):
        return "needs two or three dimensions, or as many features, in every model"
    return None


def _drawn(run: Run, point: Point) -> int:
    """Dimensions that pictures of a setting would have."""
    dims = int(values(run, point, "world.n_dims")[0])
    return dims if dims in DRAWN else int(values(run, point, "world.n_features")[0])


def draw(run: Run) -> Figure:
    """The model of lowest loss of each setting."""
    shown = []
    for point in settings(run):
        weights = run.weights(point.best)
        A = features(run, point.best)
        of_features, of_latents = coordinates(A, weights["D"].astype(np.float64))
        shown.append(Picture(title(point), of_features, of_latents, weights["rate"]))
    return panels(shown)
