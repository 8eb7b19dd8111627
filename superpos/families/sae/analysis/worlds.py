"""The worlds that autoencoders of a run were trained on: what is true, and inputs of it.

Shapes: K models, N samples, G features, d dimensions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.families.sae.structure import Task
from superpos.maths.types import Floats
from superpos.plan.sweep import Sweep
from superpos.store import Run


class Samples(NamedTuple):
    """The first samples of the evaluation stream."""

    codes: Floats  # [N, G]
    activations: Floats  # [N, d]


def task(run: Run, models: NDArray[np.intp]) -> Task:
    """Models of one structure as they were trained."""
    files = {name: run.shared(name) for name in run.folder.shared_states()}
    found: Task = Sweep.from_json(run.manifest["plan"]).task(models, files)
    return found


@lru_cache(maxsize=8)
def _of_one(run: Run, model: int) -> Task:
    return task(run, np.array([model]))


def features(run: Run, model: int) -> Floats:
    """The true features [G, d] of a model's world."""
    made = _of_one(run, model)
    return made.worlds[made.world[0]].features.astype(np.float64)


def samples(run: Run, model: int, n_samples: int) -> Samples:
    """Inputs of a model's world, and what they are made of."""
    made = _of_one(run, model)
    world = made.worlds[made.world[0]]
    drawn = range(n_samples)
    return Samples(
        world.codes(True, 0, drawn, "cpu").numpy().astype(np.float64),
        world.activations(True, 0, drawn, "cpu").numpy().astype(np.float64),
    )
