"""Runs of transformers: bits that depend on the row alone, columns, stops and shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import superpos
from superpos.compose.compose import compose
from superpos.errors import TrainingInterruptedError
from superpos.store import Run
from superpos.training import runner

SMALL = [
    "family=transformer", "model.d_model=8", "model.d_head=4", "train.batch_size=4",
    "train.steps=12", "train.warmup_steps=4", "record.loss_every=4", "record.snapshots=3",
    "language.context=8",
]  # fmt: skip
KINDS: dict[str, list[str]] = {
    "chain": ["language.kind=chain", "model.n_layers=0", "language.concentration=0.5,2"],
    "source": [
        "language.kind=source",
        "model.n_layers=1",
        "model.n_heads=2",
        "model.positions=none",
        "train.lr=0,0.1",
    ],
    "latin": ["language.kind=latin", "model.n_layers=1", "model.direct=false", "train.lr=0.01,0.1"],
    "conditional": ["language.kind=conditional", "model.n_layers=1", "language.seed=3,4"],
    "repeats": [
        "language.kind=repeats",
        "language.period=[2,3]",
        "model.positions=stream",
        "model.init_std=0.1,0.2",
    ],
    "pairs": [
        "language.kind=pairs",
        "model.smear=true",
        "language.targets=determined",
        "train.lr=0.01,0.1",
    ],
    "markov": [
        "language.kind=markov",
        "model.positions=scores",
        "model.n_layers=3",
        "train.lr=0.01,0.1",
    ],
    "triggers": [
        "language.kind=triggers",
        "model.positions=pointer",
        "language.concentration=0.5,2",
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_alone_is_the_row_in_the_sweep(kind: str, tmp_path: Path) -> None:
    many = superpos.train([*SMALL, *KINDS[kind], "seed=0,1,2", "name=many"], out=tmp_path)
    assert many.complete
    row = many.n_models - 2
    values = many.table.loc[row]
    fixed = [option for option in KINDS[kind] if "," not in option or "[" in option]
    swept = [f"{key}={values[key]}" for key in many.swept]
    alone = superpos.train([*SMALL, *fixed, *swept], out=tmp_path)
    assert alone.n_models == 1
    assert alone.table["row_id"][0] == values["row_id"]
    assert_same(alone, 0, many, row)


def assert_same(run: Run, model: int, other: Run, row: int) -> None:
    """Two models with equal tensors, histories and results, bit for bit."""
    expected, found = other.weights(row), run.weights(model)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    np.testing.assert_array_equal(run.history(model)[1], other.history(row)[1])
    results = [name for name in other.table.columns if "." not in name and name != "model"]
    pd.testing.assert_series_equal(
        run.table.loc[model, results],
        other.table.loc[row, results],
        check_names=False,
        check_dtype=False,
    )


@pytest.mark.parametrize("kind", ["pairs", "triggers"])
def test_stops_and_shards_change_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = [*SMALL, *KINDS[kind], "model.n_heads=1,2"]
    whole = superpos.train(sweep, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("superpos.training.runner.STRETCH_SECONDS", 0.0)  # a look after every step
        looks = iter(range(1000))
        with pytest.raises(TrainingInterruptedError):
            runner.train(compose(sweep).sweep, out=tmp_path / "parts", stop=lambda: next(looks) > 7)
    assert superpos.train(sweep, out=tmp_path / "parts").digest() == whole.digest()
    for shard in (0, 1):
        superpos.train(sweep, out=tmp_path / "shards", shard=(shard, 2))
    assert superpos.load(tmp_path / "shards" / "custom" / "latest").digest() == whole.digest()


COLUMNS = [
    "floor", "excess", "solved", "formed_at", "width", "prefix", "previous", "path_q", "path_k",
    "path_v", "path_logits", "circuit", "composition_q", "composition_k", "composition_v",
    "ov_positivity",
]  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two small transformers that learn four keys and four values, and one that cannot."""
    overrides = [
        "family=transformer", "language.keys=4", "language.values=4", "language.context=16",
        "model.n_layers=1,2", "model.smear=true", "train.steps=300", "record.snapshots=11",
        "model.d_model=16", "model.d_head=8", "seed=0,1",
    ]  # fmt: skip
    return superpos.train(overrides, out=tmp_path_factory.mktemp("pairs"))


def test_columns_and_tensors(pairs: Run) -> None:
    table = pairs.table
    assert list(table.columns[table.columns.get_loc("backend") + 1 :][: len(COLUMNS)]) == COLUMNS
    names = {"W_E", "W_Q", "W_K", "W_V", "W_O", "W_U", "W_rel", "smear"}
    assert pairs.weights(0).keys() == names
    assert pairs.weights(3)["W_Q"].shape == (2, 1, 16, 8)
    assert pairs.weights(0)["W_E"].shape == (9, 16)


def test_smeared_keys_find_pairs_in_one_layer(pairs: Run) -> None:
    table = pairs.table
    assert table["solved"].all()
    assert (table["excess"] >= -1e-12).all()
    assert (table["floor"] == 0).all()
    assert (table["loss"] > table["excess"]).all()
    assert table["formed_at"].between(0, 300).all()
    one = table["model.n_layers"] == 1
    assert table.loc[one, ["path_q", "path_k", "composition_k"]].isna().all(axis=None)
    assert (table.loc[one, "circuit"] == "induction").all()
    assert (table.loc[one, "prefix"] > 0.5).all()
    assert table.loc[~one, ["path_q", "path_k", "path_v", "path_logits"]].notna().all(axis=None)


def test_a_model_without_layers_is_measured_exactly(tmp_path: Path) -> None:
    overrides = [
        "family=transformer",
        "language.kind=chain",
        "model.n_layers=0",
        "train.lr=0,0.01",
        "language.seed=1",
    ]
    run = superpos.train(overrides, out=tmp_path)
    table = run.table
    assert (table["loss_kind"] == "exact").all()
    np.testing.assert_allclose(table["loss"] - table["floor"], table["excess"], atol=1e-12)
    assert table["excess"][0] > 0.3
    assert -1e-9 < table["excess"][1] < 0.01
    assert (table["circuit"] == "none").all()
