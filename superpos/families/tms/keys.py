"""The config keys of toy models; docs/keys.md lists them. Imports the standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from superpos.config.schema import MAX_SCALE, key

MIN_DENSITY = 2.0**-32
MAX_SIZE = 65_536
DEFAULT_SPARSITY = 0.9
"""Sparsity when neither data.sparsity nor data.density is given."""


@dataclass(frozen=True)
class ModelConfig:
    """The toy network."""

    n_features: int = key("int", 5, "features n", low=1, high=MAX_SIZE, size=True, also=("n",))
    n_hidden: int = key("int", 2, "hidden dimensions m", low=1, high=MAX_SIZE, size=True, also=("m", "d_hidden"))
    output: str = key("choice", "relu", "activation of the output", choices=("relu", "linear"))
    hidden: str = key("choice", "linear", "activation of the hidden layer", choices=("linear", "relu"))
    tied: bool = key("bool", True, "one W for encoder and decoder; untied models have W1 and W2")
    target: str = key("choice", "identity", "what the output is to be: x or |x|", choices=("identity", "abs"))
    init_std: float | None = key(
        "number",
        None,
        "standard deviation of the initial weights",
        low=0.0,
        high=MAX_SCALE,
        null="sqrt(2/(n+m))",
        per_model=True,
    )


@dataclass(frozen=True)
class DataConfig:
    """The distribution of x: zero with probability S, else uniform."""

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
        "choice", "none", "what the features of a set share", choices=("none", "correlated", "anticorrelated")
    )
    set_size: int = key("int", 1, "neighbouring features in a set", low=1, high=MAX_SIZE, unit="features")
    signed: bool = key("bool", False, "active values uniform on [-1, 1] instead of [0, 1]")
    n_points: int | None = key(
        "int", None, "size of a fixed data set, full batch", low=1, high=2**24, null="fresh batches", unit="points"
    )
    sampler: str = key(
        "choice", "auto", "draw every cell, or only the active ones", choices=("auto", "dense", "sparse")
    )


@dataclass(frozen=True)
class ImportanceConfig:
    """The weight I_i of each feature in the loss."""

    decay: float = key("number", 1.0, "I_i = decay^i", low=0.0, high=MAX_SCALE, per_model=True)
    last: float = key(
        "number", 1.0, "factor on the importance of the last feature", low=0.0, high=MAX_SCALE, per_model=True
    )
    values: tuple[float, ...] | None = key(
        "list", None, "I_i as a list", low=0.0, high=MAX_SCALE, null="decay^i", length="n_features", per_model=True
    )


KEYS = {"model": ModelConfig, "data": DataConfig, "importance": ImportanceConfig}


def complement(probability: float) -> float:
    """Density of a sparsity and back: 1 - p to 15 decimals, so that 1 - 0.9 is 0.1 and not 0.09999999999999998."""
    return round(1 - probability, 15)
