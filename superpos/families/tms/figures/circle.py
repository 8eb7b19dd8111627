"""Features on a circle: W W^T, and its entries against the covariance of the features (Prieto et
al. 2026).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from superpos.families.tms.analysis import circle
from superpos.families.tms.data.circle import covariance
from superpos.figures import style
from superpos.figures.points import Run, short
from superpos.maths.types import Floats
from superpos.store.rows import healthy


def constructive_interference(models: Mapping[str, Floats], sharpness: float) -> Figure:
    """W W^T of some models W [F, H] by their names, and its entries off the diagonal against the
    covariance.
    """
    with style.context():
        figure = style.new_figure(style.FULL, 2.4)
        *maps, scatter = figure.subplots(1, len(models) + 1)
        for axes, (name, W), colour in zip(maps, models.items(), style.CYCLE, strict=False):
            gram = W @ W.T
            limit = np.abs(gram).max()
            axes.imshow(gram, cmap=style.SIGNED, vmin=-limit, vmax=limit)
            axes.set(title=name, xlabel="feature", xticks=[], yticks=[])
            theirs = circle.off_diagonal(covariance(len(W), sharpness))
            scatter.plot(
                theirs,
                circle.off_diagonal(gram),
                ".",
                color=colour,
                markersize=4,
                mew=0,
                label=name,
            )
        scatter.set(xlabel="covariance of two features", ylabel=r"$W_i \cdot W_j$")
        scatter.legend(loc="lower right")
    return figure


def applies(run: Run) -> str | None:
    """Why the run has no features on a circle; None when it has."""
    return circle.reason(run)


def draw(run: Run) -> Figure:
    """The model of lowest loss of the least and of the greatest weight decay."""
    table = healthy(run.table).sort_values("loss", kind="stable")
    decays = table["train.weight_decay"]
    chosen = {}
    for decay in dict.fromkeys((decays.min(), decays.max())):
        best = table[decays == decay].iloc[0]
        chosen[f"weight decay {short(float(decay))}"] = run.weights(int(best["model"]))["W"].astype(
            np.float64
        )
    return constructive_interference(chosen, float(table[circle.SHARPNESS].iloc[0]))
