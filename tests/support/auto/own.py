"""Autoencoders of inputs that a user's own function changes.

Shapes: M models, B samples, D inputs.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from auto import FAMILY
from auto.structure import Task
from superpos.errors import ConfigError
from superpos.family import Family

if TYPE_CHECKING:
    import torch

    from superpos.user.functions import Own


def with_functions(own: Own) -> Family:
    """The family with `data` in the place of the inputs as they are.

    Raises `ConfigError` for other functions.
    """
    others = [name for name in own.names if name != "data"]
    if others:
        raise ConfigError(f"{others[0]}: autoencoders take no such function; allowed: data")
    return replace(
        FAMILY,
        functions=own,
        replaced={"auto.noise": "data"},
        reference_only=f"only the reference engine runs functions of one's own ({own})",
        untrainable=""
        if own.trainable
        else f"this run has functions of its own ({own}), and their text alone is kept",
        engines={},
        exact_loss=None,
        batch=partial(_batch, own),
        sample=partial(_sample, own),
    )


def try_functions(family: Family, task: Task, device: str) -> None:
    """Calls `data` once. Raises `ConfigError` where it gives another shape."""
    x, changed = FAMILY.batch(task, 0, device), family.batch(task, 0, device)
    if changed.shape != x.shape:
        raise ConfigError(
            f"data: gives {list(changed.shape)}; allowed: {list(x.shape)}, models x samples x "
            "inputs"
        )


def _batch(own: Own, task: Task, step: int, device: str) -> torch.Tensor:
    return _changed(own, FAMILY.batch(task, step, device))


def _sample(own: Own, task: Task, samples: range, device: str) -> torch.Tensor:
    return _changed(own, FAMILY.sample(task, samples, device))


def _changed(own: Own, x: torch.Tensor) -> torch.Tensor:
    return own.functions["data"](x)
