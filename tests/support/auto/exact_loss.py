"""The loss of linear autoencoders in closed form.

Shapes: M models, F features, D inputs, K latents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auto.structure import Structure, Task

Floats = NDArray[np.float64]


def known(structure: Structure) -> bool:
    """Whether the latents are linear."""
    return structure.activation == "linear"


def work(structure: Structure) -> float:
    """Entries of the matrices."""
    return float(structure.n_inputs * (structure.n_latents + structure.n_features))


def loss(task: Task, params: Mapping[str, NDArray[Any]]) -> Floats:
    """E |x - (x E + b) D|² + l1 |x E + b|² [M], from the mean and the second moments of x."""
    E, b, D = (params[name].astype(np.float64) for name in ("E", "b", "D"))
    W, p = task.dictionary.astype(np.float64), task.density[:, None]
    mean = (p / 2 * W.sum(1))[:, None, :]  # [M, 1, D]
    spread = ((p / 3 - p**2 / 4)[..., None] * W).swapaxes(-1, -2) @ W
    spread += task.noise[:, None, None] ** 2 * np.eye(W.shape[-1])
    second = spread + mean.swapaxes(-1, -2) * mean
    size = _squares(E, b, mean, second)
    return (
        _squares(np.eye(W.shape[-1]) - E @ D, -(b[:, None, :] @ D)[:, 0], mean, second)
        + task.l1 * size
    )


def _squares(matrix: Floats, shift: Floats, mean: Floats, second: Floats) -> Floats:
    """E |x A + c|² [M]."""
    quadratic = np.einsum("mij,mik,mkj->m", matrix, second, matrix)
    return quadratic + 2 * np.einsum("mj,mj->m", (mean @ matrix)[:, 0], shift) + (shift**2).sum(-1)
