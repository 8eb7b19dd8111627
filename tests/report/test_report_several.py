"""Several runs on one page: what it holds, how they compare, and the way from one to another in a
real browser.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import DESKTOP, Tab, chromium
from explorer import Explorer, assert_shows
from playwright.sync_api import Browser, expect
from typer.testing import CliRunner, Result

import superpos
from superpos import report
from superpos.cli import app
from superpos.errors import ConfigError
from superpos.report.side_by_side import labels, side_by_side
from superpos.store import Run

pytestmark = pytest.mark.slow

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
in_a_browser = pytest.mark.skipif(
    chromium() is None and not REQUIRED, reason="Chromium is not here"
)
SMALL = ["train.steps=30", "train.batch_size=32", "engine.backend=reference", "engine.threads=1"]
TOYS = [*SMALL, "model.n_features=4", "model.n_hidden=2"]
OVERRIDES = {
    "first": [
        *TOYS,
        "data.density=1,0.3,0.1",
        "importance.last=1,2",
        "seed=0,1",
        "record.snapshots=2",
    ],
    "second": [
        *TOYS,
        "data.density=0.3,0.1,0.03",
        "importance.last=2,4",
        "seed=1,2",
        "train.lr=0.01",
    ],
    "codes": [
        *SMALL,
        "family=sae",
        "world.n_features=4",
        "world.n_dims=2",
        "world.active=0.5",
        "sae.latents=3,6",
    ],
}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two sweeps that share settings, and one of another family."""
    out = tmp_path_factory.mktemp("runs")
    return [superpos.train([f"name={name}", *words], out=out) for name, words in OVERRIDES.items()]


@pytest.fixture(scope="module")
def several(three: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write(three, tmp_path_factory.mktemp("pages") / "several.html")


@pytest.fixture
def opened(explore: Callable[..., Explorer], several: Path) -> Callable[..., Explorer]:
    return lambda fragment="": explore(several, fragment)


def held(page: str) -> dict[str, Any]:
    """The JSON of a page by the ids of its elements."""
    found = re.findall(r'<script type="application/json" id="([^"]*)">(.*?)</script>', page)
    return {name: json.loads(text) for name, text in found}


def same_setting(run: Run, model: int, other: Run) -> int:
    """The model of another run that has the settings and the seed of one of this."""
    rows = other.table
    for key in ("data.density", "importance.last", "seed"):
        rows = rows[rows[key] == run.table.loc[model, key]]
    return int(rows.index[0])


# --- what the page holds --------------------------------------------------------------------------


def test_the_page_of_one_run_compares_nothing(three: list[Run]) -> None:
    page = report.page(three[0])
    assert held(page).keys() == {"palette", "run"}
    assert report.page([three[0]]) == page


def test_every_run_stands_in_the_page(three: list[Run]) -> None:
    found = held(report.page(three))
    assert [found[name]["name"] for name in ("run", "run-1", "run-2")] == [
        "first",
        "second",
        "codes",
    ]
    arrays = [
        part["models"]["array"]
        for name in ("run", "run-1", "run-2")
        for part in found[name]["parts"]["rows"]
    ]
    assert len(set(arrays)) == 3  # no array of one is taken for that of another
    assert all(found[name]["omitted"] == [] for name in ("run", "run-1", "run-2"))


def test_the_runs_are_compared(three: list[Run]) -> None:
    rows = side_by_side(three)
    assert [row["label"] for row in rows] == ["first", "second", "codes"]
    assert rows[0]["differs"]["data.density"] == "1, 0.3, 0.1"
    assert rows[1]["differs"]["data.density"] == "0.3, 0.1, 0.03"
    assert rows[1]["differs"]["train.lr"] == "0.01"
    assert "model.n_features" not in rows[0]["differs"]  # both have the same
    assert "world.n_features" not in rows[2]["differs"]  # no other run has it
    for row, run in zip(rows, three, strict=True):
        assert row["best"] == pytest.approx(run.table["loss"].min(), rel=1e-6)
        assert row["median"] == pytest.approx(run.table["loss"].median(), rel=1e-6)
        assert (row["models"], row["finished"], row["digest"]) == (
            run.n_models,
            len(run.table),
            run.digest(),
        )
    counts = three[0].table["geometry"].value_counts()
    assert all(counts[name] == times for name, times in rows[0]["found"])


def test_labels_tell_runs_apart(three: list[Run], tmp_path: Path) -> None:
    """Names, else names with ids, else folders."""
    first, second, _ = three
    assert labels([first, second]) == ["first", "second"]
    words = [*OVERRIDES["second"], "name=first"]
    namesake = superpos.train(words, out=tmp_path)
    assert labels([first, namesake]) == [f"first {run.path.name}" for run in (first, namesake)]
    copied = superpos.train([f"name={first.name}", *OVERRIDES["first"]], out=tmp_path / "copy")
    assert labels([first, copied]) == [str(first.path), str(copied.path)]


def test_what_a_small_run_leaves_a_large_one_may_take(three: list[Run]) -> None:
    """Where not all fits, something of the larger run is left out, nothing of the smaller."""
    large, _, small = three
    whole = len(report.page([large, small]).encode())
    page = report.page([large, small], budget=whole - 4000)
    assert len(page.encode()) < whole
    assert held(page)["run-1"]["omitted"] == []
    assert held(page)["run"]["omitted"] != []


def test_a_notebook_shows_several_runs(three: list[Run], tmp_path: Path) -> None:
    explorer = three[0].report(three[1])
    assert "run-1" in explorer._repr_html_()
    assert held(explorer.write(tmp_path / "page.html").read_text()).keys() == {
        "palette",
        "runs",
        "run",
        "run-1",
    }
    with pytest.raises(ConfigError, match="of several runs a file FILE"):
        explorer.write()


# --- the command ----------------------------------------------------------------------------------


def cli(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)], prog_name="superpos")


def test_the_command_writes_one_page(three: list[Run], several: Path, tmp_path: Path) -> None:
    done = cli(*(run.path for run in three), "--to", tmp_path / "page.html")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'page.html'}\n")
    assert (tmp_path / "page.html").read_bytes() == several.read_bytes()


def test_an_incomplete_run_among_others_is_named(three: list[Run], tmp_path: Path) -> None:
    half = superpos.train(
        ["name=half", *SMALL, "model.n_features=3,4"], out=tmp_path / "runs", shard=(0, 2)
    )
    done = cli(three[0].path, half.path, "--to", tmp_path / "page.html")
    assert done.exit_code == 0
    assert f"{half.path} is incomplete: 1 of 2 models are shown" in done.stderr
    assert str(three[0].path) not in done.stderr
    empty = superpos.train(
        ["name=none", *SMALL, "model.n_features=3,4"], out=tmp_path / "runs", shard=(2, 3)
    )
    done = cli(three[0].path, empty.path, "--to", tmp_path / "other.html")
    assert (done.exit_code, (tmp_path / "other.html").exists()) == (4, False)
    assert f"{empty.path} has no finished models" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["RUN", "OTHER"], "--to: got nothing; allowed: of several runs a file FILE.html"),
        (["RUN", "OTHER", "--to", "TMP"], "allowed: of several runs a file FILE.html"),
        (["RUN", "OTHER", "--to", "TMP/page.png"], "allowed: of several runs a file FILE.html"),
        (["RUN", "OTHER", "RUN", "--to", "TMP/page.html"], "twice; allowed: every run once"),
        (["RUN", "NAME", "--to", "TMP/page.html"], "twice; allowed: every run once"),
        (["RUN", "TMP/nowhere", "--to", "TMP/page.html"], "nowhere does not exist"),
    ],
)
def test_what_cannot_be_a_page_is_refused(
    three: list[Run], tmp_path: Path, arguments: list[str], says: str
) -> None:
    places = {
        "RUN": str(three[0].path),
        "OTHER": str(three[1].path),
        "NAME": str(three[0].path.parent),
    }
    done = cli(*(places.get(word, word.replace("TMP", str(tmp_path))) for word in arguments))
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# --- in a browser ---------------------------------------------------------------------------------


def choose(explorer: Explorer, run: str) -> None:
    explorer.find("run").select_option(label=run)
    explorer.settle()


@in_a_browser
def test_every_run_is_shown_as_it_is(opened: Callable[..., Explorer], three: list[Run]) -> None:
    """In any order, and again after another one."""
    explorer = opened()
    for run in (*three, *reversed(three)):
        choose(explorer, run.name)
        assert explorer.ask("run") == run.name
        expect(explorer.page.get_by_role("heading", level=1)).to_have_text(run.name)
        assert explorer.page.title() == f"{run.name} · superpos"
        assert explorer.find("table").locator("tbody tr").count() == len(run.table)
        model = int(run.table.index[-1])
        explorer.ask("select", model)
        explorer.settle()
        assert float(explorer.shown("loss")) == pytest.approx(
            run.table.loc[model, "loss"], rel=1e-6
        )
        if run.name != "codes":
            assert_shows(explorer, run, model)
        for name, value in explorer.ask("weights", model).items():
            np.testing.assert_allclose(value, run.weights(model)[name], rtol=2e-3, atol=1e-5)
        marked = explorer.find("runs").locator("a[aria-current]")
        expect(marked).to_have_text(run.name)


@in_a_browser
def test_what_is_looked_at_is_kept(opened: Callable[..., Explorer], three: list[Run]) -> None:
    """The same model where the other run has it; where not, its setting's values as far as they go;
    and the view.
    """
    first, second, _ = three
    explorer = opened()
    rows = first.table
    shared = rows[
        (rows["data.density"] == 0.1) & (rows["importance.last"] == 2) & (rows["seed"] == 1)
    ]
    pinned = rows[
        (rows["data.density"] == 0.3) & (rows["importance.last"] == 2) & (rows["seed"] == 1)
    ]
    explorer.ask("select", int(shared.index[0]))
    explorer.ask(
        "set", {"pin": int(pinned.index[0]), "metric": "d_star", "x": 1, "y": 0, "theme": "dark"}
    )
    explorer.ask("set", {"filter": "best", "sort": "-loss", "theory": False})
    explorer.settle()
    choose(explorer, "second")
    state = explorer.ask("state")
    assert state["model"] == same_setting(first, int(shared.index[0]), second)
    assert state["pin"] == same_setting(first, int(pinned.index[0]), second)
    kept = {name: state[name] for name in ("metric", "x", "y", "theme", "filter", "sort", "theory")}
    assert kept == {
        "metric": "d_star", "x": 1, "y": 0, "theme": "dark", "filter": "best", "sort": "-loss",
        "theory": False,
    }  # fmt: skip
    rows = second.table
    lacking = rows[
        (rows["data.density"] == 0.1) & (rows["importance.last"] == 4) & (rows["seed"] == 2)
    ]
    explorer.ask("set", {"model": int(lacking.index[0]), "pin": int(lacking.index[0])})
    explorer.settle()
    choose(explorer, "first")
    assert explorer.ask("row", explorer.model)["data.density"] == 0.1
    assert explorer.model == explorer.ask("best", explorer.model)  # it lacks the seed
    assert explorer.ask("state")["pin"] is None


@in_a_browser
def test_the_address_names_the_run(opened: Callable[..., Explorer], three: list[Run]) -> None:
    explorer = opened("#run=second&model=5&metric=loss")
    assert (explorer.ask("run"), explorer.model) == ("second", 5)
    assert explorer.fragment().startswith("#run=second&")
    explorer.page.evaluate("location.hash = '#run=first&model=3'")
    explorer.settle()
    assert (explorer.ask("run"), explorer.model) == ("first", 3)
    explorer.page.evaluate("location.hash = '#run=first&model=4'")
    explorer.settle()
    assert (explorer.ask("run"), explorer.model) == ("first", 4)
    explorer.page.evaluate("location.hash = '#run=nobody&model=2'")
    explorer.settle()
    assert (explorer.ask("run"), explorer.model) == ("first", 2)
    explorer.find("runs").get_by_role("link", name="codes").click()
    explorer.settle()
    assert explorer.ask("run") == "codes"
    assert "run=codes" in explorer.fragment()
    explorer.page.reload()
    explorer.settle()
    assert explorer.ask("run") == "codes"


@in_a_browser
def test_a_run_without_room_says_so(browser: Browser, three: list[Run], tmp_path: Path) -> None:
    tab = Tab(browser)
    tab.open(report.write(three, tmp_path / "tight.html", budget=1))
    expect(tab.page.get_by_test_id("fault")).to_contain_text(
        "first cannot be shown: Error: no model of it has room"
    )
    tab.page.get_by_test_id("run").select_option(label="second")
    expect(tab.page.get_by_test_id("fault")).to_contain_text("second cannot be shown")
    with pytest.raises(AssertionError, match="console error"):
        tab.close()


@in_a_browser
def test_the_last_of_many_choices_is_shown(
    opened: Callable[..., Explorer], three: list[Run]
) -> None:
    """Runs and models chosen faster than they are drawn; nothing of one is left in the view of
    another.
    """
    explorer = opened()
    explorer.page.evaluate(
        """async () => {
            const labels = superpos.runs(),
                wait = (ms) => new Promise((done) => setTimeout(done, ms));
            for (let i = 0; i < 30; i++) {
                superpos.open(labels[i % 3]);
                superpos.select(i % 2);
                if (i % 4 === 0) location.hash = `#run=${labels[(i + 1) % 3]}&model=1`;
                dispatchEvent(new Event("resize"));
                await wait(i * 2);
            }
            superpos.open(labels[1]);
        }"""
    )
    explorer.settle()
    assert explorer.ask("run") == "second"
    assert explorer.find("fault").count() == 0
    assert_shows(explorer, three[1], explorer.model)
    assert explorer.page.locator("#detail").count() == 1


@in_a_browser
def test_a_run_that_is_damaged_is_named_and_the_others_are_shown(
    browser: Browser, several: Path, tmp_path: Path
) -> None:
    text = several.read_text(encoding="utf-8")
    torn = held(text)["run-1"]["parts"]["rows"][0]["models"]["array"]
    pattern = rf'(id="array-{torn}">)([^<]*)(</script>)'
    page = tmp_path / "torn.html"
    page.write_text(
        re.sub(pattern, lambda found: found[1] + found[2][:20] + found[3], text), encoding="utf-8"
    )
    tab = Tab(browser)
    explorer = Explorer(tab, page)
    explorer.find("run").select_option(label="second")
    expect(explorer.find("fault")).to_contain_text(
        "second cannot be shown: Error: this file is damaged"
    )
    choose(explorer, "first")
    assert explorer.find("fault").count() == 0
    assert explorer.model is not None
    with pytest.raises(AssertionError, match="console error"):
        tab.close()


@pytest.fixture
def framed(browser: Browser, several: Path, tmp_path: Path) -> Iterator[Any]:
    """The page in a sandboxed frame, as notebooks have it: without an address or an origin."""
    inner = escape(several.read_text(encoding="utf-8"))
    outer = tmp_path / "outer.html"
    frame = f'<iframe sandbox="allow-scripts" width="1200" height="700" srcdoc="{inner}"></iframe>'
    outer.write_text(
        f"<!DOCTYPE html><html lang=en><title>outer</title>{frame}</html>", encoding="utf-8"
    )
    tab = Tab(browser)
    yield tab.open(outer).frames[1]
    tab.close()


@in_a_browser
def test_runs_are_chosen_without_an_address(framed: Any) -> None:
    settled = "(({ready, busy}) => ready && busy !== 'true')(document.documentElement.dataset)"
    framed.wait_for_function(settled)
    for run in ("codes", "second"):
        framed.get_by_test_id("runs").get_by_role("link", name=run).click()
        framed.wait_for_function(settled)
        assert framed.evaluate("superpos.run()") == run
    assert framed.get_by_test_id("fault").count() == 0


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_of_several_runs_is_accessible(
    explore: Callable[..., Explorer], several: Path, scheme: str
) -> None:
    explorer = explore(several, scheme=scheme)
    for width, height in (DESKTOP, (390, 800)):
        explorer.page.set_viewport_size({"width": width, "height": height})
        explorer.settle()
        found = Axe().run(explorer.page)
        assert not found.violations_count, found.generate_report()
        assert explorer.page.evaluate("document.documentElement.scrollWidth") <= width
