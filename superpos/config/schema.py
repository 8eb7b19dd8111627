"""Every config key: its type, default, range, unit and meaning. A closed schema: what is not here is an error.

The dataclasses are the one place where defaults live; `KEYS` is the same as a flat {dotted name: KeySpec}.
Layer 0: imports the standard library only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal

from superpos.config.wording import show

Kind = Literal["int", "number", "numbers", "list", "bool", "choice", "name"]

MAX_SEED = 2**64 - 1
MAX_SCALE = 1e30  # what engines compute with is float32
MIN_DENSITY = 2.0**-32
DEFAULT_SPARSITY = 0.9
"""Sparsity when neither data.sparsity nor data.density is given."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_KIND_WORDS: dict[Kind, str] = {
    "int": "an integer",
    "number": "a number",
    "numbers": "a number, or a list of n_features numbers",
    "list": "a list of n_features numbers",
    "bool": "true or false",
    "name": "letters, digits and ._- (1 to 100 of them, not . or ..)",
}


def _key(
    kind: Kind,
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    below: float | None = None,
    null: str = "",
    choices: tuple[str, ...] = (),
    unit: str = "",
) -> Any:
    """A field with its checks: low <= value <= high, value < below; `null` says what null means, empty forbids it."""
    bounds = {"low": low, "high": high, "below": below}
    return field(
        default=default, metadata={"kind": kind, "doc": doc, "null": null, "choices": choices, "unit": unit, **bounds}
    )


@dataclass(frozen=True)
class ModelConfig:
    """The toy network."""

    n_features: int = _key("int", 5, "features n", low=1, high=65_536)
    n_hidden: int = _key("int", 2, "hidden dimensions m", low=1, high=65_536)
    output: str = _key("choice", "relu", "activation of the output", choices=("relu", "linear"))
    hidden: str = _key("choice", "linear", "activation of the hidden layer", choices=("linear", "relu"))
    tied: bool = _key("bool", True, "one W for encoder and decoder; untied models have W1 and W2")
    target: str = _key("choice", "identity", "what the output is to be: x or |x|", choices=("identity", "abs"))
    init_std: float | None = _key(
        "number", None, "standard deviation of the initial weights", low=0.0, high=MAX_SCALE, null="sqrt(2/(n+m))"
    )


@dataclass(frozen=True)
class DataConfig:
    """The distribution of x: zero with probability S, else uniform."""

    sparsity: float | tuple[float, ...] | None = _key(
        "numbers", None, "S, probability that a feature is zero", low=0.0, below=1.0, null="as data.density, or 0.9"
    )
    density: float | tuple[float, ...] | None = _key(
        "numbers", None, "1 - S, instead of data.sparsity", low=MIN_DENSITY, high=1.0, null="as data.sparsity"
    )
    last: float = _key("number", 1.0, "factor on the density of the last feature", low=0.0)
    correlation: str = _key(
        "choice", "none", "what the features of a set share", choices=("none", "correlated", "anticorrelated")
    )
    set_size: int = _key("int", 1, "neighbouring features in a set", low=1, unit="features")
    signed: bool = _key("bool", False, "active values uniform on [-1, 1] instead of [0, 1]")
    n_points: int | None = _key(
        "int", None, "size of a fixed data set, full batch", low=1, high=2**24, null="fresh batches", unit="points"
    )
    sampler: str = _key(
        "choice", "auto", "draw every cell, or only the active ones", choices=("auto", "dense", "sparse")
    )


@dataclass(frozen=True)
class ImportanceConfig:
    """The weight I_i of each feature in the loss."""

    decay: float = _key("number", 1.0, "I_i = decay^i", low=0.0, high=MAX_SCALE)
    last: float = _key("number", 1.0, "factor on the importance of the last feature", low=0.0, high=MAX_SCALE)
    values: tuple[float, ...] | None = _key("list", None, "I_i as a list", low=0.0, high=MAX_SCALE, null="decay^i")


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation."""

    steps: int = _key("int", 10_000, "gradient steps", low=0, high=2**31 - 1, unit="steps")
    batch_size: int = _key("int", 1024, "samples in a step", low=1, high=2**24, unit="samples")
    optimizer: str = _key("choice", "adamw", "optimiser", choices=("adam", "adamw", "sgd"))
    lr: float = _key("number", 1e-3, "learning rate", low=0.0, high=MAX_SCALE)
    lr_schedule: str = _key(
        "choice", "constant", "learning rate over training", choices=("constant", "linear", "cosine")
    )
    warmup_steps: int = _key("int", 0, "steps of linear warm-up", low=0, unit="steps")
    weight_decay: float = _key(
        "number", 0.01, "weight decay of W and b; below 0 it makes weights grow", low=-MAX_SCALE, high=MAX_SCALE
    )
    reduction: str = _key("choice", "mean", "over features, in the gradient's loss only", choices=("mean", "sum"))


@dataclass(frozen=True)
class RecordConfig:
    """What is kept of training."""

    loss_every: int = _key("int", 100, "steps between recorded losses; 0 is off", low=0, unit="steps")
    snapshots: int = _key("int", 0, "weight snapshots over training; 0 is off", low=0, high=100_000)


@dataclass(frozen=True)
class EngineConfig:
    """Where and how training runs."""

    backend: str = _key("choice", "auto", "engine", choices=("auto", "reference", "fused"))
    device: str = _key("choice", "auto", "device", choices=("auto", "cpu", "cuda"))
    threads: int | None = _key("int", None, "CPU threads", low=1, high=4096, null="all cores")
    memory_gb: float | None = _key("number", None, "memory that training may use", low=0.001, null="free", unit="GB")


@dataclass(frozen=True)
class Config:
    """All keys of one model."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    importance: ImportanceConfig = field(default_factory=ImportanceConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    record: RecordConfig = field(default_factory=RecordConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    seed: int = _key("int", 0, "key of the model's random streams", low=0, high=MAX_SEED)
    name: str = _key("name", "custom", "folder of the run: outputs/<name>")


@dataclass(frozen=True)
class KeySpec:
    """One config key."""

    key: str
    kind: Kind
    default: Any
    doc: str
    null: str
    choices: tuple[str, ...]
    unit: str
    low: float | None
    high: float | None
    below: float | None

    @property
    def allowed(self) -> str:
        """What a value may be, in words: "an integer, at least 1"."""
        words = " or ".join(self.choices) if self.kind == "choice" else _KIND_WORDS[self.kind]
        if self.low is not None and self.high is not None:
            words += f", {self.low:.12g} to {_plain(self.high)}"
        elif self.low is not None:
            words += f", at least {self.low:.12g}" + (f" and below {self.below:g}" if self.below is not None else "")
        return words + (f"; or null ({self.null})" if self.null else "")


def _plain(bound: float) -> str:
    return "2^64 - 1" if bound == MAX_SEED else f"{bound:.12g}"


def _specs() -> dict[str, KeySpec]:
    found = {}
    for top in fields(Config):
        if top.default_factory is MISSING:
            found[top.name] = KeySpec(key=top.name, default=top.default, **top.metadata)
            continue
        for leaf in fields(top.default_factory()):
            key = f"{top.name}.{leaf.name}"
            found[key] = KeySpec(key=key, default=leaf.default, **leaf.metadata)
    return found


KEYS: dict[str, KeySpec] = _specs()
GROUPS = tuple(f.name for f in fields(Config) if f.default_factory is not MISSING)
DEFAULTS: dict[str, Any] = {key: spec.default for key, spec in KEYS.items()}
AXIS_KEYS = tuple(key for key in KEYS if key != "name" and not key.startswith("engine."))
"""Keys that may be swept."""
STRUCTURE_KEYS = tuple(
    key
    for key in AXIS_KEYS
    if key.split(".")[0] in ("model", "data", "train", "record")
    and key not in ("model.init_std", "data.sparsity", "data.density", "data.last", "train.lr", "train.weight_decay")
)
"""Keys that all models of a chunk share; the last part of each is a field of `task.Structure`."""


def canonical(key: str, value: Any) -> Any:
    """The one form of a value: 0 and 0.0, 1e4 and 10000, a list and a tuple become the same.

    Raises:
        ValueError: "got ...; allowed: ..." (without the key) for a wrong type or a value out of range.
        KeyError: `key` is not in the schema.
    """
    spec = KEYS[key]
    if value is None and spec.null:
        return None
    converted = _convert(spec, value)
    if converted is None or not _in_range(spec, converted):
        raise ValueError(f"got {show(value)}; allowed: {spec.allowed}")
    return converted


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
    if spec.low is None:
        return True
    return all(
        spec.low <= item and (spec.high is None or item <= spec.high) and (spec.below is None or item < spec.below)
        for item in items
    )


def complement(probability: float) -> float:
    """Density of a sparsity and back: 1 - p to 15 decimals, so that 1 - 0.9 is 0.1 and not 0.09999999999999998."""
    return round(1 - probability, 15)
