"""One layer is no additive table: excess by heads, with the best additive tables of the same
languages.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from superpos.families.transformer.analysis import tables
from superpos.families.transformer.analysis.models import language, task
from superpos.figures import style
from superpos.figures.points import Run
from superpos.maths.types import Floats
from superpos.store.rows import healthy

_KINDS: Final = ("source", "latin", "conditional")


def _shown(run: Run) -> pd.DataFrame:
    rows = healthy(run.table)
    return rows[(rows["model.n_layers"] == 1) & rows["language.kind"].isin(_KINDS)]


def applies(run: Run) -> str | None:
    """Why there is nothing to show; None when there is."""
    if len(_shown(run)):
        return None
    return f"needs models of one layer on language.kind={', '.join(_KINDS)}"


def diagram(
    heads: Floats,
    excess: Floats,
    additive: Floats,
    bigrams: Floats,
    direct: NDArray[np.bool_] | None = None,
) -> Figure:
    """Every model, a ring where it has no direct path, and two lines with the spread over
    languages.
    """
    is_direct = np.ones(len(heads), dtype=np.bool_) if direct is None else direct
    with style.context():
        figure = style.new_figure(style.HALF * 1.1, 2.3)
        axes = figure.subplots()
        for values, colour, name in (
            (bigrams, style.GREY, "bigrams alone"),
            (additive, style.CYCLE[1], "best additive table"),
        ):
            axes.axhspan(values.min(), values.max(), color=colour, alpha=0.25, linewidth=0)
            axes.axhline(values.mean(), color=colour, label=name)
        for chosen, fill, name in (
            (is_direct, style.CYCLE[0], "trained"),
            (~is_direct, "none", "trained, no direct path"),
        ):
            if chosen.any():
                axes.plot(
                    heads[chosen], excess[chosen], "o", mec=style.CYCLE[0], mfc=fill, label=name
                )
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="heads of the one layer",
            ylabel="excess over the floor, nats",
        )
        axes.set_xticks(np.unique(heads), [f"{value:g}" for value in np.unique(heads)])
        axes.minorticks_off()
        style.plain_log_numbers(axes.yaxis)
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
    excess = rows["excess"].to_numpy(dtype=np.float64)
    direct = rows["model.direct"].to_numpy(dtype=np.bool_)
    return diagram(heads, excess, np.array(additive), np.array(bigrams), direct)
