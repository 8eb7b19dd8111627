"""One file from the page's own files, the library and the content of a run."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from superpos.errors import IncompleteError
from superpos.report.pack import Pack, compress
from superpos.report.page_data import content, to_text
from superpos.store import Run, write_file

BUDGET: Final = 20_000_000
"""Bytes of a page."""
_SCRIPTS: Final = ("data", "state", "look", "metrics", "axes", "map", "controls", "detail", "panels", "table", "page")


def page(run: Run, budget: int = BUDGET) -> str:
    """The explorer of a run as one HTML file of at most about `budget` bytes.

    Weights, histories and snapshots that do not fit are left out, those of the best model of every setting last; the
    page says so. Raises `IncompleteError` where no model is finished.
    """
    if run.table.empty:
        raise IncompleteError(f"{run.path} has no finished models; train it first")
    pack, frame = Pack(), _frame()
    held = content(run, pack, budget - len(frame.encode())) | {"budget": budget}
    parts = {"title": escape(run.name), "run": to_text(held), "arrays": "\n".join(pack.elements)}
    for name, text in parts.items():
        frame = frame.replace(f"<!-- {name} -->", text, 1)
    return frame


def write(run: Run, to: Path | None = None, budget: int = BUDGET) -> Path:
    """Write the page into the run's folder, or to a file `to`; returns its path. Raises as `page`."""
    return write_file(run.path / "report.html" if to is None else to, page(run, budget).encode())


@cache
def _frame() -> str:
    """The page without a run: HTML with style, scripts and library in their places."""
    from plotly.offline import get_plotlyjs  # takes its time

    frame = _read("page.html").replace("/* style */", _read("page.css"), 1)
    scripts = "\n".join(_read(f"{name}.js") for name in _SCRIPTS)
    frame = frame.replace("/* scripts */", scripts, 1)
    return frame.replace("<!-- library -->", compress(get_plotlyjs().encode()), 1)


def _read(name: str) -> str:
    return (files(__package__) / "page" / name).read_text(encoding="utf-8")
