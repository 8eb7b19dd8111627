"""The explorer in a real browser, without a network: what it shows is what the run holds."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from browser import chromium
from explorer import SWEEPS, Explorer, assert_shows, best_of, gram, swept
from playwright.sync_api import expect

from superpos.store import Run

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None and not REQUIRED, reason="Chromium is not here"),
]


@pytest.mark.parametrize("name", SWEEPS)
def test_the_page_opens(
    explore: Callable[..., Explorer], runs: Callable[[str], Run], name: str
) -> None:
    run, explorer = runs(name), explore(name)
    expect(explorer.page.get_by_role("heading", level=1)).to_have_text(run.name)
    expect(explorer.find("summary")).to_contain_text(f"{run.n_models:,}")
    expect(explorer.find("map").locator(".main-svg").first).to_be_visible()
    assert explorer.find("incomplete").count() == 0
    assert explorer.model in run.table.index


def test_a_click_shows_that_model(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    run, explorer = runs("phases"), explore("phases")
    wanted = best_of(run, importance__last=10, data__density=0.01)
    assert explorer.model != wanted
    explorer.select(wanted)
    assert_shows(explorer, run, wanted)
    (matrix,) = explorer.drawn("matrix")[:1]
    np.testing.assert_allclose(matrix["z"], gram(run.weights(wanted)), atol=2e-3)
    expect(explorer.find("detail").get_by_test_id("config")).to_contain_text("importance.last")


def test_every_cell_lies_where_its_settings_are(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    """On a line along each axis, larger values lie further right or further up."""
    run, explorer = runs("phases"), explore("phases")
    best = run.by_setting()
    places = pd.DataFrame(
        [explorer.ask("place", int(model)) for model in best["best"]], index=best.index
    )
    x, y = (run.manifest["plan"]["axes"][explorer.ask("state")[axis]]["keys"][0] for axis in "xy")
    assert (places["x"].rank(method="dense") == best[x].rank(method="dense")).all()
    assert (places["y"].rank(method="dense") == best[y].rank(method="dense", ascending=False)).all()


def test_arrow_keys_go_to_the_neighbour(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    run, explorer = runs("phases"), explore("phases")
    explorer.select(best_of(run, importance__last=1, data__density=0.1))
    explorer.find("map").focus()
    x = run.manifest["plan"]["axes"][explorer.ask("state")["x"]]["keys"][0]
    right, up = ("density", "importance") if x == "data.density" else ("importance", "density")
    density, importance = [0.003, 0.01, 0.1, 1], [0.1, 1, 10]
    at = {"density": 2, "importance": 1}
    for key, axis, step in (
        ("Right", right, 1),
        ("Up", up, 1),
        ("Left", right, -1),
        ("Down", up, -1),
    ):
        explorer.press(f"Arrow{key}")
        at[axis] += step
        setting = {
            "importance__last": importance[at["importance"]],
            "data__density": density[at["density"]],
        }
        assert_shows(explorer, run, best_of(run, **setting))


def test_the_keys_stop_at_the_edge_and_show_the_seeds(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    run, explorer = runs("phases"), explore("phases")
    explorer.find("map").focus()
    explorer.press(*["ArrowRight"] * 6, *["ArrowUp"] * 6)
    corner = best_of(run, importance__last=10, data__density=1)
    assert_shows(explorer, run, corner)
    seen = {explorer.model}
    for key in "[[]]":
        explorer.press(key)
        seen.add(explorer.model)
    settings = swept(run)[:-1]
    same = (run.table[settings] == run.table.loc[corner, settings]).all(axis=1)
    assert seen == set(run.table.index[same])  # the three seeds of this setting, each once
    expect(explorer.find("detail").get_by_test_id("seeds")).to_be_visible()


def test_sliders_of_the_other_axes(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    run, explorer = runs("cube"), explore("cube")
    state, axes = explorer.ask("state"), run.manifest["plan"]["axes"]
    other = next(
        i
        for i, axis in enumerate(axes)
        if i not in (state["x"], state["y"]) and axis["keys"] != ["seed"]
    )
    (key,) = axes[other]["keys"]
    explorer.slide(f"slice-{other}", 0)
    before = explorer.find("map").screenshot()
    for point in (1, 0):
        explorer.slide(f"slice-{other}", point)
        (value,) = axes[other]["values"][point]
        assert run.table.loc[explorer.model, key] == value
        hidden = run.table.index[run.table[key] != value]
        shown = run.table.index[run.table[key] == value]
        assert [explorer.ask("place", int(model)) for model in hidden] == [None] * len(hidden)
        assert all(explorer.ask("place", int(model)) for model in shown)
        if point == 1:
            assert explorer.find("map").screenshot() != before
    explorer.find("axis-x").select_option(str(other))
    explorer.settle()
    assert explorer.ask("state")["x"] == other
    assert explorer.find(f"slice-{other}").count() == 0


def test_metrics_and_features_change_the_map(explore: Callable[..., Explorer]) -> None:
    explorer = explore("phases")
    seen = set()
    for metric in explorer.find("metric").locator("option").all():
        explorer.find("metric").select_option(metric.get_attribute("value"))
        explorer.settle()
        assert explorer.find("map").evaluate("map => map.querySelector('.main-svg') !== null")
        seen.add(explorer.find("map").screenshot())
    # phase, loss, D*, geometry, ...
    assert len(seen) == explorer.find("metric").locator("option").count() >= 4


def test_the_map_shows_the_loss(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    run, explorer = runs("phases"), explore("phases", "#metric=loss&x=1&y=0")
    best = run.by_setting().pivot(
        index="importance.last", columns="data.density", values="loss_best"
    )
    drawn = next(trace for trace in explorer.drawn("map", "map-card") if trace["type"] == "heatmap")
    shown = np.array(drawn["z"], dtype=float)
    assert np.allclose(
        np.sort(shown.ravel()), np.sort(best.to_numpy().ravel()), rtol=1e-5
    ) or np.allclose(np.sort(shown.ravel()), np.sort(np.log10(best.to_numpy().ravel())), rtol=1e-5)


def test_a_line_with_its_spread(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    run, explorer = runs("line"), explore("line", "#metric=loss")
    wanted = best_of(run, data__density=0.3)
    explorer.select(wanted)
    assert_shows(explorer, run, wanted)
    numbers = np.concatenate(
        [np.ravel(trace["y"]) for trace in explorer.drawn("map", "map-card")]
    ).astype(float)
    for bound in ("loss_best", "loss_worst"):
        for loss in run.by_setting()[bound]:
            assert np.isclose(numbers, loss, rtol=1e-5).any(), bound


def test_time_plays_training(explore: Callable[..., Explorer], runs: Callable[[str], Run]) -> None:
    run, explorer = runs("line"), explore("line")
    model = explorer.model
    steps, weights = run.snapshots(model)
    for frame in (0, 3, len(steps) - 1):
        explorer.slide("time", frame)
        expect(explorer.find("step")).to_contain_text(f"{steps[frame]:,}")
        (matrix,) = explorer.drawn("matrix")[:1]
        np.testing.assert_allclose(matrix["z"], gram({"W": weights["W"][frame]}), atol=5e-3)
    explorer.slide("time", 0)
    explorer.find("play").click()
    explorer.page.wait_for_function(
        "window.superpos.state().frame === null || window.superpos.state().frame >= "
        f"{len(steps) - 1}"
    )
    explorer.settle()
    (matrix,) = explorer.drawn("matrix")[:1]
    np.testing.assert_allclose(matrix["z"], gram(run.weights(model)), atol=5e-3)


def test_two_models_side_by_side(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    run, explorer = runs("phases"), explore("phases")
    first, second = (
        best_of(run, importance__last=0.1, data__density=1),
        best_of(run, importance__last=10, data__density=1),
    )
    explorer.select(first)
    expect(explorer.find("pinned")).to_be_hidden()
    explorer.find("map").focus()
    explorer.press("p")
    explorer.select(second)
    assert explorer.find("pinned").get_attribute("data-model") == str(first)
    assert_shows(explorer, run, second)
    assert float(explorer.shown("loss", "pinned")) == pytest.approx(
        run.table.loc[first, "loss"], rel=1e-6
    )
    np.testing.assert_allclose(
        explorer.drawn("matrix", "pinned")[0]["z"], gram(run.weights(first)), atol=2e-3
    )
    left, right = (explorer.find(name).bounding_box() for name in ("pinned", "detail"))
    assert left and right and left["y"] == right["y"] and left["x"] != right["x"]
    explorer.find("pinned").get_by_test_id("unpin").click()
    expect(explorer.find("pinned")).to_be_hidden()


def test_the_address_holds_the_view(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    run, explorer = runs("line"), explore("line")
    pinned, chosen = best_of(run, data__density=1), best_of(run, data__density=0.05)
    explorer.ask("pin", pinned)
    explorer.select(chosen)
    explorer.find("metric").select_option("loss")
    explorer.slide("time", 2)
    explorer.find("theme").click()
    explorer.find("filter").fill("best")
    explorer.settle()
    again = explore("line", explorer.fragment())
    assert again.ask("state") == explorer.ask("state")
    assert again.model == chosen
    assert again.find("pinned").get_attribute("data-model") == str(pinned)
    assert again.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert again.ask("rows") == explorer.ask("rows")
    again.page.evaluate("location.hash = ''")  # the way back is an address, too
    again.settle()
    expect(again.find("pinned")).to_be_hidden()


def test_a_wrong_address_is_mended(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    run, explorer = runs("line"), explore("line", "#model=999999")
    assert explorer.model in run.table.index
    for wrong in (
        "model=x&x=7&y=7&metric=none&at.9=4&frame=-3&theme=<b>",
        "%",
        "filter=loss<",
        "model=-1&feature=99",
    ):
        explorer.page.evaluate("wrong => location.hash = wrong", wrong)
        explorer.settle()
        assert explorer.model in run.table.index
