"""Autoencoders beside dictionaries without one, in each kind of world of a sweep.

The baselines are computed when the figure is drawn, which takes about half a minute a world.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from superpos.families.sae.analysis.baselines import BASELINES
from superpos.families.sae.analysis.points import SIZES, settings, title, values
from superpos.families.sae.analysis.scores import baseline_mmcs
from superpos.families.sae.analysis.worlds import densities
from superpos.families.sae.figures.bars import Bar, stack
from superpos.figures import style
from superpos.figures.points import Point, Run

MIN_KINDS: Final = 3
MAX_WORLDS: Final = 3
_HEIGHT: Final = 0.17  # inches of a bar


def _worlds(run: Run) -> list[list[Point]]:
    """Settings by the kind of their world."""
    worlds: dict[tuple[Any, ...], list[Point]] = {}
    for point in settings(run):
        own = (value for key, value in point.varied.items() if _is_of_world(key))
        worlds.setdefault(tuple(own), []).append(point)
    return list(worlds.values())


def _is_of_world(key: str) -> bool:
    return key.startswith("world.") or key == "sae.source"


def _words(run: Run, point: Point) -> str:
    """The kind of world of a setting."""
    n, d = (point.settings[key] for key in SIZES)
    active = densities(run, point.best).sum()
    return f"{n} features in {d} dimensions, {active:.3g} active"


def _bars(run: Run, points: list[Point]) -> list[Bar]:
    """Baselines, then autoencoders, each group from low to high."""
    chance = float(values(run, points[0], "chance")[0])
    models = points[0].models
    scores = {name: baseline_mmcs(run, name, models) for name in BASELINES}
    baselines = [Bar(name, own, chance, np.nan, style.GREY) for name, own in scores.items()]
    trained = []
    for point in points:
        own = {key: value for key, value in point.varied.items() if not _is_of_world(key)}
        words = title(replace(point, varied=own)).replace("\n", ", ")
        dead = float(values(run, point, "dead").mean())
        trained.append(Bar(words, values(run, point, "mmcs"), chance, dead))
    groups = (sorted(bars, key=lambda bar: bar.scores.mean()) for bars in (baselines, trained))
    return [bar for group in groups for bar in group]


def diagram(worlds: list[tuple[str, list[Bar]]]) -> Figure:
    """A panel for each kind of world."""
    height = sum(len(bars) for _, bars in worlds) * _HEIGHT + 0.4 * len(worlds) + 0.3
    with style.context():
        figure = style.new_figure(style.FULL * 0.8, height)
        ratios = [len(bars) for _, bars in worlds]
        panels = figure.subplots(len(worlds), 1, squeeze=False, sharex=True, height_ratios=ratios)
        for axes, (words, bars) in zip(panels.ravel(), worlds, strict=True):
            stack(axes, bars)
            axes.set_title(words)
        axes.set_xlabel("MMCS (orange: chance)")
    return figure


def applies(run: Run) -> str | None:
    """Why baselines are not shown; None when they are."""
    worlds = _worlds(run)
    kinds = {(point.settings["sae.kind"], point.settings["sae.tied"]) for point in settings(run)}
    if len(kinds) < MIN_KINDS or len(worlds) > MAX_WORLDS:
        return f"needs {MIN_KINDS} or more kinds of autoencoders in 1 to {MAX_WORLDS} worlds"
    return None


def draw(run: Run) -> Figure:
    """All kinds of worlds."""
    return diagram([(_words(run, points[0]), _bars(run, points)) for points in _worlds(run)])
