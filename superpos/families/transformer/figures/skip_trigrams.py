"""Skip-trigrams of one layer: planted, read off the weights through the softmax, and by the naive
product QK × OV.

Shapes: S sources, n ordinary tokens.
"""

from __future__ import annotations

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


def _shown(run: Run) -> pd.DataFrame:
    """Models off which skip-trigrams are read, that nearest to its floor first."""
    rows = healthy(run.table)
    if rows.empty:
        return rows
    readable = [tables.reads_triples(task(run, model).structure) for model in rows["model"]]
    return rows[readable].sort_values("excess")


def applies(run: Run) -> str | None:
    """Why there is nothing to show; None when there is."""
    if len(_shown(run)):
        return None
    return "needs models of one layer without positions on language.kind=source or latin"


def diagram(planted: NDArray[np.int64], read: Floats, naive: Floats) -> Figure:
    """Three maps [S, n] of the greatest entry after a source and a token: of the language, and of
    both readings [S, n, n].

    A ring stands where a reading has one of its greatest entries, of which it has as many as are
    planted, and nothing is.
    """
    count = int((planted >= 0).sum())
    with style.context():
        figure = style.new_figure(style.FULL, 1.9)
        panels = figure.subplots(1, 3, sharey=True)
        panels[0].imshow(planted >= 0, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        panels[0].set(title="planted", ylabel="source", yticks=[0, len(planted) - 1])
        for axes, table, title, label in (
            (panels[1], read, "through the softmax", "greatest p"),
            (panels[2], naive, "QK × OV", "greatest product"),
        ):
            image = axes.imshow(table.max(-1), vmin=0, cmap="viridis", aspect="auto")
            figure.colorbar(image, ax=axes, shrink=0.9, label=label)
            rows, columns = _wrong(table, planted, count)
            axes.plot(columns, rows, "o", mfc="none", mec=style.CYCLE[1], markersize=4)
            axes.set_title(f"{title}: {tables.precision(table, planted):.0%} planted")
        for axes in panels:
            axes.set(xlabel="token now", xticks=[0, planted.shape[1] - 1])
    return figure


def _wrong(
    table: Floats, planted: NDArray[np.int64], count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Source and token of the greatest entries that are not planted."""
    chosen = np.argsort(-table, axis=None, kind="stable")[:count]
    source, token, following = np.unravel_index(chosen, table.shape)
    wrong = planted[source, token] != following
    return source[wrong], token[wrong]


def draw(run: Run) -> Figure:
    """The model nearest to its floor."""
    model = int(_shown(run)["model"].iloc[0])
    one = task(run, model)
    own = language(one)
    weights = run.weights(model)
    read = np.exp(tables.through_softmax(one.structure, own, weights))
    return diagram(own["next"], read, tables.naive(one.structure, weights))
