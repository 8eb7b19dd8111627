"""Which values of the keys of sparse autoencoders fit together.

Imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from superpos.config.rules import Rules
from superpos.config.wording import show
from superpos.families.sae.keys import (
    OF_KIND,
    WORLD,
    PenaltyConfig,
    SaeConfig,
    WorldConfig,
    n_latents,
)
from superpos.families.sae.law import frequencies
from superpos.maths.trees import nodes, sums

_SAE = SaeConfig()
_WORLD = WorldConfig()
_TRAIN = PenaltyConfig()
_ROUNDING = 1e-9
_LATENTS = ("sae.source", "sae.model", "sae.latents", "sae.expansion", "world.n_features")
_LAW = tuple(f"world.{name}" for name in ("frequency", "active", "exponent", "decay", "last"))
_OF_DEFAULT_LAW = ("frequency", "active", "decay")
"""What may be said without another frequency."""
_BESIDE = tuple(f"world.{name}" for name in _OF_DEFAULT_LAW)


def _only_of_kind(name: str) -> Callable[..., str | None]:
    """A key that belongs to some kinds is refused for the others."""

    def rule(value: Any, kind: str) -> str | None:
        kinds = OF_KIND[name]
        if kind in kinds or value == getattr(_SAE, name):
            return None
        return (
            f"sae.{name}: {show(value)} with sae.kind={kind}; it belongs to "
            f"sae.kind={' and '.join(kinds)}"
        )

    return rule


def _warmup(warmup: float, kind: str) -> str | None:
    """A penalty grows where there is one."""
    if kind not in OF_KIND["k"] or warmup == _TRAIN.penalty_warmup:
        return None
    return (
        f"train.penalty_warmup: {warmup:g} with sae.kind={kind}, which has no penalty; leave it out"
    )


def _only_with(key: str, of: str, allowed: tuple[str, ...]) -> Callable[..., str | None]:
    """A key of the world that belongs to some values of another one."""

    def rule(value: Any, given: Any) -> str | None:
        if value == getattr(_WORLD, key) or given in allowed:
            return None
        return (
            f"world.{key}: {show(value)} with world.{of}={given}; it belongs to "
            f"{' and '.join(allowed)}"
        )

    return rule


def _no_world_beside(source: str, *values: Any) -> str | None:
    """A source brings its own world."""
    if source == WORLD:
        return None
    set_ = [
        name
        for name, value in zip(_OF_WORLD, values, strict=True)
        if value != getattr(_WORLD, name)
    ]
    return (
        f"world.{set_[0]}: given beside sae.source, whose models have their own data; leave it out"
        if set_
        else None
    )


_OF_WORLD = tuple(
    f.name for f in fields(WorldConfig) if f.name not in ("seed", "n_features", "n_dims")
)


def _models_need_a_source(source: str, models: Any, model: Any) -> str | None:
    if source != WORLD:
        return None
    if model is not None:
        return f"sae.model: {model} without sae.source; it is a model of that run"
    return (
        None
        if models == _SAE.models
        else f"sae.models: {show(models)} without sae.source; they are models of it"
    )


def _features_in_dims(dictionary: str, cosine: float, n_features: int, n_dims: int) -> str | None:
    if dictionary == "orthonormal" and n_features > n_dims:
        return (
            f"world.dictionary: orthonormal with {n_features} features in {n_dims} dimensions; "
            "allowed: at most "
            f"{n_dims} (world.n_features)"
        )
    lowest = -1 / (n_features - 1) if n_features > 1 else -1.0
    if cosine < lowest - _ROUNDING:
        return (
            f"world.cosine: {cosine:g} between all of {n_features} features; allowed: at least "
            f"{lowest:.4g}"
        )
    return None


def _densities(
    source: str, exactly: int | None, tree: Any, n_features: int, *law: Any
) -> str | None:
    """No feature of the law is on more than always."""
    named = len(nodes(tree)) if tree else 0
    if source != WORLD or exactly is not None or named >= n_features:
        return None
    frequency, active, *shape = law
    greatest = max(frequencies(frequency, n_features - named, active, *shape))
    if greatest <= 1 + _ROUNDING:
        return None
    return (
        f"world.active: {active:g} of {n_features - named} features by world.frequency={frequency} "
        "gives one "
        f"probability {greatest:.3g}; allowed: at most 1"
    )


def _law_beside(of: str, why: str, values: tuple[Any, ...]) -> str | None:
    """A key of how frequent features are is refused beside one that says it already."""
    named = zip(_OF_DEFAULT_LAW, values, strict=True)
    given = [name for name, value in named if value != getattr(_WORLD, name)]
    return f"world.{given[0]}: given beside world.{of}, {why}" if given else None


def _exactly(exactly: int | None, n_features: int, *law: Any) -> str | None:
    if exactly is None:
        return None
    if exactly > n_features:
        return (
            f"world.exactly: {exactly} of {n_features} features; allowed: at most world.n_features"
        )
    return _law_beside("exactly", "where all are equally often active", law)


def _tree_of_all(tree: Any, n_features: int, *law: Any) -> str | None:
    """A law is of the features that a tree does not name."""
    if tree is None or len(nodes(tree)) != n_features:
        return None
    return _law_beside("tree", f"which names all {n_features} features; leave it out", law)


def _one_law(exactly: Any, tree: Any, rho: Any, correlation: str) -> str | None:
    given = [
        name
        for name, is_given in (
            ("world.exactly", exactly is not None),
            ("world.tree", tree is not None),
            ("world.rho", rho is not None),
            ("world.correlation", correlation != "none"),
        )
        if is_given
    ]
    return f"{given[1]}: given beside {given[0]}; give one of the two" if len(given) > 1 else None


def _tree(tree: Any, n_features: int) -> str | None:
    if tree is None:
        return None
    named = len(nodes(tree))
    if named > n_features:
        return f"world.tree: {named} features; allowed: at most world.n_features={n_features}"
    greatest = max(sums(tree), default=0.0)
    if greatest <= 1 + _ROUNDING:
        return None
    return (
        f"world.tree: exclusive children of probabilities that sum to {greatest:.4g}; allowed: at "
        "most 1"
    )


def _rho(rho: Any, n_features: int) -> str | None:
    if rho is None:
        return None
    if len(rho) != n_features:
        return f"world.rho: {len(rho)} features; allowed: world.n_features={n_features}"
    rows = rho if isinstance(rho[0], tuple) else (rho,)
    if any(row[g] != 1 for g, row in enumerate(rows)):
        return "world.rho: a feature has another correlation with itself than 1"
    if len(rows) > 1 and any(rows[i][j] != rows[j][i] for i in range(len(rows)) for j in range(i)):
        return "world.rho: not symmetric"
    if len(rows) == 1 and sum(value**2 for value in rows[0][1:]) > 1 + _ROUNDING:
        return "world.rho: the squares of the row sum above 1; no features have such correlations"
    return (
        None
        if len(rows) == 1 or _positive(rows)
        else "world.rho: not positive semidefinite; no features have it"
    )


def _positive(rows: tuple[tuple[float, ...], ...]) -> bool:
    """Whether a symmetric matrix is positive semidefinite, by Gaussian elimination."""
    left = [list(row) for row in rows]
    for k in range(len(left)):
        pivot = left[k][k]
        if pivot < -_ROUNDING:
            return False
        if pivot <= _ROUNDING:
            if any(abs(left[k][j]) > _ROUNDING**0.5 for j in range(k + 1, len(left))):
                return False
            continue
        for i in range(k + 1, len(left)):
            factor = left[i][k] / pivot
            for j in range(k, len(left)):
                left[i][j] -= factor * left[k][j]
    return True


def _m(
    source: str, model: int | None, latents: int | None, expansion: float, n_features: int
) -> int | None:
    """The number of latents; None while a source has not said how many features it has."""
    if latents is None and source != WORLD and model is None:
        return None
    return n_latents(latents, expansion, n_features)


def _k(kind: str, k: float | None, *sizes: Any) -> str | None:
    if kind not in OF_KIND["k"]:
        return None
    if k is None:
        return f"sae.k: not given; sae.kind={kind} needs it"
    if kind == "topk" and not k.is_integer():
        return f"sae.k: {k:g} with sae.kind=topk; allowed: an integer (batchtopk takes fractions)"
    m = _m(*sizes)
    return (
        None if m is None or k <= m else f"sae.k: {k:g} of {m} latents; allowed: at most that many"
    )


def _k_of_batch(kind: str, k: float | None, batch_size: int) -> str | None:
    """At least one code of a batch is kept, where k is rounded."""
    if kind != "batchtopk" or k is None or k * batch_size >= 0.5:
        return None
    least = f"allowed: at least {0.5 / batch_size:g}"
    return f"sae.k: {k:g} keeps nothing of a batch of {batch_size} (train.batch_size); {least}"


def _anneal(anneal_k: float) -> str | None:
    return f"sae.anneal_k: {anneal_k:g}; allowed: 0, or above 1" if 0 < anneal_k <= 1 else None


def _aux_k(aux_k: int, *sizes: Any) -> str | None:
    m = _m(*sizes)
    return (
        None
        if m is None or aux_k <= m
        else f"sae.aux_k: {aux_k} of {m} latents; allowed: at most that many"
    )


def _latents(latents: int | None, expansion: float) -> str | None:
    if latents is None or expansion == _SAE.expansion:
        return None
    return f"sae.expansion: {expansion:g} beside sae.latents={latents}; give one of the two"


def _prefixes(prefixes: Any, weights: Any, *sizes: Any) -> str | None:
    if prefixes is None:
        return None if weights == 1 else f"sae.prefix_weights: {show(weights)} without sae.prefixes"
    m = _m(*sizes)
    if m is not None and prefixes[-1] != m:
        return f"sae.prefixes: the last is {prefixes[-1]}; allowed: all {m} latents"
    if isinstance(weights, tuple) and len(weights) != len(prefixes):
        return (
            f"sae.prefix_weights: a list of {len(weights)}; allowed: {len(prefixes)} numbers, one "
            "a prefix"
        )
    return None


def _tied(tied: bool, kind: str, frozen: str) -> str | None:
    if tied and kind == "gated":
        return (
            "sae.tied: true with sae.kind=gated, whose gate and magnitude share the encoder; leave "
            "it out"
        )
    return (
        "sae.tied: true with sae.frozen=decoder, which would be all of the weights"
        if tied and frozen != "none"
        else None
    )


RULES: Rules = (
    *(((f"sae.{name}", "sae.kind"), _only_of_kind(name)) for name in OF_KIND),
    (("train.penalty_warmup", "sae.kind"), _warmup),
    (("world.cosine", "world.dictionary"), _only_with("cosine", "dictionary", ("cosine",))),
    (("world.exponent", "world.frequency"), _only_with("exponent", "frequency", ("zipf",))),
    (("world.decay", "world.frequency"), _only_with("decay", "frequency", ("geometric",))),
    (("world.last", "world.frequency"), _only_with("last", "frequency", ("linear",))),
    (("world.rank", "world.correlation"), _only_with("rank", "correlation", ("low_rank",))),
    (
        ("world.strength", "world.correlation"),
        _only_with("strength", "correlation", ("low_rank", "pairs")),
    ),
    (("world.sigma", "world.magnitude"), _only_with("sigma", "magnitude", ("normal", "lognormal"))),
    (("sae.source", *(f"world.{name}" for name in _OF_WORLD)), _no_world_beside),
    (("sae.source", "sae.models", "sae.model"), _models_need_a_source),
    (("world.dictionary", "world.cosine", "world.n_features", "world.n_dims"), _features_in_dims),
    (("world.exactly", "world.tree", "world.rho", "world.correlation"), _one_law),
    (("world.exactly", "world.n_features", *_BESIDE), _exactly),
    (("world.tree", "world.n_features"), _tree),
    (("world.tree", "world.n_features", *_BESIDE), _tree_of_all),
    (("world.rho", "world.n_features"), _rho),
    (("sae.source", "world.exactly", "world.tree", "world.n_features", *_LAW), _densities),
    (("sae.latents", "sae.expansion"), _latents),
    (("sae.kind", "sae.k", *_LATENTS), _k),
    (("sae.kind", "sae.k", "train.batch_size"), _k_of_batch),
    (("sae.anneal_k",), _anneal),
    (("sae.aux_k", *_LATENTS), _aux_k),
    (("sae.prefixes", "sae.prefix_weights", *_LATENTS), _prefixes),
    (("sae.tied", "sae.kind", "sae.frozen"), _tied),
)
