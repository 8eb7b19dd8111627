"""The page of circuits: a card of their parts, with the numbers of run.patch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import chromium
from explorer import Explorer
from playwright.sync_api import expect

import superpos
from superpos import report
from superpos.families.circuit.explorer.parts import QUESTIONS, constants, parts
from superpos.report.parts import Part
from superpos.store import Run

pytestmark = pytest.mark.slow

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
browser_only = pytest.mark.skipif(
    chromium() is None and not REQUIRED, reason="Chromium is not here"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    words = ["family=circuit", "circuit.kind=and,or,induction_k", "name=page"]
    return superpos.train(words, out=tmp_path_factory.mktemp("page"))


def patched(run: Run, models: list[int]) -> Iterator[Part]:
    return (part for part in parts(run, np.array(models)) if part.kind == "patched")


def test_the_page_holds_what_patching_finds(run: Run) -> None:
    of_and, of_or = patched(run, [0, 1])
    assert (of_and.models.tolist(), of_or.models.tolist()) == ([0], [1])
    for model, part in enumerate((of_and, of_or)):
        arrays = part.make(part.models)
        names = arrays["part"].names
        for number, question in enumerate(constants()["questions"]):
            found = run.patch(model, **QUESTIONS[question]).set_index("part").loc[names]
            np.testing.assert_allclose(arrays["share"][0, number], found["share"], atol=1e-3)
            np.testing.assert_allclose(arrays["true"][0], found["true"], atol=1e-3)


def test_heads_are_called_by_what_they_do_and_many_parts_have_no_card(
    run: Run, tmp_path: Path
) -> None:
    [part] = patched(run, [2])
    assert part.make(part.models)["part"].names[:2] == ["0.0 previous", "0.1 weak"]
    words = [
        "family=circuit",
        "circuit.kind=random_gates",
        "circuit.distractors=6",
        "circuit.always_on=4",
    ]
    assert not list(patched(superpos.train(words, out=tmp_path), [0]))


@browser_only
def test_the_card_is_drawn(explore: Callable[..., Explorer], run: Run) -> None:
    explorer = explore(report.write(run))
    for model, part, questions in (
        (0, "x0", {"noising": 2 / 3, "denoising": 1 / 3}),
        (2, "1.0 match", {}),
    ):
        explorer.ask("select", model)
        explorer.settle()
        [heat] = explorer.drawn("patched")
        assert heat["y"] == [*QUESTIONS, "true"] and part in heat["x"]
        for question, share in questions.items():
            at = heat["z"][heat["y"].index(question)][heat["x"].index(part)]
            assert at == pytest.approx(share, abs=1e-3)
    expect(explorer.find("detail").locator(".card.patched .note")).to_contain_text("a part is true")
