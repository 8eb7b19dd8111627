"""Models of one feature at a time beside their energy levels: where they end, where they rest,
which way they go.

Chen et al. 2023; the levels are `theory.one_hot_levels`. Shapes: M models, S snapshots, L levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms import theory
from superpos.figures.points import Run, all_equal
from superpos.maths.types import Floats

NEAR: Final = 0.01  # relative distance of a loss that is at a level
FLAT: Final = 0.003  # relative change of the loss in 1% of training, at most, while a model rests
# relative distance from the last loss, at least: what rests at the end is no plateau
ABOVE: Final = 0.02
PLAIN: Final = {
    "model.tied": True,
    "model.n_hidden": 2,
    "model.output": "relu",
    "model.hidden": "linear",
    "model.target": "identity",
    "data.correlation": "anticorrelated",
    "data.signed": False,
    "data.values": "uniform",
    "data.n_points": None,
    "importance.decay": 1.0,
    "importance.last": 1.0,
    "importance.values": None,
    "data.density": 1.0,
}


class Rests(NamedTuple):
    """Snapshots at which models rest before their end."""

    model: NDArray[np.intp]  # [R] index into M
    loss: Floats  # [R]


def reason(run: Run) -> str | None:
    """Why the run is none of one feature at a time with energy levels; None when it is."""
    unequal = all_equal(run, PLAIN)
    if unequal:
        return unequal
    table = run.table
    features = table["model.n_features"]
    if (features != table["data.set_size"]).any():
        return "needs one set of all features"
    return (
        None
        if features.min() >= theory.FEWEST_SIDES
        else f"needs {theory.FEWEST_SIDES} features at least"
    )


def nearest(loss: Floats, levels: Sequence[theory.Level]) -> tuple[NDArray[np.intp], Floats]:
    """The nearest level of each loss [...], an index, and its distance relative to the level; of
    levels above 0.
    """
    energy = np.array([level.loss for level in levels])
    distance = np.abs(loss[..., None] / energy - 1)
    return distance.argmin(axis=-1), distance.min(axis=-1)


def losses(run: Run, models: Sequence[int] | NDArray[np.intp]) -> Floats:
    """Exact loss [M, S] at every snapshot of models of equal size; S = 0 without snapshots."""
    found = []
    for model in models:
        steps, params = run.snapshots(int(model))
        found.append(theory.one_hot_loss(params["W"], params["b"]) if len(steps) else np.zeros(0))
    return np.array(found)


def rests(loss: Floats) -> Rests:
    """Where the losses [M, S] stay before their end; a change is taken over two snapshots, per 1%
    of training.
    """
    steps = loss.shape[1] - 1
    if steps < 2:
        return Rests(np.zeros(0, dtype=np.intp), np.zeros(0))
    inner = loss[:, 1:-1]
    change = np.abs(loss[:, 2:] - loss[:, :-2]) / 2 / inner * steps / 100
    flat = (change < FLAT) & (inner > (1 + ABOVE) * loss[:, -1:])
    return Rests(np.nonzero(flat)[0], inner[flat])


def chance(found: Rests, levels: Sequence[theory.Level]) -> float:
    """Share at a level of losses that are even in their logarithm over the range of those found;
    NaN for none.
    """
    if not len(found.loss):
        return np.nan
    drawn = np.geomspace(found.loss.min(), found.loss.max(), 10_001)
    return float((nearest(drawn, levels)[1] <= NEAR).mean())


def paths(loss: Floats, levels: Sequence[theory.Level]) -> list[tuple[int, ...]]:
    """The levels at which each model of losses [M, S] rests, in order, and the one at which it
    ends; [] off levels.
    """
    found = rests(loss)
    ends = np.column_stack(nearest(loss[:, -1], levels))
    result = []
    for model, (end, off) in enumerate(ends):
        at, distance = nearest(found.loss[found.model == model], levels)
        visited = [*at[distance <= NEAR].tolist(), *([int(end)] if off <= NEAR else [])]
        result.append(tuple(dict.fromkeys(visited)))
    return result
