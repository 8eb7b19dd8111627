"""Initial weights, forward pass and losses of transformers, in plain torch.

The forward pass is `maths.attention`. The loss of a sequence is the mean of -log p(next token) over
its positions that are learned, in nats. Shapes: M models, B sequences, T positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.families.transformer.data.languages import Sequences
from superpos.families.transformer.purposes import Purpose
from superpos.families.transformer.structure import Structure, Task
from superpos.maths import attention
from superpos.maths.streams import normals

_ZERO = ("W_rel", "smear")
"""What starts at 0: all offsets alike, keys half their own."""


def initial_params(task: Task) -> dict[str, NDArray[np.float32]]:
    """Normal weights of variance 1/d, of W_O 1/(H k); or of one standard deviation, where that is
    given.
    """
    params: dict[str, NDArray[np.float32]] = {}
    for number, (name, shape) in enumerate(task.structure.param_shapes.items()):
        if name in _ZERO:
            params[name] = np.zeros((len(task), *shape), dtype=np.float32)
            continue
        drawn = normals(task.seed, Purpose.INIT, number, (int(np.prod(shape[:-1])), shape[-1]))
        scale = np.where(np.isnan(task.init_std), _scale(task.structure, name), task.init_std)
        params[name] = (drawn * scale[:, None, None]).reshape(len(task), *shape).astype(np.float32)
    return params


def _scale(structure: Structure, name: str) -> float:
    """Standard deviation of initial weights: 1/√ of what is summed over."""
    summed = structure.n_heads * structure.d_head if name == "W_O" else structure.d_model
    return float(summed**-0.5)


def forward(
    task: Task,
    params: Mapping[str, torch.Tensor],
    inputs: Sequences,
    replace: Mapping[str, torch.Tensor] | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits [M, B, T, V] and the parts by name; `maths.attention` says which, and what can be
    replaced.
    """
    s = task.structure
    return attention.forward(
        params, inputs.tokens[..., :-1], positions=s.positions, direct=s.direct, replace=replace
    )


def losses(
    task: Task,
    params: Mapping[str, torch.Tensor],
    inputs: Sequences,
    extra: Mapping[str, Any],
    step: int | None,
) -> torch.Tensor:
    """The loss of each sequence, [M, B]."""
    return output_loss(task, inputs, forward(task, params, inputs)[0])


def output_loss(task: Task, inputs: Sequences, logits: torch.Tensor) -> torch.Tensor:
    """What logits [M, B, T, V] cost in each sequence, [M, B]."""
    return mean_over(surprise(inputs.tokens, logits), inputs.trained)


def surprise(tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """-log p of the token that follows each position, [M, B, T]."""
    chosen = torch.nn.functional.one_hot(tokens[..., 1:], logits.shape[-1]).to(logits.dtype)
    return -(logits.log_softmax(-1) * chosen).sum(-1)


def mean_over(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """The mean over the positions [.., T] that count; 0 of none."""
    counted = where.to(values.dtype)
    return (values * counted).sum(-1) / counted.sum(-1).clamp(min=1)
