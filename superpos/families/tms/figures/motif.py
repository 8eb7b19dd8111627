"""The asymmetric superposition motif, one instance drawn (TMS, "Computation in superposition").

Shapes: F features (n), H neurons (m); W1, W2 [F, H], b [F].
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch

from superpos.families.tms import neurons
from superpos.families.tms.analysis.points import Point, points
from superpos.figures import style
from superpos.figures.points import Run, all_equal
from superpos.maths.types import Floats

POSITIVE = style.SIGNED(0.85)
NEGATIVE = style.SIGNED(0.15)
_RADIUS: Final = 0.17
_WIDEST: Final = 4.5  # points, the largest weight
_WEIGHTS_AT: Final = 0.36  # of the way along an arrow, where no two arrows cross


class Instance(NamedTuple):
    """A motif with the model that has it, features in order of importance."""

    motif: neurons.Motif
    W1: Floats
    W2: Floats
    b: Floats
    title: str


def circuit(axes: Axes, found: Instance) -> None:
    """Two features, two neurons, two outputs; an arrow's width is its weight's size, its colour the
    sign.
    """
    motif = found.motif
    features = [motif.loud, motif.quiet]
    hidden = [motif.neuron, motif.inhibitor]
    into = found.W1[np.ix_(features, hidden)]
    out = found.W2[np.ix_(features, hidden)]
    scale = _WIDEST / max(float(np.abs(into).max()), float(np.abs(out).max()))
    for i, feature in enumerate(features):
        _node(axes, 0, 1 - i, f"$x_{{{feature}}}$")
        _node(axes, 2, 1 - i, f"$y_{{{feature}}}$")
        for k in range(2):
            _arrow(axes, (0, 1 - i), (1, 1 - k), float(into[i, k]), scale)
            _arrow(axes, (1, 1 - k), (2, 1 - i), float(out[i, k]), scale)
    for k, name in enumerate(("asymmetric", "inhibits")):
        _node(axes, 1, 1 - k, "ReLU")
        axes.annotate(
            name, (1, 1 - k), (0, 13 if k == 0 else -13), textcoords="offset points", ha="center",
            va="bottom" if k == 0 else "top",
        )  # fmt: skip
    axes.set(xlim=(-0.2, 2.2), ylim=(-0.4, 1.4), aspect="equal")
    axes.set_axis_off()


def _node(axes: Axes, x: float, y: float, text: str) -> None:
    axes.add_patch(
        Circle((x, y), _RADIUS, facecolor="white", edgecolor=style.INK, linewidth=0.8, zorder=3)
    )
    axes.text(x, y, text, ha="center", va="center", fontsize=7 if text == "ReLU" else 9, zorder=4)


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], weight: float, scale: float
) -> None:
    colour = POSITIVE if weight > 0 else NEGATIVE
    first = np.array(start, dtype=np.float64)
    last = np.array(end, dtype=np.float64)
    step = _RADIUS * (last - first) / np.linalg.norm(last - first)
    axes.add_patch(
        FancyArrowPatch(
            tuple(first + step), tuple(last - step), arrowstyle="-|>", mutation_scale=7, shrinkA=0,
            shrinkB=0, color=colour, linewidth=max(0.4, scale * abs(weight)), zorder=1,
        )
    )  # fmt: skip
    x, y = first + _WEIGHTS_AT * (last - first)
    text = f"{round(weight, 2) + 0.0:.2f}".replace("-", "−")
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    axes.text(x, y, text, ha="center", va="center", fontsize=7, color=colour, bbox=box, zorder=2)


def response(axes: Axes, found: Instance) -> None:
    """What x_loud alone does to the output of `quiet`: through the neuron, through both, and in the
    whole model.
    """
    motif = found.motif
    x = np.linspace(-1, 1, 201)
    hidden = np.maximum(x[:, None] * found.W1[motif.loud], 0)  # [X, H]
    parts = hidden * found.W2[motif.quiet]
    neuron = parts[:, motif.neuron]
    inhibitor = parts[:, motif.inhibitor]
    whole = np.maximum(parts.sum(axis=1) + found.b[motif.quiet], 0)
    axes.axhline(0, color=style.GREY, linewidth=0.5)
    axes.plot(x, neuron, "--", color=style.CYCLE[1], label="asymmetric neuron")
    axes.plot(x, neuron + inhibitor, color=style.CYCLE[0], label="both neurons")
    axes.plot(x, whole, ":", color=style.INK, label="output of the model")
    axes.set(xlim=(-1, 1), xticks=[-1, 0, 1])
    axes.set_xlabel(f"$x_{{{motif.loud}}}$, all others 0")
    axes.set_ylabel(f"into $y_{{{motif.quiet}}}$")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1))


def draw_instance(found: Instance) -> Figure:
    """The circuit with its weights, and beside it what the inhibition is for."""
    with style.context():
        figure = style.new_figure(0.85 * style.FULL, 2.4)
        left, right = figure.subplots(1, 2, width_ratios=[1.6, 1])
        circuit(left, found)
        response(right, found)
        left.set_title(found.title)
    return figure


def applies(run: Run) -> str | None:
    """Why the run has no motif to draw; None when it has one."""
    reason = all_equal(run, {"model.hidden": "relu", "model.tied": False, "model.target": "abs"})
    if reason:
        return reason
    if _clearest(run) is None:
        return (
            "needs a neuron that holds two features asymmetrically and one that inhibits it, and "
            "found none"
        )
    return None


def draw(run: Run) -> Figure:
    """The clearest motif of all models of the run."""
    found = _clearest(run)
    assert found is not None  # `applies` has looked
    return draw_instance(found)


def _clearest(run: Run) -> Instance | None:
    """The motif whose features are both held best, of all models that did not diverge."""
    best: Instance | None = None
    best_share = 0.0
    for point in points(run):
        tensors = [run.tensor(name, point.models) for name in ("W1", "W2", "b")]
        order = np.argsort(-point.importance, kind="stable")
        for number, weights in enumerate(zip(*tensors, strict=True)):
            W1, W2, b = (np.nan_to_num(w.astype(np.float64))[order] for w in weights)
            shares = neurons.gains(W1, W2)
            for motif in neurons.asymmetric_motifs(W1, W2):
                share = float(shares[[motif.loud, motif.quiet], motif.neuron].min())
                if share > best_share:
                    best = Instance(motif, W1, W2, b, _title(point, number))
                    best_share = share
    return best


def _title(point: Point, number: int) -> str:
    """The settings that vary and the model's number in the run."""
    return ", ".join([*point.label().splitlines(), f"model {point.models[number]}"])
