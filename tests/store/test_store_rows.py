"""Which rows of a table are results: one answer for everybody who asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from superpos.claims import select
from superpos.family import DEFAULT, Label, find
from superpos.figures.points import points
from superpos.store.by_setting import by_setting
from superpos.store.rows import best, healthy, same_setting
from superpos.terminal.findings import findings

SWEPT = ["data.density", "seed"]
LABEL = Label("geometry", "geometries")
OVERFLOWN = 1
"""The model that has finite weights and an infinite loss."""


def run() -> Any:
    """Two settings of three seeds; one model overflowed, one has no loss, one diverged."""
    columns = {
        "model": range(6),
        "model.n_features": 2,
        "model.n_hidden": 1,
        "model.init_std": 0.5,
        "data.density": [0.5, 0.5, 0.5, 0.1, 0.1, 0.1],
        "seed": [0, 1, 2] * 2,
        "status": ["ok", "ok", "ok", "ok", "ok", "diverged"],
        "loss": [3.0, np.inf, 2.0, 5.0, np.nan, 0.5],
        "geometry": ["digon", "point", "digon", "digon", "square", "line"],
    }
    table = pd.DataFrame(columns).set_index("model", drop=False)
    return SimpleNamespace(
        table=table,
        swept=SWEPT,
        label=LABEL,
        scores=(),
        n_models=6,
        require_family=lambda: find(DEFAULT),
        by_setting=lambda: by_setting(table, SWEPT, LABEL),
    )


def test_figures_leave_out_a_model_of_infinite_loss() -> None:
    assert [point.models.tolist() for point in points(run())] == [[2, 0], [3]]


def test_claims_leave_out_a_model_of_infinite_loss() -> None:
    assert select.where(run())["model"].tolist() == [0, 2, 3]


def test_settings_leave_out_a_model_of_infinite_loss() -> None:
    found = run().by_setting()
    assert found[["models", "diverged", "best"]].to_numpy().tolist() == [[3, 0, 2], [3, 1, 3]]
    assert found[["loss_best", "loss_median", "loss_worst"]].to_numpy().tolist() == [
        [2, 2.5, 3],
        [5, 5, 5],
    ]
    assert found["geometries"].tolist() == ["digon 2", "digon 1"]


def test_findings_leave_out_a_model_of_infinite_loss() -> None:
    whole = run()
    assert findings(whole)["geometries"] == {"digon": 3}
    whole.table = whole.table.loc[[OVERFLOWN]]
    assert findings(whole)["best"] is None


def test_the_best_of_every_setting_comes_in_the_order_of_the_settings() -> None:
    good = healthy(run().table)
    assert best(good, "data.density")["model"].tolist() == [2, 3]
    assert best(good[::-1], ["data.density"])["model"].tolist() == [3, 2]
    assert best(good, ())["model"].tolist() == [2]
    assert best(good[:0], "data.density").empty


def test_of_equal_losses_the_first_is_best() -> None:
    assert best(run().table.assign(loss=1.0), "seed")["model"].tolist() == [0, 1, 2]


def test_lists_and_empty_cells_are_settings() -> None:
    lists = pd.Series([[1, 2], None, np.array([1, 2]), (2, 1), None, [2, 1]])
    assert same_setting(run().table.assign(list=lists), "list").tolist() == [0, 1, 0, 2, 1, 2]


def test_nothing_is_healthy_where_nothing_has_finished() -> None:
    assert healthy(pd.DataFrame({"model": pd.Series(dtype=np.int64)})).empty
