"""How frequent a feature must be to be found, and the loss that follows from those that are.

Shapes: K models of a setting, G features, L numbers of latents.
"""

from __future__ import annotations

from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from superpos.families.sae.analysis.optima import by_frequency
from superpos.families.sae.analysis.points import INDEPENDENT, settings, values
from superpos.figures import style
from superpos.figures.points import Point, Run, all_equal

WORLD: Final = {
    **INDEPENDENT,
    "world.frequency": "zipf",
    "world.magnitude": "uniform",
    "sae.kind": "l1",
}
MIN_SIZES: Final = 2
SIZE: Final = "sae.latents"
_WINDOW: Final = 5  # features whose shares are averaged


def _laws(chosen: list[Point]) -> dict[str, list[Point]]:
    laws: dict[str, list[Point]] = {}
    for point in chosen:
        exponent = point.number("world.exponent")
        active = point.number("world.active")
        laws.setdefault(f"s = {exponent:g}, K = {active:g}", []).append(point)
    return laws


def diagram(run: Run, laws: dict[str, list[Point]]) -> Figure:
    """For every law the share found against p · m, and for all the loss against m."""
    with style.context():
        figure = style.new_figure(style.FULL, 2.2)
        panels: Any = figure.subplots(1, len(laws) + 1, squeeze=False)[0]
        for i, (axes, (words, points)) in enumerate(zip(panels, laws.items(), strict=False)):
            _shares(axes, run, points)
            axes.set_title(words, color=style.CYCLE[i])
            axes.set_xlabel("frequency p times m")
        panels[0].set_ylabel("share of seeds that have it")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(names))
        for i, points in enumerate(laws.values()):
            _loss(panels[-1], run, points, style.CYCLE[i])
        panels[-1].set_title("lines: exact")
        panels[-1].set(xlabel="latents m", ylabel="loss", xscale="log")
        style.plain_log_numbers(panels[-1].xaxis)
    return figure


def _shares(axes: Any, run: Run, points: list[Point]) -> None:
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(points)))
    for point, colour in zip(sorted(points, key=lambda p: p.number(SIZE)), colours, strict=True):
        found = by_frequency(run, point)
        order = np.argsort(-found.density)
        share = found.found.mean(axis=0)[order]
        window = np.ones(_WINDOW)
        smooth = np.convolve(share, window, "same") / np.convolve(
            np.ones_like(share),
            window,
            "same",
        )
        size = point.number(SIZE)
        axes.plot(found.density[order] * size, smooth, color=colour, label=f"m = {size:g}")
        axes.axvline(found.half * size, color=colour, linewidth=0.5, linestyle=":")
    axes.set(xscale="log", ylim=(-0.03, 1.03))
    style.plain_log_numbers(axes.xaxis)


def _loss(axes: Any, run: Run, points: list[Point], colour: str) -> None:
    ordered = sorted(points, key=lambda point: point.number(SIZE))
    sizes = [point.number(SIZE) for point in ordered]
    exact = [by_frequency(run, point).exact_loss for point in ordered]
    axes.plot(sizes, exact, color=colour, linewidth=0.9)
    for size, point in zip(sizes, ordered, strict=True):
        loss = values(run, point, "loss")
        axes.plot(
            np.full(len(loss), size),
            loss,
            "o",
            color=colour,
            markersize=2.5,
            mfc="none",
            mew=0.7,
        )


def applies(run: Run) -> str | None:
    """Why there are no such curves; None when there are."""
    reason = all_equal(run, WORLD)
    if reason:
        return reason
    sizes = {point.number(SIZE) for point in settings(run)}
    return None if len(sizes) >= MIN_SIZES else f"needs {MIN_SIZES} or more numbers of latents"


def draw(run: Run) -> Figure:
    """All laws and sizes."""
    return diagram(run, _laws(settings(run)))
