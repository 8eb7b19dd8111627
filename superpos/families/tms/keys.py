"""The config keys of toy models; docs/keys.md lists them. Imports the standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from superpos.config.schema import MAX_SCALE, MAX_SEED, key
from superpos.maths import trees

MIN_DENSITY = 2.0**-32
MAX_SIZE = 65_536
VALUES = ("uniform", "one", "sign", "normal", "exponential")
NEGATIVE_VALUES = ("sign", "normal")
FEWEST_CORNERS = 3
_POLYGON = "polygon:"
DEFAULT_SPARSITY = 0.9
"""Sparsity when neither data.sparsity nor data.density is given."""


def corners(start: str) -> int:
    """The number of corners that a canonical model.init names."""
    return int(start.removeprefix(_POLYGON))


def _start(value: Any) -> str | None:
    """The canonical form of a named start, or None where it is something else."""
    found = re.fullmatch(_POLYGON + "([0-9]{1,5})", value) if isinstance(value, str) else None
    if found is None or int(found[1]) < FEWEST_CORNERS:
        return None
    return f"{_POLYGON}{int(found[1])}"


@dataclass(frozen=True)
class ModelConfig:
    """The toy network."""

    n_features: int = key("int", 5, "features n", low=1, high=MAX_SIZE, size=True, also=("n",))
    n_hidden: int = key(
        "int", 2, "hidden dimensions m", low=1, high=MAX_SIZE, size=True, also=("m", "d_hidden")
    )
    output: str = key("choice", "relu", "activation of the output", choices=("relu", "linear"))
    hidden: str = key(
        "choice", "linear", "activation of the hidden layer", choices=("linear", "relu")
    )
    tied: bool = key("bool", True, "one W for encoder and decoder; untied models have W1 and W2")
    target: str = key(
        "choice",
        "identity",
        "what the output is to be: x, |x| or max(x, 0)",
        choices=("identity", "abs", "relu"),
    )
    init_std: float | None = key(
        "number",
        None,
        "standard deviation of the initial weights",
        low=0.0,
        high=MAX_SCALE,
        null="sqrt(2/(n+m))",
        per_model=True,
    )
    init: str | None = key(
        "value",
        None,
        "where the first features start: at the corners of length 1 of a regular polygon, the "
        "others at 0; the normal start is added",
        parse=_start,
        words="polygon:K with K corners, 3 or more",
        null="the normal start alone",
        later=True,
    )
    bias: str = key(
        "choice",
        "learned",
        "whether b is learned or stays 0",
        choices=("learned", "none"),
        later=True,
    )
    bias_init: float = key(
        "number",
        0.0,
        "mean of the initial b",
        low=-MAX_SCALE,
        high=MAX_SCALE,
        per_model=True,
        later=True,
    )
    bias_std: float = key(
        "number",
        0.0,
        "standard deviation of the initial b",
        low=0.0,
        high=MAX_SCALE,
        per_model=True,
        later=True,
    )


@dataclass(frozen=True)
class DataConfig:
    """The distribution of x: zero with probability S, else uniform or as data.values says."""

    sparsity: float | tuple[float, ...] | None = key(
        "numbers",
        None,
        "S, probability that a feature is zero",
        low=0.0,
        high=1 - MIN_DENSITY,
        below=1.0,
        null="as data.density, or 0.9",
        length="n_features",
        per_model=True,
        also=("S",),
    )
    density: float | tuple[float, ...] | None = key(
        "numbers",
        None,
        "1 - S, instead of data.sparsity",
        low=MIN_DENSITY,
        high=1.0,
        null="as data.sparsity",
        length="n_features",
        per_model=True,
        also=("p", "feature_probability", "feature_prob"),
    )
    last: float = key(
        "number",
        1.0,
        "factor on the density of the last feature",
        low=MIN_DENSITY,
        high=1 / MIN_DENSITY,
        per_model=True,
    )
    correlation: str = key(
        "choice",
        "none",
        "which features are active together: sets, a circle, pairs, a tree, or exactly so many",
        choices=("none", "correlated", "anticorrelated", "circle", "pairs", "tree", "exactly"),
    )
    sharpness: float = key(
        "number",
        10.0,
        "s of a circle: a feature at angle a from the set's place is active with probability 1/(1 "
        "+ exp(-s cos a))",
        low=0.0,
        high=1000.0,
        later=True,
    )
    strength: float = key(
        "number",
        0.0,
        "of pairs: correlation of whether a feature and its neighbour are active",
        low=-1.0,
        high=1.0,
        later=True,
    )
    tree: tuple[Any, ...] | None = key(
        "value",
        None,
        "features that need others: groups of a parent and its children, named before all others",
        parse=trees.parse,
        words=trees.WORDS,
        null="no such features",
        later=True,
    )
    exactly: int | None = key(
        "int",
        None,
        "exactly so many features are active, all equally often",
        low=1,
        high=MAX_SIZE,
        null="any number",
        unit="features",
        later=True,
    )
    set_size: int = key(
        "int", 1, "neighbouring features in a set", low=1, high=MAX_SIZE, unit="features"
    )
    signed: bool = key("bool", False, "active values uniform on [-1, 1] instead of [0, 1]")
    values: str = key(
        "choice",
        "uniform",
        "active values: uniform, 1, -1 or 1, standard normal, or exponential of mean 1",
        choices=VALUES,
        later=True,
    )
    n_points: int | None = key(
        "int",
        None,
        "size of a fixed data set, full batch",
        low=1,
        high=2**24,
        null="fresh batches",
        unit="points",
    )
    seed: int | None = key(
        "int",
        None,
        "key of the random streams of a fixed data set",
        low=0,
        high=MAX_SEED,
        null="the model's seed",
        per_model=True,
        later=True,
    )
    sampler: str = key(
        "choice",
        "auto",
        "draw every cell, or only the active ones",
        choices=("auto", "dense", "sparse"),
    )


@dataclass(frozen=True)
class ImportanceConfig:
    """The weight I_i of each feature in the loss."""

    decay: float = key("number", 1.0, "I_i = decay^i", low=0.0, high=MAX_SCALE, per_model=True)
    last: float = key(
        "number",
        1.0,
        "factor on the importance of the last feature",
        low=0.0,
        high=MAX_SCALE,
        per_model=True,
    )
    values: tuple[float, ...] | None = key(
        "list",
        None,
        "I_i as a list",
        low=0.0,
        high=MAX_SCALE,
        null="decay^i",
        length="n_features",
        per_model=True,
    )


@dataclass(frozen=True)
class ToyTrainConfig:
    """What training minimises."""

    loss_power: int = key(
        "int",
        2,
        "power of the errors in the loss that is trained on; the column loss has 2",
        low=2,
        high=4,
        later=True,
    )
    l1: float = key(
        "number",
        0.0,
        "factor of the sum of abs W in what is trained on",
        low=0.0,
        high=MAX_SCALE,
        later=True,
    )
    decay_bias: bool = key("bool", True, "whether weight decay is that of b, too", later=True)
    norm_pull: float = key(
        "number",
        0.0,
        "pull of each row of W to length 1, as a multiple of the learning rate",
        low=0.0,
        high=MAX_SCALE,
        later=True,
    )


KEYS = {
    "model": ModelConfig,
    "data": DataConfig,
    "importance": ImportanceConfig,
    "train": ToyTrainConfig,
}


def complement(probability: float) -> float:
    """Density of a sparsity and back: 1 - p to 15 decimals, so that 1 - 0.9 is 0.1 and not
    0.09999999999999998.
    """
    return round(1 - probability, 15)
