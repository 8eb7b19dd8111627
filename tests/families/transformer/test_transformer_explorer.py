"""The page of transformers in a real browser: what is computed there is what Python computes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from browser import DESKTOP, chromium
from explorer import Explorer

import superpos
from superpos import report
from superpos.families.transformer import metrics
from superpos.families.transformer.analysis import tables
from superpos.families.transformer.analysis.models import task
from superpos.families.transformer.analysis.paths import params_of
from superpos.families.transformer.counts import asked
from superpos.families.transformer.model import forward
from superpos.store import Run

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None and not REQUIRED, reason="Chromium is not here"),
]
SMALL = [
    "family=transformer",
    "model.d_model=8",
    "model.d_head=4",
    "train.batch_size=4",
    "train.steps=40",
    "train.warmup_steps=5",
    "language.context=10",
]
RUNS = {
    "pairs": ["model.n_heads=2", "record.snapshots=3", "seed=0,1"],
    "stream": ["model.positions=stream", "language.kind=repeats", "language.period=[3,6]"],
    "scores": ["model.positions=scores", "model.direct=false"],
    "pointer": ["model.positions=pointer", "model.n_layers=3"],
    "smeared": ["model.positions=none", "model.smear=true", "model.n_layers=1"],
    "chain": ["model.n_layers=0", "language.kind=chain", "language.tokens=5"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    out = tmp_path_factory.mktemp("outputs")
    return lambda name: superpos.train([*SMALL, *RUNS[name], f"name={name}"], out=out)


@pytest.fixture
def page(explore: Callable[..., Explorer], tmp_path: Path) -> Callable[[Run], Explorer]:
    return lambda run: explore(report.write(run, tmp_path / "page.html"))


@pytest.mark.parametrize("name", [name for name in RUNS if name != "chain"])
def test_attention_is_that_of_the_model(
    name: str, made: Callable[[str], Run], page: Callable[[Run], Explorer]
) -> None:
    run = made(name)
    explorer = page(run)
    explorer.select(0)
    one = task(run, 0)
    given = asked(one, 0, 4)
    logits, parts = forward(one, params_of(run.weights(0)), given.inputs)
    heads = explorer.drawn("patterns")
    layers = one.structure.n_layers
    names = [f"{i}.{j}" for i in range(layers) for j in range(one.structure.n_heads)]
    for heat, head in zip(heads, names, strict=True):
        expected = parts[f"{head}:pattern"][0, 0].numpy()
        np.testing.assert_allclose(heat["z"], expected, atol=5e-3)
    at = int(given.where[0].argmax())
    p = logits[0, 0, at].softmax(-1)
    note = explorer.page.locator(".card.patterns .note").first.inner_text()
    assert f"After position {at}," in note
    assert f"{float(p.max()):.2f}" in note


def test_a_reader_steps_through_a_sequence(
    made: Callable[[str], Run], page: Callable[[Run], Explorer]
) -> None:
    run = made("pairs")
    explorer = page(run)
    explorer.select(0)
    explorer.page.get_by_test_id("position").first.fill("3")
    explorer.settle()
    note = explorer.page.locator(".card.patterns .note").first
    assert "After position 3," in note.inner_text()
    explorer.page.get_by_test_id("sequence").first.select_option(index=2)
    explorer.settle()
    second = asked(task(run, 0), 0, 4)
    expected = forward(task(run, 0), params_of(run.weights(0)), second.inputs)[1]
    [heat, *_] = explorer.drawn("patterns")
    np.testing.assert_allclose(heat["z"], expected["0.0:pattern"][0, 2].numpy(), atol=5e-3)
    for text in ("99", "-4", ""):  # what is no position is the nearest one
        explorer.page.get_by_test_id("position").first.evaluate(
            "(input, text) => { input.value = text; input.dispatchEvent(new Event('input')) }", text
        )
        explorer.settle()
        assert "After position" in note.inner_text()


@pytest.mark.parametrize("name", ["pairs", "chain", "scores"])
def test_tables_and_composition_are_those_of_the_weights(
    name: str, made: Callable[[str], Run], page: Callable[[Run], Explorer]
) -> None:
    run = made(name)
    explorer = page(run)
    explorer.select(0)
    weights = run.weights(0)
    circuits = tables.circuits(weights)
    expected = {"OV 1.0": circuits.ov[1, 0], "QK 0.0": circuits.qk[0, 0]} if name != "chain" else {}
    if task(run, 0).structure.direct:
        expected["direct"] = circuits.direct
    for title, table in expected.items():
        explorer.page.get_by_test_id("table-name").first.select_option(value=title)
        explorer.settle()
        [heat] = explorer.drawn("tables")
        np.testing.assert_allclose(heat["z"], table, atol=0.02)
    if name == "chain":
        assert explorer.page.locator(".card.composition").first.is_hidden()
        assert explorer.page.locator(".card.patterns").first.is_hidden()
        return
    scores, costs = explorer.drawn("composition")
    found = metrics.compositions(weights, (0, 0), (1, 0))
    expected_scores = [found[into] - 8**-0.5 for into in ("q", "k", "v")]
    np.testing.assert_allclose(scores["z"][0], expected_scores, atol=5e-3)
    row = run.table.iloc[0]
    paths = [row[f"path_{into}"] for into in ("q", "k", "v", "logits")]
    np.testing.assert_allclose(costs["y"], paths, atol=1e-5)


def test_formation_follows_the_snapshots(
    made: Callable[[str], Run], page: Callable[[Run], Explorer]
) -> None:
    run = made("pairs")
    explorer = page(run)
    explorer.select(0)
    excess, prefix, _previous = explorer.drawn("formation")
    assert excess["x"] == [0, 20, 40]
    one = task(run, 0)
    given = asked(one, 0, 64)
    weights = {name: value[-1] for name, value in run.snapshots(0)[1].items()}
    with torch.no_grad():
        logits, parts = forward(one, params_of(weights), given.inputs)
    assert excess["y"][-1] == pytest.approx(given.excess(logits), rel=2e-3)
    tokens = given.tokens[:, :-1]
    scores = [
        metrics.prefix_matching(value[0].double().numpy(), tokens, given.where)
        for name, value in parts.items()
        if name.endswith(":pattern")
    ]
    assert prefix["y"][-1] == pytest.approx(max(scores), rel=2e-3)


@pytest.mark.parametrize("size", [DESKTOP, (800, 800), (390, 800)])
def test_cards_can_be_read_by_everybody(
    size: tuple[int, int], made: Callable[[str], Run], page: Callable[[Run], Explorer]
) -> None:
    explorer = page(made("pairs"))
    explorer.page.set_viewport_size({"width": size[0], "height": size[1]})
    explorer.settle()
    found = Axe().run(explorer.page)
    assert not found.violations_count, found.generate_report()
    assert explorer.page.evaluate("document.documentElement.scrollWidth") <= size[0]
