"""max(x, 0) of more features than neurons, trained on squares or on fourth powers (Braun et al.
2025 and others).

Shapes: K models, F features, H neurons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms import theory
from superpos.families.tms.analysis import compressed
from superpos.families.tms.analysis.points import points
from superpos.families.tms.data import inputs
from superpos.maths.types import Floats
from superpos.store import Run

SAMPLES: Final = 2**17
_AT_ONCE: Final = 2**14
Where = Mapping[str, Any] | None


def _weights(run: Run, where: Where) -> list[tuple[Floats, Floats]]:
    """W1 and W2 of each model."""
    return [compressed.untied(run, int(i)) for i in select.where(run, where)["model"]]


def over_naive(run: Run, where: Where = None) -> Measured:
    """Loss of each model over that of one neuron for each of m features, none for the others."""
    rows = select.where(run, where)
    known = [
        theory.positive_part_floor(p, np.ones(n), m)
        for p, n, m in zip(
            rows["data.density"], rows["model.n_features"], rows["model.n_hidden"], strict=True
        )
    ]
    return Measured(rows["loss"].to_numpy(np.float64) / np.array(known))


def computed(run: Run, where: Where = None) -> Measured:
    """Share of each model's features of which more than half comes out where they are active
    alone.
    """
    found = [
        (compressed.response(*weights) > compressed.COMPUTED).mean()
        for weights in _weights(run, where)
    ]
    return Measured(np.array(found))


def neurons_a_feature(run: Run, where: Where = None) -> Measured:
    """Median of the number of neurons that each model's features use
    (`compressed.neurons_a_feature`).
    """
    found = [
        np.nanmedian(compressed.neurons_a_feature(*weights)) for weights in _weights(run, where)
    ]
    return Measured(np.array(found))


def unevenness(run: Run, where: Where = None) -> Measured:
    """Standard deviation over mean of the losses of each model's features."""
    chosen = set(select.where(run, where)["model"])
    found = []
    for point in points(run):
        for model in sorted(chosen.intersection(point.models.tolist())):
            task = point.task(model)
            weights = compressed.untied(run, model)
            parts = []
            for first in range(0, SAMPLES, _AT_ONCE):
                drawn = inputs.evaluation(task, range(first, first + _AT_ONCE))[0].numpy()
                parts.append(compressed.feature_losses(*weights, drawn.astype(np.float64)))
            losses = np.mean(parts, axis=0)
            found.append(losses.std() / losses.mean())
    return Measured(np.array(found))
