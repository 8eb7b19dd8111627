"""Bug trigrams of one layer: how much too likely they are in trained models, as their weights
foretell it, and in the best additive tables.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from superpos.families.transformer.analysis import tables
from superpos.families.transformer.analysis.models import language, task
from superpos.figures import style
from superpos.figures.points import Run
from superpos.maths.types import Floats
from superpos.store.rows import healthy


class Bugs(NamedTuple):
    """p of bug trigrams over their true probability, [K] each."""

    heads: Floats
    trained: Floats
    foretold: Floats
    additive: Floats


def _shown(run: Run) -> pd.DataFrame:
    rows = healthy(run.table)
    if rows.empty or "bug_ratio" not in rows:
        return rows.iloc[:0]
    readable = [tables.reads_triples(task(run, model).structure) for model in rows["model"]]
    return rows[np.array(readable) & rows["bug_ratio"].notna()]


def applies(run: Run) -> str | None:
    """Why there is nothing to show; None when there is."""
    if len(_shown(run)):
        return None
    return "needs models of one layer without positions on language.kind=source"


def diagram(bugs: Bugs) -> Figure:
    """A dot for each model, a ring where its weights say it must be; the tables' spread behind."""
    with style.context():
        figure = style.new_figure(style.HALF * 1.1, 2.3)
        axes = figure.subplots()
        axes.axhspan(
            bugs.additive.min(), bugs.additive.max(), color=style.CYCLE[1], alpha=0.25, linewidth=0
        )
        axes.axhline(bugs.additive.mean(), color=style.CYCLE[1], label="best additive table")
        axes.axhline(1, color=style.GREY, linewidth=0.8, label="as likely as in the language")
        axes.plot(bugs.heads, bugs.trained, "o", color=style.CYCLE[0], label="trained")
        axes.plot(
            bugs.heads, bugs.foretold, "o", mfc="none", mec=style.INK, markersize=7,
            label="read off the weights",
        )  # fmt: skip
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="heads of the one layer",
            ylabel="p of bug trigrams over the true p",
        )
        axes.set_xticks(np.unique(bugs.heads), [f"{value:g}" for value in np.unique(bugs.heads)])
        ticks = [1, 2, 3, 5]
        axes.set_yticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.legend(fontsize=6)
    return figure


def draw(run: Run) -> Figure:
    """All models of one layer."""
    rows = _shown(run)
    foretold = []
    additive = []
    for model in rows["model"].tolist():
        one = task(run, model)
        own = language(one)
        foretold.append(tables.measured(run.weights(model), one.structure, own)["bugs"])
        additive.append(tables.added(one.structure, own).bug_ratio)
    heads = rows["model.n_heads"].to_numpy(dtype=np.float64)
    trained = rows["bug_ratio"].to_numpy(dtype=np.float64)
    return diagram(Bugs(heads, trained, np.array(foretold), np.array(additive)))
