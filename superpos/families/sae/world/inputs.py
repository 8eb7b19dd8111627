"""What autoencoders are trained and evaluated on. Models of one world share every batch.

A world is computed by itself, so that its numbers do not depend on the other worlds of a task.
Shapes: M models, W worlds, B samples, G features, d dimensions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from superpos.families.sae.structure import Task, World


def batch(task: Task, step: int, device: str = "cpu") -> torch.Tensor:
    """Training activations x [M, B, d] of a step."""
    samples = range(task.structure.batch_size)
    return _by_world(task, lambda world: world.activations(False, step, samples, device))


def sample(task: Task, samples: range, device: str = "cpu") -> torch.Tensor:
    """Activations x [M, B, d] of a contiguous range of samples of the evaluation stream."""
    return _by_world(task, lambda world: world.activations(True, 0, samples, device))


def codes(task: Task, samples: range, device: str = "cpu") -> torch.Tensor:
    """How active the true features are in these samples, [M, B, G]."""
    return _by_world(task, lambda world: world.codes(True, 0, samples, device))


def _by_world(task: Task, made: Callable[[World], torch.Tensor]) -> torch.Tensor:
    """What is made of each model's world, [M, ...], made once for each world."""
    used, place = np.unique(task.world, return_inverse=True)
    found = torch.stack([made(task.worlds[world]) for world in used.tolist()])
    return found[torch.from_numpy(place.reshape(-1))]
