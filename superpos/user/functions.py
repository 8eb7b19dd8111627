"""A user's own functions: torch functions that take the place of superpos's, on the reference engine.

They are part of a run's identity as text (`source_text.described`). A run folder holds that text; nothing executes it.
Shapes: M models, B samples, F features (n), H hidden (m).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from superpos.errors import ConfigError
from superpos.family import Family
from superpos.user.source_text import described

if TYPE_CHECKING:
    import torch

Forward: TypeAlias = "Callable[[dict[str, torch.Tensor], torch.Tensor], torch.Tensor]"
"""model(params, x): the outputs x' [M, B, F] for inputs x [M, B, F], with every parameter as [M, ...]."""
Change: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"
"""data(x): the inputs [M, B, F] made of the drawn ones; target(x): what the outputs should be, [M, B, F]."""
Loss: TypeAlias = "Callable[[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]], torch.Tensor]"
"""loss(out, target, params): the loss of each sample, [M, B]."""
AfterStep: TypeAlias = "Callable[[dict[str, torch.Tensor], torch.Tensor, int], dict[str, torch.Tensor]]"
"""after_step(params, lr, step): parameters that the optimiser's step leaves otherwise; lr [M] is that of the step."""
Shapes: TypeAlias = Mapping[str, Sequence[int | str]]
"""Shape of each parameter of one model, of integers, "n" (features) and "m" (hidden dimensions)."""

FUNCTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "model": ("params", "x"),
    "data": ("x",),
    "target": ("x",),
    "loss": ("out", "target", "params"),
    "after_step": ("params", "lr", "step"),
}
"""What can be a function of a user's own, and the arguments that it is called with."""
FILE: Final = "superpos_functions.py"
"""The file of a folder of configs that has the functions which its experiments name."""
_SIZES = ("n", "m")


@dataclass(frozen=True)
class Own:
    """What a user's functions are; as read from a run folder it is their text alone, which cannot be trained."""

    record: str
    """Canonical JSON: {"model": source_text.described, ..., "params": [[name, shape], ...]}."""
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, functions: Mapping[str, Any], params: Any = None) -> Own | None:
        """The arguments of `superpos.train`, or None where all are. Raises `ConfigError` with every fault."""
        given = {name: value for name, value in functions.items() if value is not None}
        record: dict[str, Any] = {}
        faults = [] if params is None else _shape_faults(params, "model" in given)
        for name, function in given.items():
            try:
                record[name] = described(function)
            except ConfigError as error:
                faults.append(f"{name}: {error}")
            else:
                faults += _signature_faults(name, function)
        if faults:
            raise ConfigError(faults)
        if params is not None:
            record["params"] = [[name, list(shape)] for name, shape in params.items()]
        return cls(json.dumps(record, sort_keys=True), given) if record else None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Own:
        """What a run folder says of the functions it was trained with. Raises `ConfigError` where that is nothing."""
        if not _is_record(record):
            raise ConfigError(f"got {record!r}; allowed: what superpos.train keeps of a user's own functions")
        return cls(json.dumps(record, sort_keys=True))

    def to_json(self) -> dict[str, Any]:
        """The part of a plan."""
        return json.loads(self.record)  # type: ignore[no-any-return]  # a mapping, see `of`

    @property
    def names(self) -> dict[str, str]:
        """What is replaced, and the name of the function that does it."""
        return {name: value["name"] for name, value in self.to_json().items() if name in FUNCTIONS}

    @property
    def trainable(self) -> bool:
        """Whether the functions are here, and not their text alone."""
        return self.names.keys() == self.functions.keys()

    @property
    def changes_loss(self) -> bool:
        """Whether what is learnt is another thing than with superpos's own model, data and loss."""
        return not {"model", "data", "target", "loss"}.isdisjoint(self.names)

    @property
    def has_params(self) -> bool:
        """Whether the parameters are the user's, not W (or W1 and W2) and b."""
        return "params" in self.to_json()

    def shapes(self, n: int, m: int) -> dict[str, tuple[int, ...]]:
        """Shape of each of the user's parameters of a model with n features and m hidden dimensions."""
        sizes = {"n": n, "m": m}
        return {name: tuple(sizes.get(size, size) for size in shape) for name, shape in self.to_json()["params"]}

    @property
    def how_to_train(self) -> str:
        """With what such models are trained, in words."""
        return f"superpos.train(..., {self}), or --config-dir and the folder whose {FILE} has them"

    def __str__(self) -> str:
        """As in a call of `superpos.train`: "model=leaky, target=squares"."""
        return ", ".join(f"{name}={function}" for name, function in self.names.items())


def with_recorded_functions(family: Family, plan: Mapping[str, Any]) -> Family:
    """The family with the functions that a plan holds the text of, where it holds some."""
    if "own" not in plan or family.with_functions is None:
        return family
    return family.with_functions(Own.from_json(plan["own"]))


def _is_record(record: Any) -> bool:
    """Whether a value is what `Own.of` makes of functions and of the shapes of their parameters."""
    if not isinstance(record, Mapping) or not record or not record.keys() <= {*FUNCTIONS, "params"}:
        return False
    functions = [value for name, value in record.items() if name != "params"]
    described = all(isinstance(value, Mapping) and isinstance(value.get("name"), str) for value in functions)
    shapes = record.get("params", [])
    return described and isinstance(shapes, list) and all(map(_is_named_shape, shapes))


def _is_named_shape(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and _is_name(value[0]) and _is_shape(value[1])


def _signature_faults(name: str, function: Callable[..., Any]) -> list[str]:
    """That a function does not take the arguments that it is called with, in words."""
    arguments = FUNCTIONS[name]
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        found = f"{function.__name__}{inspect.signature(function)}"
        return [f"{name}: got {found}; allowed: {function.__name__}({', '.join(arguments)})"]
    return []


def _shape_faults(params: Any, with_model: bool) -> list[str]:
    """What is wrong with the shapes of a user's parameters."""
    allowed = '{name: shape} with shapes of "n", "m" and integers from 1, such as {"W": ("n", "m"), "gate": ("m",)}'
    if not with_model:
        return ["params: given without model; superpos's own model has its own"]
    if not isinstance(params, Mapping) or not params:
        return [f"params: got {params!r}; allowed: {allowed}"]
    wrong = {name: shape for name, shape in params.items() if not _is_name(name) or not _is_shape(shape)}
    return [f"params: got {name!r}: {shape!r}; allowed: {allowed}" for name, shape in wrong.items()]


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.isidentifier()


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list | tuple) and bool(shape) and all(map(_is_size, shape))


def _is_size(size: Any) -> bool:
    if isinstance(size, str):
        return size in _SIZES
    return isinstance(size, int) and not isinstance(size, bool) and size >= 1
