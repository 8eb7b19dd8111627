"""Inputs x: what the models of a task are trained and evaluated on.

Shapes: M models, B samples, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch

from superpos.families.tms.data import circle, laws, sparse
from superpos.families.tms.data.feature_values import cells, features
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Task
from superpos.maths.streams import draws

Sampler: TypeAlias = "Callable[[Task, Purpose, int, range, str], torch.Tensor]"


def sample(
    task: Task,
    purpose: Purpose,
    step: int,
    samples: range,
    device: str = "cpu",
    densely: Sampler | None = None,
) -> torch.Tensor:
    """Inputs [M, B, F] of a contiguous range of samples of one step, by the structure's sampler.

    `densely` gives what `dense` does, and faster.
    """
    sampler = sparse.sample if task.structure.sampler == "sparse" else densely or dense
    x = sampler(task, purpose, step, samples, device)
    return unit_length(x) if task.structure.n_points else x


def evaluation(
    task: Task, samples: range, device: str = "cpu", densely: Sampler | None = None
) -> torch.Tensor:
    """Inputs [M, B, F] of a contiguous range of samples of the evaluation stream; `densely` as in
    `sample`.
    """
    return sample(task, Purpose.EVALUATE, 0, samples, device, densely)


def dense(
    task: Task, purpose: Purpose, step: int, samples: range, device: str = "cpu"
) -> torch.Tensor:
    """`sample` by one draw a cell. Models with the same seed share their draws."""
    structure = task.structure
    seeds, row = np.unique(task.seed, return_inverse=True)
    u = draws(seeds, purpose, step, samples, structure.n_features, device)
    rows = torch.from_numpy(row.reshape(-1)).to(device)
    if structure.correlation == "none":
        return features(cells(structure, task.sparsity), u[rows], u[rows], structure.values)
    n_words = laws.n_words(structure)
    words = draws(seeds, purpose + Purpose.SETS, step, samples, n_words, device)[rows]
    if structure.correlation == "circle":
        return circle.features(structure, task.sparsity, u[rows], words)
    if not structure.in_sets:
        return laws.features(structure, task.sparsity, u[rows], words)
    switch = words.repeat_interleave(structure.set_size, dim=2)
    return features(cells(structure, task.sparsity), u[rows], switch, structure.values)


def batch(
    task: Task, step: int, device: str = "cpu", densely: Sampler | None = None
) -> torch.Tensor:
    """Training inputs [M, B, F]: a fresh batch, or all points of the finite data set; `densely` as
    in `sample`.
    """
    structure = task.structure
    purpose, at = (Purpose.POINTS, 0) if structure.n_points else (Purpose.TRAIN, step)
    return sample(task.in_training, purpose, at, range(structure.samples_per_step), device, densely)


def unit_length(x: torch.Tensor) -> torch.Tensor:
    """Every point scaled to length 1 (Henighan et al. 2023); a point without active features stays
    zero.
    """
    length = x.norm(dim=-1, keepdim=True)
    return x / torch.where(length > 0, length, torch.ones_like(length))
