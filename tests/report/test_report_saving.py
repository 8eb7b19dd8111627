"""The table of the page as Markdown and LaTeX: the rows that are shown, as `superpos export` writes
them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import numpy as np
import pytest
from browser import chromium
from explorer import Explorer

from superpos.store import Run, export

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None and not REQUIRED, reason="Chromium is not here"),
]

ESCAPED = re.compile(r"\\(.)")


def rows_of(text: str, suffix: str) -> list[list[str]]:
    """The cells of a table, its titles first, without what makes signs safe."""
    if suffix == ".md":
        lines = [line[2:-2].split(" | ") for line in text.splitlines()]
        cells = [lines[0], *lines[2:]]
    else:
        cells = [
            line.removesuffix(r" \\").split(" & ")
            for line in text.splitlines()
            if line.endswith(r" \\")
        ]
    return [[ESCAPED.sub(r"\1", cell) for cell in row] for row in cells]


@pytest.mark.parametrize(
    ("button", "suffix"), [("export-markdown", ".md"), ("export-latex", ".tex")]
)
@pytest.mark.parametrize(
    ("name", "words"), [("phases", "best"), ("mixed", "seed>=0"), ("alone", "")]
)
def test_the_shown_rows_are_those_of_export(
    name: str,
    words: str,
    button: str,
    suffix: str,
    explore: Callable[..., Explorer],
    runs: Callable[[str], Run],
) -> None:
    run, explorer = runs(name), explore(name)
    explorer.find("filter").fill(words)
    explorer.settle()
    with explorer.page.expect_download() as saved:
        explorer.find(button).click()
    assert saved.value.suggested_filename == f"{run.name}{suffix}"
    text = saved.value.path().read_text(encoding="utf-8")
    written = export.content(run, suffix, explorer.ask("rows")).decode()
    found, wanted = rows_of(text, suffix), rows_of(written, suffix)
    assert set(found[0]) == set(wanted[0])
    places = [wanted[0].index(title) for title in found[0]]
    for row, other in zip(found[1:], wanted[1:], strict=True):
        for cell, place in zip(row, places, strict=True):
            assert value_of(cell) == about(value_of(other[place]))


def value_of(cell: str) -> float | str:
    """A number where it is one."""
    try:
        return float(cell)
    except ValueError:
        return cell


def about(value: float | str) -> object:
    """The same to three digits, which the page has at least; a float32 there."""
    if isinstance(value, str):
        return value
    with np.errstate(over="ignore"):
        return pytest.approx(float(np.float32(value)), rel=6e-3, nan_ok=True)
