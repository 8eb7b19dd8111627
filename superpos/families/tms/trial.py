"""A user's own functions, tried on a few models before anything is written.

Shapes: M models, B samples, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from superpos.errors import ConfigError
from superpos.families.tms import FAMILY
from superpos.families.tms.own import wanted
from superpos.families.tms.structure import Structure, Task
from superpos.family import Family
from superpos.user.functions import Own

_MODELS, _SAMPLES = 3, 7
_ROUNDING = 1e-3  # relative; another order of summation stays far below, the numbers of another model far above
_RATE = 1e-3  # a learning rate
_SPREAD = 0.5  # of the parameters with which coupling is looked for: those that start at 0 must count, too
_COUPLED = (
    "lets models that are trained together change each other; allowed: no sum, mean or other mixing over the first axis"
)
_ALONE = "allowed: a function of its arguments alone"

Tensors = dict[str, torch.Tensor]
Result = TypeVar("Result")


def try_functions(family: Family, task: Task, device: str) -> None:
    """Try the functions of a family made by `with_functions`, on the one model of a task and two like it.

    Raises `ConfigError` where one cannot be called, gives something of a wrong shape or type, or not finite, where it
    is not a function of its arguments alone, and where it couples models.
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
        self.learns = next((name for name in ("model", "loss", "target") if name in named), next(iter(named)))

    def run(self) -> None:
        """All checks; the first fault ends them."""
        functions = self.own.functions
        x = self._checked("data", functions.get("data"), self._drawn(self.task))
        start = {name: torch.from_numpy(value).to(self.device) for name, value in self.family.init(self.task).items()}
        free = "loss" in functions  # what outputs and targets are is then between the user's own functions
        forward = functions.get("model")
        self._checked("model", forward and (lambda x: forward(dict(start), x)), x, free)
        self._checked("target", functions.get("target"), x, free)
        if "loss" in functions:
            self._check_loss(x)
        if "after_step" in functions:
            self._check_after_step()
        self._look_for_coupling(replace(self.task, sparsity=np.zeros_like(self.task.sparsity)))

    def _drawn(self, task: Task) -> torch.Tensor:
        """Inputs before `data` changes them."""
        x: torch.Tensor = FAMILY.sample(task, range(_SAMPLES), self.device)
        return x

    def _checked(
        self, name: str, function: Callable[[torch.Tensor], object] | None, x: torch.Tensor, free: bool = False
    ) -> torch.Tensor:
        """What a function gives for x, `free` in shape and type but for models and samples; x where there is none."""
        if function is None:
            return x
        given = x.clone()
        found, again = self._called(name, lambda: (function(given), function(x.clone())))
        if not isinstance(found, torch.Tensor) or not isinstance(again, torch.Tensor):
            raise self._fault(name, f"gives a {type(found).__name__}; allowed: a tensor")
        if free and found.shape[:2] != x.shape[:2]:
            raise self._fault(name, f"gives {_kind(found)}; allowed: [{_MODELS}, {_SAMPLES}, ...], models x samples")
        if not free and (found.shape != x.shape or found.dtype != x.dtype):
            other = "" if name == "data" else "; other outputs need a loss of one's own"
            raise self._fault(name, f"gives {_kind(found)}; allowed: {_kind(x)}, models x samples x features{other}")
        self._check_numbers(name, found, again)
        if not torch.equal(given, x):
            raise self._fault(name, "changes x in place; allowed: a new tensor")
        return found.detach()

    def _check_numbers(self, name: str, found: torch.Tensor, again: torch.Tensor) -> None:
        if not found.isfinite().all():
            raise self._fault(name, "gives numbers that are not finite, before any training")
        if not torch.equal(found, again):
            raise self._fault(name, f"gives something else when it is called again; {_ALONE}")

    def _check_loss(self, x: torch.Tensor) -> None:
        """It must give a number for each sample, each model's from its own outputs, targets and parameters alone."""
        params = dict(self._random_params())
        out = self.family.forward(self.task, params, x)[0]
        target = wanted(self.own, self.task, x)
        found = self._loss(out, target, params)
        self._check_numbers("loss", found, self._loss(out, target, params))
        for one in (slice(i, i + 1) for i in range(_MODELS)):
            mine = {name: value[one] for name, value in params.items()}
            if not _same(self._loss(out[one], target[one], mine), found[one]):
                raise self._fault("loss", _COUPLED)

    def _loss(self, out: torch.Tensor, target: torch.Tensor, params: Tensors) -> torch.Tensor:
        found = self._called("loss", lambda: self.own.functions["loss"](out, target, dict(params)))
        allowed = f"float32 {list(out.shape[:2])}, a number for each sample of a model"
        if not isinstance(found, torch.Tensor):
            raise self._fault("loss", f"gives a {type(found).__name__}; allowed: {allowed}")
        if found.shape != out.shape[:2] or found.dtype != torch.float32:
            raise self._fault("loss", f"gives {_kind(found)}; allowed: {allowed}")
        return found.detach()

    def _check_after_step(self) -> None:
        """It must give parameters, each model's from its own alone, and leave what it is given as it was."""
        params = dict(self._random_params())
        company = self._stepped(params)
        for name, value in self._stepped(params).items():
            self._check_numbers("after_step", value, company[name])
        for one in (slice(i, i + 1) for i in range(_MODELS)):
            alone = self._stepped({name: value[one] for name, value in params.items()})
            if not all(_same(value, company[name][one]) for name, value in alone.items()):
                raise self._fault("after_step", _COUPLED)

    def _stepped(self, params: Tensors) -> Tensors:
        """What `after_step` gives for parameters, as after a step in the middle of training."""
        given = {name: value.clone() for name, value in params.items()}
        lr = torch.full((len(next(iter(params.values()))),), _RATE, device=self.device)
        function = self.own.functions["after_step"]
        found = self._called("after_step", lambda: function(dict(given), lr, self.structure.steps // 2))
        if not isinstance(found, dict) or not found.keys() <= params.keys():
            names = f" of {', '.join(map(str, found))}" if isinstance(found, dict) else ""
            allowed = f"a dict of some of {', '.join(params)}"
            raise self._fault("after_step", f"gives a {type(found).__name__}{names}; allowed: {allowed}")
        for name, value in found.items():
            if not isinstance(value, torch.Tensor) or _kind(value) != _kind(params[name]):
                kind = _kind(value) if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
                raise self._fault("after_step", f"gives {name} as {kind}; allowed: {_kind(params[name])}")
        if not all(torch.equal(given[name], value) for name, value in params.items()):
            raise self._fault("after_step", "changes a parameter in place; allowed: a new tensor")
        return {name: value.detach() for name, value in found.items()}

    def _look_for_coupling(self, dense: Task) -> None:
        """Every model alone must have the inputs, the loss and the gradients that it has in company, on dense data."""
        change = self.own.functions.get("data") or (lambda x: x)
        params, x = dict(self._random_params()), change(self._drawn(dense))
        company = self._gradients(params, x)
        for one in (slice(i, i + 1) for i in range(_MODELS)):
            if not _same(change(self._drawn(dense.take(one))), x[one]):
                raise self._fault("data", _COUPLED)
            alone = self._gradients({name: value[one] for name, value in params.items()}, x[one])
            if not all(_same(value, company[name][one]) for name, value in alone.items()):
                raise self._fault(self.learns, _COUPLED)

    def _random_params(self) -> Iterator[tuple[str, torch.Tensor]]:
        generator = torch.Generator().manual_seed(0)
        for name, shape in self.structure.param_shapes.items():
            yield name, (_SPREAD * torch.randn(_MODELS, *shape, generator=generator)).to(self.device)

    def _gradients(self, params: Tensors, x: torch.Tensor) -> Tensors:
        """The loss [M] and the gradient of each parameter [M, ...]."""
        leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
        equal = self.task.take(np.zeros(len(x), dtype=np.intp))
        equal = replace(equal, importance=np.ones_like(equal.importance))
        losses = self._called(self.learns, lambda: self.family.losses(equal, leaves, x, {}, 0).mean(-1))
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
            known = f"; its parameters are {', '.join(self.structure.param_shapes)}" if name == "model" else ""
            raise self._fault(name, f"raises {type(error).__name__}: {error}{known}") from error

    def _fault(self, name: str, what: str) -> ConfigError:
        return ConfigError(f"{name}: {self.own.names[name]} {what}")


def _kind(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _same(alone: torch.Tensor, company: torch.Tensor) -> bool:
    """Equal but for rounding; where one is not finite, so is the other."""
    largest = float(alone.abs().nan_to_num(posinf=0.0).max())
    return torch.allclose(alone, company, rtol=_ROUNDING, atol=_ROUNDING * largest, equal_nan=True)
