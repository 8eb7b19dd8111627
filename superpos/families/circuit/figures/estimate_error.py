"""Estimates of the edge by which induction circuits are composed, over its exact effect.

Shapes: K sharpnesses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from superpos.families.circuit.analysis.answers import Group, edge_ratio, groups
from superpos.families.circuit.keys import INDUCTION
from superpos.figures import style
from superpos.maths.types import Floats
from superpos.store import Run

MIN_POINTS: Final = 3
_PROMPTS: Final = 10
_LINES: Final = (
    ("EAP at clean", "gradient_clean", 1),
    ("EAP at corrupt", "gradient_corrupt", 1),
    ("IG over inputs, 20 steps", "ig_inputs", 20),
    ("IG over inputs, 100 steps", "ig_inputs", 100),
    ("conductance, 100 steps", "conductance", 100),
    ("IG over activations, 20 steps", "ig_activations", 20),
)


def _kinds(run: Run) -> dict[str, Group]:
    """Induction circuits of several sharpnesses."""
    found = {group.kind: group for group in groups(run) if group.kind in INDUCTION}
    return {kind: group for kind, group in found.items() if len(_betas(run, group)) >= MIN_POINTS}


def _betas(run: Run, group: Group) -> Floats:
    """Different sharpnesses, ascending, [K]."""
    return np.unique(run.table.loc[list(group.models), "circuit.beta"].to_numpy(dtype=np.float64))


def applies(run: Run) -> str | None:
    """Why there are no lines; None when there are."""
    if not _kinds(run):
        return f"needs induction circuits of at least {MIN_POINTS} values of circuit.beta"
    return None


def gather(run: Run) -> Mapping[str, tuple[Floats, Mapping[str, Floats]]]:
    """For each kind the sharpnesses [K] and the ratios [K] of every estimate."""
    found = {}
    for kind, group in _kinds(run).items():
        table = run.table.loc[list(group.models)].drop_duplicates("circuit.beta")
        chosen = table.sort_values("circuit.beta")["model"]
        one_each = Group(kind, tuple(int(model) for model in chosen))
        ratios = {}
        for words, estimate, steps in _LINES:
            ratios[words] = edge_ratio(run, one_each, estimate, steps, prompts=_PROMPTS)
        found[kind] = (_betas(run, group), ratios)
    return found


def draw(run: Run) -> Figure:
    """A panel for each kind."""
    return diagram(gather(run))


def diagram(found: Mapping[str, tuple[Floats, Mapping[str, Floats]]]) -> Figure:
    """Lines of all estimates; 1 is right."""
    with style.context():
        figure = style.new_figure(style.FULL, 2.6)
        panels = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
        for axes, (kind, (betas, ratios)) in zip(panels, found.items(), strict=True):
            _panel(axes, kind, betas, ratios)
        panels[0].set_ylabel("estimate over exact effect")
        panels[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _panel(axes: Axes, kind: str, betas: Floats, ratios: Mapping[str, Floats]) -> None:
    axes.axhline(1, color=style.GREY, linewidth=0.8)
    for i, (words, values) in enumerate(ratios.items()):
        marker = "osv^Dx"[i % 6]
        colour = style.CYCLE[i % len(style.CYCLE)]
        axes.plot(betas, values, marker=marker, color=colour, label=words)
    axes.set_xscale("log")
    style.plain_log_numbers(axes.xaxis)
    axes.set(title=kind, xlabel="sharpness β", ylim=(-0.1, 2.2))
