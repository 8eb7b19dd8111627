"""Toy models with functions of a user's own: another model, other data, another target.

They make a family of its own from that of toy models, in which what they replace is replaced, and what would be wrong
beside them is left out. Shapes: M models, B samples, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from superpos.families.tms import FAMILY, exhibits
from superpos.families.tms.model import forward, squared_error, target, trained_error
from superpos.families.tms.settings import Settings
from superpos.families.tms.structure import Structure, Task
from superpos.family import Family
from superpos.plan.sweep import Sweep
from superpos.user.functions import Own

if TYPE_CHECKING:
    import torch

Params = Mapping[str, "torch.Tensor"]

_REPLACED: Final = {"model": ("model.output", "model.hidden"), "target": ("model.target",), "params": ("model.tied",)}
"""The keys that mean nothing beside each argument."""


def with_functions(own: Own) -> Family:
    """The family of toy models with these functions in the place of its own.

    As read from a run folder, functions are their text alone: such models can be looked at, but not trained.
    """
    changes: dict[str, Any] = {}
    if own.has_params:
        changes |= {"settings": partial(_settings, own), "measure": Family.measure, "some_columns": Family.some_columns}
    return replace(
        FAMILY,
        functions=own,
        replaced={key: name for name in own.to_json() for key in _REPLACED.get(name, ())},
        reference_only=f"only the reference engine runs functions of one's own ({own})",
        untrainable="" if own.trainable else _untrainable(own),
        engines={},
        exact_loss=None,
        forward=partial(_forward, own),
        directions=None,
        one_layer=None,
        output_loss=partial(_output_loss, own),
        losses=partial(_losses, own),
        batch=partial(_batch, own),
        sample=partial(_sample, own),
        shows=exhibits.shows_with(own),
        **changes,
    )


def _untrainable(own: Own) -> str:
    return (
        f"this run has functions of its own ({own}), and its folder holds their text alone; "
        f"it is trained from Python: superpos.train(..., {own})"
    )


@dataclass(frozen=True)
class OwnStructure(Structure):
    """Models whose parameters are the user's."""

    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter of one model, as the user gave them."""
        return dict(self.shapes)


def _settings(own: Own, sweep: Sweep) -> Settings:
    def make(n_features: int, n_hidden: int, **values: Any) -> OwnStructure:
        shapes = tuple(own.shapes(n_features, n_hidden).items())
        return OwnStructure(n_features, n_hidden, shapes=shapes, **values)

    return Settings(sweep, make)


def _forward(
    own: Own, task: Task, params: Params, x: torch.Tensor, replace: Mapping[str, torch.Tensor] | None = None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Outputs [M, B, F]; of a user's own model they are the only part."""
    if own.model is None:
        return forward(task, params, x, replace)
    given = replace or {}
    outputs = given["output"] if "output" in given else own.model(dict(params), x)
    return outputs, {"output": outputs}


def _losses(
    own: Own, task: Task, params: Params, x: torch.Tensor, extra: Params | None = None, step: int | None = None
) -> torch.Tensor:
    """sum_i I_i (target_i - x'_i)² of each sample, [M, B]; in a step with the power that training minimises."""
    out = _forward(own, task, params, x)[0]
    return _output_loss(own, task, x, out) if step is None else trained_error(task, _target(own, task, x), out)


def _output_loss(own: Own, task: Task, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    return squared_error(task, _target(own, task, x), out)


def _target(own: Own, task: Task, x: torch.Tensor) -> torch.Tensor:
    return target(task, x) if own.target is None else own.target(x)


def _batch(own: Own, task: Task, step: int, device: str) -> torch.Tensor:
    return _changed(own, FAMILY.batch(task, step, device))


def _sample(own: Own, task: Task, samples: range, device: str) -> torch.Tensor:
    return _changed(own, FAMILY.sample(task, samples, device))


def _changed(own: Own, x: torch.Tensor) -> torch.Tensor:
    """The drawn inputs as the user's `data` changes them."""
    return x if own.data is None else own.data(x)
