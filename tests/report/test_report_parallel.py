"""All axes of a sweep side by side on the page: what is drawn, and what is chosen."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from browser import chromium
from explorer import Explorer
from playwright.sync_api import expect

from superpos.store import Run

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None and not REQUIRED, reason="Chromium is not here"),
]


def dimensions(explorer: Explorer) -> list[dict[str, Any]]:
    """Name and values of each axis that is drawn, and what is chosen on it."""
    found: list[dict[str, Any]] = explorer.find("parallel").evaluate(
        """({data: [trace]}) => trace.dimensions.map(
            ({label, values, constraintrange}) => ({label, values, constraintrange}))"""
    )
    return found


def drag(explorer: Explorer, axis: int, start: float, end: float) -> None:
    """Choose a stretch of an axis, in shares of its height from below."""
    brush = explorer.find("parallel").locator(".axis-brush").nth(axis)
    brush.scroll_into_view_if_needed()
    box = brush.bounding_box()
    assert box
    x, height = box["x"] + box["width"] / 2, box["height"]
    mouse = explorer.page.mouse
    mouse.move(x, box["y"] + height * (1 - start))
    mouse.down()
    mouse.move(x, box["y"] + height * (1 - end), steps=5)
    mouse.up()
    explorer.page.wait_for_function("window.superpos.state().filter !== ''")
    explorer.settle()


def test_two_axes_are_the_map(explore: Callable[..., Explorer]) -> None:
    expect(explore("phases").find("parallel-card")).to_be_hidden()


def test_every_setting_is_a_line_through_its_values(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    best, explorer = runs("cube").by_setting(), explore("cube")
    expect(explorer.find("parallel-card")).to_be_visible()
    *axes, loss = dimensions(explorer)
    assert [axis["label"] for axis in axes] == ["density 1 − S", "train.lr", "importance.decay"]
    order = {
        "data.density": [0.5, 0.1, 0.05],
        "train.lr": [0.001, 0.01],
        "importance.decay": [0.7, 1],
    }
    drawn = set(
        zip(*(axis["values"] for axis in axes), np.round(loss["values"], 3).tolist(), strict=True)
    )
    places = [[order[key].index(value) for value in best[key]] for key in order]
    assert drawn == set(zip(*places, np.log10(best["loss_best"]).round(3).tolist(), strict=True))


def test_what_is_chosen_is_shown_by_the_table(
    explore: Callable[..., Explorer], runs: Callable[[str], Run]
) -> None:
    table, explorer = runs("cube").table, explore("cube")
    drag(explorer, 0, 0.02, 0.6)  # the first two densities
    assert explorer.ask("rows") == table.index[table["data.density"] >= 0.1].tolist()
    drag(explorer, 2, 0.7, 0.98)  # the second decay
    chosen = (table["data.density"] >= 0.1) & (table["importance.decay"] == 1)
    explorer.page.wait_for_function(
        "count => window.superpos.rows().length === count", arg=int(chosen.sum())
    )
    assert explorer.ask("rows") == table.index[chosen].tolist()
    explorer.find("theme").click()
    explorer.settle()
    assert [axis["constraintrange"] is not None for axis in dimensions(explorer)] == [
        True,
        False,
        True,
        False,
    ]
