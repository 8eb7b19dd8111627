"""What the page holds of autoencoders: cosines of features and latents, how often both are active,
arrows.

Latents stand in the order in which they match the features, of the end of training.
Shapes: M models, S snapshots, G features, d dimensions, m latents.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.families.sae import metrics
from superpos.families.sae.analysis.worlds import world
from superpos.families.sae.structure import World
from superpos.maths.types import Floats
from superpos.plan.sweep import Sweep
from superpos.report.pack import codes, half
from superpos.report.parts import Arrays, Models, Part, history, sized
from superpos.store import Run

MAX_DIMS = 3
"""Dimensions in which arrows can be drawn."""


def parts(run: Run, models: Models) -> Iterator[Part]:
    """The parts of models whose tensors have equal shapes."""
    worlds = _worlds(run, models)

    def final(rows: Models) -> Arrays:
        return _dictionaries(run, rows, [worlds[row] for row in rows.tolist()])

    def filmed(rows: Models) -> Arrays:
        return _films(run, rows, [worlds[row] for row in rows.tolist()])

    yield sized("weights", models, final)
    yield from history(run, models)
    steps, tensors = run.snapshots(int(models[0]))
    if "D" in tensors:
        yield sized("snapshots", models, filmed)._replace(steps=steps)


def _worlds(run: Run, models: Models) -> dict[int, World]:
    """The world of every model; models of one world have the same value."""
    places = Sweep.from_json(run.manifest["plan"]).settings.draws(models)
    _, first, place = np.unique(places, return_index=True, return_inverse=True)
    found = [world(run, int(models[i])) for i in first]
    return {
        int(model): found[at] for model, at in zip(models, place.reshape(-1).tolist(), strict=True)
    }


def _dictionaries(run: Run, rows: Models, worlds: list[World]) -> Arrays:
    """What the end of training found, [M, ...]."""
    rate = _numbers(run, "rate", rows)
    order = _orders(run, rows, worlds)
    D = np.take_along_axis(_numbers(run, "D", rows), order[..., None], axis=1)
    A = np.stack([own.features for own in worlds])
    found: Arrays = {
        "cosines": half(metrics.all_cosines(A, D)),
        "order": order.astype(codes(order.shape[-1])),
        "rate": half(np.take_along_axis(rate, order, axis=1)),
        "p": half(np.stack([own.density for own in worlds])),
        "best": half(run.tensor("best_cos", rows)),
        "f1": half(run.tensor("f1", rows)),
    }
    return found | ({"A": half(A), "D": half(D)} if A.shape[-1] <= MAX_DIMS else {})


def _films(run: Run, rows: Models, worlds: list[World]) -> Arrays:
    """Cosines [M, S, G, m] at every snapshot, and the latents [M, S, m, d] where they can be
    drawn.
    """
    order = _orders(run, rows, worlds)
    D = np.take_along_axis(_numbers(run, "snapshots/D", rows), order[:, None, :, None], axis=2)
    A = np.stack([own.features for own in worlds])[:, None]
    found: Arrays = {"cosines": half(metrics.all_cosines(A, D))}
    return found | ({"D": half(D)} if A.shape[-1] <= MAX_DIMS else {})


def _orders(run: Run, rows: Models, worlds: list[World]) -> NDArray[np.intp]:
    """Latents [M, m] in the order in which they match the features; those that never fire count as
    far from all.
    """
    alive = _numbers(run, "rate", rows) > 0
    D = _numbers(run, "D", rows)
    return np.stack([_order(own.features, D[i], alive[i]) for i, own in enumerate(worlds)])


def _numbers(run: Run, name: str, rows: Models) -> Floats:
    return run.tensor(name, rows).astype(np.float64)


def _order(A: NDArray[Any], D: NDArray[Any], alive: NDArray[np.bool_]) -> NDArray[np.intp]:
    return metrics.order(metrics.cosines(A, D, alive))
