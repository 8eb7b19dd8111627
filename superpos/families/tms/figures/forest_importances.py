"""What a random forest credits inputs with for outputs that are not their own, beside what is
true.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from superpos.explain import forests
from superpos.families.tms.analysis.forest_importances import METHODS, importances, shares_of_others
from superpos.figures import style
from superpos.figures.points import NOTHING
from superpos.maths.types import Floats
from superpos.store import Run
from superpos.store.rows import healthy

MOST: Final = 20
"""Models whose forests are fitted."""
_WIDTH: Final = 0.27
_WORDS: Final = {
    "impurity": "impurity",
    "permutation": "permutation, held out",
    "truth": "truth (Sobol index)",
}


def bars(density: Floats, shares: Mapping[str, Floats]) -> Figure:
    """Mean shares [n] of every method, a group of bars for each input, by density."""
    order = np.argsort(density, kind="stable")
    with style.context():
        figure = style.new_figure(style.HALF * 1.3, 2.6)
        axes = figure.subplots()
        for number, (method, share) in enumerate(shares.items()):
            places = np.arange(len(density)) + (number - (len(shares) - 1) / 2) * _WIDTH
            axes.bar(places, share[order], _WIDTH, color=style.CYCLE[number], label=_WORDS[method])
        axes.set_xticks(range(len(density)), [f"{p:.2g}" for p in density[order]])
        axes.set_xlabel("density $1-S$ of the input")
        axes.set_ylabel("share of the importance\nfor other outputs")
        axes.axhline(0, color=style.INK, linewidth=0.6)
        axes.legend()
    return figure


def applies(run: Run) -> str | None:
    """Why forests cannot be drawn for this run; None when they can."""
    table = healthy(run.table)
    if table.empty:
        return NOTHING
    different = table["data.density"].map(lambda given: tuple(np.atleast_1d(given)))
    if different.nunique() != 1 or len(different.iloc[0]) == 1:
        return "needs features of different densities: data.density=[0.05,0.2,1]"
    return None if forests.installed() else forests.MISSING


def draw(run: Run) -> Figure:
    """Forests of the first healthy models."""
    table = healthy(run.table)[:MOST]
    models = [int(model) for model in table["model"]]
    shares: dict[str, Floats] = {}
    for method in METHODS:
        shares[method] = shares_of_others(importances(run, models, method)).mean(axis=0)
    return bars(np.asarray(table["data.density"].iloc[0], dtype=np.float64), shares)
