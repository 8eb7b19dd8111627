"""Two circuits of equal loss: V-composition and copying of every model that looks back, coloured by
what V costs.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from superpos.families.transformer.analysis.models import classed_rows
from superpos.families.transformer.results import CLASSED
from superpos.figures import style
from superpos.figures.points import Run

_MARKERS: Final = {"induction": "o", "shifted": "s", "mixed": "D", "recency": "v"}


def applies(run: Run) -> str | None:
    """Why there is nothing to show; None when there is."""
    if len(classed_rows(run)):
        return None
    return (
        f"needs models of 2 or more layers within {CLASSED:g} nats of the floor of a language that "
        "looks back"
    )


def diagram(rows: pd.DataFrame) -> Figure:
    """Composition against eigenvalues; beside it what each path costs, class by class."""
    with style.context():
        figure = style.new_figure(style.FULL * 0.9, 2.6)
        places, costs = figure.subplots(1, 2, width_ratios=(1.2, 1))
        top = max(float(rows["path_v"].max()), 1.0)
        points: Any = None
        for name, marker in _MARKERS.items():
            own = rows[rows["circuit"] == name]
            if len(own):
                points = places.scatter(
                    own["composition_v"],
                    own["ov_positivity"],
                    c=own["path_v"],
                    marker=marker,
                    vmin=0,
                    vmax=top,
                    cmap=style.SUPERPOSED,
                    s=16,
                    linewidths=0,
                    label=f"{name} ({len(own)})",
                )
        figure.colorbar(points, ax=places, label="nats that V costs")
        places.axvline(0, color=style.FAINT, linewidth=0.6, zorder=0)
        places.axhline(0, color=style.FAINT, linewidth=0.6, zorder=0)
        places.set(xlabel="V-composition − 1/√d", ylabel="OV positivity", ylim=(-1.05, 1.05))
        places.legend()
        _paths(costs, rows)
    return figure


def _paths(axes: Any, rows: pd.DataFrame) -> None:
    """What it costs to remove each path, a column of dots for each class."""
    present = [name for name in _MARKERS if (rows["circuit"] == name).any()]
    for number, name in enumerate(present):
        own = rows[rows["circuit"] == name]
        for place, into in enumerate(("q", "k", "v", "logits")):
            values = own[f"path_{into}"].to_numpy(dtype=np.float64)
            spread = np.linspace(-0.06, 0.06, len(values)) if len(values) > 1 else np.zeros(1)
            at = place + (number - (len(present) - 1) / 2) * 0.2
            axes.plot(
                at + spread,
                np.sort(values),
                _MARKERS[name],
                color=style.CYCLE[number],
                markersize=2,
            )
    axes.set_xticks(range(4), ["Q", "K", "V", "logits"])
    axes.set(xlabel="what the path removed went into", ylabel="cost in nats")


def draw(run: Run) -> Figure:
    """All seeds of all settings."""
    return diagram(classed_rows(run))
