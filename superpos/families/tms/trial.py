"""A user's own functions, tried on a few models before anything is written.

Shapes: M models, B samples, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch

from superpos.errors import ConfigError
from superpos.families.tms import FAMILY
from superpos.families.tms.data.own_draws import own_draws
from superpos.families.tms.own import Inputs, wanted
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Structure, Task
from superpos.family import Family
from superpos.user.functions import Own

_MODELS = 3
_SAMPLES = 7
# relative; another order of summation stays far below, the numbers of another model far above
_ROUNDING = 1e-3
_RATE = 1e-3  # a learning rate
# of the parameters with which coupling is looked for: those that start at 0 must count, too
_SPREAD = 0.5
_COUPLED = (
    "lets models that are trained together change each other; allowed: no sum, mean or other "
    "mixing over the first axis"
)
_ALONE = "allowed: a function of its arguments alone"

Tensors = dict[str, torch.Tensor]
Result = TypeVar("Result")


def try_functions(family: Family, task: Task, device: str) -> None:
    """Try the functions of a family made by `with_functions`, on the one model of a task and two
    like it.

    Raises `ConfigError` where one cannot be called, gives something of a wrong shape or type, or
    not finite, where it is not a function of its arguments alone, and where it couples models.
    """
    _Trial(family, _company(task), device).run()


def _company(task: Task) -> Task:
    """A model and two more that differ from it in the seed alone."""
    many = task.take(np.zeros(_MODELS, dtype=np.intp))
    return replace(many, seed=many.seed + np.arange(_MODELS).astype(many.seed.dtype))


def _functions(family: Family) -> Own:
    assert isinstance(family.functions, Own)
    return family.functions


class _Trial:
    """The functions of one structure, on [M, B, F] = [3, 7, n]."""

    def __init__(self, family: Family, task: Task, device: str) -> None:
        self.family = family
        self.own = _functions(family)
        self.task = task
        self.device = device
        self.structure: Structure = task.structure
        named = self.own.names  # whose fault a wrong loss or gradient is
        self.learns = next((name for name in ("model", "loss", "target") if name in named), "data")

    def run(self) -> None:
        """All checks; the first fault ends them."""
        functions = self.own.functions
        self._check_frozen()
        if "init" in functions:
            self._check_changes("init")
        drawn = self._numbers(self.task)
        x = self._checked(
            "data", lambda x: self.own.called("data", x, drawn=drawn), self._drawn(self.task)
        )
        start = {
            name: torch.from_numpy(value).to(self.device)
            for name, value in self.family.init(self.task).items()
        }
        # what outputs and targets are is then between the user's own functions
        free = "loss" in functions
        self._checked(
            "model", lambda x: self.own.called("model", dict(start), x, drawn=drawn), x, free
        )
        self._checked("target", lambda x: self.own.called("target", x, drawn=drawn), x, free)
        if "loss" in functions:
            self._check_loss(Inputs(x, drawn))
        if "after_step" in functions:
            self._check_changes(
                "after_step",
                torch.full((_MODELS,), _RATE, device=self.device),
                self.structure.steps // 2,
            )
        if "measure" in functions:
            self._check_measure(start)
        if self.own.changes_loss:
            self._look_for_coupling(replace(self.task, sparsity=np.zeros_like(self.task.sparsity)))

    def _check_frozen(self) -> None:
        names = self.structure.param_shapes.keys()
        if unknown := self.own.frozen - names:
            raise ConfigError(
                f"frozen: there is no {', '.join(sorted(unknown))}; the parameters are "
                f"{', '.join(names)}"
            )
        if self.own.frozen == names:
            raise ConfigError("frozen: names every parameter; nothing is left to train")

    def _numbers(self, task: Task) -> Tensors:
        """Random numbers for some samples."""
        return own_draws(self.own, task, Purpose.OWN_EVALUATE, 0, range(_SAMPLES), self.device)

    def _drawn(self, task: Task) -> torch.Tensor:
        """Inputs before `data` changes them."""
        x: torch.Tensor = FAMILY.sample(task, range(_SAMPLES), self.device)
        return x

    def _checked(
        self,
        name: str,
        function: Callable[[torch.Tensor], object],
        x: torch.Tensor,
        free: bool = False,
    ) -> torch.Tensor:
        """What a function gives for x, `free` in shape and type but for models and samples; x where
        it is not given.
        """
        if name not in self.own.functions:
            return x
        given = x.clone()
        found, again = self._called(name, lambda: (function(given), function(x.clone())))
        if not isinstance(found, torch.Tensor) or not isinstance(again, torch.Tensor):
            raise self._fault(name, f"gives a {type(found).__name__}; allowed: a tensor")
        if free and found.shape[:2] != x.shape[:2]:
            raise self._fault(
                name,
                f"gives {_kind(found)}; allowed: [{_MODELS}, {_SAMPLES}, ...], models x samples",
            )
        if not free and (found.shape != x.shape or found.dtype != x.dtype):
            other = "" if name == "data" else "; other outputs need a loss of one's own"
            raise self._fault(
                name,
                f"gives {_kind(found)}; allowed: {_kind(x)}, models x samples x features{other}",
            )
        self._check_numbers(name, found, again)
        if not torch.equal(given, x):
            raise self._fault(name, "changes x in place; allowed: a new tensor")
        return found.detach()

    def _check_numbers(self, name: str, found: torch.Tensor, again: torch.Tensor) -> None:
        if not found.isfinite().all():
            raise self._fault(name, "gives numbers that are not finite, before any training")
        if not torch.equal(found, again):
            raise self._fault(name, f"gives something else when it is called again; {_ALONE}")

    def _check_loss(self, inputs: Inputs) -> None:
        """It must give a number for each sample, each model's from its own outputs, targets and
        parameters alone.
        """
        params = dict(self._random_params())
        out = self.family.forward(self.task, params, inputs)[0]
        target = wanted(self.own, self.task, inputs)
        found = self._loss(out, target, params, inputs.drawn)
        self._check_numbers("loss", found, self._loss(out, target, params, inputs.drawn))
        for one in (slice(i, i + 1) for i in range(_MODELS)):
            alone = self._loss(
                out[one], target[one], _taken(params, one), _taken(inputs.drawn, one)
            )
            if not _same(alone, found[one]):
                raise self._fault("loss", _COUPLED)

    def _loss(
        self,
        out: torch.Tensor,
        target: torch.Tensor,
        params: Tensors,
        drawn: Mapping[str, torch.Tensor],
    ) -> torch.Tensor:
        found = self._called(
            "loss", lambda: self.own.called("loss", out, target, dict(params), drawn=drawn)
        )
        allowed = f"float32 {list(out.shape[:2])}, a number for each sample of a model"
        if not isinstance(found, torch.Tensor):
            raise self._fault("loss", f"gives a {type(found).__name__}; allowed: {allowed}")
        if found.shape != out.shape[:2] or found.dtype != torch.float32:
            raise self._fault("loss", f"gives {_kind(found)}; allowed: {allowed}")
        return found.detach()

    def _check_changes(self, name: str, *arguments: Any) -> None:
        """A function must give parameters, each model's from its own alone, and leave what it is
        given as it was.
        """
        params = dict(self._random_params())
        every = slice(0, _MODELS)
        company = self._changed(name, params, every, *arguments)
        for parameter, value in self._changed(name, params, every, *arguments).items():
            self._check_numbers(name, value, company[parameter])
        for one in (slice(i, i + 1) for i in range(_MODELS)):
            alone = self._changed(name, _taken(params, one), one, *arguments)
            if not all(_same(value, company[parameter][one]) for parameter, value in alone.items()):
                raise self._fault(name, _COUPLED)

    def _changed(self, name: str, params: Tensors, rows: slice, *arguments: Any) -> Tensors:
        """What a function gives for the parameters of some models, in the place of some of them."""
        given = {parameter: value.clone() for parameter, value in params.items()}
        purpose = Purpose.OWN_INIT if name == "init" else Purpose.OWN_STEP
        drawn = own_draws(self.own, self.task.take(rows), purpose, 0, range(1), self.device)
        once = {draw: value[:, 0] for draw, value in drawn.items()}
        taken = [value[rows] if isinstance(value, torch.Tensor) else value for value in arguments]
        found = self._called(name, lambda: self.own.called(name, dict(given), *taken, drawn=once))
        if not isinstance(found, dict) or not found.keys() <= params.keys():
            names = f" of {', '.join(map(str, found))}" if isinstance(found, dict) else ""
            allowed = f"a dict of some of {', '.join(params)}"
            raise self._fault(name, f"gives a {type(found).__name__}{names}; allowed: {allowed}")
        for parameter, value in found.items():
            if not isinstance(value, torch.Tensor) or _kind(value) != _kind(params[parameter]):
                kind = (
                    _kind(value) if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
                )
                raise self._fault(
                    name, f"gives {parameter} as {kind}; allowed: {_kind(params[parameter])}"
                )
        if not all(torch.equal(given[parameter], value) for parameter, value in params.items()):
            raise self._fault(name, "changes a parameter in place; allowed: a new tensor")
        return {parameter: value.detach() for parameter, value in found.items()}

    def _check_measure(self, params: Tensors) -> None:
        """It must give columns: numbers of models by names."""
        found = self._called("measure", lambda: self.own.called("measure", dict(params)))
        if not isinstance(found, dict) or not all(
            isinstance(name, str) and name.isidentifier() for name in found
        ):
            raise self._fault(
                "measure", f"gives {found!r}; allowed: a dict of columns by their names"
            )
        for name, value in found.items():
            if tuple(getattr(value, "shape", ())) != (_MODELS,):
                shape = list(getattr(value, "shape", ()))
                raise self._fault(
                    "measure",
                    f"gives {name} of shape {shape}; allowed: [{_MODELS}], a number a model",
                )

    def _look_for_coupling(self, dense: Task) -> None:
        """Every model alone must have the inputs, the loss and the gradients that it has in
        company, on dense data.
        """
        params = dict(self._random_params())
        inputs = self._inputs(dense)
        company = self._gradients(params, inputs)
        for one in (slice(i, i + 1) for i in range(_MODELS)):
            if not _same(self._inputs(dense.take(one)).x, inputs.x[one]):
                raise self._fault("data", _COUPLED)
            mine = Inputs(inputs.x[one], _taken(inputs.drawn, one))
            alone = self._gradients(_taken(params, one), mine)
            if not all(_same(value, company[name][one]) for name, value in alone.items()):
                raise self._fault(self.learns, _COUPLED)

    def _inputs(self, task: Task) -> Inputs:
        inputs: Inputs = self.family.sample(task, range(_SAMPLES), self.device)
        return inputs

    def _random_params(self) -> Iterator[tuple[str, torch.Tensor]]:
        generator = torch.Generator().manual_seed(0)
        for name, shape in self.structure.param_shapes.items():
            yield (
                name,
                (_SPREAD * torch.randn(_MODELS, *shape, generator=generator)).to(self.device),
            )

    def _gradients(self, params: Tensors, inputs: Inputs) -> Tensors:
        """The loss [M] and the gradient of each parameter [M, ...]."""
        leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
        equal = self.task.take(np.zeros(len(inputs.x), dtype=np.intp))
        equal = replace(equal, importance=np.ones_like(equal.importance))
        losses = self._called(
            self.learns, lambda: self.family.losses(equal, leaves, inputs, {}, 0).mean(-1)
        )
        if not losses.requires_grad:
            raise self._fault(self.learns, "gives what no parameter leads to")
        grads = torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
        unused = [name for name, grad in zip(leaves, grads, strict=True) if grad is None]
        if unused:
            hint = "; params={name: shape} says what it has" if self.learns == "model" else ""
            raise self._fault(self.learns, f"does not use {', '.join(unused)}{hint}")
        return {"loss": losses.detach(), **dict(zip(leaves, grads, strict=True))}

    def _called(self, name: str, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except Exception as error:
            known = (
                f"; its parameters are {', '.join(self.structure.param_shapes)}"
                if name == "model"
                else ""
            )
            raise self._fault(name, f"raises {type(error).__name__}: {error}{known}") from error

    def _fault(self, name: str, what: str) -> ConfigError:
        return ConfigError(f"{name}: {self.own.names[name]} {what}")


def _taken(tensors: Mapping[str, torch.Tensor], rows: slice) -> Tensors:
    """Some models of tensors [M, ...]."""
    return {name: value[rows] for name, value in tensors.items()}


def _kind(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _same(alone: torch.Tensor, company: torch.Tensor) -> bool:
    """Equal but for rounding; where one is not finite, so is the other."""
    largest = float(alone.abs().nan_to_num(posinf=0.0).max())
    return torch.allclose(alone, company, rtol=_ROUNDING, atol=_ROUNDING * largest, equal_nan=True)
