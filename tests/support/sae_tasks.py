"""Small tasks of autoencoders for the tests of the numerical modules."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from superpos.engines.task import State
from superpos.families.sae import FAMILY
from superpos.families.sae.keys import WorldConfig
from superpos.families.sae.structure import Structure, Task, World
from superpos.families.sae.world.dictionary import dictionary
from superpos.families.sae.world.synthetic import kind_of, synthetic


def world_values(n_features: int, n_dims: int, **given: Any) -> dict[str, Any]:
    """Values of the keys world.*, by their last parts: the defaults but for what is given."""
    default = WorldConfig()
    values = {f.name: getattr(default, f.name) for f in fields(default)}
    return values | {"n_features": n_features, "n_dims": n_dims} | given


def make_world(n_features: int, n_dims: int, **given: Any) -> World:
    """A synthetic world with its dictionary."""
    values = world_values(n_features, n_dims, **given)
    features = dictionary(
        values["dictionary"],
        values["cosine"],
        n_features,
        n_dims,
        values["seed"],
    )
    return synthetic(values, features)


def make_task(
    n_features: int,
    n_dims: int,
    latents: int,
    models: int = 1,
    *,
    worlds: int = 1,
    world: dict[str, Any] | None = None,
    seed: Any = None,
    lr: Any = 1e-2,
    weight_decay: Any = 0.0,
    penalty: Any = 0.0,
    k: Any = 0.0,
    bandwidth: Any = 0.1,
    theta: Any = 0.1,
    prefix_weights: Any = 1.0,
    start: Any = "random",
    **structure: Any,
) -> Task:
    """M models in so many worlds, in turn; what may differ between them is broadcast."""
    law = {"active": min(2.0, n_features), "frequency": "constant"} | (world or {})
    activity = kind_of(world_values(n_features, n_dims, **law))
    shared = {"optimizer": "adam", "reduction": "sum", "activity": activity} | structure
    found = Structure(n_features=n_features, n_dims=n_dims, latents=latents, **shared)

    def column(value: Any) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), (models,)).copy()

    weights = np.asarray(prefix_weights, dtype=np.float64)
    return Task(
        found,
        seed=np.arange(models, dtype=np.uint64) if seed is None else np.array(seed, np.uint64),
        lr=column(lr),
        weight_decay=column(weight_decay),
        world=np.arange(models) % worlds,
        penalty=column(penalty),
        k=column(k),
        bandwidth=column(bandwidth),
        theta=column(theta),
        prefix_weights=np.broadcast_to(weights, (models, len(found.cuts))).copy(),
        start=np.full(models, start, dtype=object),
        worlds=tuple(make_world(n_features, n_dims, **(law | {"seed": s})) for s in range(worlds)),
    )


def start_of(task: Task) -> State:
    """The state before the first step."""
    return State.initial(task, dict(FAMILY.init(task)), FAMILY.extra_state(task))
