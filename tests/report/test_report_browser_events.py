"""The explorer under events at any moment, in pages inside other pages, and with a part that cannot
be drawn.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Tab, chromium
from explorer import Explorer
from playwright.sync_api import Browser, Frame, expect
from support.monkey import Monkey

from superpos import report
from superpos.store import Run

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None and not REQUIRED, reason="Chromium is not here"),
]
EVENTS = int(os.environ.get("SUPERPOS_MONKEY", "350"))
"""Random events on all pages together; a release is tried with 10,000."""
AT_ONCE = 250
"""Of them on one page; then it is opened anew, with another seed."""
KINDS = ["phases", "line", "cube", "neurons", "mixed", "codes", "several"]

# Runs in the task in which the page says that it is ready, while its first drawing is still under
# way.
WHEN_READY = """
new MutationObserver((_, observer) => {
    if (document.documentElement.dataset.ready !== "true") return;
    observer.disconnect();
    const map = document.getElementById("map");
    for (const key of KEYS) map.dispatchEvent(new KeyboardEvent("keydown",
        {key, bubbles: true, cancelable: true}));
}).observe(document,
    {subtree: true, childList: true, attributes: true, attributeFilter: ["data-ready"]});
"""
# In every task from the first moment on, whatever is there already.
FROM_THE_START = """
window.left = 60;
const timer = setInterval(() => {
    const keys = ["ArrowRight", "ArrowUp", "p", "]", "ArrowLeft", "ArrowDown", "["];
    const targets = [document, document.getElementById("map"),
        document.activeElement].filter(Boolean);
    const key = keys[left % keys.length], events = {bubbles: true, cancelable: true};
    for (const target of targets) target.dispatchEvent(new KeyboardEvent("keydown",
        {key, ...events}));
    for (const name of ["theme", "play", "pin", "theory"]) document.getElementById(name)?.click();
    dispatchEvent(new Event("resize"));
    if (left % 9 === 0) location.hash = `#model=${left}&feature=1`;
    if (--left === 0) clearInterval(timer);
}, 0);
"""
# Safari throws at the 101st change of the address within 30 seconds.
SAFARI = """
window.changes = [];
const {replaceState} = history;
history.replaceState = function (...words) {
    changes.push(performance.now());
    const recent = changes.filter((time) => time > performance.now() - 30_000);
    if (recent.length > 100) throw new DOMException("more than 100 times per 30 seconds",
        "SecurityError");
    return replaceState.apply(this, words);
};
"""
NO_ADDRESS = """
history.replaceState = () => { throw new DOMException("The operation is insecure.",
    "SecurityError"); };
"""


OF_THE_BROWSER = ("Clipboard API has been blocked", "can escape its sandboxing")
"""What Chromium says of the iframes of these tests; the page copes without a clipboard."""


def assert_alive(explorer: Explorer, run: Run) -> None:
    """Nothing is left undrawn, and every model can still be chosen and is then shown."""
    explorer.settle()
    assert explorer.find("fault").count() == 0
    for model in (int(run.table.index[0]), int(run.table.index[-1])):
        explorer.ask("select", model)
        explorer.settle()
        assert explorer.model == model
        with np.errstate(over="ignore"):  # the loss of a model that diverged
            loss = np.float32(run.table.loc[model, "loss"])
        assert float(explorer.shown("loss")) == pytest.approx(loss, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("name", ["phases", "line", "cube", "alone"])
@pytest.mark.parametrize("keys", [["ArrowRight"], ["ArrowLeft", "p", "]"]])
def test_keys_in_the_task_after_the_page_is_ready(
    browser: Browser, runs: Callable[[str], Run], name: str, keys: list[str]
) -> None:
    tab = Tab(browser)
    tab.page.add_init_script(WHEN_READY.replace("KEYS", str(keys)))
    explorer = Explorer(tab, runs(name).path / "report.html")
    assert_alive(explorer, runs(name))
    tab.close()


@pytest.mark.parametrize("name", ["phases", "line", "neurons"])
def test_events_from_the_first_moment(
    browser: Browser, runs: Callable[[str], Run], name: str
) -> None:
    tab = Tab(browser)
    tab.page.add_init_script(FROM_THE_START)
    explorer = Explorer(tab, runs(name).path / "report.html")
    explorer.page.wait_for_function("left === 0")
    assert_alive(explorer, runs(name))
    tab.close()


def page_of(runs: Callable[[str], Run], name: str, folder: Path) -> tuple[Path, dict[str, Run]]:
    """A page, and its runs by the names that they have on it."""
    if name != "several":
        return runs(name).path / "report.html", {runs(name).name: runs(name)}
    shown = [runs(kind) for kind in ("phases", "codes", "line")]
    return report.write(shown, folder / "several.html"), {run.name: run for run in shown}


@pytest.mark.parametrize(
    ("name", "seed"),
    [(name, seed) for seed in range(-(-EVENTS // (AT_ONCE * len(KINDS)))) for name in KINDS],
)
def test_random_events(
    browser: Browser, runs: Callable[[str], Run], tmp_path: Path, name: str, seed: int
) -> None:
    """Keys, clicks, drags, wheels, other sizes, other runs and other addresses, as fast as they
    come.
    """
    page, shown = page_of(runs, name, tmp_path)
    tab = Tab(browser)
    explorer = Explorer(tab, page)
    Monkey(explorer.page, seed).play(min(AT_ONCE, EVENTS // len(KINDS)))
    explorer.settle()
    assert_alive(explorer, shown[explorer.ask("run") or next(iter(shown))])
    tab.close()


@pytest.mark.parametrize("turns", [-40, 40])
def test_a_view_in_three_dimensions_is_not_zoomed_to_nothing(
    explore: Callable[..., Explorer], turns: int
) -> None:
    explorer = explore("cube")
    view = explorer.find("detail").get_by_test_id("directions")
    view.scroll_into_view_if_needed()
    view.hover()
    for _ in range(abs(turns)):
        explorer.page.mouse.wheel(0, 600 if turns > 0 else -600)
    explorer.page.wait_for_timeout(100)
    eye = view.evaluate("plot => plot._fullLayout.scene._scene.getCamera().eye")
    assert 0.49 < np.hypot(np.hypot(eye["x"], eye["y"]), eye["z"]) < 10.1


def test_what_a_drawing_reads_does_not_change_under_it(explore: Callable[..., Explorer]) -> None:
    """Other axes and other metrics, wanted while a curve or a map is being drawn."""
    explorer = explore("cube")
    explorer.page.evaluate(
        """async () => {
            const metrics = [...document.getElementById("metric").options].map(({value}) => value);
            const {x, y} = superpos.state(),
                wait = (ms) => new Promise((done) => setTimeout(done, ms));
            for (let i = 0; i < 40; i++) {
                const metric = metrics[i % metrics.length], theme = i % 3 ? "dark" : "light";
                superpos.set({x, y: i % 2 ? y : null, metric, theme});
                await wait(i * 3);
            }
        }"""
    )
    explorer.settle()
    assert explorer.find("fault").count() == 0


def test_the_address_is_written_a_few_times_a_second(
    browser: Browser, runs: Callable[[str], Run]
) -> None:
    tab = Tab(browser)
    tab.page.add_init_script(SAFARI)
    explorer = Explorer(tab, runs("line").path / "report.html")
    explorer.page.evaluate(
        """async () => {
            for (let i = 0; i < 100; i++) {
                superpos.set({frame: i % 5});
                await new Promise((done) => setTimeout(done, 5));
            }
        }"""
    )
    explorer.settle()
    times = explorer.page.evaluate("changes")
    assert len(times) > 1
    assert min(later - earlier for earlier, later in pairwise(times)) > 300  # 100 in 30 s
    assert "frame=4" in explorer.fragment()  # the last is written
    assert_alive(explorer, runs("line"))
    tab.close()


def test_playing_goes_on_without_an_address(browser: Browser, runs: Callable[[str], Run]) -> None:
    tab = Tab(browser)
    tab.page.add_init_script(NO_ADDRESS)
    explorer = Explorer(tab, runs("line").path / "report.html")
    explorer.slide("time", 0)
    explorer.find("play").click()
    explorer.page.wait_for_function("superpos.state().frame === null")
    assert_alive(explorer, runs("line"))
    tab.close()


def inside(browser: Browser, page: str, folder: Path) -> tuple[Tab, Frame]:
    """A tab with a document that holds an iframe; returns when the page in it is ready."""
    path = folder / "outer.html"
    path.write_text(
        f"<!DOCTYPE html><html lang=en><title>outer</title>{page}</html>", encoding="utf-8"
    )
    tab = Tab(browser)
    outer = tab.open(path)
    frame = outer.frames[1]
    frame.wait_for_function(
        "(({ready, busy}) => ready && busy !== 'true')(document.documentElement.dataset)"
    )
    return tab, frame


@pytest.mark.parametrize(
    "sandbox", ["", 'sandbox="allow-scripts"', 'sandbox="allow-scripts allow-same-origin"']
)
@pytest.mark.parametrize("name", ["phases", "line"])
def test_a_page_inside_a_page(
    browser: Browser, runs: Callable[[str], Run], tmp_path: Path, sandbox: str, name: str
) -> None:
    """An srcdoc iframe, as notebooks and dashboards make them: no address, maybe no origin."""
    text = (runs(name).path / "report.html").read_text(encoding="utf-8")
    size = 'width="1200" height="700"'
    tab, frame = inside(
        browser, f'<iframe {sandbox} {size} srcdoc="{escape(text)}"></iframe>', tmp_path
    )
    first = frame.evaluate("superpos.state().model")
    frame.get_by_test_id("map").focus()
    for key in ("ArrowLeft", "p", "ArrowRight", "]", "ArrowLeft"):
        frame.page.keyboard.press(key)
        frame.wait_for_function("document.documentElement.dataset.busy !== 'true'")
    frame.locator("#skip").focus()
    frame.page.keyboard.press("Enter")  # must not lead out of the page
    assert frame.evaluate("document.activeElement.id") == "table-card"
    frame.get_by_test_id("detail").get_by_test_id("copy").click()
    last = frame.evaluate("superpos.state()")
    assert last["pin"] is not None
    assert last["model"] != first
    expect(frame.get_by_test_id("detail")).to_have_attribute("data-model", str(last["model"]))
    expect(frame.get_by_test_id("fault")).to_have_count(0)
    tab.faults = [
        fault for fault in tab.faults if not any(words in fault for words in OF_THE_BROWSER)
    ]
    tab.close()


def damaged(run: Run, to: Path, kind: str) -> Path:
    """A page one of whose arrays of a kind of part is torn, as by a download that broke off."""
    text = (run.path / "report.html").read_text(encoding="utf-8")
    held = json.loads(re.search(r'id="run">(.*?)</script>', text)[1])
    name, array = next(iter(held["parts"][kind][0]["arrays"].items()))
    pattern = rf'(id="array-{array["array"]}">)([^<]*)(</script>)'
    to.write_text(
        re.sub(pattern, lambda found: found[1] + found[2][:40] + found[3], text), encoding="utf-8"
    )
    assert name
    return to


def test_a_part_that_cannot_be_drawn_is_named_and_the_others_are_drawn(
    browser: Browser, runs: Callable[[str], Run], tmp_path: Path
) -> None:
    run = runs("line")
    tab = Tab(browser)
    explorer = Explorer(tab, damaged(run, tmp_path / "torn.html", "history"))
    expect(explorer.find("fault")).to_contain_text(
        "“Training loss” cannot be drawn: Error: this file is damaged"
    )
    for model in (int(run.table.index[0]), int(run.table.index[-1])):
        explorer.ask("select", model)
        explorer.settle()
        assert explorer.model == model
        assert explorer.find("detail").locator(".card.history").is_hidden()
        expect(
            explorer.find("detail").get_by_test_id("seeds").locator(".main-svg").first
        ).to_be_visible()
    with pytest.raises(AssertionError, match="console error"):
        tab.close()


def test_the_way_to_the_table_keeps_what_is_looked_at(explore: Callable[..., Explorer]) -> None:
    explorer = explore("phases", "#metric=loss&model=5")
    before = explorer.ask("state")
    explorer.page.locator("#skip").focus()
    explorer.press("Enter")
    assert explorer.page.evaluate("document.activeElement.id") == "table-card"
    assert explorer.ask("state") == before
    assert "model=5" in explorer.fragment()


def test_nothing_on_the_page_sends_data_anywhere(explore: Callable[..., Explorer]) -> None:
    labels = explore("line").page.evaluate(
        "[...document.querySelectorAll('.modebar-btn')].map((button) => button.ariaLabel)"
    )
    assert "Reset axes" in labels
    assert not [
        label for label in labels if re.search("share|cloud|chart studio", label, re.IGNORECASE)
    ]


def wrong_values() -> list[dict[str, Any]]:
    keys = [
        "model",
        "pin",
        "metric",
        "feature",
        "x",
        "y",
        "frame",
        "theme",
        "filter",
        "sort",
        "shown",
        "theory",
    ]
    return [{key: value} for key in keys for value in (None, -1, 1.5, "none", [], {}, 10**9)]


def test_no_value_of_the_state_stops_the_page(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    explorer = explore("line")
    for wrong in wrong_values():
        explorer.ask("set", wrong)
    assert_alive(explorer, runs("line"))


def test_a_slider_is_dragged_all_the_way(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    """The slider stays under the mouse while what it changes is drawn."""
    explorer = explore("line", "#frame=0")
    slider = explorer.find("time")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    mouse = explorer.page.mouse
    mouse.move(box["x"] + 8, y)
    mouse.down()
    for share in (0.3, 0.5, 0.7, 0.99):
        mouse.move(box["x"] + share * box["width"], y)
        explorer.settle()
    mouse.up()
    explorer.settle()
    assert explorer.ask("state")["frame"] is None  # the end of training
