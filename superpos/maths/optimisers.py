"""Adam, AdamW and SGD on stacked models, each model with its own learning rate and weight decay;
schedules.

Kingma & Ba 2015 (algorithm 1) and Loshchilov & Hutter 2019 (decoupled weight decay), as in
torch.optim. Every operation is elementwise in float32: models never meet.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


class Update(NamedTuple):
    """A parameter and its moments after a step; each [M, ...]."""

    param: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor


@lru_cache(maxsize=8)
def schedule(
    kind: str, steps: int, warmup_steps: int, decay_share: float = 1.0
) -> NDArray[np.float64]:
    """Factor on the learning rate at t = 0 ... steps - 1, times warm-up.

    It is 1 until the last `decay_share` of the steps; with u from 0 to 1 along these it is
    constant, linear (1 - u) or cosine ((1 + cos πu) / 2).
    """
    t = np.arange(steps, dtype=np.float64)
    length = steps * decay_share or 1.0
    fallen = np.maximum(t - steps * (1 - decay_share), 0)
    factor = {
        "constant": np.ones(steps),
        "linear": 1 - fallen / length,
        "cosine": (1 + np.cos(np.pi * fallen / length)) / 2,
    }[kind]
    return factor * np.minimum(1, (t + 1) / warmup_steps) if warmup_steps else factor


def update(
    optimizer: str,
    adam: tuple[float, float, float],
    step: int,
    lr: torch.Tensor,
    weight_decay: torch.Tensor,
    old: Update,
    grad: torch.Tensor,
) -> Update:
    """One step (counted from 0) with lr and weight_decay [M] (float32); SGD leaves the moments
    alone.

    `adam` is beta1, beta2 and eps: the decay rates of both moments, and the term that keeps the
    step finite.
    """
    beta1, beta2, eps = adam
    lr, weight_decay = (value.reshape(-1, *[1] * (grad.ndim - 1)) for value in (lr, weight_decay))
    if optimizer != "adamw":
        grad = grad + weight_decay * old.param
    if optimizer == "sgd":
        return old._replace(param=old.param - lr * grad)
    first = beta1 * old.first + (1 - beta1) * grad
    second = beta2 * old.second + (1 - beta2) * (grad * grad)
    rate = (lr.double() / (1 - beta1 ** (step + 1))).float()
    direction = first / (second.sqrt() / (1 - beta2 ** (step + 1)) ** 0.5 + eps)
    kept = (1 - lr * weight_decay) * old.param if optimizer == "adamw" else old.param
    return Update(kept - rate * direction, first, second)
