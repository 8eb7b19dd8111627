"""Loss recovered against features found: of autoencoders of toy models' hidden layers.

Shapes: K models of a setting.
"""

from __future__ import annotations

from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from superpos.families.sae.analysis.points import settings, values
from superpos.figures import style
from superpos.figures.points import Run

MIN_PENALTIES: Final = 2


def diagram(rows: list[Any]) -> Figure:
    """Two panels, MMCS and share found against loss recovered, coloured by λ."""
    with style.context():
        figure = style.new_figure(style.FULL * 0.8, 2.4)
        panels: Any = figure.subplots(1, 2, sharex=True)
        colours = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(rows)))
        for (penalty, recovered, mmcs, found), colour in zip(rows, colours, strict=True):
            for axes, cells in zip(panels, (mmcs, found), strict=True):
                axes.plot(
                    recovered,
                    cells,
                    "o",
                    color=colour,
                    markersize=3,
                    label=f"λ = {penalty:g}",
                )
        panels[0].set(ylabel="MMCS of represented features")
        panels[1].set(ylabel="share found (cosine > 0.95)", ylim=(-0.03, 1.03))
        for axes in panels:
            axes.set_xlabel("loss of the toy model recovered")
        panels[1].legend()
    return figure


def applies(run: Run) -> str | None:
    """Why there is nothing to show; None when there is."""
    chosen = [point for point in settings(run) if np.isfinite(point.number("sae.l1"))]
    penalties = {point.number("sae.l1") for point in chosen}
    from_models = [point for point in chosen if point.settings["sae.source"] != "world"]
    if len(from_models) < len(chosen) or len(penalties) < MIN_PENALTIES:
        return f"needs a source run (sae.source) and {MIN_PENALTIES} or more penalties"
    return None


def draw(run: Run) -> Figure:
    """Every model of the L1 settings."""
    by_penalty: dict[float, list[Any]] = {}
    for point in settings(run):
        if np.isfinite(point.number("sae.l1")):
            by_penalty.setdefault(point.number("sae.l1"), []).append(point)
    names = ("loss_recovered", "mmcs", "found_95")
    rows = []
    for penalty, own in sorted(by_penalty.items()):
        columns = [np.concatenate([values(run, p, name) for p in own]) for name in names]
        rows.append((penalty, *columns))
    return diagram(rows)
