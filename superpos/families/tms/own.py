"""Toy models with functions of a user's own: another model, other data, another target, another loss.

They make a family of its own from that of toy models, in which what they replace is replaced, and what would be wrong
beside them is left out. Shapes: M models, B samples, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from superpos.engines.task import Stepped
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

_REPLACED: Final = {
    "model": ("model.output", "model.hidden"),
    "target": ("model.target",),
    "params": ("model.tied",),
    "loss": ("importance.decay", "importance.last", "importance.values", "train.reduction"),
}
"""The keys that mean nothing beside each argument."""


def with_functions(own: Own) -> Family:
    """The family of toy models with these functions in the place of its own.

    As read from a run folder, functions are their text alone: such models can be looked at, but not trained.
    """
    changes: dict[str, Any] = {}
    if own.has_params:
        changes |= {"measure": Family.measure, "some_columns": Family.some_columns}
    if own.changes_loss:
        changes |= {
            "exact_loss": None,
            "forward": partial(_forward, own),
            "directions": None,
            "one_layer": None,
            "output_loss": None if "loss" in own.names else partial(_output_loss, own),
            "losses": partial(_losses, own),
            "batch": partial(_batch, own),
            "sample": partial(_sample, own),
            "shows": exhibits.shows_with(own),
        }
    if "loss" in own.names:
        changes["loss"] = f"E {own.names['loss']}(out, target, params)"
    if "after_step" in own.names:
        changes["after_step"] = partial(_after_step, own)
    return replace(
        FAMILY,
        functions=own,
        replaced={key: name for name in own.to_json() for key in _REPLACED.get(name, ())},
        reference_only=f"only the reference engine runs functions of one's own ({own})",
        untrainable="" if own.trainable else _untrainable(own),
        engines={},
        settings=partial(_settings, own),
        **changes,
    )


def _untrainable(own: Own) -> str:
    return (
        f"this run has functions of its own ({own}), and its folder holds their text alone; "
        f"it is trained with them: {own.how_to_train}"
    )


@dataclass(frozen=True)
class OwnStructure(Structure):
    """Models of which something is the user's."""

    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Those of the user's parameters; without any they are superpos's."""
    own_loss: bool = False

    @property
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter of one model."""
        return dict(self.shapes) or super().param_shapes

    @property
    def gradient_scale(self) -> float:
        """Factor on the loss of which gradients are taken: a loss of one's own is taken as it is."""
        return 1.0 if self.own_loss else super().gradient_scale


def _settings(own: Own, sweep: Sweep) -> Settings:
    def make(n_features: int, n_hidden: int, **values: Any) -> OwnStructure:
        shapes = tuple(own.shapes(n_features, n_hidden).items()) if own.has_params else ()
        return OwnStructure(n_features, n_hidden, shapes=shapes, own_loss="loss" in own.names, **values)

    return Settings(sweep, make)


def _forward(
    own: Own, task: Task, params: Params, x: torch.Tensor, replace: Mapping[str, torch.Tensor] | None = None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Outputs [M, B, ...]; of a user's own model they are the only part."""
    if "model" not in own.functions:
        return forward(task, params, x, replace)
    given = replace or {}
    outputs = given["output"] if "output" in given else own.functions["model"](dict(params), x)
    return outputs, {"output": outputs}


def _losses(
    own: Own, task: Task, params: Params, x: torch.Tensor, extra: Params | None = None, step: int | None = None
) -> torch.Tensor:
    """The user's loss of each sample, or sum_i I_i (target_i - x'_i)², [M, B].

    In a step it is that with the power that training minimises.
    """
    out = _forward(own, task, params, x)[0]
    if "loss" in own.functions:
        found: torch.Tensor = own.functions["loss"](out, wanted(own, task, x), dict(params))
        return found
    return _output_loss(own, task, x, out) if step is None else trained_error(task, wanted(own, task, x), out)


def _output_loss(own: Own, task: Task, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    return squared_error(task, wanted(own, task, x), out)


def wanted(own: Own, task: Task, x: torch.Tensor) -> torch.Tensor:
    """What the outputs should be."""
    return own.functions["target"](x) if "target" in own.functions else target(task, x)


def _batch(own: Own, task: Task, step: int, device: str) -> torch.Tensor:
    return _changed(own, FAMILY.batch(task, step, device))


def _sample(own: Own, task: Task, samples: range, device: str) -> torch.Tensor:
    return _changed(own, FAMILY.sample(task, samples, device))


def _changed(own: Own, x: torch.Tensor) -> torch.Tensor:
    """The drawn inputs as the user's `data` changes them."""
    return own.functions["data"](x) if "data" in own.functions else x


def _after_step(own: Own, task: Task, stepped: Stepped, inputs: Any, step: int) -> Stepped:
    """The parameters that the user's `after_step` gives in the place of some; moments are left as they are."""
    factor = _lr_factors(task.structure)[step]
    first = next(iter(stepped.params.values()))
    lr = first.new_tensor(task.lr * factor)
    changed = own.functions["after_step"](dict(stepped.params), lr, step)
    return stepped._replace(params={**stepped.params, **changed})


@lru_cache(maxsize=16)
def _lr_factors(structure: Structure) -> NDArray[np.float64]:
    return structure.lr_factors
