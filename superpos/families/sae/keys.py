"""The config keys of sparse autoencoders; docs/keys.md lists them.

Imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from superpos.config.schema import MAX_SCALE, MAX_SEED, key
from superpos.maths import trees
from superpos.maths.trees import numbers

MAX_SIZE = 65_536
WORLD: Final = "world"
"""The value of sae.source that is no run: the synthetic world of the keys world.*."""
DEFAULT_L1: Final = 0.1
DEFAULT_L0: Final = 0.01
DEFAULT_EXPONENT: Final = 1.0

OF_KIND: Final[Mapping[str, tuple[str, ...]]] = {
    "l1": ("l1", "gated"),
    "k": ("topk", "batchtopk"),
    "l0": ("jumprelu",),
    "bandwidth": ("jumprelu",),
    "theta": ("jumprelu",),
    "anneal_k": ("topk", "batchtopk"),
    "aux_k": ("topk", "batchtopk"),
}
"""Keys sae.* that belong to some kinds alone."""


def _rho(value: Any) -> tuple[Any, ...] | None:
    """A row of correlations, or a square matrix of them; None where it is neither."""
    row = numbers(value)
    if row is not None:
        return row if max(map(abs, row)) <= 1 else None
    if not isinstance(value, list | tuple) or not value:
        return None
    rows = tuple(numbers(item) for item in value)
    square = all(
        row is not None and len(row) == len(rows) and max(map(abs, row)) <= 1 for row in rows
    )
    return rows if square else None


def _prefixes(value: Any) -> tuple[int, ...] | None:
    """Rising integers from 1 on; None where it is something else."""
    found = numbers(value)
    if found is None or any(not item.is_integer() or item < 1 for item in found):
        return None
    rising = all(low < high for low, high in pairwise(found))
    return tuple(int(item) for item in found) if rising else None


def _weights(value: Any) -> float | tuple[float, ...] | None:
    """A number of at least 0, or a list of them; None where it is something else."""
    found = numbers(value if isinstance(value, list | tuple) else [value])
    if found is None or min(found) < 0 or max(found) > MAX_SCALE:
        return None
    return found if isinstance(value, list | tuple) else found[0]


def _models(value: Any) -> str | tuple[int, ...] | None:
    """all, best:K or a list of model numbers; None where it is something else."""
    if isinstance(value, str):
        count = value.removeprefix("best:")
        best = value.startswith("best:") and count.isdecimal() and int(count) > 0
        return f"best:{int(count)}" if best else ("all" if value == "all" else None)
    found = numbers(value if isinstance(value, list | tuple) else [value])
    if (
        found is None
        or any(not item.is_integer() or item < 0 for item in found)
        or len(set(found)) < len(found)
    ):
        return None
    return tuple(int(item) for item in found)


@dataclass(frozen=True)
class WorldConfig:
    """The synthetic world: a dictionary of features, which of them are active, and how strongly."""

    n_features: int = key("int", 128, "true features G", low=1, high=MAX_SIZE, size=True)
    n_dims: int = key("int", 64, "dimensions d of the activations", low=1, high=MAX_SIZE, size=True)
    dictionary: str = key(
        "choice",
        "sphere",
        "directions of the features: orthonormal, random, or each two of them with world.cosine",
        choices=("orthonormal", "sphere", "cosine"),
        per_model=True,
    )
    cosine: float = key(
        "number",
        0.0,
        "cosine of any two features of dictionary=cosine",
        low=-1.0,
        below=1.0,
        per_model=True,
    )
    frequency: str = key(
        "choice",
        "geometric",
        "how often features are active, as it falls from feature to feature",
        choices=("constant", "linear", "geometric", "zipf", "loguniform"),
        per_model=True,
    )
    exponent: float | None = key(
        "number", None, "s of zipf: p_g ~ g^-s", low=0.0, high=100.0, null="1", per_model=True
    )
    decay: float = key(
        "number", 0.99, "r of geometric: p_g ~ r^g", low=1e-6, high=1.0, per_model=True
    )
    last: float | None = key(
        "number",
        None,
        "of linear: probability of the last feature over that of the first",
        low=0.0,
        high=1.0,
        null="1/G",
        per_model=True,
    )
    active: float = key(
        "number",
        3.0,
        "K, mean number of active features that no tree names",
        low=1e-9,
        high=MAX_SIZE,
        per_model=True,
    )
    correlation: str = key(
        "choice",
        "none",
        "Gaussian copula of random correlations between features",
        choices=("none", "low_rank", "pairs"),
        per_model=True,
    )
    rank: int | None = key(
        "int", None, "rank of low_rank", low=1, high=MAX_SIZE, null="1", per_model=True
    )
    strength: float | None = key(
        "number",
        None,
        "size of the correlations of the copula",
        low=0.0,
        high=1.0,
        null="0.5 of low_rank, 0.9 of pairs",
        per_model=True,
    )
    rho: tuple[Any, ...] | None = key(
        "value",
        None,
        "correlations of the copula as they are",
        parse=_rho,
        words="a matrix [G, G] of numbers from -1 to 1, or the row of the first feature [G]",
        null="world.correlation",
        per_model=True,
    )
    tree: tuple[Any, ...] | None = key(
        "value",
        None,
        "features that need others: groups of a parent and its children, named before all others",
        parse=trees.parse,
        words=trees.WORDS,
        null="no such features",
        per_model=True,
    )
    exactly: int | None = key(
        "int",
        None,
        "exactly so many features are active, all equally often",
        low=1,
        null="any number",
        per_model=True,
    )
    magnitude: str = key(
        "choice",
        "uniform",
        "of an active feature: 1, uniform on [0, 1], 1 + σN cut at 0, |N|, or exp(σN)",
        choices=("one", "uniform", "normal", "abs_normal", "lognormal"),
    )
    sigma: float | None = key(
        "number", None, "σ of normal and lognormal", low=0.0, high=10.0, null="0.25", per_model=True
    )
    noise: float = key(
        "number",
        0.0,
        "standard deviation of noise on the activations",
        low=0.0,
        high=MAX_SCALE,
        per_model=True,
    )
    seed: int = key(
        "int",
        0,
        "key of the dictionary, its law and its batches",
        low=0,
        high=MAX_SEED,
        per_model=True,
    )


@dataclass(frozen=True)
class SaeConfig:
    """The sparse autoencoder, and where its activations are from."""

    source: str = key(
        "run",
        WORLD,
        "the synthetic world, or a run whose hidden activations are decoded",
        choices=(WORLD,),
        words="world, or the folder of a run",
        per_model=True,
    )
    models: str | tuple[int, ...] = key(
        "value",
        "all",
        "models of that run, one after another",
        parse=_models,
        words="all, best:K of each of its settings, or a list of model numbers",
        per_model=True,
    )
    model: int | None = key(
        "int",
        None,
        "model of that run; follows from sae.models",
        low=0,
        null="none",
        per_model=True,
    )
    kind: str = key(
        "choice",
        "l1",
        "activation and penalty",
        choices=("l1", "topk", "batchtopk", "jumprelu", "gated"),
    )
    latents: int | None = key(
        "int", None, "latents m", low=1, high=MAX_SIZE, null="sae.expansion times G", size=True
    )
    expansion: float = key(
        "number",
        1.0,
        "m over G, where sae.latents is not given",
        low=1e-6,
        high=MAX_SIZE,
        per_model=True,
        size=True,
    )
    l1: float | None = key(
        "number",
        None,
        "λ of Σ f",
        low=0.0,
        high=MAX_SCALE,
        null=f"{DEFAULT_L1} of l1 and gated",
        per_model=True,
        also=("lambda", "lam", "l1_coefficient", "l1_alpha", "penalty", "sparsity"),
    )
    k: float | None = key(
        "number",
        None,
        "active latents in a sample of topk, on average of batchtopk",
        low=2.0**-25,  # half a code in the largest batch
        above=0.0,
        high=MAX_SIZE,
        null="kinds without k",
        per_model=True,
        also=("top_k",),
    )
    l0: float | None = key(
        "number", None, "λ of the number of active latents", low=0.0, high=MAX_SCALE,
        null=f"{DEFAULT_L0} of jumprelu", per_model=True,
    )  # fmt: skip
    bandwidth: float = key(
        "number",
        0.1,
        "width ε of the rectangle by which thresholds learn",
        low=1e-9,
        high=MAX_SCALE,
        per_model=True,
    )
    theta: float = key(
        "number", 0.1, "where thresholds start", low=0.0, high=MAX_SCALE, per_model=True
    )
    tied: bool = key("bool", False, "one matrix for encoder and decoder")
    decoder_bias: bool = key(
        "bool", True, "b_d, taken off before the encoder and added by the decoder"
    )
    prefixes: tuple[int, ...] | None = key(
        "value",
        None,
        "Matryoshka: the first latents that reconstruct alone, the last is m",
        parse=_prefixes,
        words="rising integers",
        null="all latents at once",
    )
    prefix_weights: float | tuple[float, ...] = key(
        "value",
        1.0,
        "weight β of each prefix",
        parse=_weights,
        words="a number of at least 0, or one a prefix",
        per_model=True,
    )
    frozen: str = key(
        "choice", "none", "what training leaves as it starts", choices=("none", "decoder")
    )
    start: str = key(
        "choice",
        "random",
        "first decoder: random, the true features, or these and a tenth of noise",
        choices=("random", "truth", "truth+noise"),
        per_model=True,
    )
    restart_every: int = key(
        "int", 0, "steps between restarts of dead latents; 0 is off", low=0, unit="steps"
    )
    anneal_k: float = key(
        "number",
        0.0,
        "k starts so many times larger and falls over 60% of training; 0 is off",
        low=0.0,
        high=1e6,
    )
    aux_k: int = key(
        "int", 0, "dead latents that predict what is left (AuxK); 0 is off", low=0, high=MAX_SIZE
    )


@dataclass(frozen=True)
class PenaltyConfig:
    """What autoencoders add to optimisation."""

    penalty_warmup: float = key(
        "number", 0.1, "share of training over which λ grows", low=0.0, high=1.0
    )


KEYS = {"world": WorldConfig, "sae": SaeConfig, "train": PenaltyConfig}


def n_latents(latents: int | None, expansion: float, n_features: int) -> int:
    """m, as it is given or as a multiple of the number of features; at least 1."""
    return max(1, round(expansion * n_features)) if latents is None else latents
