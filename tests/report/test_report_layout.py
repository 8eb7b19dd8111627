"""The explorer on screens of any width and on paper: nothing is cut off, of every kind of page."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from browser import chromium
from explorer import Explorer

import superpos
from superpos import report
from superpos.families.tms import geometry, metrics
from superpos.store import Run

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None and not REQUIRED, reason="Chromium is not here"),
]
QUICK = ["engine.threads=1", "engine.backend=reference", "train.batch_size=64"]
KINDS = ["phases", "cube", "line", "alone", "codes", "several"]
WIDTHS = (1280, 800, 390)
PAPER = 700  # pixels of what is printed

# What sticks out of the page, or out of the card in which it stands, where that does not scroll.
CUT_OFF = """
() => [...document.querySelectorAll("main .card *, header *, #runs-card *")].filter((element) => {
    const {left, right, width} = element.getBoundingClientRect();
    const apart = "svg, .scroll, #spoken, .js-plotly-plot .plot-container";
    if (!width || element.closest(apart)) return false;
    const card = element.closest(".card, header").getBoundingClientRect();
    return left < card.left - 1 || right > card.right + 1;
}).map((element) => element.outerHTML.slice(0, 120))
"""
# Rows of controls whose fields do not stand on one line.
RAGGED = """
() => [...document.querySelectorAll("#choices")].flatMap((place) => {
    const selects = [...place.querySelectorAll("select")];
    const boxes = selects.map((select) => select.getBoundingClientRect());
    const edges = new Set(boxes.map(({left}) => Math.round(left)));
    const columns = getComputedStyle(place).gridTemplateColumns.split(" ").length;
    return edges.size > columns ? [...edges] : [];
})
"""
PLOTS = """
() => [...document.querySelectorAll("#main .js-plotly-plot")].filter(
    ({offsetParent}) => offsetParent
).map((plot) => {
    const inside = plot.querySelector(".main-svg").getBoundingClientRect();
    const card = plot.closest(".card").getBoundingClientRect();
    return [inside.left >= card.left && inside.right <= card.right, inside.width];
})
"""


@pytest.fixture(scope="module")
def page(
    runs: Callable[[str], Run], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The page of a kind."""
    several = tmp_path_factory.mktemp("pages") / "several.html"

    def path(kind: str) -> Path:
        if kind != "several":
            return runs(kind).path / "report.html"
        return report.write([runs("phases"), runs("codes"), runs("line")], several)

    return path


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_cut_off_on_any_screen(
    explore: Callable[..., Explorer], page: Callable[[str], Path], kind: str
) -> None:
    """Opened at a width, and made as narrow later; every cell of the map can be seen and
    clicked.
    """
    for widths in (WIDTHS, *([WIDTHS[-1:]] if kind == "phases" else [])):
        explorer = explore(page(kind), size=(widths[0], 800))
        for width in widths:
            explorer.page.set_viewport_size({"width": width, "height": 800})
            explorer.page.wait_for_function(
                "Math.abs(document.querySelector('#map .main-svg').getBoundingClientRect().width"
                " - document.getElementById('map').clientWidth) < 2"
            )
            explorer.settle()
            assert explorer.page.evaluate("document.documentElement.scrollWidth") <= width
            assert explorer.page.evaluate(CUT_OFF) == []
            assert explorer.page.evaluate(RAGGED) == []
            box = explorer.find("map").bounding_box()
            assert box
            places = [explorer.ask("place", model) for model in explorer.ask("rows")]
            shown = [place for place in places if place is not None]
            assert shown
            for place in shown:
                assert box["x"] < place["x"] < box["x"] + box["width"] <= width
                assert box["y"] < place["y"] < box["y"] + box["height"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_printed_fits_paper(
    explore: Callable[..., Explorer], page: Callable[[str], Path], kind: str
) -> None:
    """Light colours, plots as wide as paper has room for, no controls; afterwards the screen is as
    it was.
    """
    explorer = explore(page(kind), scheme="dark")
    before = explorer.page.evaluate(PLOTS)
    # the browser prints what is there then
    explorer.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert explorer.page.evaluate("document.documentElement.dataset.theme") == "light"
    plots = explorer.page.evaluate(PLOTS)
    assert len(plots) == len(before)
    assert all(inside and width <= PAPER for inside, width in plots)
    assert explorer.page.evaluate("document.body.scrollWidth") <= PAPER
    assert explorer.page.evaluate(CUT_OFF) == []
    for control in ("theme", "metric", "filter", "pin", "export"):
        assert not explorer.page.get_by_test_id(control).first.is_visible()
    explorer.page.evaluate("dispatchEvent(new Event('afterprint'))")
    explorer.settle()
    assert explorer.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert explorer.page.evaluate(PLOTS) == before
    assert explorer.ask("state")["theme"] == "dark"


def test_the_browser_prints_light_pages(
    explore: Callable[..., Explorer], page: Callable[[str], Path]
) -> None:
    """It says so before it prints, and no page is as wide as the screen."""
    explorer = explore(page("phases"), scheme="dark")
    explorer.page.evaluate(
        """() => {
            window.printed = [];
            new MutationObserver(() => printed.push(document.documentElement.dataset.theme))
                .observe(document.documentElement, {attributeFilter: ["data-theme"]});
        }"""
    )
    assert explorer.page.pdf(format="A4").startswith(b"%PDF")
    explorer.settle()
    assert explorer.page.evaluate("printed") == ["light", "dark"]


def test_the_feature_graph_moves_in_time(explore: Callable[..., Explorer], tmp_path: Path) -> None:
    """Edges and circles of a snapshot are those of its weights."""
    words = [
        "name=graph",
        "model.n_features=6",
        "model.n_hidden=3",
        "train.steps=300",
        "train.lr=0.01",
    ]
    run = superpos.train([*words, "data.density=0.05", "record.snapshots=4", *QUICK], out=tmp_path)
    explorer = explore(report.write(run))
    _, filmed = run.snapshots(0)
    last = metrics.represented(run.weights(0)["W"])
    for frame in (0, 2, len(filmed["W"]) - 1):
        explorer.slide("time", frame)
        W = filmed["W"][frame].astype(float)
        placed = np.flatnonzero(last & metrics.represented(W))
        products = np.abs(W @ W.T)[np.ix_(placed, placed)]
        traces = explorer.drawn("graph")
        drawn = sum(len(trace["x"]) // 3 for trace in traces if trace["x"][2:3] == [None])
        assert drawn == (np.triu(products, 1) > geometry.TAU).sum()
        assert sum(len(trace["x"]) for trace in traces if None not in trace["x"]) == last.sum()
