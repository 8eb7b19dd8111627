"""Where heads look: the first layer by offset, the last by what stands beside an earlier copy of
the token now; one model of each class.

Shapes: B sequences, T positions.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from superpos.families.transformer.analysis.models import CLASSES, classed_rows, task
from superpos.families.transformer.analysis.paths import params_of
from superpos.families.transformer.counts import SEQUENCES, Asked, asked
from superpos.families.transformer.figures.orders import applies
from superpos.families.transformer.model import forward
from superpos.figures import style
from superpos.figures.points import Run
from superpos.maths import attention
from superpos.maths.types import Floats

__all__ = ["applies", "draw"]

_OFFSETS: Final = 6
_BESIDE: Final = (-1, 0, 1, 2, 3)


class Looks(NamedTuple):
    """Mean attention of the strongest head of a layer."""

    by_offset: Floats  # [offsets]; of the first layer: to itself, one back, two back, ...
    by_copy: Floats  # [places]; of the last layer: to the copy - 1, the copy, the copy + 1, ...


def by_offset(pattern: Floats) -> Floats:
    """Mean attention [offsets] of patterns [B, T, T] to itself, one back, two back, ...; 0 where
    the sequence ends.
    """
    found = np.zeros(_OFFSETS)
    for back in range(min(_OFFSETS, pattern.shape[-1])):
        found[back] = np.diagonal(pattern, -back, 1, 2).mean()
    return found


def by_copy(pattern: Floats, tokens: NDArray[np.int64], where: NDArray[np.bool_]) -> Floats:
    """Mean attention [places] of patterns [B, T, T] to positions beside the latest earlier copy of
    the token now, over the queries among `where` [B, T]; tokens are [B, T].
    """
    same = np.tril(tokens[:, :, None] == tokens[:, None, :], -1)
    latest = np.where(same.any(-1), same.shape[-1] - 1 - same[..., ::-1].argmax(-1), -1)
    batch, query = np.nonzero(where & (latest >= 0))
    found = []
    for beside in _BESIDE:
        at = latest[batch, query] + beside
        inside = (at >= 0) & (at <= query)
        found.append(pattern[batch[inside], query[inside], at[inside]].sum() / len(batch))
    return np.array(found)


def looks(run: Run, model: int) -> Looks:
    """Of the head of the first layer that looks most at one offset, and of that of the last which
    looks most at one place beside the copy.
    """
    one = task(run, model)
    given = asked(one, 0, SEQUENCES)
    with torch.no_grad():
        parts = forward(one, params_of(run.weights(model)), given.inputs)[1]
    names = attention.heads(one.structure.n_layers, one.structure.n_heads)
    patterns = {name: parts[f"{name}:pattern"][0].double().numpy() for name in names}
    last = str(one.structure.n_layers - 1)
    first = [by_offset(patterns[name]) for name in names if name.startswith("0.")]
    late = [_beside(patterns[name], given) for name in names if name.partition(".")[0] == last]
    return Looks(max(first, key=lambda row: row[1:].max()), max(late, key=np.max))


def _beside(pattern: Floats, given: Asked) -> Floats:
    return by_copy(pattern, given.tokens[:, :-1], given.where)


def diagram(by_class: dict[str, Looks]) -> Figure:
    """Bars of both layers, a colour for each class."""
    with style.context():
        figure = style.new_figure(style.FULL * 0.8, 2.1)
        first, last = figure.subplots(1, 2, sharey=True)
        width = 0.8 / len(by_class)
        for number, (name, found) in enumerate(by_class.items()):
            shift = (number - (len(by_class) - 1) / 2) * width
            colour = style.CYCLE[CLASSES.index(name)]
            first.bar(np.arange(_OFFSETS) + shift, found.by_offset, width, color=colour, label=name)
            last.bar(np.arange(len(_BESIDE)) + shift, found.by_copy, width, color=colour)
        offsets = ["itself", *(f"−{back}" for back in range(1, _OFFSETS))]
        first.set_xticks(range(_OFFSETS), offsets)
        places = ["copy − 1", "copy", *(f"copy + {beside}" for beside in _BESIDE[2:])]
        last.set_xticks(range(len(_BESIDE)), places)
        first.set(xlabel="position before", ylabel="mean attention", title="first layer")
        last.set(xlabel="beside the latest copy of the token now", title="last layer")
        first.legend()
    return figure


def draw(run: Run) -> Figure:
    """Of each class the model that is nearest to its floor."""
    rows = classed_rows(run).sort_values("excess")
    found = {}
    for name in CLASSES:
        models = rows.loc[rows["circuit"] == name, "model"]
        if len(models):
            found[name] = looks(run, int(models.iloc[0]))
    return diagram(found)
