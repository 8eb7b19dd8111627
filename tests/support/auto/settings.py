"""What the keys of autoencoders mean: the density of a row, where its dictionary lies, how long it is trained.

Shapes: M models, F features (n), D inputs (d).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auto.keys import DENSITY, SPARSITY
from auto.structure import Structure, Task
from auto.world import drawn_name
from superpos.family import Shared
from superpos.plan import settings
from superpos.plan.sweep import Rows, Sweep


class Settings(settings.Settings):
    """Structures, and the columns auto.density, auto.sparsity and train.steps as they were used."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep, Structure)

    def structure_values(self, row: int) -> dict[str, Any]:
        """Models that are made by hand are not trained."""
        values = super().structure_values(row)
        return values | {"steps": 0, "warmup_steps": 0} if values["decoder"] == "identity" else values

    def columns(self, rows: Rows) -> dict[str, Any]:
        """The filled-in columns."""
        made = self.sweep.column("auto.decoder", rows) == "identity"
        density = self.density(rows)
        return {
            DENSITY: density,
            SPARSITY: np.round(1 - density, 15),
            "train.steps": np.where(made, 0, self.sweep.column("train.steps", rows)),
        }

    def density(self, rows: Rows) -> NDArray[np.float64]:
        """p of each row [M], whichever of the two keys was given."""
        density, sparsity = (self.sweep.column(key, rows).astype(np.float64) for key in (DENSITY, SPARSITY))
        return np.where(np.isnan(density), np.round(1 - sparsity, 15), density)  # null is NaN


def task(made: Settings, rows: Rows, shared: Shared) -> Task:
    """The rows of one chunk as arrays for an engine."""
    column = partial(made.sweep.column, rows=rows)
    structure = made.structure(int(rows[0]))
    worlds = zip(column("auto.source").tolist(), column("auto.world").tolist(), strict=True)
    return Task(
        structure,
        seed=column("seed").astype(np.uint64),
        lr=column("train.lr"),
        weight_decay=column("train.weight_decay"),
        density=made.density(rows),
        noise=column("auto.noise"),
        l1=column("train.l1"),
        dictionary=np.stack([_dictionary(structure, source, world, shared) for source, world in worlds]),
    )


def _dictionary(structure: Structure, source: str | None, world: int, shared: Shared) -> NDArray[np.float32]:
    """The dictionary [F, D] of a model: W of the named model of another run, or one that was drawn."""
    if source is None:
        drawn: NDArray[np.float32] = shared["dictionaries"][drawn_name(structure.n_features, structure.n_inputs, world)]
        return drawn
    digest, _, model = source.partition(":")
    kept = shared[f"source-{digest}"]
    found: NDArray[np.float32] = kept["W"][np.flatnonzero(kept["model"] == int(model or kept["best"][0]))[0]]
    return found
