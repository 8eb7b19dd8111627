"""Toy models with functions of a user's own: another model, other data, another target, another
loss.

They make a family of its own from that of toy models, in which what they replace is replaced, and
what would be wrong beside them is left out. Shapes: M models, B samples, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.engines.task import State, Stepped
from superpos.families.tms import FAMILY, exhibits
from superpos.families.tms import measure as columns
from superpos.families.tms.data.own_draws import own_draws
from superpos.families.tms.model import forward, squared_error, target, trained_error
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.settings import Settings
from superpos.families.tms.structure import Structure, Task
from superpos.family import Family
from superpos.plan.sweep import Sweep
from superpos.user.functions import Own

if TYPE_CHECKING:
    import torch

Params = Mapping[str, "torch.Tensor"]


class Inputs(NamedTuple):
    """Inputs of models whose functions take random numbers."""

    x: torch.Tensor
    drawn: Mapping[str, torch.Tensor]
    """[M, B, ...] by name."""


_REPLACED: Final = {
    "model": ("model.output", "model.hidden"),
    "target": ("model.target",),
    "params": ("model.tied", "model.init"),
    "init": ("model.init",),
    "loss": (
        "importance.decay",
        "importance.last",
        "importance.values",
        "train.reduction",
        "train.loss_power",
    ),
}
"""The keys that mean nothing beside each argument."""


def with_functions(own: Own) -> Family:
    """The family of toy models with these functions in the place of its own.

    As read from a run folder, functions are their text alone: such models can be looked at, but not
    trained.
    """
    changes: dict[str, Any] = {}
    if own.has_params:
        changes |= {"measure": Family.measure, "some_columns": Family.some_columns}
    if own.has_params and own.encoder:
        changes |= {
            "measure": partial(_measure_encoder, own.encoder),
            "some_columns": FAMILY.some_columns,
        }
    if "measure" in own.functions:
        changes["measure"] = partial(_measure, own, changes.get("measure", FAMILY.measure))
    if "init" in own.functions:
        changes["init"] = partial(_init, own)
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
        frozen=lambda structure: structure.frozen | own.frozen,
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
    has_draws: bool = False
    """Whether functions take random numbers, which differ from step to step."""

    @property
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter of one model."""
        return dict(self.shapes) or super().param_shapes

    @property
    def gradient_scale(self) -> float:
        """Factor on the loss of which gradients are taken: a loss of one's own is taken as it
        is.
        """
        return 1.0 if self.own_loss else super().gradient_scale

    @property
    def same_inputs(self) -> bool:
        """Whether all steps have the same inputs: those of a finite data set, without random
        numbers beside them.
        """
        return super().same_inputs and not self.has_draws


def _settings(own: Own, sweep: Sweep) -> Settings:
    def make(n_features: int, n_hidden: int, **values: Any) -> OwnStructure:
        shapes = tuple(own.shapes(n_features, n_hidden).items()) if own.has_params else ()
        return OwnStructure(
            n_features,
            n_hidden,
            shapes=shapes,
            own_loss="loss" in own.names,
            has_draws=bool(own.draws),
            **values,
        )

    return Settings(sweep, make)


def _forward(
    own: Own,
    task: Task,
    params: Params,
    inputs: Inputs,
    replace: Mapping[str, torch.Tensor] | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Outputs [M, B, ...]; of a user's own model they are the only part."""
    if "model" not in own.functions:
        return forward(task, params, inputs.x, replace)
    out = (replace or {}).get("output")
    if out is None:
        out = own.called("model", dict(params), inputs.x, drawn=inputs.drawn)
    return out, {"output": out}


def _losses(
    own: Own,
    task: Task,
    params: Params,
    inputs: Inputs,
    extra: Params | None = None,
    step: int | None = None,
) -> torch.Tensor:
    """The user's loss of each sample, or sum_i I_i (target_i - x'_i)², [M, B].

    In a step it is that with the power that training minimises.
    """
    out = _forward(own, task, params, inputs)[0]
    if "loss" in own.functions:
        aim = wanted(own, task, inputs)
        found: torch.Tensor = own.called("loss", out, aim, dict(params), drawn=inputs.drawn)
        return found
    if step is None:
        return _output_loss(own, task, inputs, out)
    return trained_error(task, wanted(own, task, inputs), out)


def _output_loss(own: Own, task: Task, inputs: Inputs, out: torch.Tensor) -> torch.Tensor:
    return squared_error(task, wanted(own, task, inputs), out)


def wanted(own: Own, task: Task, inputs: Inputs) -> torch.Tensor:
    """What the outputs should be."""
    if "target" not in own.functions:
        return target(task, inputs.x)
    aim: torch.Tensor = own.called("target", inputs.x, drawn=inputs.drawn)
    return aim


def _batch(own: Own, task: Task, step: int, device: str) -> Inputs:
    samples = range(task.structure.samples_per_step)
    return _inputs(
        own,
        FAMILY.batch(task, step, device),
        own_draws(own, task, Purpose.OWN_TRAIN, step, samples, device),
    )


def _sample(own: Own, task: Task, samples: range, device: str) -> Inputs:
    drawn = own_draws(own, task, Purpose.OWN_EVALUATE, 0, samples, device)
    return _inputs(own, FAMILY.sample(task, samples, device), drawn)


def _inputs(own: Own, x: torch.Tensor, drawn: Params) -> Inputs:
    """The drawn inputs as the user's `data` changes them, with further random numbers."""
    return Inputs(own.called("data", x, drawn=drawn) if "data" in own.functions else x, drawn)


def _init(own: Own, task: Task) -> dict[str, NDArray[np.float32]]:
    """Initial parameters, with those that the user's `init` gives in the place of some."""
    import torch

    params = dict(FAMILY.init(task))
    drawn = {
        name: value[:, 0]
        for name, value in own_draws(own, task, Purpose.OWN_INIT, 0, range(1), "cpu").items()
    }
    changed = own.called(
        "init", {name: torch.from_numpy(value) for name, value in params.items()}, drawn=drawn
    )
    return params | {
        name: np.array(value.detach().numpy(), order="C") for name, value in changed.items()
    }


def _measure_encoder(
    name: str, task: Task, state: State, pause: Callable[[], None]
) -> Mapping[str, NDArray[Any]]:
    """The columns of toy models, of the parameter whose rows stand for the features."""
    return columns.encoder_columns(task.structure, state.params[name], pause)


def _measure(
    own: Own, others: Any, task: Task, state: State, pause: Callable[[], None]
) -> dict[str, NDArray[Any]]:
    """The columns that the user's `measure` gives as own.NAME, beside the others."""
    import torch

    params = {name: torch.from_numpy(value.copy()) for name, value in state.params.items()}
    found = own.called("measure", params)
    return dict(others(task, state, pause)) | {
        f"own.{name}": torch.as_tensor(value).double().numpy() for name, value in found.items()
    }


def _after_step(own: Own, task: Task, stepped: Stepped, inputs: Any, step: int) -> Stepped:
    """The parameters that the user's `after_step` gives in the place of some; moments are left as
    they are.

    What the family itself does after a step comes first.
    """
    assert FAMILY.after_step is not None
    stepped = FAMILY.after_step(task, stepped, inputs, step)
    factor = _lr_factors(task.structure)[step]
    first = next(iter(stepped.params.values()))
    lr = first.new_tensor(task.lr * factor)
    drawn = own_draws(own, task, Purpose.OWN_STEP, step, range(1), str(first.device))
    changed = own.called(
        "after_step",
        dict(stepped.params),
        lr,
        step,
        drawn={name: value[:, 0] for name, value in drawn.items()},
    )
    return stepped._replace(params={**stepped.params, **changed})


@lru_cache(maxsize=16)
def _lr_factors(structure: Structure) -> NDArray[np.float64]:
    return structure.lr_factors
