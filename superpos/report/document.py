"""One file from the page's own files, those of families, the library and the content of runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from superpos.errors import ConfigError, IncompleteError
from superpos.figures.library import open_matplotlib
from superpos.report.pack import Pack, compress
from superpos.report.page_data import content, to_text
from superpos.report.side_by_side import side_by_side
from superpos.store import Run, check_target, explained, write_file

BUDGET: Final = 20_000_000
"""Bytes of a page."""
_SHARED: Final = ("elements.js", "arrays.js", "drawing.js")
"""Scripts that know no run."""
_FLAT_LIBRARY: Final = f"{__package__}:library/plotly-cartesian.min.js"
"""Plotly without maps, three dimensions and parallel axes, as Plotly publishes it: a third of the
whole.
"""
# Scripts of the view of a run, before and after those of its family: it uses the first, and the
# others use what it adds.
_BEFORE: Final = (
    "data.js",
    "state.js",
    "family.js",
    "metrics.js",
    "map_axes.js",
    "map.js",
    "controls.js",
    "cards.js",
)
_AFTER: Final = ("detail.js", "parallel.js", "saving.js", "table.js", "page.js")

Runs = Run | Sequence[Run]
_Scripts = tuple[str, ...]
"""What a family adds, as "package:file.js"."""


def page(runs: Runs, budget: int = BUDGET) -> str:
    """The explorer of a run, or of several between which one chooses, as one HTML file.

    It has about `budget` bytes at most. Weights, histories and snapshots that do not fit are left
    out, those of the best model of every setting last; the page says so. Raises `IncompleteError`
    where no model of a run is finished, `ConfigError` for a run that is given twice, and
    `SuperposError` for a family that is not known.
    """
    shown = _several(runs)
    scripts = [_scripts(run) for run in shown]
    added = tuple(dict.fromkeys(scripts))
    frame = _frame(added)
    elements = [_element("runs", side_by_side(shown))] if len(shown) > 1 else []
    pack = Pack()
    held = _contents(shown, pack, budget - len(frame.encode()) - sum(map(len, elements)))
    for at, run in enumerate(held):
        more = {"budget": budget, "scripts": added.index(scripts[at])}
        elements.append(_element(f"run-{at}" if at else "run", run | more))
    parts = {
        "title": escape(", ".join(run.name for run in shown)),
        "runs": "\n".join(elements),
        "arrays": "\n".join(pack.elements),
    }
    for name, text in parts.items():
        frame = frame.replace(f"<!-- {name} -->", text, 1)
    return frame


def write(runs: Runs, to: Path | None = None, budget: int = BUDGET) -> Path:
    """Write the page of a run into its folder, to a file `to`, or into a folder `to`.

    That of several runs needs a file `to`. Returns the path. Raises as `page`, `ConfigError` for
    another kind of place, and `SuperposError` where no page can stand.
    """
    shown = _several(runs)
    path = _place(shown, to)
    check_target(path)  # a page takes seconds
    return write_file(path, page(shown, budget).encode())


def _several(runs: Runs) -> list[Run]:
    """The runs of a page. Raises as `page`."""
    shown = [runs] if isinstance(runs, Run) else list(runs)
    if not shown:
        raise ConfigError("RUN: got none; allowed: a run, or several")
    seen = set[Path]()
    for run in shown:
        if run.path.resolve() in seen:
            raise ConfigError(f"RUN: got {run.path} twice; allowed: every run once")
        seen.add(run.path.resolve())
    for run in shown:
        run.require_family()
        if run.table.empty:
            raise IncompleteError(f"{run.path} has no finished models; train it first")
    return shown


def _contents(runs: Sequence[Run], pack: Pack, budget: float) -> list[dict[str, Any]]:
    """What the page says of every run.

    Each has an equal share of the budget; what the smaller ones leave, the larger ones may take.
    """
    held: dict[int, dict[str, Any]] = {}
    for at in sorted(range(len(runs)), key=lambda at: len(runs[at].table)):
        before = pack.size
        held[at] = content(runs[at], pack, budget / (len(runs) - len(held)))
        budget -= pack.size - before + len(to_text(held[at]).encode())
    return [held[at] for at in range(len(runs))]


def _element(name: str, value: Any) -> str:
    return f'<script type="application/json" id="{name}">{to_text(value)}</script>'


def _place(runs: Sequence[Run], to: Path | None) -> Path:
    """Where the page goes. Raises `ConfigError` for a place that cannot be it."""
    if len(runs) > 1:
        return _file(to, "of several runs a file FILE.html")
    if to is None:
        return runs[0].path / "report.html"
    with explained("write", to):
        if to.is_dir():
            return to / f"{runs[0].name}_report.html"
    return _file(to, "a file FILE.html, or a folder that is there")


def _file(to: Path | None, allowed: str) -> Path:
    if to is None or to.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--to: got {to or 'nothing'}; allowed: {allowed}")
    return to


def _scripts(run: Run) -> _Scripts:
    return tuple(run.require_family().shows.explorer.scripts)


@cache
def _frame(added: tuple[_Scripts, ...]) -> str:
    """The page without runs: HTML with style, colours, library and scripts, those of families
    too.
    """
    from plotly.offline import get_plotlyjs  # takes its time

    open_matplotlib()
    from superpos.report.palette import palette  # and so does this

    frame = _page("page.html").replace("/* style */", _page("page.css"), 1)
    frame = frame.replace("/* scripts */", _all_scripts(added), 1)
    frame = frame.replace("<!-- palette -->", to_text(palette()), 1)
    frame = frame.replace("<!-- library -->", compress(_read(_FLAT_LIBRARY).encode()), 1)
    return frame.replace("<!-- whole library -->", compress(get_plotlyjs().encode()), 1)


def _all_scripts(added: Sequence[_Scripts]) -> str:
    """The page's scripts; those that view a run are one function, called anew for every run.

    The scripts of each family have a scope of their own: no name of theirs is one of the page.
    """
    families = ["() => {\n" + "\n".join(map(_read, scripts)) + "\n}," for scripts in added]
    view = [
        "function explorer(RUN, label) {",
        *map(_page, _BEFORE),
        *("const FAMILIES = [", *families, "];", "FAMILIES[RUN.scripts]();"),
        *map(_page, _AFTER),
        "return { open: openRun, goTo, inWords, leave, print: drawForPaper };",
        "}",
    ]
    return "\n".join([*map(_page, _SHARED), *view, _page("runs.js")])


def _page(name: str) -> str:
    return _read(f"{__package__}:page/{name}")


def _read(path: str) -> str:
    """The text of a file "package:path"."""
    package, _, name = path.partition(":")
    return (files(package) / name).read_text(encoding="utf-8")
