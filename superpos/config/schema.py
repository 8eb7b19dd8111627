"""Every config key: its type, default, range, unit and meaning.

A closed schema: what is not here is an error.

The keys that all families share are the dataclasses of this module; a family adds groups of its
own, and may add keys to a shared group. These dataclasses are the one place where defaults live; a
`Schema` is both together, flat. Imports the standard library only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from typing import Any, Literal

from superpos.config.wording import nearest, plain, show, unknown
from superpos.family import DEFAULT, Family, every

Kind = Literal["int", "number", "numbers", "list", "bool", "choice", "name", "run", "value"]

MAX_SEED = 2**64 - 1
MAX_STEPS = 2**31 - 1
MAX_SCALE = 1e30  # what engines compute with is float32

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_KIND_WORDS: dict[Kind, str] = {
    "int": "an integer",
    "number": "a number",
    "numbers": "a number, or a list of {length} numbers",
    "list": "a list of {length} numbers",
    "bool": "true or false",
    "name": "letters, digits and ._- (1 to 100 of them, not . or ..)",
    "run": "the folder of a run",
}


def key(
    kind: Kind,
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    null: str = "",
    choices: tuple[str, ...] = (),
    unit: str = "",
    length: str = "",
    parse: Callable[[Any], Any] | None = None,
    words: str = "",
    size: bool = False,
    per_model: bool = False,
    later: bool = False,
    also: tuple[str, ...] = (),
) -> Any:
    """A field of a group of keys, with its checks: low <= value <= high, value < below; every value
    in between must be one that some model may have. With both `high` and `below`, `below` is the
    bound in words and `high` the last value; so is `above` beside `low`, the first value.

    `null` says what null means, and forbids it where it is empty; `length` says how long a list is.
    A key of the kind "value" takes what `parse` makes of it: numbers, texts and tuples of these, in
    one form for equal values, or None where it is none; `words` say what it may be. A key of the
    kind "run" may take some words that are no run, its `choices`. `size` marks keys that decide how
    large a model is. Models of one chunk may differ in keys that are `per_model`. A key that is
    `later` was added after the first release of its family: it is a column of a run's table only
    where the plan sets or sweeps it, so that older runs keep their digests. `also` are what papers
    and their code call it, alone or after the name of its group, for suggestions.
    """
    metadata = {
        "kind": kind,
        "doc": doc,
        "null": null,
        "choices": choices,
        "unit": unit,
        "length": length,
        "parse": parse,
        "words": words,
        "size": size,
        "low": low,
        "high": high,
        "above": above,
        "below": below,
        "per_model": per_model,
        "later": later,
        "also": also,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation."""

    steps: int = key("int", 10_000, "gradient steps", low=0, high=MAX_STEPS, unit="steps")
    batch_size: int = key("int", 1024, "samples in a step", low=1, high=2**24, unit="samples")
    optimizer: str = key("choice", "adamw", "optimiser", choices=("adam", "adamw", "sgd"))
    lr: float = key("number", 1e-3, "learning rate", low=0.0, high=MAX_SCALE, per_model=True)
    lr_schedule: str = key(
        "choice",
        "constant",
        "learning rate over training",
        choices=("constant", "linear", "cosine"),
    )
    decay_share: float = key(
        "number",
        1.0,
        "last share of training, over which the learning rate falls by its schedule",
        low=1e-6,
        high=1.0,
        later=True,
    )
    warmup_steps: int = key(
        "int", 0, "steps of linear warm-up", low=0, high=MAX_STEPS, unit="steps"
    )
    weight_decay: float = key(
        "number",
        0.01,
        "weight decay of W and b; below 0 it makes weights grow",
        low=-MAX_SCALE,
        high=MAX_SCALE,
        per_model=True,
    )
    reduction: str = key(
        "choice", "mean", "over features, in the gradient's loss only", choices=("mean", "sum")
    )


@dataclass(frozen=True)
class RecordConfig:
    """What is kept of training."""

    loss_every: int = key(
        "int", 100, "steps between recorded losses; 0 is off", low=0, high=MAX_STEPS, unit="steps"
    )
    snapshots: int = key("int", 0, "weight snapshots over training; 0 is off", low=0, high=100_000)


@dataclass(frozen=True)
class EngineConfig:
    """Where and how training runs."""

    backend: str = key("choice", "auto", "engine", choices=("auto", "reference", "fused"))
    device: str = key("choice", "auto", "device", choices=("auto", "cpu", "cuda"))
    threads: int | None = key("int", None, "CPU threads", low=1, high=4096, null="all cores")
    memory_gb: float | None = key(
        "number", None, "memory that training may use", low=0.001, null="free", unit="GB"
    )


@dataclass(frozen=True)
class RunConfig:
    """The run itself."""

    seed: int = key(
        "int",
        0,
        "key of the model's random streams",
        low=0,
        high=MAX_SEED,
        per_model=True,
        also=("n_instances",),
    )
    name: str = key("name", "custom", "folder of the run: outputs/<name>")
    family: str = key(
        "name",
        DEFAULT,
        "kind of all models of the run",
        words="the name of a family: tms, or one that is registered",
    )


SHARED: dict[str, type] = {"train": TrainConfig, "record": RecordConfig, "engine": EngineConfig}
"""Groups of keys that every family has."""
NOT_SWEPT = ("name", "family")
"""Keys, beside those of the engine, that are the same for a whole run."""


@dataclass(frozen=True)
class KeySpec:
    """One config key; see `key`."""

    key: str
    kind: Kind
    default: Any
    doc: str
    null: str
    choices: tuple[str, ...]
    unit: str
    length: str
    parse: Callable[[Any], Any] | None
    words: str
    size: bool
    low: float | None
    high: float | None
    above: float | None
    below: float | None
    per_model: bool
    later: bool
    also: tuple[str, ...]

    def names_run(self, value: Any) -> bool:
        """Whether a value of a key of the kind "run" is that of one, and not a word that stands for
        none.
        """
        return value is not None and value not in self.choices

    @property
    def allowed(self) -> str:
        """What a value may be, in words: "an integer, at least 1"."""
        words = (
            self.words
            or " or ".join(self.choices)
            or _KIND_WORDS[self.kind].format(length=self.length)
        )
        lowest = ("at least", self.low) if self.above is None else ("above", self.above)
        is_open = self.above is not None or self.below is not None
        if self.low is not None and self.high is not None and not is_open:
            words += f", {_plain(self.low)} to {_plain(self.high)}"
        else:
            bounds = [lowest, ("below", self.below)]
            given = [
                " and ".join(f"{word} {bound:.12g}" for word, bound in bounds if bound is not None)
            ]
            given += [] if self.high is None else [f"at most {_plain(self.high)}"]
            words += "".join(f", {bound}" for bound in given if bound)
        return words + (f"; or null ({self.null})" if self.null else "")

    @property
    def described(self) -> str:
        """`allowed` with the unit."""
        unit = f" ({self.unit})" if self.unit else ""
        return (
            self.allowed.replace("; or null", unit + "; or null", 1)
            if self.null
            else self.allowed + unit
        )

    @property
    def written_default(self) -> str:
        """The default as the command line has it."""
        return plain(self.default)


def _plain(bound: float) -> str:
    if bound == MAX_SEED:
        return "2^64 - 1"
    for distance, before in ((bound, ""), (1 - bound, "1 - ")):
        digits, power = math.frexp(distance)
        if digits == 0.5 and abs(power) > 30:
            return f"{before}2^{power - 1}"
    return f"{bound:.12g}"


@dataclass(frozen=True)
class Schema:
    """All keys of a family."""

    keys: Mapping[str, KeySpec]
    """By dotted name, the family's own groups first."""
    words: Mapping[str, str]
    """What each group is about; "" is the group of the keys without one."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Names that people look for in such models, and why they are no keys: what `ABSENT` of a group
    says.
    """

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups."""
        return tuple(group for group in self.words if group)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The default of every key."""
        return {name: spec.default for name, spec in self.keys.items()}

    @cached_property
    def axis_keys(self) -> tuple[str, ...]:
        """Keys that may be swept."""
        return tuple(
            name for name in self.keys if name not in NOT_SWEPT and not name.startswith("engine.")
        )

    @cached_property
    def structure_keys(self) -> tuple[str, ...]:
        """Keys that all models of a chunk share; the last part of each is a field of the family's
        `Structure`.
        """
        return tuple(name for name in self.axis_keys if not self.keys[name].per_model)

    @cached_property
    def size_keys(self) -> tuple[str, ...]:
        """Keys that decide how large a model is."""
        return tuple(name for name, spec in self.keys.items() if spec.size)

    def canonical(self, name: str, value: Any) -> Any:
        """The one form of a value: 0 and 0.0, 1e4 and 10000, a list and a tuple become the same.

        Raises:
            ValueError: "got ...; allowed: ..." (without the key) for a wrong type or a value out of
            range. KeyError: `name` is not in the schema.
        """
        spec = self.keys[name]
        if value is None and spec.null:
            return None
        converted = _convert(spec, value)
        if converted is None or not _in_range(spec, converted):
            quotes = ", in quotes" if spec.kind == "name" and not isinstance(value, str) else ""
            raise ValueError(f"got {show(value)}; allowed: {spec.allowed}{quotes}")
        return converted


def unknown_key(schema: Schema, name: str, candidates: Iterable[str]) -> str:
    """What to say of a key that this family does not have: why, who has it, or which of
    `candidates` was meant.
    """
    group = name.partition(".")[0]
    if name in schema.absent:
        return f"{name}: not modelled; {schema.absent[name]}"
    called = {also: spec.key for spec in schema.keys.values() for also in _also(spec)}
    if name in called:
        return f"{name}: unknown key; did you mean {called[name]}?"
    for other in every():
        keys = schema_of(other).keys
        if name in keys and name not in schema.keys:
            return f"{name}: a key of another kind of models; it needs family={other.name}"
        if f"{group}." in name and group not in schema.groups and group in schema_of(other).groups:
            return f"{unknown(name, keys)} {group}.* needs family={other.name}"
    guess = nearest(name, [*candidates, *(also for also in called if "." in also)])
    return f"{name}: unknown key" + (f"; did you mean {called.get(guess, guess)}?" if guess else "")


def _also(spec: KeySpec) -> Iterator[str]:
    """What else a key is called: alone, and after the name of its group."""
    group = spec.key.rpartition(".")[0]
    for name in spec.also:
        yield name
        yield f"{group}.{name}"


def schema_of(family: Family) -> Schema:
    """The schema of a family.

    Raises `ValueError` where the family's keys or defaults are at fault: a key twice, two of one
    structure whose last parts are the same, a default that is none.
    """
    return _schema(tuple(family.keys.items()), tuple(family.defaults.items()))


@cache
def _schema(own: tuple[tuple[str, type], ...], defaults: tuple[tuple[str, Any], ...]) -> Schema:
    groups = {group: [config] for group, config in own if group not in SHARED}
    extensions = dict(own)
    for group, config in SHARED.items():
        groups[group] = [config, extensions[group]] if group in extensions else [config]
    groups[""] = [RunConfig]
    specs: dict[str, KeySpec] = {}
    for group, configs in groups.items():
        for config in configs:
            new = _specs(group, config)
            if twice := specs.keys() & new.keys():
                raise ValueError(f"{', '.join(sorted(twice))}: a key of every family")
            specs |= new
    for name, value in defaults:
        if name not in specs:
            raise ValueError(f"{name}: a default of no key")
        specs[name] = replace(specs[name], default=value)
    words = {group: _words(configs[0]) for group, configs in groups.items()}
    schema = Schema(specs, words, dict(_absent(own)))
    for name, value in defaults:
        schema.canonical(name, value)
    leaves = [name.rpartition(".")[2] for name in schema.structure_keys]
    same = sorted({leaf for leaf in leaves if leaves.count(leaf) > 1})
    if same:
        raise ValueError(f"{', '.join(same)}: the last part of two keys of one structure")
    return schema


def _absent(own: Iterable[tuple[str, type]]) -> Iterator[tuple[str, str]]:
    for group, config in own:
        for leaf, reason in getattr(config, "ABSENT", {}).items():
            yield f"{group}.{leaf}", reason


def schema_of_group(group: str, config: type) -> Schema:
    """The schema of one group of keys that is no part of a sweep."""
    return Schema(_specs(group, config), {group: _words(config)})


def _words(config: type) -> str:
    """The docstring of a group of keys as one line."""
    return " ".join(str(config.__doc__).split())


def _specs(group: str, config: type) -> dict[str, KeySpec]:
    prefix = f"{group}." if group else ""
    return {
        f"{prefix}{leaf.name}": KeySpec(
            key=f"{prefix}{leaf.name}", default=leaf.default, **leaf.metadata
        )
        for leaf in fields(config)
    }


def _convert(spec: KeySpec, value: Any) -> Any:
    """`value` as the type of the key, or None where it is something else."""
    match spec.kind:
        case "int":
            return _integer(value)
        case "number":
            return _number(value)
        case "bool":
            return value if isinstance(value, bool) else None
        case "choice":
            return value if isinstance(value, str) and value in spec.choices else None
        case "name":
            return _name(value)
        case "run":
            return value if isinstance(value, str) and value else None
        case "value":
            return None if spec.parse is None else spec.parse(value)
    if isinstance(value, list | tuple):
        numbers = tuple(_number(item) for item in value)
        return None if None in numbers or not numbers else numbers
    return _number(value) if spec.kind == "numbers" else None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) + 0.0 if math.isfinite(value) else None  # + 0.0 turns -0.0 into 0.0
    except OverflowError:
        return None


def _name(value: Any) -> str | None:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _NAME.fullmatch(text) or text in (".", ".."):
        return None
    return text


def _in_range(spec: KeySpec, value: Any) -> bool:
    items: Iterable[Any] = value if isinstance(value, tuple) else (value,)
    if spec.low is None and spec.high is None and spec.below is None:
        return True
    return all(
        (spec.low is None or spec.low <= item)
        and (spec.high is None or item <= spec.high)
        and (spec.below is None or item < spec.below)
        for item in items
    )
