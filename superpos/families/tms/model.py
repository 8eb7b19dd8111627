"""The toy models and their loss, in plain torch and the paper's symbols (Elhage et al. 2022).

Shapes: M models, B samples, F features, H hidden. Tied: h = W x, x' = Wᵀh + b with W_i in row i of W [M, F, H].
Untied: h = x @ W1, out = h @ W2.T + b.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.structure import Structure, Task
from superpos.maths.streams import normals

if TYPE_CHECKING:
    import torch

Params: TypeAlias = "Mapping[str, torch.Tensor]"


def initial_params(task: Task) -> dict[str, NDArray[np.float32]]:
    """Weights ~ normal(0, init_std²); vectors such as b are 0.

    The scale is a model's own, never that of the stacked tensor [M, F, H].
    """
    params: dict[str, NDArray[np.float32]] = {}
    for number, (name, shape) in enumerate(task.structure.param_shapes.items()):
        if len(shape) >= 2:
            weight = normals(task.seed, number, (math.prod(shape[:-1]), shape[-1])) * task.init_std[:, None, None]
            # As in a checkpoint: layout decides BLAS's rounding.
            params[name] = weight.astype(np.float32, order="C").reshape(len(task), *shape)
        else:
            params[name] = np.zeros((len(task), *shape), dtype=np.float32)
    return params


def forward(structure: Structure, params: Params, x: torch.Tensor) -> torch.Tensor:
    """x' [M, B, F] for inputs x [M, B, F]."""
    if structure.own and structure.own.model:
        return structure.own.model(dict(params), x)
    encoder, decoder = (params["W"], params["W"]) if structure.tied else (params["W1"], params["W2"])
    h = x @ encoder  # [M, B, H]
    if structure.hidden == "relu":
        h = h.relu()
    out = h @ decoder.mT + params["b"][:, None, :]
    return out.relu() if structure.output == "relu" else out


def target(structure: Structure, x: torch.Tensor) -> torch.Tensor:
    """What the model should put out: x, or abs x."""
    if structure.own and structure.own.target:
        return structure.own.target(x)
    return x.abs() if structure.target == "abs" else x


def sample_losses(structure: Structure, params: Params, x: torch.Tensor, importance: torch.Tensor) -> torch.Tensor:
    """sum_i I_i (target_i - x'_i)² of each sample, [M, B]; importance is [M, F]."""
    error = target(structure, x) - forward(structure, params, x)
    return (importance[:, None, :] * error**2).sum(-1)


def mean_and_error(sums: NDArray[np.float64], samples: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and its standard error from sum l and sum l² over the samples, [M, 2]; the error of a sum of ∞ is NaN."""
    mean = sums[:, 0] / samples
    known = np.where(np.isfinite(sums).all(axis=1, keepdims=True), sums / samples, np.nan)
    variance = np.maximum(known[:, 1] - known[:, 0] ** 2, 0)
    return mean, np.sqrt(variance / max(samples - 1, 1))
