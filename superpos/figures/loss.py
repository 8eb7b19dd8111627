"""Training loss over steps: the middle and the spread of models.

Shapes: M models, H recorded steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from superpos.figures import style
from superpos.figures.points import NOTHING, Point, Run, ordered, points

MAX_LINES: Final = 24
MAX_NAMED: Final = 8  # lines in the legend, evenly over all
# models that agree in these recorded the same steps
_DECIDE_STEPS: Final = ("train.steps", "record.loss_every")
MAX_MODELS: Final = 1000  # histories read; evenly over the run


class Curve(NamedTuple):
    """Histories that are drawn as one line."""

    label: str
    steps: NDArray[np.int64]  # [H]
    loss: NDArray[np.floating[Any]]  # [M, H]; NaN where not reached


def curves(shown: Sequence[Curve], title: str = "") -> Figure:
    """The median over the models of every curve, with a band from the 10th to the 90th percentile;
    logarithmic.
    """
    with style.context():
        named = any(curve.label for curve in shown)
        figure = style.new_figure(style.HALF * (1.3 if named else 1), 2.3)
        axes = figure.subplots()
        colours = (
            mpl.colormaps["viridis"](np.linspace(0, 0.85, len(shown)))
            if len(shown) > 1
            else [style.CYCLE[0]]
        )
        for (label, steps, loss), colour in zip(shown, colours, strict=True):
            reached = np.isfinite(loss).any(axis=0)
            finite = np.where(np.isfinite(loss), loss, np.nan)[:, reached]
            low, middle, high = np.nanpercentile(finite, [10, 50, 90], axis=0)
            axes.plot(steps[reached], middle, color=colour, label=label)
            if len(loss) > 1:
                axes.fill_between(steps[reached], low, high, color=colour, alpha=0.2, linewidth=0)
        axes.set(xlabel="training step", ylabel="loss on training batches", title=title)
        # sparse data in small batches can be all zeros, and so its loss
        if np.isfinite(axes.dataLim.minposy):
            axes.set_yscale("log")
            style.plain_log_numbers(axes.yaxis)
        if named:
            picked = np.linspace(0, len(shown) - 1, min(MAX_NAMED, len(shown))).round().astype(int)
            lines = np.array(axes.get_lines(), dtype=object)[picked].tolist()
            axes.legend(handles=lines, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _by_steps(chosen: Sequence[Point]) -> list[list[Point]]:
    """The points by what decides which steps were recorded."""
    groups: dict[tuple[Any, ...], list[Point]] = {}
    for point in chosen:
        groups.setdefault(tuple(point.settings[key] for key in _DECIDE_STEPS), []).append(point)
    return list(groups.values())


def _curves_of(
    run: Run, label: str, chosen: Sequence[Point], models: NDArray[np.intp]
) -> list[Curve]:
    """Curves of those models of the points that are among `models`: one for every set of recorded
    steps.
    """
    shown = []
    for group in _by_steps(chosen):
        picked = np.intersect1d(np.concatenate([point.models for point in group]), models)
        steps = run.history(int(picked[0]))[0] if len(picked) else picked
        if len(steps):
            shown.append(Curve(label, steps, run.tensor("history/loss", picked)))
    return shown


def applies(run: Run) -> str | None:
    """Why the run has no training loss to draw; None when it has."""
    chosen = points(run)
    if not chosen:
        return NOTHING
    recorded = any(len(run.history(group[0].best)[0]) for group in _by_steps(chosen))
    return (
        None if recorded else "no training loss was recorded: train with record.loss_every above 0"
    )


def draw(run: Run) -> Figure:
    """A curve for each point of the sweep when there are few, one for all models when there are
    many.
    """
    chosen = ordered(points(run), run.require_family().shows.ordered_by)
    if len(chosen) <= MAX_LINES:
        shown = [
            curve
            for point in chosen
            for curve in _curves_of(run, _label(point), [point], _some(point.models))
        ]
    else:
        shown = _curves_of(
            run, "", chosen, _some(np.sort(np.concatenate([point.models for point in chosen])))
        )
    models = sum(len(curve.loss) for curve in shown)
    return curves(shown, f"median and 10–90% of {models} models" if models > len(shown) else "")


def _some(models: NDArray[np.intp]) -> NDArray[np.intp]:
    """At most `MAX_MODELS`, evenly over all."""
    return models[np.linspace(0, len(models) - 1, min(MAX_MODELS, len(models))).astype(np.intp)]


def _label(point: Point) -> str:
    return point.label().replace("\n", ", ")
