"""What the keys of sparse autoencoders mean: the worlds of a sweep, sizes and penalties, the task
of a chunk.

Shapes: M models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.families.sae.keys import DEFAULT_EXPONENT, DEFAULT_L0, DEFAULT_L1, WORLD, n_latents
from superpos.families.sae.source import MODEL, SOURCE, file_name, taken
from superpos.families.sae.structure import Activity, Structure, Task, World
from superpos.families.sae.world.dictionary import dictionary
from superpos.families.sae.world.synthetic import (
    DEFAULT_SIGMA,
    DEFAULT_STRENGTH,
    kind_of,
    synthetic,
)
from superpos.family import Arrays, Shared
from superpos.plan import settings
from superpos.plan.columns import Rows, groups_of
from superpos.plan.sweep import Sweep

WORLDS = "worlds"
"""Name of the shared file of dictionaries."""
_ACTIVITY = (SOURCE, "world.exactly", "world.tree", "world.rho", "world.correlation")
_DICTIONARY = tuple(
    f"world.{name}" for name in ("dictionary", "n_features", "n_dims", "cosine", "seed")
)


class Settings(settings.Settings):
    """Structures, and columns with the sizes and penalties that were used."""

    sweep: Sweep

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep, Structure)
        own = (key for key in sweep.schema.keys if key.startswith("world."))
        self._world_keys = (*own, SOURCE, MODEL)

    def groups(self) -> list[Rows]:
        """Rows of equal structure, in order of their first row."""
        given = self.sweep.codes((*self.sweep.schema.structure_keys, "sae.expansion"))
        kinds = self.sweep.codes(_ACTIVITY)
        _, first, index = np.unique(kinds, return_index=True, return_inverse=True)
        names = [self.activity(int(row)) for row in first]
        places = {name: place for place, name in enumerate(dict.fromkeys(names))}
        activity = np.array([places[name] for name in names])[index]
        return groups_of(given * len(places) + activity)

    def structure_values(self, row: int) -> dict[str, Any]:
        """Values of the fields of a model's structure."""
        values = super().structure_values(row)
        expansion = self.sweep.row(row)["sae.expansion"]
        m = n_latents(values["latents"], expansion, values["n_features"])
        return values | {"latents": m, "activity": self.activity(row)}

    def activity(self, row: int) -> Activity:
        """How the features of a row's world become active."""
        return "source" if self.sweep.row(row)[SOURCE] != WORLD else kind_of(self.world_values(row))

    def draws(self, rows: Rows) -> NDArray[Any]:
        """A number for each row, the same for models of one world."""
        return self.sweep.codes(self._world_keys, rows)

    def columns(self, rows: Rows) -> dict[str, Any]:
        """The columns that are filled in."""
        column = partial(self.sweep.column, rows=rows)
        kind = column("sae.kind")
        n_features = column("world.n_features")
        frequency = column("world.frequency")
        magnitude = column("world.magnitude")
        correlation = column("world.correlation")
        strength = np.array([DEFAULT_STRENGTH.get(name, np.nan) for name in correlation])
        unasked = [latents is None for latents in column("sae.latents")]
        m = [
            n_latents(*values)
            for values in zip(
                column("sae.latents").tolist(),
                column("sae.expansion").tolist(),
                n_features.tolist(),
                strict=True,
            )
        ]
        return {
            "sae.latents": np.array(m, dtype=np.int64),
            "sae.expansion": np.where(unasked, column("sae.expansion"), np.nan),
            "sae.l1": _filled(column("sae.l1"), np.isin(kind, ("l1", "gated")), DEFAULT_L1),
            "sae.l0": _filled(column("sae.l0"), kind == "jumprelu", DEFAULT_L0),
            "sae.k": _filled(column("sae.k"), False, 0.0),
            "world.exponent": _filled(
                column("world.exponent"), frequency == "zipf", DEFAULT_EXPONENT
            ),
            "world.last": _filled(column("world.last"), frequency == "linear", 1 / n_features),
            "world.strength": _filled(column("world.strength"), correlation != "none", strength),
            "world.sigma": _filled(
                column("world.sigma"), np.isin(magnitude, ("normal", "lognormal")), DEFAULT_SIGMA
            ),
        }

    def world_values(self, row: int) -> dict[str, Any]:
        """Values of the keys world.* of a row, by their last parts."""
        values = self.sweep.row(row)
        return {
            key.removeprefix("world."): values[key]
            for key in self._world_keys
            if key.startswith("world.")
        }


def _filled(
    given: NDArray[Any], where: NDArray[np.bool_] | bool, default: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Numbers as they were given; where they were not, the default for some rows and NaN for the
    others.
    """
    numbers = given.astype(np.float64)  # null is NaN
    return np.where(np.isnan(numbers) & where, default, numbers)


def shared(made: Settings, sources: Shared) -> dict[str, Callable[[], Arrays]]:
    """The dictionaries of a sweep, each once; no file where every model has the world of another
    run.
    """
    sweep = made.sweep
    rows = np.flatnonzero(sweep.column(SOURCE) == WORLD)
    _, first = np.unique(sweep.codes(_DICTIONARY, rows), return_index=True)
    worlds = [made.world_values(int(row)) for row in rows[np.sort(first)]]
    return {WORLDS: partial(_draw_all, worlds)} if worlds else {}


def _draw_all(worlds: list[dict[str, Any]]) -> dict[str, NDArray[np.float32]]:
    return {
        dictionary_name(values): dictionary(
            *(values[name] for name in ("dictionary", "cosine", "n_features", "n_dims", "seed"))
        )
        for values in worlds
    }


def dictionary_name(values: Mapping[str, Any]) -> str:
    """The name of a drawn dictionary in the shared file: what it follows from."""
    kind = values["dictionary"]
    # all digits: near cosines are two worlds
    kind += repr(values["cosine"]) if kind == "cosine" else ""
    return f"{kind}.{values['n_features']}x{values['n_dims']}.{values['seed']}"


def task(made: Settings, rows: Rows, files: Shared) -> Task:
    """The rows of one chunk as arrays for an engine."""
    column = partial(made.sweep.column, rows=rows)
    structure = made.structure(int(rows[0]))
    worlds, place = _worlds(made, rows, files)
    kind_penalty = {
        "l1": ("sae.l1", DEFAULT_L1),
        "gated": ("sae.l1", DEFAULT_L1),
        "jumprelu": ("sae.l0", DEFAULT_L0),
    }
    penalty = np.zeros(len(rows))
    if structure.kind in kind_penalty:
        key, default = kind_penalty[structure.kind]
        penalty = _filled(column(key), True, default)
    weights, index = made.sweep.points("sae.prefix_weights", rows)
    spread = np.array(
        [np.broadcast_to(weight, len(structure.cuts)) for weight in weights], dtype=np.float64
    )
    return Task(
        structure,
        seed=column("seed").astype(np.uint64),
        lr=column("train.lr"),
        weight_decay=column("train.weight_decay"),
        world=place,
        penalty=penalty,
        k=_filled(column("sae.k"), True, 0.0),
        bandwidth=column("sae.bandwidth"),
        theta=column("sae.theta"),
        prefix_weights=spread[index],
        start=column("sae.start").astype(object),
        worlds=worlds,
    )


def _worlds(
    made: Settings, rows: Rows, files: Shared
) -> tuple[tuple[World, ...], NDArray[np.intp]]:
    """The distinct worlds of some rows, and the place of each row's among them [M]."""
    _, first, place = np.unique(made.draws(rows), return_index=True, return_inverse=True)
    worlds = tuple(_world(made, int(row), files) for row in rows[first])
    return worlds, place.reshape(-1).astype(np.intp)


def _world(made: Settings, row: int, files: Shared) -> World:
    values = made.sweep.row(row)
    own = made.world_values(row)
    if values[SOURCE] != WORLD:
        return taken(files[file_name(values[SOURCE])], values[MODEL], own["seed"])
    return synthetic(own, files[WORLDS][dictionary_name(own)])
