"""The schema: canonical values, ranges, rules between keys, nearest names."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tms import AXIS_KEYS, DEFAULTS, KEYS, RULES, STRUCTURE_KEYS, canonical, check_row

from superpos.config.schema import key, schema_of
from superpos.config.wording import nearest, show
from superpos.families.tms import FAMILY
from superpos.families.tms.keys import complement
from superpos.families.tms.structure import Structure
from superpos.plan.columns import array_of, table_column


def row(**changes: Any) -> dict[str, Any]:
    """Canonical defaults with changes; "__" stands for the dot."""
    given = {name.replace("__", "."): value for name, value in changes.items()}
    return DEFAULTS | {key: canonical(key, value) for key, value in given.items()}


@pytest.mark.parametrize("key", KEYS)
def test_every_default_is_canonical(key: str) -> None:
    assert canonical(key, DEFAULTS[key]) == DEFAULTS[key]
    assert type(canonical(key, DEFAULTS[key])) is type(DEFAULTS[key])


@pytest.mark.parametrize("key", KEYS)
def test_every_key_says_what_it_is_and_what_is_allowed(key: str) -> None:
    assert KEYS[key].doc
    assert KEYS[key].allowed


def test_the_defaults_fit_together() -> None:
    assert check_row(DEFAULTS) == []


def test_structure_keys_are_the_fields_of_a_structure() -> None:
    assert {key.rpartition(".")[2] for key in STRUCTURE_KEYS} == {
        field.name for field in fields(Structure)
    }
    assert len(STRUCTURE_KEYS) == len(fields(Structure))


def test_axis_keys_leave_out_the_engine_and_the_name() -> None:
    left_out = {
        "engine.backend",
        "engine.device",
        "engine.threads",
        "engine.memory_gb",
        "name",
        "family",
    }
    assert set(KEYS) - set(AXIS_KEYS) == left_out


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("train.steps", 1e4, 10_000),
        ("train.lr", 1, 1.0),
        ("data.sparsity", 0, 0.0),
        ("data.sparsity", -0.0, 0.0),
        ("data.sparsity", [0, 0.5], (0.0, 0.5)),
        ("importance.values", [1, 0], (1.0, 0.0)),
        ("data.n_points", None, None),
        ("seed", 2**64 - 1, 2**64 - 1),
        ("name", 7, "7"),
        ("name", "a.b-c_D9", "a.b-c_D9"),
        ("train.weight_decay", -0.01, -0.01),
    ],
)
def test_equal_values_become_one(key: str, value: Any, expected: Any) -> None:
    found = canonical(key, value)
    assert found == expected
    assert repr(found) == repr(expected)  # also 1.0 and not 1, 0.0 and not -0.0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.steps", 1.5),
        ("train.steps", True),
        ("train.steps", "5"),
        ("train.steps", -1),
        ("train.steps", 2**31),
        ("train.steps", None),
        ("train.steps", math.inf),
        ("train.lr", math.nan),
        ("train.lr", math.inf),
        ("train.lr", -1e-3),
        ("train.lr", 10**400),
        ("train.lr", False),
        ("model.tied", 1),
        ("model.output", "gelu"),
        ("model.output", None),
        ("data.sparsity", 1),
        ("data.sparsity", -0.1),
        ("data.sparsity", [0.5, 1.0]),
        ("data.sparsity", []),
        ("data.sparsity", [0.5, None]),
        ("data.density", 0),
        ("data.density", 1.01),
        ("data.density", 2.0**-33),
        ("importance.values", 1.0),
        ("importance.values", [-1.0]),
        ("model.n_features", 0),
        ("model.n_hidden", 0),
        ("data.n_points", 0),
        ("seed", -1),
        ("seed", 2**64),
        ("name", ""),
        ("name", "."),
        ("name", ".."),
        ("name", "a/b"),
        ("name", "a b"),
        ("name", "x" * 101),
        ("name", 1.5),
        ("name", True),
        ("engine.threads", 0),
        ("engine.memory_gb", 0),
        ("train.batch_size", 0),
        ("seed", {"a": 1}),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"^got .*; allowed: ") as caught:
        canonical(key, value)
    assert "\n" not in str(caught.value)


def test_an_unknown_key_is_no_value() -> None:
    with pytest.raises(KeyError):
        canonical("model.n_hiden", 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"data__density": 0.5, "data__last": 2},  # 0.5 * 2 = 1
        # (1 - 0.95) * 20 = 1, and 1.0000000000000009 in floats
        {"data__sparsity": 0.95, "data__last": 20},
        {"model__n_features": 3, "data__sparsity": [0.1, 0.2, 0.3]},
        {"model__n_features": 2, "importance__values": [1, 5]},
        {"model__n_features": 16, "importance__decay": 100},  # 100^15 = 1e30
        {"model__n_features": 4, "importance__decay": 1e10, "importance__last": 1},
        {"model__n_features": 5, "importance__decay": 0, "importance__last": 0},
        {"model__n_features": 6, "data__correlation": "correlated", "data__set_size": 3},
        {
            "model__n_features": 4,
            "data__correlation": "anticorrelated",
            "data__set_size": 2,
            "data__sparsity": [0.1, 0.1, 0.9, 0.9],
        },
        {
            "model__target": "abs",
            "model__tied": False,
            "model__hidden": "relu",
            "data__signed": True,
        },
        {"data__signed": True, "model__output": "linear"},
        {"model__hidden": "relu"},
        {"data__n_points": 50},
        {"train__steps": 0},
        {"train__steps": 5, "train__warmup_steps": 5},
    ],
)
def test_combinations_that_make_sense(changes: dict[str, Any]) -> None:
    assert check_row(row(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"data__sparsity": 0.5, "data__density": 0.5},
            ["data.density", "data.sparsity", "same quantity"],
        ),
        ({"data__density": 0.5, "data__last": 3}, ["data.last", "1.5", "at most 1"]),
        ({"data__last": 10.5}, ["data.last", "density 0.1", "1.05"]),  # of the default sparsity 0.9
        ({"data__density": 1e-9, "data__last": 0.1}, ["data.density", "1e-10", "2^-32"]),
        ({"data__last": 1e-9}, ["2^-32"]),
        ({"data__sparsity": [0.5] * 5, "data__last": 0.5}, ["data.last", "list"]),
        ({"data__sparsity": [0.5] * 4}, ["data.sparsity", "list of 4", "5 numbers"]),
        ({"data__density": [0.5] * 6}, ["data.density", "list of 6", "5 numbers"]),
        ({"importance__values": [1.0]}, ["importance.values", "list of 1"]),
        (
            {"model__n_features": 17, "importance__decay": 100},
            ["importance.decay", "100 over 17 features"],
        ),
        # 20 * 1.575 = 31.5: the last but one is 10^31.5, the last one 10^(33.1 - 4)
        (
            {"model__n_features": 22, "importance__decay": 10**1.575, "importance__last": 1e-4},
            ["importance.decay"],
        ),
        (
            {"model__n_features": 3, "importance__decay": 10, "importance__last": 2e28},
            ["times importance.last=2e+28 is above 1e+30"],
        ),
        (
            {"importance__values": [1.0] * 5, "importance__decay": 0.9, "importance__last": 2},
            ["importance.values", "importance.decay=0.9 and importance.last=2"],
        ),
        ({"data__set_size": 2}, ["data.set_size", "data.correlation"]),
        ({"data__correlation": "correlated"}, ["data.set_size", "2 or more"]),
        (
            {"data__correlation": "correlated", "data__set_size": 2},
            ["does not divide model.n_features=5"],
        ),
        (
            {
                "data__correlation": "correlated",
                "data__set_size": 5,
                "data__density": [0.1, 0.1, 0.1, 0.1, 0.2],
            },
            ["data.density", "within a set"],
        ),
        (
            {"data__correlation": "correlated", "data__set_size": 5, "data__last": 0.5},
            ["data.last", "share"],
        ),
        (
            {"model__target": "abs"},
            ["model.target", "model.tied=false", "model.hidden=relu", "data.signed=true"],
        ),
        ({"data__signed": True}, ["data.signed", "cannot be negative"]),
        ({"data__n_points": 5, "train__batch_size": 8}, ["train.batch_size", "full batch"]),
        ({"train__steps": 5, "train__warmup_steps": 6}, ["train.warmup_steps", "train.steps=5"]),
    ],
)
def test_combinations_that_make_no_sense(changes: dict[str, Any], words: list[str]) -> None:
    [fault] = check_row(row(**changes))
    assert fault.split(":")[0] in KEYS
    assert [word for word in words if word not in fault] == []


def test_rules_name_known_keys() -> None:
    assert {key for keys, _ in RULES for key in keys} <= set(KEYS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.n_hiden", "model.n_hidden"),
        ("n_hidden", "model.n_hidden"),
        ("Model.N_Hidden", "model.n_hidden"),
        ("train.n_features", "model.n_features"),
        ("sparsty", "data.sparsity"),
        ("data.zzzzqqqq", None),
    ],
)
def test_nearest_name(name: str, expected: str | None) -> None:
    assert nearest(name, KEYS) == expected


@given(st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_complement_is_its_own_inverse(probability: float) -> None:
    assert complement(complement(probability)) == pytest.approx(probability, abs=1e-15)


def test_complement_has_no_rounding_noise() -> None:
    assert [complement(0.9), complement(0.99), complement(0.95)] == [0.1, 0.01, 0.05]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), (1, "1"), ("x", "'x'"), ((1.0,), "[1.0]"), ([2], "[2]")],
)
def test_values_are_shown_as_they_are_written(value: Any, text: str) -> None:
    assert show(value) == text


def test_long_values_are_shortened() -> None:
    assert len(show(list(range(1000)))) == 60


# --- keys of other families -----------------------------------------------------------------------


def matrix(value: Any) -> tuple[tuple[float, ...], ...] | None:
    """A square list of lists of numbers as tuples; None for anything else."""
    if not isinstance(value, list | tuple) or any(len(row) != len(value) for row in value):
        return None
    return tuple(tuple(float(number) for number in row) for row in value)


@dataclass(frozen=True)
class WorldConfig:
    """Keys of a kind that toy models have none of."""

    rho: Any = key(  # noqa: RUF009 - a field, as below
        "value",
        None,
        "correlations",
        parse=matrix,
        words="a square matrix",
        null="none",
        per_model=True,
    )
    share: float = key("number", 0.5, "a share", high=1.0)
    kind: str = key("choice", "a", "a kind", choices=("a", "b"))


@dataclass(frozen=True)
class TwinConfig:
    """A key whose last part another one has."""

    kind: str = key("choice", "a", "a kind", choices=("a", "b"))


@dataclass(frozen=True)
class StepsConfig:
    """A key that every family has."""

    steps: int = key("int", 1, "steps")


def test_a_key_brings_its_own_form() -> None:
    world = schema_of(replace(FAMILY, keys={"world": WorldConfig}))
    assert world.canonical("world.rho", [[1, 0.5], [0.5, 1]]) == ((1.0, 0.5), (0.5, 1.0))
    assert world.canonical("world.rho", None) is None
    with pytest.raises(
        ValueError, match=r"got \[\[1\], \[2\]\]; allowed: a square matrix; or null \(none\)"
    ):
        world.canonical("world.rho", [[1], [2]])
    column = table_column(
        world.keys["world.rho"], array_of(world.keys["world.rho"], [((1.0,),), None])
    )
    assert column.tolist() == ["[[1.0]]", None]


def test_one_bound_alone_counts() -> None:
    world = schema_of(replace(FAMILY, keys={"world": WorldConfig}))
    assert world.canonical("world.share", -3) == -3.0
    with pytest.raises(ValueError, match=r"got 5\.0; allowed: a number, at most 1"):
        world.canonical("world.share", 5.0)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"keys": {"world": WorldConfig, "twin": TwinConfig}},
            "kind: the last part of two keys of one structure",
        ),
        ({"keys": {"train": StepsConfig}}, r"train\.steps: a key of every family"),
        ({"defaults": {"train.optimiser": "adam"}}, r"train\.optimiser: a default of no key"),
        ({"defaults": {"train.optimizer": "adm"}}, "got 'adm'; allowed: adam or adamw or sgd"),
    ],
)
def test_keys_of_a_family_that_do_not_fit_are_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        schema_of(replace(FAMILY, **changes))
