"""A user's own functions: torch functions that take the place of superpos's, on the reference
engine.

They are part of a run's identity as text (`source_text.described`). A run folder holds that text;
nothing executes it. Shapes: M models, B samples, F features (n), H hidden (m).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from superpos.errors import ConfigError
from superpos.family import Family
from superpos.user.source_text import described

if TYPE_CHECKING:
    import torch

Forward: TypeAlias = "Callable[[dict[str, torch.Tensor], torch.Tensor], torch.Tensor]"
"""model(params, x): the outputs x' [M, B, F] for inputs x [M, B, F], with every parameter as [M,
...].
"""
Change: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"
"""data(x): the inputs [M, B, F] made of the drawn ones; target(x): what the outputs should be, [M,
B, F].
"""
Loss: TypeAlias = "Callable[[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]], torch.Tensor]"
"""loss(out, target, params): the loss of each sample, [M, B]."""
AfterStep: TypeAlias = (
    "Callable[[dict[str, torch.Tensor], torch.Tensor, int], dict[str, torch.Tensor]]"
)
"""after_step(params, lr, step): parameters that the optimiser's step leaves otherwise; lr [M] is
that of the step.
"""
FromParams: TypeAlias = "Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]"
"""init(params): initial parameters that are to be others; measure(params): columns of results, [M]
each.
"""
Shapes: TypeAlias = Mapping[str, Sequence[int | str]]
"""Shape of each parameter of one model, of integers, "n" (features) and "m" (hidden dimensions)."""
Draws: TypeAlias = Mapping[str, Sequence[int | str]]
"""Random numbers by name: "uniform" or "normal", then their shape, as of a parameter."""

FUNCTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "model": ("params", "x"),
    "data": ("x",),
    "target": ("x",),
    "loss": ("out", "target", "params"),
    "after_step": ("params", "lr", "step"),
    "init": ("params",),
    "measure": ("params",),
}
"""What can be a function of a user's own, and the arguments that it is called with."""
FILE: Final = "superpos_functions.py"
"""The file of a folder of configs that has the functions which its experiments name."""
_OPTIONS = ("params", "draws", "frozen", "encoder")
_SUPERPOS: Final = ("W", "W1", "W2", "b")
_LAWS = ("uniform", "normal")
_SIZES = ("n", "m")


@dataclass(frozen=True)
class Own:
    """What a user's functions are; as read from a run folder it is their text alone, which cannot
    be trained.
    """

    record: str
    """Canonical JSON: {"model": source_text.described, ..., "params": [[name, shape], ...]}."""
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, functions: Mapping[str, Any], params: Any = None, **options: Any) -> Own | None:
        """The arguments of `superpos.train`, or None where all are.

        Raises `ConfigError` with every fault.

        `options` are draws, frozen and encoder.
        """
        given = {name: value for name, value in functions.items() if value is not None}
        asked = {name: value for name, value in options.items() if value is not None}
        record: dict[str, Any] = {}
        faults = [] if params is None else _shape_faults(params, "model" in given)
        faults += _option_faults(asked, given, params)
        for name, function in given.items():
            try:
                record[name] = described(function)
            except ConfigError as error:
                faults.append(f"{name}: {error}")
            else:
                faults += _signature_faults(name, function, asked.get("draws") or {})
        if faults:
            raise ConfigError(faults)
        if "draws" in asked:
            record["draws"] = {name: list(form) for name, form in asked["draws"].items()}
        record |= {name: sorted(value) for name, value in asked.items() if name == "frozen"}
        record |= {name: value for name, value in asked.items() if name == "encoder"}
        if params is not None:
            record["params"] = [[name, list(shape)] for name, shape in params.items()]
        return cls(json.dumps(record, sort_keys=True), given) if record else None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Own:
        """What a run folder says of the functions it was trained with.

        Raises `ConfigError` where that is nothing.
        """
        if not _is_record(record):
            raise ConfigError(
                f"got {record!r}; allowed: what superpos.train keeps of a user's own functions"
            )
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
        """Shape of each of the user's parameters of a model with n features and m hidden
        dimensions.
        """
        sizes = {"n": n, "m": m}
        return {
            name: tuple(sizes.get(size, size) for size in shape)
            for name, shape in self.to_json()["params"]
        }

    @property
    def draws(self) -> dict[str, tuple[str, ...]]:
        """Law and shape of the random numbers that the functions take, by name, in order of their
        names.
        """
        return {name: tuple(form) for name, form in sorted(self.to_json().get("draws", {}).items())}

    @property
    def frozen(self) -> frozenset[str]:
        """Parameters that training leaves as they are."""
        return frozenset(self.to_json().get("frozen", ()))

    @property
    def encoder(self) -> str | None:
        """The user's parameter of shape (n, m) whose rows stand for the features."""
        encoder: str | None = self.to_json().get("encoder")
        return encoder

    def called(self, name: str, *arguments: Any, drawn: Mapping[str, Any] | None = None) -> Any:
        """What a function gives for its arguments, and for those of the random numbers that it
        takes by name.
        """
        function = self.functions[name]
        taken = _parameters(function) & (drawn or {}).keys()
        return function(*arguments, **{draw: (drawn or {})[draw] for draw in sorted(taken)})

    @property
    def how_to_train(self) -> str:
        """With what such models are trained, in words."""
        return f"superpos.train(..., {self}), or --config-dir and the folder whose {FILE} has them"

    def __str__(self) -> str:
        """As in a call of `superpos.train`: "model=leaky, target=squares"; what else is given,
        without any.
        """
        given = self.names or self.to_json()
        return ", ".join(f"{name}={value}" for name, value in given.items())


def with_recorded_functions(family: Family, plan: Mapping[str, Any]) -> Family:
    """The family with the functions that a plan holds the text of, where it holds some."""
    if "own" not in plan or family.with_functions is None:
        return family
    return family.with_functions(Own.from_json(plan["own"]))


def _is_record(record: Any) -> bool:
    """Whether a value is what `Own.of` makes of functions and of the shapes of their parameters."""
    if (
        not isinstance(record, Mapping)
        or not record
        or not record.keys() <= {*FUNCTIONS, *_OPTIONS}
    ):
        return False
    if not _is_options(record):
        return False
    functions = [value for name, value in record.items() if name not in _OPTIONS]
    described = all(
        isinstance(value, Mapping) and isinstance(value.get("name"), str) for value in functions
    )
    shapes = record.get("params", [])
    return described and isinstance(shapes, list) and all(map(_is_named_shape, shapes))


def _is_named_shape(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and _is_name(value[0])
        and _is_shape(value[1])
    )


def _is_options(record: Mapping[str, Any]) -> bool:
    """Whether draws, frozen and encoder of a record are what `Own.of` makes of them."""
    draws = record.get("draws", {})
    frozen = record.get("frozen", [])
    encoder = record.get("encoder", "W")
    lists = isinstance(frozen, list) and all(map(_is_name, frozen))
    return (
        isinstance(draws, Mapping)
        and all(map(_is_draw, draws.values()))
        and lists
        and _is_name(encoder)
    )


@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    """The names by which a function can be given arguments."""
    return frozenset(inspect.signature(function).parameters)


def _signature_faults(name: str, function: Callable[..., Any], draws: Any) -> list[str]:
    """That a function does not take the arguments that it is called with, in words."""
    arguments = FUNCTIONS[name]
    named = (
        [draw for draw in draws if draw in _parameters(function)]
        if isinstance(draws, Mapping)
        else []
    )
    try:
        inspect.signature(function).bind(*arguments, **dict.fromkeys(named))
    except TypeError:
        found = f"{function.__name__}{inspect.signature(function)}"
        allowed = f"{function.__name__}({', '.join(arguments)})"
        return [f"{name}: got {found}; allowed: {allowed}, and further ones by the names of draws"]
    return []


def _option_faults(
    asked: Mapping[str, Any], functions: Mapping[str, Any], params: Any
) -> list[str]:
    """What is wrong with draws, frozen and encoder."""
    shapes = params if isinstance(params, Mapping) else {}
    faults: list[str] = []
    draws = asked.get("draws", {})
    frozen = asked.get("frozen", [])
    encoder = asked.get("encoder")
    if not isinstance(draws, Mapping) or not all(
        _is_name(name) and _is_draw(form) for name, form in draws.items()
    ):
        allowed = (
            '{name: [law, size, ...]} with the laws uniform and normal, such as {"z": ("normal", '
            '"m")}'
        )
        faults.append(f"draws: got {draws!r}; allowed: {allowed}")
    else:
        takers = [function for function in functions.values() if callable(function)]
        idle = [
            name for name in draws if not any(name in _parameters(function) for function in takers)
        ]
        faults += [f"draws: no function takes an argument {name}" for name in idle]
    known = list(shapes or _SUPERPOS)
    if not isinstance(frozen, list | tuple) or any(name not in known for name in frozen):
        faults.append(f"frozen: got {frozen!r}; allowed: a list of some of {', '.join(known)}")
    if encoder is not None and (
        not isinstance(encoder, str) or tuple(shapes.get(encoder, ())) != _SIZES
    ):
        faults.append(f"encoder: got {encoder!r}; allowed: one of params whose shape is (n, m)")
    return faults


def _is_draw(form: Any) -> bool:
    return (
        isinstance(form, list | tuple)
        and len(form) > 1
        and form[0] in _LAWS
        and _is_shape(form[1:])
    )


def _shape_faults(params: Any, with_model: bool) -> list[str]:
    """What is wrong with the shapes of a user's parameters."""
    allowed = (
        '{name: shape} with shapes of "n", "m" and integers from 1, such as {"W": ("n", "m"), '
        '"gate": ("m",)}'
    )
    if not with_model:
        return ["params: given without model; superpos's own model has its own"]
    if not isinstance(params, Mapping) or not params:
        return [f"params: got {params!r}; allowed: {allowed}"]
    wrong = {
        name: shape for name, shape in params.items() if not _is_name(name) or not _is_shape(shape)
    }
    return [f"params: got {name!r}: {shape!r}; allowed: {allowed}" for name, shape in wrong.items()]


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.isidentifier()


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list | tuple) and bool(shape) and all(map(_is_size, shape))


def _is_size(size: Any) -> bool:
    if isinstance(size, str):
        return size in _SIZES
    return isinstance(size, int) and not isinstance(size, bool) and size >= 1
