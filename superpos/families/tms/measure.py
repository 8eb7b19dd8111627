"""The columns of results of toy models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.engines.task import State
from superpos.families.tms import geometry, metrics
from superpos.families.tms.structure import Structure, Task

_CELLS = 4e6  # of the models' products of features with features, at once: 32 MB each in float64


def measure(task: Task, state: State, pause: Callable[[], None]) -> dict[str, NDArray[Any]]:
    """Metrics of W by column, [M]; untied models have those of W1."""
    structure = task.structure
    return encoder_columns(structure, state.params["W" if structure.tied else "W1"], pause)


def encoder_columns(
    structure: Structure, encoder: NDArray[np.float32], pause: Callable[[], None]
) -> dict[str, NDArray[Any]]:
    """Metrics by column, [M], of directions [M, F, H] that stand for the features."""
    size = max(1, int(_CELLS // structure.n_features**2))
    parts = []
    for start in range(0, len(encoder), size):
        parts.append(_measure(structure, encoder[start : start + size]))
        pause()
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _measure(structure: Structure, encoder: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = dict(metrics.summary(encoder))
    if structure.hidden == "linear":
        found["geometry"] = geometry.describe(encoder)
    else:
        neurons = metrics.neuron_monosemanticity(encoder)
        found["monosemantic_neurons"] = (neurons == 1).sum(axis=-1).astype(np.float64)
    return found


def some_columns(structure: Structure) -> dict[str, type]:
    """The columns that depend on the hidden layer."""
    return {"geometry": str} if structure.hidden == "linear" else {"monosemantic_neurons": float}
