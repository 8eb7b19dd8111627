"""Synthetic features: sparse, uniform when active; independent, correlated or anticorrelated sets; signed; finite sets.

SCIENCE: *Toy Models of Superposition*, "Demonstrating superposition" (data), "The geometry of superposition"
(correlated features), "Computation in superposition" (signed). Shapes: M models, B samples, F features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.streams import WORD, Purpose, draws
from superpos.task import Structure, Task

RANGE = 2**32
Words = NDArray[np.uint32]
Floats = NDArray[np.float32]


class Cells(NamedTuple):
    """How 32-bit draws become feature values; each field is [M, F].

    A feature is active iff (s - low) mod 2³² <= span, where s is its own draw u (independent features) or its set's
    draw; its value is then float32((u - shift) mod 2³²) * scale + offset. Independent features use one draw for both:
    low = shift = T = floor(S 2³²), so u >= T and the value is (u - T) / (2³² - T).
    """

    low: Words
    span: Words
    shift: Words
    scale: Floats
    offset: Floats


def thresholds(sparsity: NDArray[np.float64]) -> NDArray[np.int64]:
    """T = floor(S 2³²): a draw u is active iff u >= T."""
    return np.floor(sparsity * float(RANGE)).astype(np.int64)


def cells(structure: Structure, sparsity: NDArray[np.float64]) -> Cells:
    """The draw rules [M, F] of a task's features. The sparsity of a set is that of its features' column."""
    first = thresholds(sparsity)
    last = np.full_like(first, WORD)
    if structure.correlation == "anticorrelated":
        # exactly one member of an active set: the active range is cut into `set_size` parts, as equal as integers go
        member = np.arange(structure.n_features) % structure.set_size
        width = RANGE - first
        last = first - (-width * (member + 1) // structure.set_size) - 1
        low = first - (-width * member // structure.set_size)
    else:
        low = first
    own = structure.correlation == "none"
    shift = first if own else np.zeros_like(first)
    scale = 1.0 / (RANGE - shift).astype(np.float64)
    # Where a set has fewer active draws than members, some member has none: no span says never, the value 0 does.
    possible = last >= low
    return Cells(
        low=low.astype(np.uint32),
        span=(last - low).astype(np.uint32),
        shift=shift.astype(np.uint32),
        scale=(possible * (2 * scale if structure.signed else scale)).astype(np.float32),
        offset=(possible * (-1.0 if structure.signed else 0.0)).astype(np.float32),
    )


def features(rules: Cells, u: torch.Tensor, switch: torch.Tensor) -> torch.Tensor:
    """Feature values [M, B, F] (float32) from the draws u [M, B, F] and the deciding draws switch [M, B, F] (int64)."""

    def spread(field: NDArray[np.generic]) -> torch.Tensor:
        wide = field.astype(np.int64) if field.dtype == np.uint32 else field
        return torch.from_numpy(wide).to(u.device)[:, None, :]

    active = ((switch - spread(rules.low)) & WORD) <= spread(rules.span)
    value = ((u - spread(rules.shift)) & WORD).to(torch.float32) * spread(rules.scale) + spread(rules.offset)
    return torch.where(active, value, torch.zeros_like(value))


def sample(task: Task, purpose: Purpose, step: int, samples: range, device: str = "cpu") -> torch.Tensor:
    """Inputs [M, B, F] of a contiguous range of samples of one step. Models with the same seed share their draws."""
    structure = task.structure
    seeds, row = np.unique(task.seed, return_inverse=True)
    u = draws(seeds, purpose, step, samples, structure.n_features, device)
    switch = u
    if structure.correlation != "none":
        n_sets = structure.n_features // structure.set_size
        sets = draws(seeds, purpose + Purpose.SETS, step, samples, n_sets, device)
        switch = sets.repeat_interleave(structure.set_size, dim=2)
    rows = torch.from_numpy(row.reshape(-1)).to(device)
    x = features(cells(structure, task.sparsity), u[rows], switch[rows])
    return unit_length(x) if structure.n_points else x


def batch(task: Task, step: int, device: str = "cpu") -> torch.Tensor:
    """Training inputs [M, B, F]: a fresh batch, or all points of the finite data set."""
    structure = task.structure
    purpose, at = (Purpose.POINTS, 0) if structure.n_points else (Purpose.TRAIN, step)
    return sample(task, purpose, at, range(structure.samples_per_step), device)


def unit_length(x: torch.Tensor) -> torch.Tensor:
    """Every point scaled to length 1 (Henighan et al. 2023); a point without active features stays zero."""
    length = x.norm(dim=-1, keepdim=True)
    return x / torch.where(length > 0, length, torch.ones_like(length))
