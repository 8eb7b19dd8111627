"""max(x, 0) by fewer neurons than features: what comes out of each, how many neurons it uses, by
the loss's power.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from superpos.families.tms.analysis import compressed
from superpos.figures import style
from superpos.figures.points import Run
from superpos.maths.types import Floats
from superpos.store.rows import healthy


def compressed_computation(models: Mapping[int, tuple[Floats, Floats]]) -> Figure:
    """Responses and neurons of the features of W1, W2 by the power of the loss, each in its own
    order.
    """
    with style.context():
        figure = style.new_figure(style.FULL, 2.6)
        responses, neurons = figure.subplots(1, 2)
        for (power, weights), colour in zip(models.items(), style.CYCLE, strict=False):
            kind = {
                "color": colour,
                "marker": ".",
                "markersize": 3,
                "linewidth": 1,
                "label": f"errors to the {power}",
            }
            found = np.sort(compressed.response(*weights))[::-1]
            responses.plot(np.arange(1, len(found) + 1), found, **kind)
            used = np.sort(compressed.neurons_a_feature(*weights))[::-1]
            neurons.plot(np.arange(1, len(used) + 1), used, **kind)
        _, m = next(iter(models.values()))[0].shape
        for axes in (responses, neurons):
            axes.axvline(m + 0.5, color=style.FAINT, linewidth=0.7, zorder=0)
            axes.set(xlabel=f"features in order, the line at m = {m}")
        responses.axhline(compressed.COMPUTED, color=style.FAINT, linewidth=0.7, zorder=0)
        responses.set(ylabel=r"output $i$ for $x_i = 1$ alone")
        neurons.set(ylabel="neurons that a feature uses", ylim=(0, None))
        responses.legend(loc="lower left")
    return figure


def applies(run: Run) -> str | None:
    """Why the run does not compute max(x, 0) on few neurons; None when it does."""
    return compressed.reason(run)


def draw(run: Run) -> Figure:
    """The model of lowest loss of each power."""
    table = healthy(run.table).sort_values("loss", kind="stable")
    best = table.drop_duplicates("train.loss_power").sort_values("train.loss_power")
    powers = zip(best["train.loss_power"], best["model"], strict=True)
    return compressed_computation(
        {int(power): compressed.untied(run, int(model)) for power, model in powers}
    )
