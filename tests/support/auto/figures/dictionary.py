"""Cosines of the features of the dictionary with the latents, of the best model of every setting.

Shapes: F features, K latents.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from auto.exhibits import SHOWS
from auto.results import cosines, dictionaries
from superpos.figures import style
from superpos.figures.points import Run, ordered, points, points_reason

MAX_POINTS = 24


def applies(run: Run) -> str | None:
    """Why a run cannot be shown; None when it can."""
    return points_reason(points(run), MAX_POINTS)


def draw(run: Run) -> Figure:
    """A panel for each setting."""
    shown = ordered(points(run), SHOWS.ordered_by)
    columns = min(len(shown), 4)
    with style.context():
        figure = style.new_figure(style.FULL, 1.8 * -(-len(shown) // columns))
        panels = figure.subplots(-(-len(shown) // columns), columns, squeeze=False).ravel()
        for panel, point in zip(panels, shown, strict=False):
            [dictionary] = dictionaries(run, [point.best])
            cells = cosines(dictionary, run.weights(point.best)["D"])
            panel.imshow(cells, cmap=style.SIGNED, vmin=-1, vmax=1)
            panel.set(title=point.label(), xlabel="latent", ylabel="feature", xticks=[], yticks=[])
        for panel in panels[len(shown) :]:
            panel.set_axis_off()
    return figure
