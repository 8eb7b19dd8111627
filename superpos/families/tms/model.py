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

from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Task
from superpos.maths.streams import normals
from superpos.maths.types import Floats

if TYPE_CHECKING:
    import torch

Params: TypeAlias = "Mapping[str, torch.Tensor]"


def usual_init_std(n_features: Floats, n_hidden: Floats) -> Floats:
    """The standard deviation of initial weights that nobody chose, √(2/(n + m)) [M]."""
    return np.sqrt(2.0 / (n_features + n_hidden))


def initial_params(task: Task) -> dict[str, NDArray[np.float32]]:
    """Weights ~ normal(0, init_std²); vectors such as b are 0.

    The scale is a model's own, never that of the stacked tensor [M, F, H].
    """
    params: dict[str, NDArray[np.float32]] = {}
    for number, (name, shape) in enumerate(task.structure.param_shapes.items()):
        if len(shape) >= 2:
            matrix = (math.prod(shape[:-1]), shape[-1])
            weight = normals(task.seed, Purpose.INIT, number, matrix) * task.init_std[:, None, None]
            # As in a checkpoint: layout decides BLAS's rounding.
            params[name] = weight.astype(np.float32, order="C").reshape(len(task), *shape)
        else:
            params[name] = np.zeros((len(task), *shape), dtype=np.float32)
    return params


def forward(
    task: Task, params: Params, x: torch.Tensor, replace: Mapping[str, torch.Tensor] | None = None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """x' [M, B, F] for inputs x [M, B, F], and the parts "hidden" [M, B, H] and "output" that lead to it.

    A part that `replace` names has the value given there, and so has what follows from it.
    """
    structure, given = task.structure, replace or {}
    encoder, decoder = (params["W"], params["W"]) if structure.tied else (params["W1"], params["W2"])
    if "hidden" in given:
        h = given["hidden"]
    else:
        h = x @ encoder  # [M, B, H]
        h = h.relu() if structure.hidden == "relu" else h
    if "output" in given:
        out = given["output"]
    else:
        out = h @ decoder.mT + params["b"][:, None, :]
        out = out.relu() if structure.output == "relu" else out
    return out, {"hidden": h, "output": out}


def directions(task: Task, params: Params) -> torch.Tensor:
    """W_i, or the rows of W1 [M, F, H]: where each feature lies in the hidden layer."""
    return params["W" if task.structure.tied else "W1"]


def target(task: Task, x: torch.Tensor) -> torch.Tensor:
    """What the model should put out: x, or abs x."""
    return x.abs() if task.structure.target == "abs" else x


def losses(
    task: Task, params: Params, x: torch.Tensor, extra: Params | None = None, step: int | None = None
) -> torch.Tensor:
    """sum_i I_i (target_i - x'_i)² of each sample, [M, B]; there is no extra state, and all steps are alike."""
    return output_loss(task, x, forward(task, params, x)[0])


def output_loss(task: Task, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """sum_i I_i (target_i - out_i)² of each sample, [M, B], of outputs [M, B, F] for inputs x."""
    return squared_error(task, target(task, x), out)


def squared_error(task: Task, wanted: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """sum_i I_i (wanted_i - found_i)² of each sample, [M, B], of outputs [M, B, F]."""
    importance = wanted.new_tensor(task.importance)
    return (importance[:, None, :] * (wanted - found) ** 2).sum(-1)
