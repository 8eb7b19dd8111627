"""Scores against the number that a sweep varies, a line for every other setting.

Shapes: K models of a setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from superpos.families.sae.analysis.points import numeric_axis, settings, title, values, varied
from superpos.figures import style
from superpos.figures.points import Point, Run

MIN_POINTS: Final = 3
MAX_LINES: Final = 6
_WIDE: Final = 8.0
"""Greatest over least number from which an axis is logarithmic."""
WORDS: Final[Mapping[str, str]] = {
    "mmcs": "MMCS",
    "found_90": "share found (cosine > 0.9)",
    "fvu": "variance unexplained",
    "c_dec": "overlap of the decoder",
}


def _lines(chosen: list[Point], axis: str) -> dict[str, list[Point]]:
    """Settings by all that varies but the axis, in words."""
    lines: dict[str, list[Point]] = {}
    for point in chosen:
        others = [key for key in point.varied if key != axis and not _is(key, axis)]
        words = title(replace(point, varied={key: point.varied[key] for key in others}))
        lines.setdefault(words, []).append(point)
    return lines


def _is(key: str, axis: str) -> bool:
    """Whether a key goes with the axis: the number of latents with that of features."""
    return {key, axis} <= {"sae.latents", "world.n_features", "sae.expansion"}


def _panel(axes: Axes, run: Run, lines: Mapping[str, list[Point]], axis: str, column: str) -> None:
    for i, (words, points) in enumerate(lines.items()):
        ordered = sorted(points, key=lambda point: point.number(axis))
        at = [point.number(axis) for point in ordered]
        cells = [values(run, point, column) for point in ordered]
        middle = [found.mean() for found in cells]
        colour = style.CYCLE[i % len(style.CYCLE)]
        axes.plot(at, middle, "-", color=colour, label=words.replace("\n", ", ") or None)
        for x, found in zip(at, cells, strict=True):
            axes.plot(
                np.full(len(found), x),
                found,
                "o",
                color=colour,
                markersize=2,
                alpha=0.6,
                mew=0,
            )
        if column == "mmcs":
            chance = [values(run, point, "chance").mean() for point in ordered]
            label = "chance" if i == 0 else None
            axes.plot(at, chance, ":", color=style.GREY, linewidth=0.8, label=label)


def diagram(run: Run, chosen: list[Point], axis: str, label: str) -> Figure:
    """A panel for each score: means as lines, models as dots."""
    lines = _lines(chosen, axis)
    numbers = [point.number(axis) for point in chosen]
    wide = min(numbers) > 0 and max(numbers) > _WIDE * min(numbers)
    with style.context():
        figure = style.new_figure(style.FULL, 3.6 + 0.16 * len(lines))
        panels: Any = figure.subplots(2, 2, sharex=True).ravel()
        for axes, (column, words) in zip(panels, WORDS.items(), strict=True):
            _panel(axes, run, lines, axis, column)
            axes.set_ylabel(words)
            if wide:
                axes.set_xscale("log")
                style.plain_log_numbers(axes.xaxis)
        figure.supxlabel(label, fontsize=8)
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=2)
    return figure


def applies(run: Run) -> str | None:
    """Why a run has no such curves; None when it has."""
    chosen = settings(run)
    axis = numeric_axis(chosen)
    if axis is None or len({point.number(axis) for point in chosen}) < MIN_POINTS:
        found = ", ".join(varied(chosen)) or "nothing"
        return f"needs a key with {MIN_POINTS} or more numbers, found {found}"
    lines = len(_lines(chosen, axis))
    return None if lines <= MAX_LINES else f"needs at most {MAX_LINES} lines, found {lines}"


def draw(run: Run) -> Figure:
    """All settings of the sweep."""
    chosen = settings(run)
    axis = numeric_axis(chosen)
    assert axis is not None, "applies() has seen one"
    return diagram(run, chosen, axis, run.require_family().shows.words.get(axis, axis))
