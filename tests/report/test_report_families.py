"""The explorer of any kind of model: what a family adds stands in the page, and without it the page
still works.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import DESKTOP, chromium
from explorer import Explorer
from playwright.sync_api import expect

import superpos
from superpos import report
from superpos.errors import SuperposError
from superpos.family import Exhibits, find, names, ships
from superpos.family import Explorer as Added
from superpos.report import parts
from superpos.store import Run

pytestmark = pytest.mark.slow

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
in_a_browser = pytest.mark.skipif(
    chromium() is None and not REQUIRED, reason="Chromium is not here"
)
PAGE = Path(report.__file__).parent / "page"
WORDS = (
    "name=seen data.density=1,0.3 importance.last=1,2 seed=0,1 model.n_features=4 model.n_hidden=2"
)
TRAIN = (
    "train.steps=20 record.loss_every=5 record.snapshots=2 engine.threads=1 "
    "engine.backend=reference"
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything that a page can show: two axes, seeds, histories, snapshots."""
    return superpos.train(
        [*WORDS.split(), *TRAIN.split()], out=tmp_path_factory.mktemp("runs")
    ).path


@pytest.fixture
def of_family(path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """That run as if it were of a family without labels, with an explorer of its own."""

    def run(explorer: Added) -> Run:
        monkeypatch.setattr(Run, "family", replace(find("tms"), shows=Exhibits(explorer=explorer)))
        monkeypatch.setattr(Run, "label", None)
        return superpos.load(path)

    return run


# --- a family without an explorer -----------------------------------------------------------------


@in_a_browser
def test_a_family_that_adds_nothing_has_a_page(
    explore: Callable[..., Explorer], of_family: Callable[..., Run], tmp_path: Path
) -> None:
    run = of_family(Added())
    explorer = explore(report.write(run, tmp_path / "bare.html"))
    state, model = explorer.ask("state"), explorer.model
    assert state["metric"] == "loss"
    assert (state["x"], state["y"]) == (1, 0)
    (heat, *_) = explorer.drawn("map", "map-card")
    assert np.shape(heat["z"]) == (2, 2)
    weights = run.weights(model)
    drawn = {len(trace["z"]): trace["z"] for trace in explorer.drawn("weights")}
    np.testing.assert_allclose(drawn[4], weights["W"], atol=2e-3)
    np.testing.assert_allclose(drawn[1], [weights["b"]], atol=2e-3)
    expect(
        explorer.find("detail").get_by_test_id("history").locator(".main-svg").first
    ).to_be_visible()
    expect(
        explorer.find("detail").get_by_test_id("seeds").locator(".main-svg").first
    ).to_be_visible()
    expect(explorer.find("command")).to_contain_text("superpos train")
    assert explorer.find("table").locator("tbody tr").count() == len(run.table)
    explorer.slide("time", 0)
    _, snapshots = run.snapshots(model)
    drawn = {len(trace["z"]): trace["z"] for trace in explorer.drawn("weights")}
    np.testing.assert_allclose(drawn[4], snapshots["W"][0], atol=2e-3)


@in_a_browser
def test_a_page_without_cards_of_a_family_is_accessible(
    explore: Callable[..., Explorer], of_family: Callable[..., Run], tmp_path: Path
) -> None:
    explorer = explore(report.write(of_family(Added()), tmp_path / "bare.html"))
    explorer.ask("pin", explorer.model)
    explorer.settle()
    for size in (DESKTOP, (390, 800)):
        explorer.page.set_viewport_size({"width": size[0], "height": size[1]})
        explorer.settle()
        found = Axe().run(explorer.page)
        assert not found.violations_count, found.generate_report()
        assert explorer.page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_nothing_of_one_family_stands_in_the_page_of_all() -> None:
    """Scripts, style and frame name no result, tensor or key that only some models have."""
    own = re.compile(
        r"geometry|polytope|norm\b|interference|d_star|density|\bW1?\b|\bW2\b|hidden "
        r"ReLU|n_features"
    )
    for file in sorted(PAGE.iterdir()):
        assert own.findall(file.read_text(encoding="utf-8")) == [], file.name


@pytest.mark.parametrize("name", [name for name in names() if ships(name)])
def test_every_script_of_a_family_is_in_its_page(name: str) -> None:
    """A card is a file: none is forgotten in the list of scripts."""
    scripts = find(name).shows.explorer.scripts
    listed = [script.partition(":")[2] for script in scripts]
    folder = Path(superpos.__file__).parent / "families" / name / "explorer"
    assert sorted(listed) == sorted(path.name for path in folder.glob("*.js"))


# --- what a family adds ---------------------------------------------------------------------------

SCRIPT = """
const range = (n) => "a name of the page, too";
async function drawDots(target, { weights }) {
  if (!weights) return false;
  await plot(target, [{ type: "scatter", mode: "markers", x: [1, 2], y: listOf(weights.spread) }],
      {}, "Dots");
  return true;
}
family({
  words: { "data.density": "how dense", loss: "the loss <b>" }, columns: ["status"],
  cards: [{ name: "dots", title: "Dots", draw: drawDots, moves: true, across: true }],
  metrics: () => [{ name: "twice", label: "twice the number", kind: "number",
      value: (model) => 2 * model }],
  begin: () => ({ metric: "twice" }),
      sizes: ({ spread }) => `two numbers, ${spread.shape[1]} of them`,
});
window.inside = { arraysOf, RUN };
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package outside of superpos that holds a script."""
    folder = tmp_path / "a_family_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "dots.js").write_text(SCRIPT)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder.name
    sys.modules.pop(folder.name, None)


def spread_parts(run: Run, models: parts.Models) -> Iterator[parts.Part]:
    """Weights with two numbers that follow from them, and an array of names in a kind of its
    own.
    """

    def spread(_: parts.Models, tensors: parts.Tensors) -> parts.Arrays:
        return {
            "spread": np.stack((tensors["b"].min(-1), tensors["b"].max(-1)), -1).astype(np.float32)
        }

    def names(rows: parts.Models) -> parts.Arrays:
        return {"name": parts.Coded((rows % 2).astype(np.uint8), ["even", "odd"])}

    yield parts.weights(run, models, spread)
    yield parts.sized("names", models, names)


@in_a_browser
def test_a_family_adds_cards_metrics_and_words(
    explore: Callable[..., Explorer], of_family: Callable[..., Run], package: str, tmp_path: Path
) -> None:
    constants: dict[str, Any] = {"answer": 42}
    added = Added(scripts=(f"{package}:dots.js",), parts=spread_parts, constants=lambda: constants)
    run = of_family(added)
    explorer = explore(report.write(run, tmp_path / "added.html"))
    assert explorer.ask("state")["metric"] == "twice"
    (heat, *_) = explorer.drawn("map", "map-card")
    assert set(np.ravel(heat["z"])) <= {2 * model for model in run.table.index}
    dots = explorer.drawn("dots")[0]
    b = run.weights(explorer.model)["b"]
    np.testing.assert_allclose(dots["y"], [b.min(), b.max()], atol=1e-3)
    assert explorer.find("weights").count() == 0  # the family's cards stand in its place
    expect(explorer.find("summary")).to_contain_text("two numbers, 2 of them")
    expect(explorer.find("summary")).to_contain_text("how dense (2)")
    expect(explorer.find("detail")).to_contain_text("the loss <b>")
    assert set(explorer.ask("weights", explorer.model)) == {"W", "b"}  # what was trained
    name = explorer.page.evaluate("model => inside.arraysOf('names', model)", explorer.model)[
        "name"
    ]
    assert name["names"][name["values"][0]] == ["even", "odd"][explorer.model % 2]
    assert explorer.page.evaluate("inside.RUN.constants.answer") == 42
    # the page's own, whatever the script calls so
    assert explorer.page.evaluate("range(2)") == [0, 1]


def test_what_a_family_adds_has_a_share_of_the_budget() -> None:
    """Of 60 bytes 10 go to rows; then for the best model weights and graph; then rows are there;
    weights of others.
    """

    def part(kind: str, size: int) -> parts.Part:
        return parts.Part(kind, np.arange(5), size, lambda rows: {"x": rows})

    best = np.isin(np.arange(5), [4])
    found = parts.fit(
        [part("rows", 2), part("weights", 10), part("dots", 5), part("snapshots", 9)],
        best,
        60 * 4 / 3,
    )
    rows, weights, dots, snapshots = (kept.models.tolist() for kept in found)
    assert (rows, snapshots) == ([0, 1, 2, 3, 4], [4])
    assert (weights, dots) == ([0, 1, 4], [0, 4])
    assert parts.left_out(found) == [
        "weights of 2 of 5 models",
        "snapshots of 4 of 5 models",
        "dots of 3 of 5 models",
    ]


# --- a family that is not known -------------------------------------------------------------------


def test_a_run_of_an_unknown_family_is_refused(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "family", None)
    run = superpos.load(path)
    with pytest.raises(SuperposError, match="which this program does not know") as refused:
        report.write(run, tmp_path / "page.html")
    assert refused.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_the_data_of_a_page_need_no_matplotlib(path: Path) -> None:
    """Only its colours are those of the figures."""
    script = f"""
import sys, superpos
from superpos.report import page_data
from superpos.report.pack import Pack
page_data.content(superpos.load({str(path)!r}), Pack(), 1e6)
assert "superpos.families.tms.explorer.theory" in sys.modules
print(*(name for name in sys.modules if name.startswith("matplotlib")))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
