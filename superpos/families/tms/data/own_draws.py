"""Random numbers that a user's own functions take beside their arguments: of the model's seed, as
all others.

Shapes: M models, B samples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Task
from superpos.maths.streams import RANGE, draws
from superpos.user.functions import Own

if TYPE_CHECKING:
    import torch


def own_draws(
    own: Own, task: Task, purpose: Purpose, step: int, samples: range, device: str
) -> dict[str, torch.Tensor]:
    """Numbers [M, B, ...] (float32) by name: uniform in (0, 1) or standard normal. Models of a seed
    share them.

    Those of the k-th name are the stream k of their purpose.
    """
    if not own.draws:
        return {}
    import torch  # slow to import, and a run that is only looked at does without

    sizes = {"n": task.structure.n_features, "m": task.structure.n_hidden}
    seeds, row = np.unique(task.seed, return_inverse=True)
    rows = torch.from_numpy(row.reshape(-1)).to(device)
    found = {}
    for number, (name, (law, *form)) in enumerate(own.draws.items()):
        shape = [sizes[size] if isinstance(size, str) else size for size in form]
        words = draws(seeds, purpose + (number << 8), step, samples, math.prod(shape), device)
        # 24 bits, or single precision would round to 1
        uniform = ((words >> 8).double() + 0.5) / (RANGE >> 8)
        values = torch.special.ndtri(uniform) if law == "normal" else uniform
        found[name] = values.float()[rows].reshape(len(task), len(samples), *shape)
    return found
