"""Sweeps: rows, columns, chunks, tasks, identity."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tms import DEFAULTS, SCHEMA, TABLE_KEYS, canonical

from superpos.config import spacing as axes_module
from superpos.config.spacing import MAX_MODELS, read_block, spaced
from superpos.errors import ConfigError
from superpos.plan.sweep import MAX_CHUNK_MODELS, Axis, Sweep


def axis(key: str, *values: Any) -> Axis:
    return Axis((key,), tuple((canonical(key, value),) for value in values))


def sweep(*axes: Axis, **changes: Any) -> Sweep:
    given = {name.replace("__", "."): value for name, value in changes.items()}
    return Sweep(DEFAULTS | {key: canonical(key, value) for key, value in given.items()}, axes)


ZIPPED = Axis(("model.output", "data.density"), (("linear", 1.0), ("relu", 1.0), ("relu", 0.1)))
MIXED = sweep(axis("model.n_hidden", 2, 3), ZIPPED, axis("seed", 0, 1, 2, 3))


def test_the_last_axis_is_the_fastest() -> None:
    assert MIXED.shape == (2, 3, 4)
    assert MIXED.n_models == 24
    seeds = MIXED.column("seed").tolist()
    assert seeds[:6] == [0, 1, 2, 3, 0, 1]
    assert MIXED.column("model.n_hidden").tolist() == [2] * 12 + [3] * 12
    # Row 12 + 4 + 3: second n_hidden, second zipped point, last seed.
    found = MIXED.row(19)
    assert (
        found["model.n_hidden"],
        found["model.output"],
        found["data.density"],
        found["seed"],
    ) == (3, "relu", 1.0, 3)


@pytest.mark.parametrize(
    "key", ["model.n_hidden", "model.output", "data.density", "seed", "train.lr", "data.n_points"]
)
def test_columns_hold_what_rows_hold(key: str) -> None:
    assert MIXED.column(key).tolist() == [MIXED.row(i)[key] for i in range(MIXED.n_models)]
    rows = np.array([3, 17, 4])
    assert MIXED.column(key, rows).tolist() == [MIXED.row(i)[key] for i in rows.tolist()]


LISTS = Axis(
    ("data.sparsity", "data.density"),
    ((None, 0.25), (0.9, None), (None, (1.0, 0.1)), ((0.5, 0.0), None)),
)


@pytest.mark.parametrize("points", [LISTS.values, LISTS.values[:2]])
def test_the_table_has_both_probabilities_of_every_row(points: tuple[tuple[Any, ...], ...]) -> None:
    mixed = sweep(
        axis("seed", 0, 1),
        Axis(LISTS.keys, points),
        axis("train.lr", 0.1, 0.2),
        model__n_features=2,
    )
    rows = np.array([15, 0, 3, 9, 6, 1]) % mixed.n_models
    table = mixed.table(rows)
    for i, row in enumerate(rows.tolist()):
        given = mixed.row(row)
        s, p = (given[key] for key in LISTS.keys)
        density = 1 - np.asarray(s) if p is None else np.asarray(p)
        alone = density.ndim == 0 and len(points) == 2
        np.testing.assert_allclose(
            table["data.density"][i], density if alone else np.broadcast_to(density, 2)
        )
        np.testing.assert_allclose(
            table["data.sparsity"][i], 1 - (density if alone else np.broadcast_to(density, 2))
        )


def test_columns_have_narrow_types() -> None:
    types = {
        key: MIXED.column(key).dtype
        for key in ("seed", "train.steps", "train.lr", "model.tied", "model.output")
    }
    assert [str(types[key]) for key in types] == ["uint64", "int64", "float64", "bool", "object"]


def test_no_axes_is_one_model() -> None:
    one = sweep(seed=7)
    assert (one.shape, one.n_models, one.row(0)["seed"]) == ((), 1, 7)
    assert [chunk.tolist() for chunk in one.plan.rows] == [[0]]


@pytest.mark.parametrize("i", [-1, 24])
def test_a_row_outside_of_the_sweep(i: int) -> None:
    with pytest.raises(IndexError, match=f"model {i} of a sweep of 24"):
        MIXED.row(i)


def test_chunks_share_structure_and_keep_the_order() -> None:
    chunks = [chunk.tolist() for chunk in MIXED.plan.rows]
    # Structure: n_hidden and output, not density and seed.
    assert chunks == [[0, 1, 2, 3], list(range(4, 12)), [12, 13, 14, 15], list(range(16, 24))]


def test_chunks_are_bounded_in_models_and_even() -> None:
    sizes = [len(chunk) for chunk in sweep(axis("seed", *range(2500)), train__steps=1).plan.rows]
    assert sizes == [834, 833, 833]
    assert max(sizes) <= MAX_CHUNK_MODELS


def test_chunks_are_bounded_in_work() -> None:
    # n=200, m=20, 10,000 steps of 1024: 1e4 * 1024 * (10 * 200 * 20 + 60 * 200) = 5.3e11 a model,
    # 18 in 1e13.
    sizes = [
        len(c)
        for c in sweep(
            axis("seed", *range(20)), model__n_features=200, model__n_hidden=20
        ).plan.rows
    ]
    assert sizes == [10, 10]
    huge = sweep(
        axis("seed", 0, 1), model__n_features=5000, model__n_hidden=500, train__steps=100_000
    )
    assert [len(chunk) for chunk in huge.plan.rows] == [1, 1]


def test_a_fixed_data_set_is_its_own_batch() -> None:
    few = sweep(
        axis("seed", *range(1000)), data__n_points=10, model__n_features=100, model__n_hidden=10
    )
    # 1e4 steps * 10 points * (10 * 100 * 10 + 60 * 100) = 1.6e9 a model: all 1000 fit in 1e13.
    assert len(few.plan.rows) == 1


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3))
@settings(max_examples=20, deadline=None)
def test_every_row_is_in_one_chunk(sizes: list[int]) -> None:
    keys = ("model.n_hidden", "data.density", "train.steps")
    values = {
        "model.n_hidden": (1, 2, 3, 4),
        "data.density": (0.1, 0.2, 0.3, 0.4),
        "train.steps": (0, 1, 2, 3),
    }
    made = sweep(*(axis(key, *values[key][:size]) for key, size in zip(keys, sizes, strict=False)))
    chunks = made.plan.rows
    assert sorted(np.concatenate(chunks).tolist()) == list(range(made.n_models))
    assert all(len({made.settings.structure(int(i)) for i in chunk}) == 1 for chunk in chunks)


def test_task_holds_one_row_a_model() -> None:
    made = sweep(
        axis("data.sparsity", 0.9, [0.1, 0.2, 0.3]),
        axis("seed", 5, 2**64 - 1),
        model__n_features=3,
        train__lr=0.01,
    )
    task = made.task(np.arange(4))
    assert task.seed.tolist() == [5, 2**64 - 1, 5, 2**64 - 1]
    assert task.sparsity.tolist() == [[0.9] * 3, [0.9] * 3, [0.1, 0.2, 0.3], [0.1, 0.2, 0.3]]
    assert task.lr.tolist() == [0.01] * 4
    # sqrt(2 / (3 + 2))
    assert task.init_std.tolist() == pytest.approx([0.4**0.5] * 4, abs=0)


def test_task_importance() -> None:
    made = sweep(
        axis("importance.last", 1, 3),
        axis("importance.decay", 0.5, 1),
        model__n_features=3,
        model__init_std=0.2,
    )
    task = made.task(np.arange(4))
    # decay^i with the last factor: [1, .5, .25], [1, 1, 1], [1, .5, .75], [1, 1, 3]
    assert task.importance.tolist() == [[1, 0.5, 0.25], [1, 1, 1], [1, 0.5, 0.75], [1, 1, 3]]
    assert task.init_std.tolist() == [0.2] * 4
    listed = sweep(axis("importance.values", [4, 5, 6], None), model__n_features=3).task(
        np.array([1, 0])
    )
    assert listed.importance.tolist() == [[1, 1, 1], [4, 5, 6]]


def test_task_density_of_the_last_feature() -> None:
    made = sweep(axis("data.last", 1, 0.5, 5), data__density=0.2, model__n_features=2)
    # density 0.2 times 1, 0.5 and 5: sparsity 0.8, 0.9 and 0
    assert made.task(np.arange(3)).sparsity.tolist() == [[0.8, 0.8], [0.8, 0.9], [0.8, 0.0]]


def test_density_and_sparsity_give_the_same_task() -> None:
    dense, sparse = sweep(data__density=0.1), sweep(data__sparsity=0.9)
    assert (
        dense.task(np.array([0])).sparsity.tolist()
        == sparse.task(np.array([0])).sparsity.tolist()
        == [[0.9] * 5]
    )


def test_table_has_every_key_and_both_probabilities() -> None:
    table = MIXED.table()
    assert list(table) == ["model", "row_id", *TABLE_KEYS]
    assert table["model"].tolist() == list(range(24))
    assert table["data.density"].tolist() == MIXED.column("data.density").tolist()
    assert sorted(set(table["data.sparsity"])) == [0.0, 0.9]
    # null is resolved: sqrt(2 / (5 + 2)) and sqrt(2 / (5 + 3))
    assert sorted(set(table["model.init_std"])) == [0.5, (2 / 7) ** 0.5]
    assert table["data.n_points"].isna().all()
    assert table["seed"].dtype == np.uint64


def test_table_of_some_rows() -> None:
    table = MIXED.table(np.array([5, 2]))
    whole = MIXED.table()
    assert table["model"].tolist() == [5, 2]
    assert table["row_id"].tolist() == [whole["row_id"][5], whole["row_id"][2]]


def test_a_mixed_column_holds_lists() -> None:
    made = sweep(axis("data.density", 0.5, [0.25, 0.5]), axis("seed", 0, 1), model__n_features=2)
    table = made.table(np.array([0, 2]))
    assert table["data.density"].tolist() == [[0.5, 0.5], [0.25, 0.5]]
    assert table["data.sparsity"].tolist() == [[0.5, 0.5], [0.75, 0.5]]
    # also where the chunk has no list
    assert made.table(np.array([1]))["data.density"].tolist() == [[0.5, 0.5]]


def test_some_rows_are_as_in_the_whole_table() -> None:
    """Also where rows that are left out decide the kind of a column."""
    lists = axis("data.density", (0.1, 0.2, 0.3), 0.5)
    mixed = sweep(
        lists, axis("data.n_points", None, 7), axis("seed", 5, 2**64 - 1), model__n_features=3
    )
    whole = mixed.table()
    for rows in (np.array([6, 7]), np.array([0]), np.array([7, 1, 4])):
        some = mixed.table(rows)
        for key in whole.columns:
            assert [str(np.array(cell)) for cell in some[key]] == [
                str(np.array(cell)) for cell in whole[key].iloc[rows]
            ]


def test_importance_lists_in_the_table() -> None:
    table = sweep(axis("importance.values", [1, 2], None), model__n_features=2).table()
    assert table["importance.values"].tolist() == [[1.0, 2.0], None]


def test_plan_survives_a_file() -> None:
    made = sweep(
        ZIPPED, axis("data.sparsity", [0.1] * 5, None), axis("seed", 0, 2**64 - 1), train__steps=5
    )
    read = Sweep.from_json(json.loads(json.dumps(made.to_json())))
    assert read == made
    assert read.run_id == made.run_id
    assert read.to_json() == made.to_json()


def test_run_id_is_of_what_decides_results() -> None:
    same = sweep(engine__device="cuda", engine__threads=3, engine__memory_gb=2, name="other")
    assert same.run_id == sweep().run_id
    others = [
        sweep(seed=1),
        sweep(engine__backend="reference"),
        sweep(axis("seed", 0, 1)),
        sweep(axis("seed", 1, 0)),
    ]
    assert len({made.run_id for made in [*others, sweep()]}) == 5
    assert len(sweep().run_id) == 12


def test_row_id_does_not_depend_on_the_sweep() -> None:
    grid = sweep(axis("model.n_hidden", 1, 2), axis("train.lr", 0.001, 0.01), axis("seed", 0, 1))
    # Row 5 is n_hidden=2, lr=0.001, seed=1; both 2 and 0.001 are defaults.
    assert grid.row_ids(np.array([5])) == sweep(seed=1).row_ids(np.array([0]))
    assert len(set(grid.row_ids(np.arange(8)))) == 8


def test_faults_are_found_anywhere_in_the_sweep() -> None:
    made = sweep(axis("data.density", 0.1, 0.5), axis("data.last", 1, 2, 4), axis("seed", 0, 1))
    assert made.faults() == ["data.last: 4 times density 0.5 is 2; allowed: a density of at most 1"]
    more = sweep(axis("data.density", 0.4, 0.5), axis("data.last", 1, 4, 5))
    assert more.faults()[0].endswith("(and 3 more combinations)")
    assert made.faults(skip=["data.last"]) == []


@pytest.mark.parametrize(
    ("kind", "numbers", "expected"),
    [
        ("linspace", [0, 1, 5], [0, 0.25, 0.5, 0.75, 1]),
        ("linspace", [3, 3, 1], [3]),
        ("linspace", [-0.3, 0.3, 3], [-0.3, 0, 0.3]),
        ("geomspace", [1, 0.01, 3], [1, 0.1, 0.01]),
        ("geomspace", [0.1, 10, 5], [0.1, 0.316227766017, 1, 3.16227766017, 10]),
        ("range", [3], [0, 1, 2]),
        ("range", [2, 5], [2, 3, 4]),
        ("range", [5, 0, -2], [5, 3, 1]),
        ("range", [0, 0.3, 0.1], [0, 0.1, 0.2]),
        ("range", [0, 1, 0.1], [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        ("range", [3, 0], []),
    ],
)
def test_spaced_values(kind: str, numbers: list[float], expected: list[float]) -> None:
    assert spaced(kind, numbers) == expected


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 40))
@example(1e6, 1e-6, 2)  # the last one is no rounding noise of the first
@settings(max_examples=50, deadline=None)
def test_geomspace_is_numpys_to_12_digits(start: float, stop: float, count: int) -> None:
    np.testing.assert_allclose(
        spaced("geomspace", [start, stop, count]), np.geomspace(start, stop, count), rtol=1e-11
    )


@pytest.mark.parametrize(
    ("kind", "numbers", "words"),
    [
        ("range", [0, 5, 0], "step 0"),
        ("range", [], "0 numbers"),
        ("range", [0, MAX_MODELS + 1], "at most"),
        ("linspace", [0, 1], "start, stop, count"),
        ("linspace", [0, 1, 0], "count of 0"),
        ("linspace", [0, 1, 1e12], "at most"),
        ("linspace", [0, 10**400, 3], "none above 1e100"),
        ("range", [0, 1e300], "none above 1e100"),
        ("range", [0, float("nan")], "none above 1e100"),
        ("range", [0, 1e99, 1e-99], "at most"),
        ("range", [0, 1, 1e-320], "step 1e-320"),
        ("geomspace", [1e99, 1e-320, 3], "above 0"),
        ("geomspace", [0, 1, 3], "above 0"),
        ("geomspace", [1, -1, 3], "above 0"),
    ],
)
def test_spacings_that_cannot_be(kind: str, numbers: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        spaced(kind, numbers)


def test_read_block() -> None:
    block = {
        "seed": {"range": [0, 2]},
        "data.density": {"geomspace": [1, 0.25, 3]},
        "model.output, model.n_hidden": [["relu", 1], ["linear", 2.0]],
        "train.lr": None,
    }
    found, faults = read_block(SCHEMA, block)
    assert faults == []
    assert found == {
        ("seed",): ((0,), (1,)),
        ("data.density",): ((1.0,), (0.5,), (0.25,)),
        ("model.output", "model.n_hidden"): (("relu", 1), ("linear", 2)),
    }


def test_read_block_gives_all_faults() -> None:
    block = {
        "sed": [1],
        "seed": [1, 1],
        "name": ["a"],
        "train.lr": [],
        "train.steps": [1, "x", -1],
        "data.last,data.last": [[1, 1]],
        "importance.last": {"cubic": [1]},
        "importance.decay": {"range": ["a"]},
        "data.signed,model.output": [[True]],
        "data.density": 0.5,
    }
    found, faults = read_block(SCHEMA, block)
    assert found == {}
    assert len(faults) == len(block)
    assert [fault.split(":")[0] for fault in faults] == [f"sweep.{name}" for name in block]
    assert faults[0] == "sweep.sed: unknown key; did you mean seed?"
    assert faults[4].endswith("(and 1 more of its values)")


def test_a_large_sweep_is_columns() -> None:
    made = sweep(axis("importance.last", *range(1, 1001)), axis("seed", *range(10_000)))
    assert made.n_models == MAX_MODELS
    assert made.faults() == []
    assert made.row(MAX_MODELS - 1)["seed"] == 9999


def test_check_axis_names_every_faulty_column() -> None:
    with pytest.raises(ConfigError) as caught:
        axes_module.check_axis(SCHEMA, ("seed", "train.lr"), [(-1, "x"), (0, 0.1)])
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["seed", "train.lr"]
