"""Composed features: the loss of every model beside those of the truth and of a latent of the sum.

Shapes: K models of a setting.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from superpos.families.sae.analysis.optima import composed
from superpos.families.sae.analysis.points import EXACT, pair, settings, title
from superpos.figures import style
from superpos.figures.points import Point, Run, all_equal

NEEDS: Final = {
    **EXACT,
    "world.n_features": 2,
    "world.magnitude": "one",
    "sae.kind": "l1",
    "sae.decoder_bias": False,
}
MAX_POINTS: Final = 24


def diagram(rows: list[tuple[str, Any]]) -> Figure:
    """Losses over the truth's, a row for each setting; full dots have a latent of the sum."""
    with style.context():
        figure = style.new_figure(style.FULL * 0.8, 0.8 + 0.22 * len(rows))
        axes: Any = figure.subplots()
        places = np.arange(len(rows))[::-1]
        for y, (_, found) in zip(places, rows, strict=True):
            loss = found.loss / found.truth
            spread = y + np.linspace(-0.25, 0.25, len(loss))
            for has_sum, fill, label in (
                (True, "full", "has a latent of the sum"),
                (False, "none", "has none"),
            ):
                own = found.has_sum == has_sum
                axes.plot(
                    loss[own], spread[own], "o", color=style.CYCLE[0], fillstyle=fill, markersize=3,
                    mew=0.7, label=label if y == places[0] else None,
                )  # fmt: skip
            exact = found.exact / found.truth
            axes.plot([exact, exact], [y - 0.4, y + 0.4], color=style.CYCLE[1], linewidth=1.2)
        axes.axvline(1, color=style.CYCLE[2], linewidth=1)
        axes.set_yticks(places, [words for words, _ in rows])
        axes.set_xlabel("loss over the truth's (green); orange: exact composed optimum")
        axes.set_xscale("log")
        style.plain_log_numbers(axes.xaxis)
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def applies(run: Run) -> str | None:
    """Why there is nothing to show; None when there is."""
    reason = all_equal(run, NEEDS)
    if reason:
        return reason
    chosen = settings(run)
    if not all(map(_alike, chosen)) or len(chosen) > MAX_POINTS:
        needs = "needs a tree of two features that come alone equally often (world.tree)"
        return f"{needs} in 1 to {MAX_POINTS} settings"
    return None


def _alike(point: Point) -> bool:
    """Whether a tree's parent comes without its child as often as the child without it."""
    edge = pair(point)
    if edge is None:
        return False
    childless = edge.parent * (1 - edge.child)
    return bool(np.isclose(childless, (1 - edge.parent) * edge.alone, rtol=1e-6))


def draw(run: Run) -> Figure:
    """All settings."""
    rows = []
    for point in settings(run):
        rows.append((title(point).replace("\n", ", "), composed(run, point)))
    return diagram(rows)
