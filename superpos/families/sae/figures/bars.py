"""Bars of the MMCS of every setting, with chance beside them.

Shapes: K models of a setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from superpos.families.sae.analysis.points import settings, title, values
from superpos.figures import style
from superpos.figures.points import NOTHING, Run
from superpos.maths.types import Floats

MAX_POINTS: Final = 48
_HEIGHT: Final = 0.17  # inches of a bar


class Bar(NamedTuple):
    """One bar."""

    words: str
    scores: Floats  # [K]
    chance: float
    dead: float
    """Share of dead latents; NaN for what has none."""
    colour: str = style.CYCLE[0]


def stack(axes: Axes, shown: Sequence[Bar]) -> None:
    """Horizontal bars of the mean from top to bottom, a dot for each model, a tick at chance."""
    places = np.arange(len(shown))[::-1]
    for y, bar in zip(places, shown, strict=True):
        axes.barh(y, np.nanmean(bar.scores), height=0.72, color=bar.colour, alpha=0.55)
        axes.plot(bar.scores, np.full(len(bar.scores), y), ".", color=style.INK, markersize=2.5)
        axes.plot([bar.chance] * 2, [y - 0.45, y + 0.45], color=style.CYCLE[1], linewidth=1.2)
        if np.isfinite(bar.dead) and bar.dead > 0.005:
            text = f"{bar.dead:.0%} dead"
            axes.annotate(text, (1.005, y), fontsize=6, va="center", annotation_clip=False)
    axes.set_yticks(places, [bar.words for bar in shown])
    axes.set(xlim=(0, 1), ylim=(-0.7, len(shown) - 0.3))


def diagram(shown: Sequence[Bar], label: str) -> Figure:
    """All bars under each other."""
    with style.context():
        figure = style.new_figure(style.FULL * 0.8, 0.6 + _HEIGHT * len(shown))
        axes = figure.subplots()
        stack(axes, shown)
        axes.set_xlabel(f"{label} (orange: chance)")
    return figure


def applies(run: Run) -> str | None:
    """Why there are no bars; None when there are."""
    chosen = settings(run)
    if not chosen:
        return NOTHING
    if len(chosen) > MAX_POINTS:
        return f"needs at most {MAX_POINTS} settings, found {len(chosen)}"
    return None


def setting_bars(run: Run) -> list[Bar]:
    """A bar of the MMCS for each setting."""
    found = []
    for point in settings(run):
        words = title(point).replace("\n", ", ")
        chance = values(run, point, "chance").mean()
        dead = values(run, point, "dead").mean()
        found.append(Bar(words, values(run, point, "mmcs"), float(chance), float(dead)))
    return found


def draw(run: Run) -> Figure:
    """The MMCS of all settings."""
    return diagram(setting_bars(run), "MMCS")
