"""Absorption: parents that are silent where a child is on, and what its latent has of them.

Shapes: K models of a setting, E edges of the tree.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from superpos.families.sae.analysis.points import settings, title, values
from superpos.families.sae.analysis.trees import leaks
from superpos.figures import style
from superpos.figures.points import Point, Run
from superpos.maths.trees import nodes

MAX_POINTS: Final = 48
_HEIGHT: Final = 0.15  # inches of a bar


def diagram(rows: list[tuple[str, tuple[Any, Any]]]) -> Figure:
    """Two columns of bars, the absorption gap and the leak of every setting; a dot a model."""
    with style.context():
        figure = style.new_figure(style.FULL, 0.6 + _HEIGHT * len(rows))
        panels: Any = figure.subplots(1, 2, sharey=True)
        places = np.arange(len(rows))[::-1]
        labels = ("absorption gap", "cosine of child's latent and parent")
        for i, (axes, label) in enumerate(zip(panels, labels, strict=True)):
            for y, row in zip(places, rows, strict=True):
                found = row[1][i]
                known = found[np.isfinite(found)]
                mean = known.mean() if len(known) else 0.0
                axes.barh(y, mean, height=0.7, color=style.CYCLE[i], alpha=0.55)
                axes.plot(found, np.full(len(found), y), ".", color=style.INK, markersize=2)
            axes.set_xlabel(label)
            axes.axvline(0, color=style.GREY, linewidth=0.5)
        panels[1].axvline(0.5**0.5, color=style.CYCLE[2], linewidth=0.8, linestyle=":")
        panels[0].set_yticks(places, [words for words, *_ in rows], fontsize=6)
        panels[0].set_ylim(-0.7, len(rows) - 0.3)
    return figure


def applies(run: Run) -> str | None:
    """Why there are no bars; None when there are."""
    chosen = settings(run)
    trees = [point for point in chosen if _has_edges(point)]
    if not trees or len(trees) < len(chosen) or len(chosen) > MAX_POINTS:
        return f"needs trees with children (world.tree) in 1 to {MAX_POINTS} settings"
    if any(values(run, point, "sae.latents")[0] < 2 for point in chosen):
        return "needs two or more latents in every model"
    return None


def _has_edges(point: Point) -> bool:
    given = point.settings["world.tree"]
    return given is not None and any(node.parent >= 0 for node in nodes(json.loads(str(given))))


def draw(run: Run) -> Figure:
    """All settings."""
    rows = []
    for point in settings(run):
        words = title(point).replace("\n", ", ")
        leaked = leaks(run, point.models)
        rows.append((words, (values(run, point, "absorption"), leaked)))
    return diagram(rows)
