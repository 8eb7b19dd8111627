"""Explorer pages open in a browser: the sweeps they are of, what a user does in them, what they are
to show.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser import Tab
from playwright.sync_api import Locator, expect

from superpos.store import Run

SWEEPS = {
    "phases": [
        "experiment=phase_change_quick", "importance.last=0.1,1,10",
        "data.density=1,0.1,0.01,0.003", "seed=range(0,3)", "train.steps=200",
    ],
    "line": [
        "experiment=intro", "data.density=1,0.3,0.05", "seed=range(0,3)", "train.steps=300",
        "record.snapshots=6", "record.loss_every=20",
    ],
    "cube": [
        "name=cube", "model.n_features=6", "model.n_hidden=3", "data.density=0.5,0.1,0.05",
        "train.lr=0.001,0.01", "importance.decay=0.7,1", "train.steps=100", "record.loss_every=10",
    ],
    "neurons": [
        "experiment=absolute_value_small", "data.density=1,0.1", "seed=range(0,2)",
        "train.steps=100",
    ],
    "mixed": [
        "name=mixed", "model.n_features=3,5", "model.n_hidden=2", "train.optimizer=adam,sgd",
        "train.lr=0.01,1e30", "train.steps=20",
    ],
    "codes": [
        "family=sae", "name=codes", "engine.backend=reference", "train.steps=60",
        "train.batch_size=64", "train.lr=0.01", "world.n_features=5", "world.n_dims=3",
        "world.active=0.5", "sae.latents=3,6", "sae.l1=0.1,1", "seed=0,1", "record.snapshots=2",
    ],
    "alone": ["name=alone", "seed=18446744073709551615", "train.steps=20"],
    "large": [
        "experiment=phase_change", "train.steps=20", "train.batch_size=64", "record.loss_every=5",
    ],
}  # fmt: skip


class Explorer:
    """The page of a run, open in a tab."""

    def __init__(self, tab: Tab, path: Path, fragment: str = "") -> None:
        self.page = tab.open(path, fragment)
        self.settle()

    def settle(self) -> None:
        """Wait until everything is drawn."""
        self.page.wait_for_function(
            "(({ready, busy, error}) => error || ready && busy !== "
            "'true')(document.documentElement.dataset)"
        )
        assert self.page.evaluate("document.documentElement.dataset.error") is None

    def ask(self, what: str, *arguments: Any) -> Any:
        """What a function of the page's own interface answers."""
        return self.page.evaluate(f"given => window.superpos.{what}(...given)", list(arguments))

    def find(self, name: str) -> Locator:
        return self.page.get_by_test_id(name)

    def select(self, model: int) -> None:
        """Click a model's place in the map."""
        self.find("map").scroll_into_view_if_needed()
        at = self.ask("place", model)
        self.page.mouse.click(at["x"], at["y"])
        self.settle()

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        for key in keys:
            self.page.keyboard.press(key)
            self.settle()

    def slide(self, name: str, value: int) -> None:
        """Move a slider."""
        self.find(name).fill(str(value))
        self.settle()

    @property
    def model(self) -> int:
        """The model that is shown."""
        shown = self.find("detail").get_attribute("data-model")
        assert shown is not None
        assert int(shown) == self.ask("state")["model"]
        return int(shown)

    def shown(self, column: str, where: str = "detail") -> str:
        value = self.find(where).get_by_test_id(f"value-{column}").get_attribute("data-value")
        assert value is not None
        return value

    def drawn(self, name: str, where: str = "detail") -> list[dict[str, Any]]:
        """The traces of a chart, their numbers as lists."""
        chart = self.find(where).get_by_test_id(name)
        expect(chart.locator(".main-svg").first).to_be_visible()
        return chart.evaluate(
            """element => {
                const isList = value => ArrayBuffer.isView(value) || Array.isArray(value);
                const plain = value => isList(value) ? Array.from(value, plain) : value;
                const chart = element.data ? element : element.querySelector(".js-plotly-plot");
                return chart._fullData.map(({type, x, y, z}) => ({type, x: plain(x), y: plain(y),
                    z: plain(z)}));
            }"""
        )

    def fragment(self) -> str:
        return self.page.evaluate("location.hash")


def best_of(run: Run, **settings: float) -> int:
    """The model of the smallest loss among those of a setting."""
    rows = run.table
    for key, value in settings.items():
        rows = rows[np.isclose(rows[key.replace("__", ".")], value)]
    return int(rows["loss"].idxmin())


def gram(weights: dict[str, Any]) -> Any:
    """What the heat map shows: WᵀW of the paper, [n, n] here as W is [n, m]."""
    W = np.asarray(weights["W"])
    return W @ W.T


def assert_shows(explorer: Explorer, run: Run, model: int) -> None:
    """Every number of a model is that of the run."""
    assert explorer.model == model
    row = run.table.loc[model]
    assert float(explorer.shown("loss")) == pytest.approx(row["loss"], rel=1e-6)
    assert explorer.shown("geometry") == row["geometry"]
    given = explorer.ask("row", model)
    for column in set(given) & set(run.table.columns):
        if pd.api.types.is_scalar(row[column]) and pd.isna(row[column]):
            assert given[column] is None or pd.isna(given[column]), column
        else:
            same = (
                pytest.approx(row[column], rel=1e-6)
                if isinstance(row[column], float)
                else row[column]
            )
            assert given[column] == same, column
    assert set(given) >= {"loss", "d_star", "geometry", "seed", "status", *swept(run)}
    for name, value in explorer.ask("weights", model).items():
        np.testing.assert_allclose(value, run.weights(model)[name], rtol=1e-3, atol=1e-6)


def swept(run: Run) -> list[str]:
    return [key for axis in run.manifest["plan"]["axes"] for key in axis["keys"]]
