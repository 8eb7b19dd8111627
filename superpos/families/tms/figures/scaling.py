"""Loss and spread of directions against the width, by how the biases start (Liu, Liu and Gore
2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from superpos.families.tms.analysis import scaling
from superpos.figures import style
from superpos.figures.points import Run, short
from superpos.maths.types import Floats
from superpos.store.rows import healthy


class Start(NamedTuple):
    """Models of one start of the biases."""

    spread: float  # standard deviation of the initial b
    width: Floats  # [M]
    loss: Floats  # [M]
    welch: Floats  # [M] mean squared cosine over the Welch bound
    exponent: float


def neural_scaling(starts: Sequence[Start]) -> Figure:
    """Losses with 1/m through the first of each start; mean squared cosines over the Welch
    bound.
    """
    with style.context():
        figure = style.new_figure(style.FULL, 2.6)
        losses, frames = figure.subplots(1, 2)
        for start, colour in zip(starts, style.CYCLE, strict=False):
            kind = {"color": colour, "marker": "o", "markersize": 3, "linewidth": 1}
            label = f"initial b ± {short(start.spread)}: L ~ 1/m^{start.exponent:.2f}"
            losses.plot(start.width, start.loss, label=label, **kind)
            losses.plot(
                start.width,
                start.loss[0] * start.width[0] / start.width,
                color=style.FAINT,
                linewidth=0.7,
            )
            frames.plot(start.width, start.welch, **kind)
        losses.plot([], [], color=style.FAINT, linewidth=0.7, label="1/m")
        losses.set(yscale="log", ylabel="loss")
        losses.legend(loc="lower left")
        frames.axhline(1, color=style.FAINT, linewidth=0.7, zorder=0)
        frames.set(ylabel="squared cosine over the Welch bound")
        for axes in (losses, frames):
            axes.set(xscale="log", xlabel="hidden dimensions m")
            style.plain_log_numbers(axes.xaxis)
        style.plain_log_numbers(losses.yaxis)
    return figure


def applies(run: Run) -> str | None:
    """Why the run is no sweep of widths from several starts; None when it is."""
    return scaling.reason(run)


def draw(run: Run) -> Figure:
    """All starts of the run."""
    starts = []
    for spread, rows in healthy(run.table).sort_values("model.n_hidden").groupby(scaling.START):
        width, loss = (rows[name].to_numpy(np.float64) for name in ("model.n_hidden", "loss"))
        weights = [run.weights(int(model))["W"].astype(np.float64) for model in rows["model"]]
        welch = np.array([scaling.welch_ratio(W) for W in weights])
        starts.append(Start(float(str(spread)), width, loss, welch, scaling.exponent(rows)))
    return neural_scaling(starts)
