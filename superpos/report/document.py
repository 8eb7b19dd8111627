"""One file from the page's own files, those of a family, the library and the content of a run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from superpos.errors import ConfigError, IncompleteError
from superpos.figures.library import open_matplotlib
from superpos.report.pack import Pack, compress
from superpos.report.page_data import content, to_text
from superpos.store import Run, check_target, explained, write_file

BUDGET: Final = 20_000_000
"""Bytes of a page."""
# Scripts before and after those of a family: it uses the first, and the others use what it adds.
_BEFORE: Final = (
    "data.js",
    "state.js",
    "family.js",
    "drawing.js",
    "metrics.js",
    "map_axes.js",
    "map.js",
    "controls.js",
    "cards.js",
)
_AFTER: Final = ("detail.js", "parallel.js", "saving.js", "table.js", "page.js")


def page(run: Run, budget: int = BUDGET) -> str:
    """The explorer of a run as one HTML file of at most about `budget` bytes.

    Weights, histories and snapshots that do not fit are left out, those of the best model of every
    setting last; the page says so. Raises `IncompleteError` where no model is finished, and
    `SuperposError` for a family that is not known.
    """
    family = run.require_family()
    if run.table.empty:
        raise IncompleteError(f"{run.path} has no finished models; train it first")
    pack, frame = Pack(), _frame(family.shows.explorer.scripts)
    held = content(run, pack, budget - len(frame.encode())) | {"budget": budget}
    parts = {"title": escape(run.name), "run": to_text(held), "arrays": "\n".join(pack.elements)}
    for name, text in parts.items():
        frame = frame.replace(f"<!-- {name} -->", text, 1)
    return frame


def write(run: Run, to: Path | None = None, budget: int = BUDGET) -> Path:
    """Write the page into the run's folder, to a file `to`, or into a folder `to`; returns its path.

    Raises as `page`, and `SuperposError` where no page can stand.
    """
    path = _place(run, to)
    check_target(path)  # a page takes seconds
    return write_file(path, page(run, budget).encode())


def _place(run: Run, to: Path | None) -> Path:
    """Where the page goes. Raises `ConfigError` for the name of another kind of file."""
    if to is None:
        return run.path / "report.html"
    with explained("write", to):
        if to.is_dir():
            return to / f"{run.name}_report.html"
    if to.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--to: got {to}; allowed: a file FILE.html, or a folder that is there")
    return to


@cache
def _frame(added: Sequence[str]) -> str:
    """The page without a run: HTML with style, colours, library and all scripts, those `added` too."""
    from plotly.offline import get_plotlyjs  # takes its time

    open_matplotlib()
    from superpos.report.palette import palette  # and so does this

    scripts = [*map(_page, _BEFORE), _alone(added), *map(_page, _AFTER)]
    frame = _page("page.html").replace("/* style */", _page("page.css"), 1)
    frame = frame.replace("/* scripts */", "\n".join(scripts), 1)
    frame = frame.replace("<!-- palette -->", to_text(palette()), 1)
    return frame.replace("<!-- library -->", compress(get_plotlyjs().encode()), 1)


def _page(name: str) -> str:
    return _read(f"{__package__}:page/{name}")


def _alone(scripts: Sequence[str]) -> str:
    """Scripts "package:file.js" in a scope of their own: no name of theirs is one of the page."""
    texts = [_read(script) for script in scripts]
    return "\n".join(["(() => {", *texts, "})();"])


def _read(path: str) -> str:
    """The text of a file "package:path"."""
    package, _, name = path.partition(":")
    return (files(package) / name).read_text(encoding="utf-8")
