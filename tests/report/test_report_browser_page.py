"""The explorer as a page: table and export, access, hostile input, sizes."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import DESKTOP, Tab, chromium
from explorer import Explorer
from playwright.sync_api import Browser, expect

import superpos
from superpos import report
from superpos.store import Run

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None and not REQUIRED, reason="Chromium is not here"),
]
NARROW = (390, 800)


FILTERS: dict[str, Callable[[pd.DataFrame], Any]] = {
    ("data.density<=0.1 loss<0.0123"): lambda table: (
        (table["data.density"] <= 0.1) & (table["loss"] < 0.0123)
    ),
    ("importance.last=10 seed>0"): lambda table: (
        (table["importance.last"] == 10) & (table["seed"] > 0)
    ),
    "best": lambda table: table.index.isin(
        table.groupby(["importance.last", "data.density"])["loss"].idxmin()
    ),
    "status=diverged": lambda table: table["status"] == "diverged",
    "geometry~digon": lambda table: table["geometry"].str.contains("digon"),
    "": lambda table: table["seed"] >= 0,
}


def test_filter_sort_and_export(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    run, explorer = runs("phases"), explore("phases")
    by_loss = explorer.find("table").get_by_role("columnheader", name="loss", exact=True)
    while by_loss.get_attribute("aria-sort") != "descending":
        by_loss.get_by_role("button").click()
        explorer.settle()
    for words, wanted in FILTERS.items():
        expected = run.table[wanted(run.table)].sort_values("loss", ascending=False, kind="stable")
        explorer.find("filter").fill(words)
        explorer.settle()
        expect(explorer.find("rows-shown")).to_contain_text(f"{len(expected)} of {len(run.table)}")
        assert explorer.ask("rows") == expected.index.tolist()
        rows = explorer.find("table").locator("tbody tr[data-model]")
        shown = rows.evaluate_all("rows => rows.map(row => Number(row.dataset.model))")
        assert shown == expected.index.tolist()
        assert_same_table(pd.read_csv(download(explorer)), expected)


def download(explorer: Explorer) -> Path:
    """The file that the button saves."""
    with explorer.page.expect_download() as saved:
        explorer.find("export").click()
    assert saved.value.suggested_filename.endswith(".csv")
    return saved.value.path()


def assert_same_table(exported: pd.DataFrame, expected: pd.DataFrame) -> None:
    """The exported rows are those of the run, in the same order; text as text, numbers to
    float32.
    """
    assert exported["model"].tolist() == expected.index.tolist()
    assert set(exported) <= set(expected)
    assert {
        "loss",
        "d_star",
        "geometry",
        "status",
        "seed",
        "importance.last",
        "data.density",
    } <= set(exported)
    for column in exported if len(expected) else []:
        if pd.api.types.is_numeric_dtype(expected[column]):
            wanted = expected[column].to_numpy(dtype=np.float64, na_value=np.nan)
            np.testing.assert_allclose(
                exported[column].astype(float), wanted, rtol=1e-6, err_msg=column
            )
        else:
            assert exported[column].fillna("").tolist() == expected[column].fillna("").tolist(), (
                column
            )


def test_a_row_of_the_table_is_a_link_to_its_model(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    explorer = explore("line")
    row = explorer.find("table").locator("tbody tr[data-model]").nth(4)
    row.click()
    explorer.settle()
    assert str(explorer.model) == row.get_attribute("data-model")


@pytest.mark.parametrize(
    ("name", "scheme"),
    [("phases", "light"), ("line", "dark"), ("cube", "light"), ("neurons", "dark")],
)
def test_accessible_on_any_screen(explore: Callable[..., Explorer], name: str, scheme: str) -> None:
    """axe-core finds nothing (names of controls, contrast, headings, roles), and no screen scrolls
    sideways.
    """
    explorer = explore(name, scheme=scheme)
    assert explorer.page.evaluate("document.documentElement.dataset.theme") == scheme
    explorer.ask("pin", explorer.model)
    explorer.settle()
    for size in (DESKTOP, NARROW):
        explorer.page.set_viewport_size({"width": size[0], "height": size[1]})
        explorer.settle()
        found = Axe().run(explorer.page)
        assert not found.violations_count, found.generate_report()
        assert explorer.page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_the_theme_changes(explore: Callable[..., Explorer]) -> None:
    explorer = explore("line")
    colours = []
    for _ in range(3):
        colours.append(explorer.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        explorer.find("theme").click()
        explorer.settle()
    assert colours[0] == colours[2] != colours[1]


def test_every_control_can_be_reached_by_keyboard(explore: Callable[..., Explorer]) -> None:
    explorer = explore("line")
    wanted = {"theme", "metric", "map", "time", "play", "pin", "copy", "filter", "export"}
    seen, unseen = set(), []
    for _ in range(120):
        explorer.page.keyboard.press("Tab")
        name, outline = explorer.page.evaluate(
            """() => {
                const {outlineStyle, boxShadow} = getComputedStyle(document.activeElement);
                return [document.activeElement.dataset.testid, outlineStyle !== "none" ||
                    boxShadow !== "none"];
            }"""
        )
        seen.add(name)
        if name in wanted and not outline:
            unseen.append(name)
        if seen >= wanted:
            break
    assert seen >= wanted, wanted - seen
    assert not unseen


def test_three_dimensions_and_neurons(explore: Callable[..., Explorer]) -> None:
    assert {trace["type"] for trace in explore("cube").drawn("directions")} <= {
        "scatter3d",
        "mesh3d",
        "cone",
    }
    neurons = explore("neurons").find("detail").get_by_test_id("neurons")
    expect(neurons.locator(".main-svg").first).to_be_visible()


HIDDEN_RELU = [
    "name=hidden",
    "model.n_features=4",
    "model.n_hidden=3",
    "model.hidden=relu",
    "train.steps=50",
]


@pytest.mark.parametrize(
    ("tied", "names", "title"),
    [(True, ("W", "W"), "WᵀW and b"), (False, ("W2", "W1"), "W₂W₁ᵀ and b")],
)
def test_a_hidden_relu_is_left_out_of_the_matrix(
    explore: Callable[..., Explorer], tmp_path: Path, tied: bool, names: tuple[str, str], title: str
) -> None:
    """Row i, column j: the sum over neurons k of W2[i, k] W1[j, k], its b beside it; the card says
    what is left out.
    """
    run = superpos.train(
        [*HIDDEN_RELU, f"model.tied={str(tied).lower()}", "engine.threads=1"], out=tmp_path
    )
    explorer = explore(report.write(run))
    weights = run.weights(0)
    out, into = (weights[name] for name in names)
    matrix, bias = explorer.drawn("matrix")
    assert matrix["z"][2][1] == pytest.approx(
        sum(out[2, k] * into[1, k] for k in range(3)), abs=5e-3
    )
    np.testing.assert_allclose(matrix["z"], out @ into.T, atol=5e-3)
    np.testing.assert_allclose(np.ravel(bias["z"]), weights["b"], atol=2e-3)
    card = explorer.find("detail").locator(".card.matrix")
    expect(card.get_by_role("heading")).to_have_text(title)
    expect(card.locator(".note")).to_contain_text("hidden ReLU left out")


@pytest.mark.parametrize(
    ("ticks", "texts"),
    [
        ([0.0001, 0.01, 1], ["0.0001", "0.01", "1"]),
        (
            [0.00001, 0.0003, 1],
            ["10<sup>\N{MINUS SIGN}5</sup>", "3×10<sup>\N{MINUS SIGN}4</sup>", "10<sup>0</sup>"],
        ),
        ([1000, 250000], ["10<sup>3</sup>", "2.5×10<sup>5</sup>"]),
    ],
)
def test_an_axis_has_one_notation(
    explore: Callable[..., Explorer], ticks: list[float], texts: list[str]
) -> None:
    assert explore("alone").page.evaluate("ticks => tickTexts(ticks)", ticks) == texts


def test_what_diverged_is_listed(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    run, explorer = runs("mixed"), explore("mixed")
    diverged = run.table.index[run.table["status"] == "diverged"]
    assert len(diverged)
    for model in diverged:
        expect(explorer.find("diverged")).to_contain_text(str(model))
        explorer.ask("select", int(model))
        explorer.settle()
        assert explorer.model == model
        assert explorer.ask("row", int(model))["status"] == "diverged"


def test_large_seeds_are_exact(explore: Callable[..., Explorer]) -> None:
    explorer = explore("alone")
    expect(explorer.find("detail").get_by_test_id("command")).to_contain_text(
        "seed=18446744073709551615"
    )
    assert "18446744073709551615" in explorer.ask("csv")


def test_the_command_trains_the_same_model(
    explore: Callable[..., Explorer], runs: Callable[[str], Run], tmp_path: Path
) -> None:
    run, explorer = runs("cube"), explore("cube")
    text = explorer.find("detail").get_by_test_id("command").inner_text()
    words = shlex.split(text)
    assert words[:2] == ["superpos", "train"]
    alone = superpos.train([*words[2:], "engine.threads=1"], out=tmp_path)
    assert len(alone.table) == 1
    np.testing.assert_array_equal(alone.weights(0)["W"], run.weights(explorer.model)["W"])


def test_hostile_names_are_text(explore: Callable[..., Explorer], tmp_path: Path) -> None:
    """What ends an element, opens one, or ends a string is shown as it stands, wherever a user can
    write it.
    """
    words = (
        "</script><script>hacked=1</script><img src=x onerror=hacked=1>"
        """\"'`${hacked=1}<!--&lt;]]>\\u2028"""
    )
    run = superpos.train(
        ["name=hostile", "train.steps=0", "engine.threads=1"], out=tmp_path / words
    )
    run.manifest |= {
        "command": ["superpos", "train", words, "\u2028</SCRIPT >"],
        "reasons": [words],
    }
    run.manifest["machine"] = dict.fromkeys(run.manifest["machine"], words)
    page = report.write(run, tmp_path / "a & b #1%20?.html")
    explorer = explore(page)
    assert explorer.page.evaluate("typeof hacked") == "undefined"
    assert explorer.page.locator("img").count() == 0
    expect(explorer.find("provenance")).to_contain_text(words)


def test_what_does_not_fit_is_left_out_and_named(
    explore: Callable[..., Explorer], runs: Callable[[str], Run], tmp_path: Path
) -> None:
    run = runs("phases")
    whole = len(report.page(run).encode())
    page = report.write(run, tmp_path / "small.html", budget=whole - 4000)
    assert page.stat().st_size < whole
    explorer = explore(page)
    expect(explorer.find("left-out")).to_be_visible()
    missing = [model for model in run.table.index if explorer.ask("weights", int(model)) is None]
    assert missing
    explorer.ask("select", missing[0])
    explorer.settle()
    assert explorer.model == missing[0]
    assert float(explorer.shown("loss")) == pytest.approx(
        run.table.loc[missing[0], "loss"], rel=1e-6
    )


def test_an_unfinished_run_says_so(explore: Callable[..., Explorer], tmp_path: Path) -> None:
    words = [
        "name=half",
        "model.n_features=3,4",
        "model.n_hidden=2",
        "train.steps=0",
        "engine.threads=1",
    ]
    run = superpos.train(words, out=tmp_path, shard=(0, 2))
    assert 0 < len(run.table) < run.n_models
    explorer = explore(report.write(run, tmp_path / "half.html"))
    expect(explorer.find("incomplete")).to_be_visible()
    assert explorer.model in run.table.index


def test_25000_models(
    explore: Callable[..., Explorer],
    runs: Callable[[str], Run],
    record_property: Callable[[str, object], None],
) -> None:
    run = runs("large")
    assert len(run.table) == 25_000
    size = (run.path / "report.html").stat().st_size
    assert size < 20_000_000
    explorer = explore("large")
    milliseconds = explorer.page.evaluate(
        "performance.getEntriesByName('ready')[0]?.startTime ?? performance.now()"
    )
    record_property("bytes", size)
    record_property("milliseconds to open", milliseconds)
    # the page does not lay out what nobody sees
    assert explorer.find("table").locator("tbody tr").count() < 1000
    explorer.select(17_325)
    assert explorer.model == explorer.ask("best", 17_325)
    explorer.find("filter").fill("best loss<0.1")
    explorer.settle()
    best = run.by_setting()
    assert len(explorer.ask("rows")) == (best["loss_best"] < 0.1).sum()


@pytest.mark.parametrize(
    "bad",
    [
        "<img src='https://example.org/a.png'>",
        "<link rel=stylesheet href=style.css>",
        "<script>fetch('https://example.org/').catch(() => 0)</script>",
        "<script>console.warn('deprecated')</script>",
        "<script>undefined.x</script>",
    ],
)
def test_a_tab_remembers_what_went_wrong(browser: Browser, tmp_path: Path, bad: str) -> None:
    (tmp_path / "bad.html").write_text(f"<!DOCTYPE html><title>bad</title>{bad}")
    tab = Tab(browser)
    tab.open(tmp_path / "bad.html").wait_for_load_state("networkidle")
    with pytest.raises(AssertionError):
        tab.close()
