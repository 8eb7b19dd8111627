"""The config keys of transformers; docs/keys.md lists them. Imports the standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from superpos.config.schema import MAX_SCALE, MAX_SEED, key

MAX_TOKENS: Final = 4096
"""Most tokens of a kind, and most positions."""
MAX_WIDTH: Final = 4096
KINDS: Final = ("chain", "source", "latin", "conditional", "repeats", "pairs", "markov", "triggers")

OF_KIND: Final[Mapping[str, tuple[str, ...]]] = {
    "tokens": ("chain", "source", "latin", "conditional", "repeats", "triggers"),
    "sources": ("source", "latin"),
    "planted": ("source",),
    "planted_p": ("source", "latin", "conditional"),
    "pool": ("source",),
    "period": ("repeats",),
    "distinct": ("repeats",),
    "keys": ("pairs",),
    "values": ("pairs",),
    "states": ("markov",),
    "triggers": ("triggers",),
    "concentration": ("chain", "triggers"),
    "seed": ("chain", "source", "conditional", "triggers"),
    "targets": ("pairs", "repeats", "triggers"),
}
"""Keys language.* that belong to some kinds alone."""

TOKENS: Final[Mapping[str, int]] = {
    "chain": 16,
    "source": 24,
    "latin": 8,
    "conditional": 16,
    "repeats": 16,
    "triggers": 16,
}
"""Tokens of each kind where they are not given."""
CONTEXT: Final[Mapping[str, int]] = {
    "chain": 16,
    "source": 24,
    "latin": 24,
    "conditional": 24,
    "repeats": 24,
    "pairs": 32,
    "markov": 48,
    "triggers": 32,
}
"""Positions of each kind where they are not given."""
PLANTED_P: Final[Mapping[str, float]] = {"source": 0.8, "latin": 0.8, "conditional": 0.9}
"""How often what is planted follows, where it is not given."""


def _period(value: Any) -> tuple[int, int] | None:
    """The shortest and the longest block; None where it is something else."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    if any(
        isinstance(end, bool) or not isinstance(end, int | float) or end != int(end)
        for end in value
    ):
        return None
    low = int(value[0])
    high = int(value[1])
    return (low, high) if 1 <= low <= high <= MAX_TOKENS else None


_NORM: Final = "without LayerNorm circuits are products of weights, exactly"
_MLP: Final = "models are attention alone, so that circuits are products of weights, exactly"
_POSITIONS: Final = ("none", "stream", "scores", "relative", "pointer")
_ROTARY: Final = (
    f"model.positions says where positions are read; allowed: {' or '.join(_POSITIONS)}"
)
_BIAS: Final = "weights have no biases"


@dataclass(frozen=True)
class ModelConfig:
    """The transformer: attention alone, no biases, no LayerNorm."""

    ABSENT: ClassVar[Mapping[str, str]] = (
        dict.fromkeys(
            ("layer_norm", "layernorm", "ln", "norm", "normalization", "normalization_type"), _NORM
        )
        | dict.fromkeys(("mlp", "mlps", "d_mlp", "d_ff", "n_mlp", "act_fn", "activation"), _MLP)
        | dict.fromkeys(("rotary", "rope", "rotary_dim", "positional_embedding_type"), _ROTARY)
        | dict.fromkeys(("bias", "biases"), _BIAS)
    )
    """What others of this kind have, and why these have not."""

    n_layers: int = key("int", 2, "layers L", low=0, high=4, size=True)
    n_heads: int = key("int", 1, "heads H of a layer", low=1, high=64, size=True)
    d_model: int = key(
        "int", 32, "dimensions d of the residual stream", low=1, high=MAX_WIDTH, size=True
    )
    d_head: int = key("int", 16, "dimensions k of a head", low=1, high=MAX_WIDTH, size=True)
    positions: str = key(
        "choice",
        "relative",
        "where positions are read: a learned score for each offset; learned vectors in the "
        "residual stream; these in "
        "queries and keys alone; these, but not in queries and keys of the first layer; nowhere",
        choices=_POSITIONS,
    )
    smear: bool = key(
        "bool", False, "keys are mixed with those of the position before, by a learned share"
    )
    direct: bool = key("bool", True, "the path from the token straight to the logits")
    init_std: float | None = key(
        "number",
        None,
        "standard deviation of all initial weights",
        low=0.0,
        high=MAX_SCALE,
        null="1/sqrt of what a weight sums over",
        per_model=True,
    )


@dataclass(frozen=True)
class LanguageConfig:
    """Where sequences come from; the law of every next token is known."""

    kind: str = key(
        "choice",
        "pairs",
        "fixed Markov chain; source token that decides what follows; Latin square; bigrams only "
        "after [0]; repeated "
        "blocks; keys and values; a new Markov chain in every sequence; triggers with a new output "
        "in every sequence",
        choices=KINDS,
    )
    context: int | None = key(
        "int",
        None,
        "positions T",
        low=2,
        high=MAX_TOKENS,
        null="by kind: " + ", ".join(f"{size} {kind}" for kind, size in CONTEXT.items()),
        size=True,
    )
    tokens: int | None = key(
        "int",
        None,
        "ordinary tokens",
        low=2,
        high=MAX_TOKENS,
        null="by kind: " + ", ".join(f"{size} {kind}" for kind, size in TOKENS.items()),
        size=True,
    )
    sources: int = key("int", 8, "source tokens of source and latin", low=1, high=MAX_TOKENS)
    planted: int = key(
        "int", 48, "planted triples of source: a, later b, then c", low=1, high=2**20
    )
    planted_p: float | None = key(
        "number",
        None,
        "how often what is planted follows; else any token does",
        low=0.0,
        high=1.0,
        null="0.8, of conditional 0.9",
    )
    pool: int = key(
        "int", 6, "tokens that the triples of one source end in", low=1, high=MAX_TOKENS
    )
    period: tuple[int, int] = key(
        "value",
        (6, 12),
        "shortest and longest block of repeats",
        parse=_period,
        words="a list of two integers [p, q]",
    )
    distinct: bool = key("bool", False, "the tokens of a block differ")
    keys: int = key("int", 8, "keys of pairs", low=1, high=MAX_TOKENS)
    values: int = key("int", 8, "values of pairs", low=2, high=MAX_TOKENS)
    states: int = key("int", 4, "states of markov", low=2, high=256)
    triggers: int = key("int", 4, "tokens that are triggers", low=1, high=MAX_TOKENS - 2)
    concentration: float = key(
        "number",
        1.0,
        "of the Dirichlet law of the rows of a chain",
        low=1e-2,
        high=1e6,
        per_model=True,
    )
    targets: str = key(
        "choice",
        "all",
        "what is learned: every next token, or where the sequence has shown the answer",
        choices=("all", "determined"),
    )
    seed: int | None = key(
        "int", None, "key of the language: its chain, its triples", low=0, high=MAX_SEED,
        null="the model's seed", per_model=True,
    )  # fmt: skip


KEYS = {"model": ModelConfig, "language": LanguageConfig}
