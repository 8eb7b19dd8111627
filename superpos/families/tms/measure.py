"""The columns of results of toy models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.engines.task import State
from superpos.families.tms import geometry, metrics
from superpos.families.tms.structure import Task


def measure(task: Task, state: State, pause: Callable[[], None]) -> dict[str, NDArray[Any]]:
    """Metrics of W by column, [M]; untied models have those of W1."""
    structure = task.structure
    encoder = state.params["W" if structure.tied else "W1"]
    found: dict[str, NDArray[Any]] = dict(metrics.summary(encoder))
    pause()
    if structure.hidden == "linear":
        found["geometry"] = geometry.describe(encoder)
    else:
        neurons = metrics.neuron_monosemanticity(encoder)
        found["monosemantic_neurons"] = (neurons == 1).sum(axis=-1).astype(np.float64)
    return found
