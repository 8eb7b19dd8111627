"""What the keys of autoencoders mean: the density of a row, where its dictionary lies, how long it
is trained.

Shapes: M models, F features (n), D inputs (d).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auto.keys import DEFAULT_SIZES, DENSITY, N_FEATURES, N_INPUTS, SPARSITY
from auto.structure import Structure, Task
from auto.world import dictionary
from superpos.errors import ConfigError
from superpos.family import Run, Shared
from superpos.plan import settings
from superpos.plan.sweep import Rows, Sweep


class Settings(settings.Settings):
    """Structures, and the columns auto.density, auto.sparsity and train.steps as they were used."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep, Structure)

    def structure_values(self, row: int) -> dict[str, Any]:
        """Models that are made by hand are not trained."""
        values = super().structure_values(row)
        sizes = {key.rpartition(".")[2]: size for key, size in DEFAULT_SIZES.items()}
        values |= {name: size for name, size in sizes.items() if values[name] is None}
        return (
            values | {"steps": 0, "warmup_steps": 0} if values["decoder"] == "identity" else values
        )

    def columns(self, rows: Rows) -> dict[str, Any]:
        """The filled-in columns."""
        made = self.sweep.column("auto.decoder", rows) == "identity"
        density = self.density(rows)
        return {
            DENSITY: density,
            SPARSITY: np.round(1 - density, 15),
            "train.steps": np.where(made, 0, self.sweep.column("train.steps", rows)),
            **{key: self.size(key, rows) for key in DEFAULT_SIZES},
        }

    def size(self, key: str, rows: Rows) -> NDArray[np.int64]:
        """n or d of each row [M]."""
        given = self.sweep.column(key, rows)
        return np.where(given == None, DEFAULT_SIZES[key], given).astype(np.int64)  # noqa: E711 - of an array

    def density(self, rows: Rows) -> NDArray[np.float64]:
        """p of each row [M], whichever of the two keys was given."""
        density, sparsity = (
            self.sweep.column(key, rows).astype(np.float64) for key in (DENSITY, SPARSITY)
        )
        return np.where(np.isnan(density), np.round(1 - sparsity, 15), density)  # null is NaN


def with_sources(sweep: Sweep, runs: Mapping[str, Run]) -> Sweep:
    """The sweep with the sizes of its sources.

    Raises `ConfigError` where one has other sizes or no toy models.
    """
    digests = {
        value.partition(":")[0] for value in sweep.values("auto.source") if value is not None
    }
    given = {key: set(sweep.values(key)) for key in DEFAULT_SIZES}
    if digests - runs.keys() and any(None in values for values in given.values()):
        raise ConfigError(
            f"auto.source: where {min(digests)} lies is not known; give {N_FEATURES} and {N_INPUTS}"
        )
    sizes = {_sizes(run) for run in runs.values()}
    if len(sizes) > 1:
        raise ConfigError(
            f"auto.source: runs of different sizes, {', '.join(map(str, sorted(sizes)))}"
        )
    for key, size in zip(DEFAULT_SIZES, min(sizes, default=()), strict=False):
        if given[key] not in ({None}, {size}):
            raise ConfigError(
                f"{key}: got {sorted(given[key], key=str)}; allowed: {size}, as auto.source has"
            )
        sweep = replace(sweep, base={**sweep.base, key: size})
    return sweep


def _sizes(run: Run) -> tuple[int, int]:
    """n and d of the dictionaries of a run."""
    if run.family is None or run.family.name != "tms" or "W" not in run.weights(0):
        raise ConfigError(f"auto.source: {run.path} is not a run of tied toy models")
    n_features, n_inputs = run.tensor("W").shape[1:]
    return n_features, n_inputs


def task(made: Settings, rows: Rows, shared: Shared) -> Task:
    """The rows of one chunk as arrays for an engine."""
    column = partial(made.sweep.column, rows=rows)
    structure = made.structure(int(rows[0]))
    worlds = zip(column("auto.source").tolist(), column("auto.world").tolist(), strict=True)
    sizes = structure.n_features, structure.n_inputs
    return Task(
        structure,
        seed=column("seed").astype(np.uint64),
        lr=column("train.lr"),
        weight_decay=column("train.weight_decay"),
        density=made.density(rows),
        noise=column("auto.noise"),
        l1=column("train.latent_l1"),
        dictionary=np.stack(
            [dictionary(*sizes, source, world, shared) for source, world in worlds]
        ),
    )
