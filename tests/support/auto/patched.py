"""What `superpos patch` replaces in autoencoders: their latents.

Shapes: M models, B pairs of inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from auto import model, world
from superpos.errors import ConfigError
from superpos.explain.patched import Patched
from superpos.explain.patching import Pairs, measure
from superpos.family import Run
from superpos.plan.sweep import Sweep


def patched(
    run: Run, models: Sequence[int], corrupt: str | None, metric: str, prompts: int
) -> Patched:
    """Evaluation samples x and 1 - x, of which the first two outputs are compared."""
    if corrupt is not None:
        raise ConfigError("patch.corrupt: autoencoders have no prompts")
    files = {name: run.shared(name) for name in run.folder.shared_states()}
    task = Sweep.from_json(run.plan).task(np.asarray(models), files)
    params = {
        name: torch.from_numpy(run.tensor(name, models)) for name in task.structure.param_shapes
    }
    forward = partial(model.forward, task, params)
    clean = world.evaluation(task, range(prompts))
    other = 1 - clean
    first = torch.zeros(clean.shape[:2], dtype=torch.int64)
    pairs = Pairs(
        forward,
        clean,
        other,
        measure(metric, first, first + 1, forward(clean)[0]),
        ("latents",),
        ("latents",),
    )
    return Patched(pairs, clean, ("latents",))
