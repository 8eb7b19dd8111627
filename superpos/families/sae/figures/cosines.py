"""Cosines of features and latents, the latents in the order in which they match the features.

Shapes: G features, m latents.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.figure import Figure

from superpos.families.sae import metrics
from superpos.families.sae.analysis import worlds
from superpos.families.sae.analysis.points import settings, title, values
from superpos.figures import style
from superpos.figures.points import NOTHING, Run
from superpos.maths.types import Floats

MAX_POINTS: Final = 24
COLUMNS: Final = 6
MAX_SIZE: Final = 512


def matrices(shown: list[tuple[str, Floats]]) -> Figure:
    """A panel for each title and C[G, m]."""
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    with style.context():
        figure = style.new_figure(style.FULL * max(columns, 3) / COLUMNS, 1.55 * rows + 0.2)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        image = None
        for axes, (words, C) in zip(panels, shown, strict=False):
            image = axes.imshow(
                C[:, metrics.order(C)],
                cmap=style.SIGNED,
                vmin=-1,
                vmax=1,
                aspect="auto",
            )
            axes.set_title(words, fontsize=6)
            axes.set(xticks=[], yticks=[])
        panels[0].set_ylabel("feature")
        panels[0].set_xlabel("latent")
        for axes in panels[len(shown) :]:
            axes.set_axis_off()
        if image is not None:
            figure.colorbar(image, ax=list(panels), shrink=0.5, aspect=15, label="cosine")
    return figure


def cosines(run: Run, model: int) -> Floats:
    """C[G, m] of one model; latents that never fire have 0, so that they are white."""
    C = worlds.cosines(run, model)
    fires = worlds.rates(run, np.array([model]))[0] > 0
    return np.where(fires, C, 0.0)


def applies(run: Run) -> str | None:
    """Why there are no such matrices; None when there are."""
    chosen = settings(run)
    if not chosen:
        return NOTHING
    if len(chosen) > MAX_POINTS:
        return f"needs at most {MAX_POINTS} settings, found {len(chosen)}"
    largest = max(values(run, point, "sae.latents").max() for point in chosen)
    return f"needs at most {MAX_SIZE} latents" if largest > MAX_SIZE else None


def draw(run: Run) -> Figure:
    """The model of lowest loss of each setting."""
    return matrices([(title(point), cosines(run, point.best)) for point in settings(run)])
