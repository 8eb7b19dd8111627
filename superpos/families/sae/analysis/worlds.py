"""The worlds that autoencoders of a run were trained on: what is true, and inputs of it.

Shapes: K models, N samples, G features, d dimensions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from superpos import store
from superpos.families.sae import metrics
from superpos.families.sae.structure import Task, World
from superpos.figures.points import Run
from superpos.maths.types import Floats
from superpos.plan.sweep import Sweep


class Samples(NamedTuple):
    """The first samples of the evaluation stream."""

    codes: Floats  # [N, G]
    activations: Floats  # [N, d]


def stored(run: Run) -> store.Run:
    """A run as it is on disk: figures ask for less of it than its world takes."""
    return cast("store.Run", run)


def task(run: Run, models: NDArray[np.intp]) -> Task:
    """Models of one structure as they were trained."""
    whole = stored(run)
    files = {name: whole.shared(name) for name in whole.folder.shared_states()}
    found: Task = Sweep.from_json(run.manifest["plan"]).task(models, files)
    return found


@lru_cache(maxsize=8)
def _task_of(run: store.Run, model: int) -> Task:
    return task(run, np.array([model]))


def world(run: Run, model: int) -> World:
    """The world of a model, as the run's folder keeps it."""
    made = _task_of(stored(run), model)
    found: World = made.worlds[made.world[0]]
    return found


def features(run: Run, model: int) -> Floats:
    """The true features [G, d] of a model's world."""
    return np.asarray(world(run, model).features, np.float64)


def rates(run: Run, models: NDArray[np.intp]) -> Floats:
    """How often each latent [K, m] fires."""
    return np.asarray(run.tensor("rate", models), np.float64)


def decoders(run: Run, models: NDArray[np.intp]) -> Floats:
    """D [K, m, d]."""
    return np.asarray(run.tensor("D", models), np.float64)


def cosines(run: Run, model: int) -> Floats:
    """C[G, m] of a model: its features and its latents, dead ones −1."""
    one = np.array([model])
    return metrics.cosines(features(run, model), decoders(run, one)[0], rates(run, one)[0] > 0)


def samples(run: Run, model: int, n_samples: int) -> Samples:
    """Inputs of a model's world, and what they are made of."""
    own = world(run, model)
    drawn = range(n_samples)
    return Samples(
        own.codes(True, 0, drawn, "cpu").numpy().astype(np.float64),
        own.activations(True, 0, drawn, "cpu").numpy().astype(np.float64),
    )


def densities(run: Run, model: int) -> Floats:
    """How often each feature [G] of a model's world is active."""
    return np.asarray(world(run, model).density, np.float64)
