"""The page of autoencoders in a real browser: what is drawn is what the run holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import DESKTOP, chromium
from explorer import Explorer

import superpos
from superpos import report
from superpos.families.sae import metrics
from superpos.families.sae.analysis.worlds import world
from superpos.store import Run

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None and not REQUIRED, reason="Chromium is not here"),
]

WORDS = [
    "family=sae",
    "engine.backend=reference",
    "train.steps=60",
    "train.batch_size=64",
    "train.lr=0.01",
]
SIZES = {
    "plane": [
        "world.n_features=4",
        "world.n_dims=2",
        "world.active=0.5",
        "sae.latents=3,6",
        "record.snapshots=2",
    ],
    "space": ["world.n_features=5", "world.n_dims=3", "world.active=0.5", "world.frequency=zipf"],
    "many": [
        "world.n_features=6",
        "world.n_dims=5",
        "world.active=1",
        "world.seed=0,1",
        "sae.l1=0.1,5",
    ],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    out = tmp_path_factory.mktemp("outputs")
    return lambda name: superpos.train([*WORDS, *SIZES[name], f"name={name}"], out=out)


@pytest.fixture
def page(explore: Callable[..., Explorer], tmp_path: Path) -> Callable[[Run], Explorer]:
    return lambda run: explore(report.write(run, tmp_path / "page.html"))


@pytest.mark.parametrize("name", SIZES)
def test_cosines_stand_in_the_order_in_which_latents_match(
    name: str, made: Callable[[str], Run], page: Callable[[Run], Explorer]
) -> None:
    run = made(name)
    explorer = page(run)
    for model in run.table["model"]:
        explorer.ask("select", int(model))
        explorer.settle()
        weights = run.weights(int(model))
        A, D = world(run, int(model)).features, weights["D"]
        order = metrics.order(metrics.cosines(A, D, weights["rate"] > 0))
        [heat] = explorer.drawn("dictionary")
        np.testing.assert_allclose(heat["z"], metrics.all_cosines(A, D)[:, order], atol=2e-3)
        dead = int((weights["rate"] == 0).sum())
        assert (
            f"{dead} of {len(D)} latents never fire"
            in explorer.find("dictionary").locator("..").inner_text()
        )


def test_what_is_found_stands_over_how_often_it_is_active(
    made: Callable[[str], Run], page: Callable[[Run], Explorer]
) -> None:
    run = made("space")
    explorer = page(run)
    [points] = explorer.drawn("recovery")
    features = run.features(explorer.model)
    np.testing.assert_allclose(points["x"], features["p"], rtol=2e-3)
    np.testing.assert_allclose(points["y"], features["cosine"], atol=2e-3)


def test_arrows_are_drawn_in_two_and_three_dimensions_only(
    made: Callable[[str], Run], page: Callable[[Run], Explorer]
) -> None:
    for name, drawn in (("plane", True), ("space", True), ("many", False)):
        explorer = page(made(name))
        assert explorer.find("arrows").is_visible() is drawn


def test_latents_move_in_time(made: Callable[[str], Run], page: Callable[[Run], Explorer]) -> None:
    run = made("plane")
    explorer = page(run)
    model = explorer.model
    A = world(run, model).features
    weights = run.weights(model)
    order = metrics.order(metrics.cosines(A, weights["D"], weights["rate"] > 0))
    explorer.slide("time", 0)
    _, filmed = run.snapshots(model)
    [heat] = explorer.drawn("dictionary")
    np.testing.assert_allclose(
        heat["z"], metrics.all_cosines(A, filmed["D"][0])[:, order], atol=2e-3
    )


def test_a_page_of_autoencoders_is_accessible(
    made: Callable[[str], Run], page: Callable[[Run], Explorer]
) -> None:
    explorer = page(made("plane"))
    for size in (DESKTOP, (390, 800)):
        explorer.page.set_viewport_size({"width": size[0], "height": size[1]})
        explorer.settle()
        found = Axe().run(explorer.page)
        assert not found.violations_count, found.generate_report()
        assert explorer.page.evaluate("document.documentElement.scrollWidth") <= size[0]
