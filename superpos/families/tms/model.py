"""The toy models and their loss, in plain torch and the paper's symbols (Elhage et al. 2022).

Shapes: M models, B samples, F features, H hidden. Tied: h = W x, x' = Wᵀh + b with W_i in row i of
W [M, F, H]. Untied: h = x @ W1, out = h @ W2.T + b.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from superpos.engines.task import Stepped
from superpos.families.tms.keys import corners
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Task
from superpos.maths.polygon import polygon
from superpos.maths.streams import normals
from superpos.maths.types import Floats

if TYPE_CHECKING:
    import torch

Params: TypeAlias = "Mapping[str, torch.Tensor]"


def usual_init_std(n_features: Floats, n_hidden: Floats) -> Floats:
    """The standard deviation of initial weights that nobody chose, √(2/(n + m)) [M]."""
    return np.sqrt(2.0 / (n_features + n_hidden))


def initial_params(task: Task) -> dict[str, NDArray[np.float32]]:
    """Weights ~ normal(0, init_std²), around the corners of a polygon where `model.init` names one;
    vectors such as b ~ normal(bias_init, bias_std²), by default 0.

    The scale is a model's own, never that of the stacked tensor [M, F, H].
    """
    params: dict[str, NDArray[np.float32]] = {}
    for number, (name, shape) in enumerate(task.structure.param_shapes.items()):
        if len(shape) >= 2:
            matrix = (math.prod(shape[:-1]), shape[-1])
            weight = normals(task.seed, Purpose.INIT, number, matrix) * task.init_std[:, None, None]
            if task.structure.init is not None:
                at = polygon(corners(task.structure.init))
                weight[:, : len(at)] += at
            # As in a checkpoint: layout decides BLAS's rounding.
            params[name] = weight.astype(np.float32, order="C").reshape(len(task), *shape)
        else:
            params[name] = _initial_vectors(task, number, shape)
    return params


def _initial_vectors(task: Task, number: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The vectors [M, *shape] that are parameter `number` of each model."""
    size = math.prod(shape)
    found = np.repeat(task.bias_init[:, None], size, axis=1)
    if task.bias_std.any():
        found += normals(task.seed, Purpose.INIT, number, (1, size))[:, 0] * task.bias_std[:, None]
    return found.astype(np.float32).reshape(len(task), *shape)


def forward(
    task: Task, params: Params, x: torch.Tensor, replace: Mapping[str, torch.Tensor] | None = None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """x' [M, B, F] for inputs x [M, B, F], and the parts "hidden" [M, B, H] and "output" that lead
    to it.

    A part that `replace` names has the value given there, and so has what follows from it.
    """
    structure = task.structure
    given = replace or {}
    encoder, decoder = (
        (params["W"], params["W"]) if structure.tied else (params["W1"], params["W2"])
    )
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
    """What the model should put out: x, abs x, or the positive part of x."""
    match task.structure.target:
        case "abs":
            return x.abs()
        case "relu":
            return x.relu()
    return x


def losses(
    task: Task,
    params: Params,
    x: torch.Tensor,
    extra: Params | None = None,
    step: int | None = None,
) -> torch.Tensor:
    """sum_i I_i (target_i - x'_i)² of each sample, [M, B]; there is no extra state.

    What a step minimises has the power `train.loss_power` in the place of the square; without a
    step it is the square.
    """
    out = forward(task, params, x)[0]
    return output_loss(task, x, out) if step is None else trained_error(task, target(task, x), out)


def output_loss(task: Task, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """sum_i I_i (target_i - out_i)² of each sample, [M, B], of outputs [M, B, F] for inputs x."""
    return squared_error(task, target(task, x), out)


def squared_error(task: Task, wanted: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """sum_i I_i (wanted_i - found_i)² of each sample, [M, B], of outputs [M, B, F]."""
    return _error(task, wanted, found, 2)


def trained_error(task: Task, wanted: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """sum_i I_i |wanted_i - found_i|^q of each sample, [M, B], with the power q that training
    minimises.
    """
    return _error(task, wanted, found, task.structure.loss_power)


def _error(task: Task, wanted: torch.Tensor, found: torch.Tensor, power: int) -> torch.Tensor:
    importance = wanted.new_tensor(task.importance)
    error = wanted - found
    return (importance[:, None, :] * (error.abs() if power % 2 else error) ** power).sum(-1)


def penalty(task: Task, params: Params) -> torch.Tensor | None:
    """What training adds to the loss of each model: l1 Σ|W| over its matrices, [M]; None where that
    is 0 for all.
    """
    import torch  # slow to import, and the fused engines do without

    if not task.structure.l1:
        return None
    biases = task.structure.biases
    sizes = [value.abs().flatten(1).sum(-1) for name, value in params.items() if name not in biases]
    return task.structure.l1 * torch.stack(sizes).sum(0) if sizes else None


def after_step(task: Task, stepped: Stepped, x: torch.Tensor, step: int) -> Stepped:
    """Rows of the matrices pulled to length 1 by lr γ, W_i + lr γ (1/‖W_i‖ - 1) W_i; a row of zeros
    stays.
    """
    import torch  # slow to import, and the fused engines do without

    structure = task.structure
    if not structure.norm_pull:
        return stepped
    pull = (task.lr * structure.lr_factors[step] * structure.norm_pull).astype(np.float32)
    params = dict(stepped.params)
    for name in params.keys() - structure.biases:
        value = params[name]
        length = value.norm(dim=-1, keepdim=True)
        off = torch.where(length > 0, 1 / length - 1, 0)
        params[name] = (
            value
            + torch.from_numpy(pull).to(value).reshape(-1, *[1] * (value.ndim - 1)) * off * value
        )
    return stepped._replace(params=params)
