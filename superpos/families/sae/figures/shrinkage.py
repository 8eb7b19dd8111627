"""Shrinkage: L1 and JumpReLU beside their exact optima, in orthonormal worlds of equal features.

Shapes: K models of a setting, T penalties.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from superpos.families.sae import theory
from superpos.families.sae.analysis.optima import live_values
from superpos.families.sae.analysis.points import INDEPENDENT, settings, values
from superpos.figures import style
from superpos.figures.points import Point, Run, all_equal
from superpos.maths.types import Floats

WORLD: Final = {
    **INDEPENDENT,
    "world.frequency": "constant",
    "world.magnitude": "uniform",
}
MIN_PENALTIES: Final = 3
_STARTS: Final = {"truth+noise": "o", "truth": "o", "random": "x"}
_COLUMNS: Final = {"l0": "L0", "loss": "loss", "gamma": "γ, too short by"}


def diagram(run: Run, chosen: list[Point]) -> Figure:
    """A panel for bias, L0, loss and γ of L1, and one for the threshold of JumpReLU."""
    with style.context():
        figure = style.new_figure(style.FULL, 3.6)
        panels: Any = figure.subplots(2, 3).ravel()
        l1 = [point for point in chosen if point.settings["sae.kind"] == "l1"]
        for i, bias in enumerate(sorted({bool(p.settings["sae.decoder_bias"]) for p in l1})):
            own = [point for point in l1 if bool(point.settings["sae.decoder_bias"]) == bias]
            _l1(run, panels, own, style.CYCLE[i], "with b_d" if bias else "without b_d")
        _jumprelu(run, panels[4], [p for p in chosen if p.settings["sae.kind"] == "jumprelu"])
        handles, names = panels[0].get_legend_handles_labels()
        panels[5].set_axis_off()
        panels[5].legend(handles, names, loc="center", title="lines: exact optimum")
    return figure


def _l1(run: Run, panels: Any, own: list[Point], colour: str, words: str) -> None:
    n = own[0].number("world.n_features")
    active = own[0].number("world.active")
    penalty = np.linspace(0, 1.05 * max(point.number("sae.l1") for point in own), 200)[1:]
    exact = theory.l1_optimum(active / n, penalty, decoder_bias=words == "with b_d")
    lines = [exact.encoder_bias, n * exact.l0, n * exact.loss, exact.gamma]
    for axes, line in zip(panels, lines, strict=False):
        axes.plot(penalty, line, color=colour, linewidth=0.9)
        axes.set_xlabel("λ")
    panels[0].set_ylabel("bias of the encoder")
    for axes, label in zip(panels[1:], _COLUMNS.values(), strict=False):
        axes.set_ylabel(label)
    for point in own:
        start = str(point.settings["sae.start"])
        cells = [live_values(run, point.models, "b_e")]
        cells += [values(run, point, name) for name in _COLUMNS]
        label = f"{words}, start: {start}"
        _dots(panels, point.number("sae.l1"), cells, _STARTS[start], colour, label)


def _dots(panels: Any, at: float, cells: list[Floats], mark: str, colour: str, label: str) -> None:
    for axes, found in zip(panels, cells, strict=False):
        names = axes.get_legend_handles_labels()[1]
        label_ = None if label in names else label
        place = np.full(len(found), at)
        axes.plot(place, found, mark, color=colour, markersize=3, mew=0.7, mfc="none", label=label_)


def _jumprelu(run: Run, axes: Any, own: list[Point]) -> None:
    if not own:
        axes.set_axis_off()
        return
    penalty = np.linspace(0, 1.1 * max(point.number("sae.l0") for point in own), 200)
    for i, width in enumerate(sorted({point.number("sae.bandwidth") for point in own})):
        colour = style.CYCLE[2 + i]
        line = theory.jumprelu_threshold(penalty, width)
        axes.plot(penalty, line, color=colour, linewidth=0.9, label=f"ε = {width:g}")
        for point in (p for p in own if p.number("sae.bandwidth") == width):
            found = live_values(run, point.models, "theta")
            mark = _STARTS[str(point.settings["sae.start"])]
            place = np.full(len(found), point.number("sae.l0"))
            axes.plot(place, found, mark, color=colour, markersize=3, mew=0.7, mfc="none")
    axes.set(xlabel="λ of L0", ylabel="threshold of JumpReLU")
    axes.legend()


def applies(run: Run) -> str | None:
    """Why exact optima cannot be shown; None when they can."""
    reason = all_equal(run, WORLD)
    if reason:
        return reason
    penalties = {p.number("sae.l1") for p in settings(run) if p.settings["sae.kind"] == "l1"}
    if len(penalties) < MIN_PENALTIES:
        return f"needs L1 at {MIN_PENALTIES} or more penalties"
    return None


def draw(run: Run) -> Figure:
    """All settings, every model."""
    return diagram(run, settings(run))
