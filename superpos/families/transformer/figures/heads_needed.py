"""One layer is no additive table: excess by heads, with the best additive tables of the same
languages.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from superpos.families.transformer.analysis import tables
from superpos.families.transformer.analysis.models import language, task
from superpos.figures import style
from superpos.figures.points import Run
from superpos.maths.types import Floats
from superpos.store.rows import healthy


def _shown(run: Run) -> pd.DataFrame:
    rows = healthy(run.table)
    return rows[(rows["model.n_layers"] == 1) & rows["language.kind"].isin(["source", "latin"])]


def applies(run: Run) -> str | None:
    """Why there is nothing to show; None when there is."""
    return (
        None if len(_shown(run)) else "needs models of one layer on language.kind=source or latin"
    )


def diagram(heads: Floats, excess: Floats, additive: Floats, bigrams: Floats) -> Figure:
    """Every model, and two lines with the spread over languages."""
    with style.context():
        figure = style.new_figure(style.HALF * 1.1, 2.3)
        axes = figure.subplots()
        for values, colour, name in (
            (bigrams, style.GREY, "bigrams alone"),
            (additive, style.CYCLE[1], "best additive table"),
        ):
            axes.axhspan(values.min(), values.max(), color=colour, alpha=0.25, linewidth=0)
            axes.axhline(values.mean(), color=colour, label=name)
        axes.plot(heads, excess, "o", color=style.CYCLE[0], label="trained")
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="heads of the one layer",
            ylabel="excess over the floor, nats",
        )
        axes.set_xticks(np.unique(heads), [f"{value:g}" for value in np.unique(heads)])
        axes.minorticks_off()
        axes.legend()
    return figure


def draw(run: Run) -> Figure:
    """All models of one layer."""
    rows = _shown(run)
    known: dict[str, tables.Added] = {}
    found = []
    for model in rows["model"].tolist():
        one = task(run, model)
        own = language(one)
        name = str(own["next"].tolist())
        if name not in known:
            known[name] = tables.added(one.structure, own)
        found.append(known[name])
    additive = [best.excess for best in found]
    bigrams = [best.bigrams for best in found]
    heads = rows["model.n_heads"].to_numpy(dtype=np.float64)
    return diagram(
        heads, rows["excess"].to_numpy(dtype=np.float64), np.array(additive), np.array(bigrams)
    )
