"""What the models of a run found, by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from superpos.family import Label
from superpos.store.by_setting import by_setting
from superpos.terminal.findings import (
    findings,
    findings_fields,
    settings,
    settings_table,
    some,
    training_fields,
)
from superpos.terminal.tables import plain

SWEPT = ["importance.values", "model.n_hidden", "seed"]
LABEL = Label("geometry", "geometries")


def run(scores: Sequence[str] = (), **changes: Any) -> Any:
    """Six models in two settings; the lowest loss is that of one that diverged."""
    columns = {
        "model": [0, 1, 2, 3, 4, 5],
        "importance.values": pd.Series([np.array([1.0, 0.5])] * 3 + [None] * 3),
        "model.n_hidden": [2, 2, 2, 3, 3, 3],
        "seed": pd.Series([0, 1, 2] * 2, dtype="UInt64"),
        "status": ["ok", "ok", "diverged", "ok", "ok", "ok"],
        "loss": [0.5, 0.25, 0.0, 1.0, 2.0, np.nan],
        "geometry": ["digon", "pentagon", "digon", "pentagon", None, "pentagon"],
    }
    table = pd.DataFrame(columns | changes).set_index("model", drop=False)
    return SimpleNamespace(
        table=table,
        swept=SWEPT,
        n_models=8,
        label=LABEL,
        scores=scores,
        by_setting=lambda: by_setting(table, SWEPT, LABEL, scores),
    )


def test_findings() -> None:
    found = findings(run())
    assert found == {
        "best": {
            "model": 1,
            "loss": 0.25,
            "setting": {"importance.values": [1.0, 0.5], "model.n_hidden": 2, "seed": 1},
        },
        "settings": 2,
        "best_losses": [0.25, 1.0],
        "geometries": {"pentagon": 2, "digon": 1},
        "diverged": [2],
    }
    assert json.loads(json.dumps(found)) == found
    assert findings_fields(found, LABEL) == [
        ("loss", "0.25 to 1: the best of each of 2 settings"),
        ("found", "pentagon (2), digon (1)"),
    ]


def test_scores_are_means_over_the_seeds_of_a_setting() -> None:
    """Of healthy models: the third diverged, the last has no loss; "leak" is known nowhere."""
    mmcs = [0.5, 0.75, 9.0, 0.25, 0.5, 9.0]
    judged = run(("mmcs", "chance", "leak"), mmcs=mmcs, chance=0.25, leak=np.nan)
    found = findings(judged)
    assert found["scores"] == {"mmcs": [0.375, 0.625], "chance": [0.25, 0.25]}
    assert ("scores", "mmcs 0.375 to 0.625, chance 0.25") in findings_fields(found, LABEL)
    assert [row["mmcs"] for row in settings(judged)] == [0.625, 0.375]
    assert "mmcs" not in findings_fields(findings(run()), LABEL)[1][1]


def test_settings_of_one_seed_are_shown_where_scores_tell_them_apart() -> None:
    one_seed = run().table.iloc[[0, 3]]
    for scores, rows in ((), 0), (("loss",), 2):
        judged = run(scores)
        judged.table = one_seed
        judged.n_models = 2
        judged.by_setting = lambda names=scores: by_setting(one_seed, SWEPT, LABEL, names)
        assert len(settings(judged)) == rows


def test_the_best_model_is_named_where_losses_are_of_one_setting() -> None:
    """Losses of other data or another penalty rank nothing: only seeds do."""
    one = run()
    one.table = one.table[:3]
    assert findings_fields(findings(one), LABEL)[0] == (
        "loss",
        "0.25 at best: model 1, importance.values=[1.0, 0.5], model.n_hidden=2, seed=1",
    )


def test_nothing_is_found_where_all_diverged_or_nothing_is_done() -> None:
    found = findings(run(status="diverged"))
    nothing = {"best": None, "settings": 0, "best_losses": None, "geometries": {}}
    assert found == nothing | {"diverged": [0, 1, 2, 3, 4, 5]}
    assert findings_fields(found, LABEL) == []
    empty = SimpleNamespace(
        table=pd.DataFrame({"model": pd.Series(dtype=np.int64)}),
        swept=SWEPT,
        label=LABEL,
        scores=(),
    )
    assert findings(empty) == nothing | {"diverged": []}


def test_models_without_geometry() -> None:
    whole = run()
    whole.table = whole.table.drop(columns="geometry")
    assert findings(whole)["geometries"] == {}


def test_settings_are_json_also_where_there_is_no_number() -> None:
    whole = run(loss=[np.nan] * 3 + [1.0, 2.0, 3.0])
    rows = settings(whole)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert [
        (row["importance.values"], row["models"], row["best"], row["loss_best"]) for row in rows
    ] == [
        ([1.0, 0.5], 3, None, None),
        (None, 3, 3, 1.0),
    ]
    header, first, second = plain(settings_table(rows, LABEL)).splitlines()
    assert header.split()[:4] == ["importance.values", "model.n_hidden", "models", "diverged"]
    assert first.split()[:6] == ["[1.0,", "0.5]", "2", "3", "1", "-"]
    assert second.split()[-2:] == ["pentagon", "2"]
    whole.n_models = 2
    assert settings(whole) == []


def test_titles_are_short_where_that_says_enough() -> None:
    rows = [{"data.last": 0.5, "importance.last": 1, "train.lr": 0.1, "models": 2}]
    assert [column.short for column in settings_table(rows, LABEL).columns] == [
        "",
        "",
        "lr",
        "models",
    ]


@pytest.mark.parametrize(
    ("count", "text"), [(0, ""), (2, "0, 1"), (10, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9")]
)
def test_few_names_are_all_named(count: int, text: str) -> None:
    assert some(range(count)) == text


def test_of_many_names_the_first_are_named() -> None:
    assert some(range(1012)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1,002 more"


def test_what_is_said_after_training() -> None:
    progress: Any = SimpleNamespace(models_now=4, models_before=2)
    fields = training_fields(run(), Path("out puts/x/y"), progress, 12.0)
    assert fields[0] == ("trained", "4 models in 12 s; 2 were done before")
    assert fields[-3:] == [
        ("diverged", "1 model (2): their last finite weights are kept; run.table has the step"),
        ("missing", "2 of 8 models"),
        ("next", "superpos status 'out puts/x/y'"),
    ]
    whole = run()
    whole.n_models = 6
    assert training_fields(whole, Path("o"), progress, 1.0)[-2:] == [
        ("next", "superpos plot o"),
        ("", "superpos report o"),
    ]
    dash = training_fields(whole, Path("-x/o"), progress, 1.0)
    assert dash[-1] == ("", "superpos report ./-x/o")  # which is no option
