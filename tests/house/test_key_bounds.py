"""Every value that the table of keys allows is one that some model may have, at the bounds and in
between.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import pytest

from superpos.compose.merge import merge
from superpos.compose.overrides import Given
from superpos.config.schema import KeySpec, schema_of
from superpos.errors import ConfigError
from superpos.family import Family, find, names, ships

# What else must be said for a value to make sense; the first that fits is enough.
CONTEXTS: dict[str, list[dict[str, Any]]] = {
    "tms": [
        {},
        {"model.n_features": 1},
        {"data.density": 1},
        {"data.density": 2.3283064365386963e-10},
        {"train.steps": 2147483647},
        {"data.correlation": "correlated", "model.n_features": 65536, "data.density": 0.5},
        {"importance.decay": 1, "model.n_features": 1},
        {"data.n_points": 2},
        {"data.correlation": "circle", "data.set_size": 5, "data.density": 0.5},
        {
            "data.correlation": "pairs",
            "data.set_size": 2,
            "model.n_features": 4,
            "data.density": 0.5,
        },
        {"data.correlation": "exactly", "model.n_features": 65536},
        {"data.correlation": "exactly", "data.exactly": 1},
        {"data.correlation": "tree", "data.tree": [{"p": 0.5}]},
    ],
    "sae": [
        {},
        {"world.active": 0.01},
        {"world.active": 1},
        {"world.n_features": 65536, "world.frequency": "constant"},
        {"world.dictionary": "cosine", "world.n_features": 2, "world.active": 1},
        {"world.frequency": "zipf", "world.active": 1},
        {"world.frequency": "linear"},
        {"world.correlation": "low_rank"},
        {"world.correlation": "pairs"},
        {"world.magnitude": "normal"},
        {"sae.kind": "batchtopk", "sae.latents": 65536},
        {"sae.kind": "batchtopk", "train.batch_size": 2**24},
        {"sae.kind": "topk", "sae.k": 1, "sae.latents": 65536},
        {"sae.kind": "jumprelu"},
        {"train.steps": 2147483647},
    ],
    "circuit": [
        {},
        {"circuit.kind": "backup"},
        {"circuit.kind": "induction_k"},
    ],
    "transformer": [
        {},
        {"train.warmup_steps": 0},
        {"train.steps": 2147483647},
        {"language.kind": "chain"},
        {"language.kind": "source", "language.planted": 1},
        {"language.kind": "source", "language.sources": 4096, "language.tokens": 4096},
        {"language.kind": "repeats", "language.period": [1, 1]},
        {"language.kind": "repeats", "language.period": [1, 2], "language.context": 4},
        {"language.kind": "triggers", "language.tokens": 4096},
        {"language.kind": "markov"},
    ],
}
NUMBERS = ("int", "number", "numbers", "list")
KEYS = [
    (family, spec)
    for family in filter(ships, names())
    for spec in schema_of(find(family)).keys.values()
]
BOUNDED = [(family, spec) for family, spec in KEYS if spec.kind in NUMBERS]


def values(spec: KeySpec) -> list[float]:
    """The bounds of a key, as they are and as its words write them, and values close to them and
    between.
    """
    bounds = [bound for bound in (spec.low, spec.high) if bound is not None]
    if spec.high is None and spec.below is not None:
        bounds.append(math.nextafter(spec.below, -math.inf))
    written = [float(f"{bound:.12g}") for bound in bounds]
    low, high = min(bounds), max(bounds)
    middle = [low + share * (high - low) for share in (3e-6, 0.5)]
    found = [*bounds, *written, *middle]
    if spec.kind == "int":
        found = [int(value) for value in [*bounds, *middle, low + 1]]
    return [value for value in found if low <= value <= high]


def is_allowed(family: Family, spec: KeySpec, value: Any, context: Mapping[str, Any]) -> bool:
    schema = schema_of(family)
    given = {**context, spec.key: [value] * 5 if spec.kind == "list" else value}
    try:
        merge(
            {"sweep": {}, **schema.defaults, **given},
            Given(values=given, keys=set(given)),
            None,
            family,
        )
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize(
    ("family", "spec"), BOUNDED, ids=[f"{family}-{spec.key}" for family, spec in BOUNDED]
)
def test_what_the_bounds_allow_some_model_may_have(family: str, spec: KeySpec) -> None:
    if spec.key == "sae.model":
        pytest.skip("follows from the run that is decoded")
    if family == "circuit" and spec.key in ("train.steps", "train.warmup_steps"):
        pytest.skip("circuits are made, not trained")
    for value in dict.fromkeys(values(spec)):
        assert any(
            is_allowed(find(family), spec, value, context) for context in CONTEXTS[family]
        ), value


@pytest.mark.parametrize(
    ("family", "spec"), BOUNDED, ids=[f"{family}-{spec.key}" for family, spec in BOUNDED]
)
def test_what_lies_beyond_the_bounds_is_refused(family: str, spec: KeySpec) -> None:
    ways = [(bound, way) for bound, way in ((spec.low, -1), (spec.high, 1)) if bound is not None]
    is_int = spec.kind == "int"
    beyond = [
        int(bound) + way if is_int else math.nextafter(bound, way * math.inf) for bound, way in ways
    ]
    schema = schema_of(find(family))
    for value in [*beyond, *(bound for bound in (spec.above, spec.below) if bound is not None)]:
        with pytest.raises(ValueError, match="allowed: "):
            schema.canonical(spec.key, [value] if spec.kind == "list" else value)


@pytest.mark.parametrize("spec", [spec for _, spec in KEYS], ids=lambda spec: spec.key)
def test_bounds_are_written_as_people_write_numbers(spec: KeySpec) -> None:
    """A bound that stands for another one, such as the first number above 0, is not shown."""
    assert not re.search(r"\d\.\d{5,}", spec.described)
