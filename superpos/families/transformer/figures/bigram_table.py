"""Zero layers are a bigram table: read off the weights beside the language, and how large a model
must be.

Shapes: V tokens.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from superpos.families.transformer.analysis.models import language, task
from superpos.families.transformer.counts import log_table
from superpos.families.transformer.data.tables import law_of
from superpos.families.transformer.theory.low_rank import least_excess
from superpos.figures import style
from superpos.figures.points import Run
from superpos.maths.types import Floats
from superpos.store.rows import healthy

_LEAST = 1e-12


def applies(run: Run) -> str | None:
    """Why there is nothing to show; None when there is."""
    rows = healthy(run.table)
    fits = len(rows) and ((rows["model.n_layers"] == 0) & (rows["language.kind"] == "chain")).all()
    return (
        None
        if fits
        else "needs models without layers on a chain: model.n_layers=0 language.kind=chain"
    )


def diagram(
    true: Floats, read: Floats, trained: dict[int, Floats], optima: dict[int, Floats]
) -> Figure:
    """Two tables of log p, and excess against d: of models, and of the best tables of their
    languages.
    """
    with style.context():
        figure = style.new_figure(style.FULL, 2.2)
        left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.4))
        low = float(max(true[np.isfinite(true)].min(), -7))
        for axes, table, name in ((left, true, "language"), (middle, read, "read off the weights")):
            image = axes.imshow(table, vmin=low, vmax=0, cmap="viridis")
            axes.set(title=name, xlabel="next token")
            axes.set_xticks([0, len(table) - 1])
            axes.set_yticks([0, len(table) - 1])
        left.set_ylabel("token")
        figure.colorbar(image, ax=middle, shrink=0.8, label="log p")
        for d, values in trained.items():
            right.plot(
                np.full(len(values), d),
                np.maximum(values, _LEAST),
                "o",
                color=style.CYCLE[0],
                markersize=2.5,
            )
        right.plot([], [], "o", color=style.CYCLE[0], label="trained")
        sizes = sorted(optima)
        means = [max(float(optima[d].mean()), _LEAST) for d in sizes]
        right.plot(sizes, means, "-", color=style.CYCLE[1], label="best tables, mean")
        right.axvline(len(true) - 1, color=style.FAINT, linewidth=0.8, zorder=0)
        right.set(yscale="log", xlabel="dimensions d", ylabel="excess, nats")
        right.set_xticks(sorted(trained))
        right.annotate(
            "V − 1",
            (len(true) - 1, 1),
            xycoords=("data", "axes fraction"),
            ha="right",
            va="top",
            fontsize=7,
        )
        right.legend(loc="lower left")
    return figure


def draw(run: Run) -> Figure:
    """The tables of the model nearest to its floor; every size with the best tables of its models'
    languages.
    """
    rows = healthy(run.table)
    best = int(rows.sort_values("excess")["model"].iloc[0])
    own = language(task(run, best))
    laws = law_of(own["rows"])
    sizes = sorted({int(d) for d in rows["model.d_model"]})
    trained = {
        d: rows.loc[rows["model.d_model"] == d, "excess"].to_numpy(dtype=np.float64) for d in sizes
    }
    optima = {d: _optima(run, rows, d) for d in sizes if d < len(laws) - 1}
    with np.errstate(divide="ignore"):
        true = np.log(laws)
    return diagram(true, log_table(run.weights(best)), trained, optima)


def _optima(run: Run, rows: pd.DataFrame, d: int) -> Floats:
    """The least excess at a size for the language of each model of that size."""
    found = []
    for model in rows.loc[rows["model.d_model"] == d, "model"].tolist():
        own = language(task(run, model))
        found.append(least_excess(law_of(own["first"]), law_of(own["rows"]), d))
    return np.array(found)
