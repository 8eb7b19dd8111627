"""The card that explains one input: what it draws is what superpos.explain computes, for inputs
that are typed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from browser import chromium
from explorer import Explorer
from playwright.sync_api import expect

import superpos
from superpos import explain, report
from superpos.store import Run

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None and not REQUIRED, reason="Chromium is not here"),
]
METHODS = ("shapley", "integrated_gradients", "gradient_times_input", "gradient")
TYPED = [0.9, 0, 0.35, 1, 0, 0]


def expected(run: Run, model: int, name: str, x: list[float]) -> np.ndarray:
    """[outputs, inputs] of one model and input."""
    weights = run.weights(model)
    output = str(run.table.loc[model, "model.output"])
    function = getattr(explain, name)
    return function(weights["W"][None], weights["b"][None], [x], output=output)[0, 0]


@pytest.mark.parametrize(("output", "methods"), [("relu", METHODS), ("linear", METHODS[1:2])])
def test_the_card_draws_what_superpos_explain_computes(
    explore: Callable[..., Explorer], tmp_path: Path, output: str, methods: tuple[str, ...]
) -> None:
    words = ["model.n_features=6", "model.n_hidden=3", f"model.output={output}", "data.density=0.2"]
    run = superpos.train(
        [*words, "train.steps=200", "train.lr=0.01", "seed=0", "engine.threads=1"], out=tmp_path
    )
    explorer = explore(report.write(run))
    card = explorer.find("detail").locator(".card.attributions")
    for x, typed in (([1, 0.7, 0.4, 0, 0, 0], None), (TYPED, " ".join(map(str, TYPED)))):
        if typed is not None:
            card.get_by_test_id("input").fill(typed)
            explorer.settle()
        for name in methods:
            card.get_by_test_id("method").select_option(name)
            explorer.settle()
            true, said = (np.array(trace["z"]) for trace in explorer.drawn("attributions"))
            np.testing.assert_allclose(true, expected(run, 0, "occlusion", x), atol=5e-3)
            np.testing.assert_allclose(said, expected(run, 0, name, x), atol=5e-3)
    assert (
        "input=0.9+0+0.35" in explorer.fragment() and f"method={methods[-1]}" in explorer.fragment()
    )


def test_what_is_typed_is_kept_and_what_is_no_input_is_said(
    explore: Callable[..., Explorer],
) -> None:
    explorer = explore("cube", "#input=0.5&method=integrated_gradients")
    card = explorer.find("detail").locator(".card.attributions")
    typed = card.get_by_test_id("input")
    expect(typed).to_have_value("0.5")
    expect(card.get_by_test_id("method")).to_have_value("integrated_gradients")
    for wrong in ("2", "one", "0 0 0 0 0 0 1", "-1"):
        typed.fill(wrong)
        explorer.settle()
        assert typed.get_attribute("aria-invalid") == "true"
    expect(card.locator(".note")).to_have_text("No output moves, whichever input is dropped.")
    typed.fill("1")
    explorer.settle()
    assert typed.get_attribute("aria-invalid") == "false"
    expect(card.locator(".note")).to_contain_text("strongest cause is named in")
    assert explorer.find("detail").evaluate("element => element.contains(document.activeElement)")


def test_models_of_other_kinds_and_sizes_have_no_such_card(
    explore: Callable[..., Explorer], tmp_path: Path
) -> None:
    expect(explore("neurons").find("detail").locator(".card.attributions")).to_be_hidden()
    run = superpos.train(
        ["model.n_features=11", "train.steps=5", "seed=0", "engine.threads=1"], out=tmp_path
    )
    expect(explore(report.write(run)).find("detail").locator(".card.attributions")).to_be_hidden()
