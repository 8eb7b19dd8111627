"""Tokens that matter beside those that attention names, and how far attention could be changed.

Shapes: K sharpnesses, five tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from superpos.families.circuit.analysis.answers import groups
from superpos.families.circuit.analysis.tokens import METHODS, score, tokens_of
from superpos.families.circuit.keys import INDUCTION
from superpos.figures import style
from superpos.maths.types import Floats
from superpos.store import Run

MIN_POINTS: Final = 3
_TOKENS: Final = ("first A", "B", "C", "D", "last A")
_WIDTH: Final = 0.2


class Shown(NamedTuple):
    """One kind of circuit."""

    betas: Floats
    """[K], ascending."""
    bars: Mapping[str, Floats]
    """[5] of the sharpest circuit: the effect of each token, and what methods give it."""
    lines: Mapping[str, Floats]
    """[K]."""


def applies(run: Run) -> str | None:
    """Why there is nothing; None when there is."""
    table = run.table[run.table["circuit.kind"].isin(INDUCTION)]
    if table.empty or table.groupby("circuit.kind")["circuit.beta"].nunique().max() < MIN_POINTS:
        return f"needs induction circuits of at least {MIN_POINTS} values of circuit.beta"
    return None


def gather(run: Run) -> Mapping[str, Shown]:
    """What is shown of every kind with enough sharpnesses."""
    models: dict[str, tuple[int, ...]] = {}
    for group in groups(run):
        table = run.table.loc[list(group.models)].drop_duplicates("circuit.beta")
        if group.kind in INDUCTION and group.kind not in models and len(table) >= MIN_POINTS:
            chosen = table.sort_values("circuit.beta")["model"]
            models[group.kind] = tuple(int(model) for model in chosen)
    return {kind: _shown(run, chosen) for kind, chosen in models.items()}


def _shown(run: Run, models: tuple[int, ...]) -> Shown:
    found = tokens_of(run, models)
    bars = {"effect": found.effect, **{name: found.scores[name] for name in METHODS}}
    mean = {}
    for name, values in bars.items():
        size = np.abs(values[-1])
        if name != "effect":
            size = size / size.sum(axis=-1, keepdims=True)
        mean[name] = np.take_along_axis(size, found.places, axis=1).mean(axis=0)
    of_attention = score(found, "attention")
    lines = {
        "recall of attention": of_attention.recall,
        "its precision": of_attention.precision,
        "other attention: divergence / log 2": found.divergence.mean(axis=1) / np.log(2),
    }
    return Shown(
        run.table.loc[list(models), "circuit.beta"].to_numpy(dtype=np.float64), mean, lines
    )


def draw(run: Run) -> Figure:
    """Two panels for each kind."""
    return diagram(gather(run))


def diagram(found: Mapping[str, Shown]) -> Figure:
    """Bars of the sharpest circuit, and lines against sharpness."""
    with style.context():
        figure = style.new_figure(style.FULL, 2.4 * len(found) + 0.2)
        panels = figure.subplots(len(found), 2, squeeze=False)
        for (kind, shown), (left, right) in zip(found.items(), panels, strict=True):
            _bars(left, shown)
            _lines(right, shown)
            left.set_title(f"{kind}, β = {shown.betas[-1]:g}")
        for axes in panels[0]:
            axes.set_ylim(-0.03, 1.5)
            axes.legend(fontsize=6, loc="upper center", ncols=2)
    return figure


def _bars(axes: Axes, shown: Shown) -> None:
    for number, (name, values) in enumerate(shown.bars.items()):
        places = np.arange(len(_TOKENS)) + (number - (len(shown.bars) - 1) / 2) * _WIDTH
        colour = style.INK if name == "effect" else style.CYCLE[number - 1]
        axes.bar(places, values, _WIDTH, color=colour, label=name.replace("_", " "))
    axes.set_xticks(range(len(_TOKENS)), _TOKENS)
    axes.set_ylabel("share")


def _lines(axes: Axes, shown: Shown) -> None:
    for number, (name, values) in enumerate(shown.lines.items()):
        axes.plot(shown.betas, values, marker="osv"[number], color=style.CYCLE[number], label=name)
    axes.set_xscale("log")
    style.plain_log_numbers(axes.xaxis)
    axes.set(xlabel="sharpness β", ylim=(-0.03, 1.5))
