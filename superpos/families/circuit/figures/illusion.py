"""Directions whose interchange is perfect, by their cosine with the part that carries the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from superpos.families.circuit.analysis.illusions import Aligned, aligned
from superpos.figures import style
from superpos.store import Run

MIN_CIRCUITS: Final = 2


def applies(run: Run) -> str | None:
    """Why there are no directions; None when there are."""
    table = run.table
    pairs = table.loc[table["circuit.kind"] == "illusion", "circuit.distractors"].nunique()
    if pairs < MIN_CIRCUITS:
        return f"needs circuit.kind=illusion with {MIN_CIRCUITS} values of circuit.distractors"
    return None


def draw(run: Run) -> Figure:
    """A line for each number of pairs."""
    return diagram(aligned(run))


def diagram(found: Sequence[Aligned]) -> Figure:
    """Shares of the perfect directions with a cosine of at most so much."""
    with style.context():
        figure = style.new_figure(style.HALF * 1.5, 2.7)
        axes = figure.subplots()
        for number, one in enumerate(found):
            cosines = np.concatenate([[0], np.sort(one.cosine), [1]])
            share = np.concatenate([[0], np.arange(1, len(one.cosine) + 1) / len(one.cosine), [1]])
            words = {0: "none", 1: "1 pair"}.get(one.pairs, f"{one.pairs} pairs")
            colour = style.CYCLE[number % len(style.CYCLE)]
            axes.step(cosines, share, where="post", color=colour, label=words)
        axes.set(xlim=(-0.02, 1.02), ylim=(0, 1.02))
        axes.set_xlabel("|cosine| with the part that carries the input")
        axes.set_ylabel("share of perfect directions")
        axes.legend(title="unread and dormant", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
