"""The config keys of autoencoders. Imports the standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from superpos.config.schema import MAX_SCALE, key

DENSITY, SPARSITY = "auto.density", "auto.sparsity"
N_FEATURES, N_INPUTS = "auto.n_features", "auto.n_inputs"
DEFAULT_SIZES = {N_FEATURES: 5, N_INPUTS: 3}
"""Of drawn dictionaries."""
DEFAULT_DENSITY = 0.2
"""Density where neither of the two is given."""


@dataclass(frozen=True)
class AutoConfig:
    """The autoencoder and its data."""

    source: str | None = key(
        "run",
        None,
        "run of toy models whose W is the dictionary",
        null="a dictionary is drawn",
        per_model=True,
    )
    world: int = key("int", 0, "key of the drawn dictionary", low=0, high=2**32 - 1, per_model=True)
    n_features: int | None = key(
        "int",
        None,
        "features n of the dictionary",
        low=1,
        high=1024,
        null="as the source has, or 5",
    )
    n_inputs: int | None = key(
        "int", None, "dimensions d of the inputs", low=1, high=1024, null="as the source has, or 3"
    )
    n_latents: int = key("int", 6, "latents k", low=1, high=4096, size=True)
    activation: str = key("choice", "relu", "activation of the latents", choices=("relu", "linear"))
    decoder: str = key(
        "choice",
        "learned",
        "learned, kept at the dictionary, or the identity, made by hand",
        choices=("learned", "dictionary", "identity"),
    )
    density: float | None = key(
        "number",
        None,
        "p, probability that a feature is active",
        low=2.0**-32,
        high=1.0,
        null="as auto.sparsity",
        per_model=True,
    )
    sparsity: float | None = key(
        "number",
        None,
        "1 - p, instead of auto.density",
        low=0.0,
        below=1.0,
        null="as auto.density",
        per_model=True,
    )
    noise: float = key(
        "number",
        0.0,
        "standard deviation of noise on the inputs",
        low=0.0,
        high=MAX_SCALE,
        per_model=True,
        later=True,
    )


@dataclass(frozen=True)
class PenaltyConfig:
    """What autoencoders add to optimisation."""

    latent_l1: float = key(
        "number",
        0.01,
        "weight of the penalty on the latents",
        low=0.0,
        high=MAX_SCALE,
        per_model=True,
    )


KEYS = {"auto": AutoConfig, "train": PenaltyConfig}
