"""The figures of a run: which there are, which a run can show, drawing them.

A family names its figures in its `Exhibits`; those that every family has stand here. A figure is a
module with `applies(run)`, which says in words why a run cannot be drawn (None: it can), and
`draw(run)`, a matplotlib figure; a movie has `animate(run)` too. Beside them stand pure drawing
functions that take arrays. Nothing here writes a file: `style.render` gives the bytes. Names and
descriptions are known without matplotlib, which takes a second to import.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from superpos.errors import SuperposError
from superpos.family import Family, Figure, every, hint_of_others
from superpos.figures import library

if TYPE_CHECKING:
    from matplotlib import figure as mpl

    from superpos.figures.points import Run

Figures = Mapping[str, Figure]
_NONE: Final[Figures] = {}

SHARED: Final[Mapping[str, Figure]] = {
    "loss": Figure("training loss over steps", "superpos.figures.loss"),
}
"""Figures of every family."""


def figures_of(family: Family, own: Figures = _NONE) -> dict[str, Figure]:
    """All figures of a kind of model by name: its own, those of every family, then those of a
    user's `own`.
    """
    return {**family.shows.figures, **SHARED, **own}


def every_figure() -> dict[str, Figure]:
    """All figures by name; of a name that several families have, that of the first."""
    found: dict[str, Figure] = {}
    for family in every():
        for name, figure in family.shows.figures.items():
            found.setdefault(name, figure)
    return {**found, **SHARED}


def available(run: Run) -> list[str]:
    """Names of the figures that this run can show, in the order of its family."""
    return [name for name, reason in reasons(run).items() if reason is None]


def reasons(run: Run, own: Figures = _NONE) -> dict[str, str | None]:
    """Why each figure cannot show this run, in words that go on from its name; None where it can.

    Raises `SuperposError` for a run of an unknown family.
    """
    return {
        name: _reason(run, figure) for name, figure in figures_of(run.require_family(), own).items()
    }


def picture(
    run: Run, name: str, kind: Literal["png", "svg", "pdf"], own: Figures = _NONE
) -> tuple[str, bytes]:
    """Name and content of a figure's file: of that kind, a movie always a GIF. Raises as `draw`."""
    from superpos.figures.style import render

    figure = _figure(run, name, own)
    if figure.movie:
        animation: bytes = _module(figure).animate(run)
        return f"{name}.gif", animation
    return f"{name}.{kind}", render(_module(figure).draw(run), kind)


def draw(run: Run, name: str) -> mpl.Figure:
    """One figure of a run.

    Raises:
        SuperposError: there is no figure of that name, or the run cannot show it; says why, and
            what it can show.
    """
    drawn: mpl.Figure = _module(_figure(run, name)).draw(run)
    return drawn


def _figure(run: Run, name: str, own: Figures = _NONE) -> Figure:
    """A figure that can show the run."""
    figures = figures_of(run.require_family(), own)
    if name not in figures:
        where = hint_of_others(name, lambda family: family.shows.figures)
        raise SuperposError(f"no figure {name!r}; {where}there are {', '.join(figures)}")
    reason = _reason(run, figures[name])
    if reason is not None:
        others = ", ".join(available(run)) or "none"
        raise SuperposError(f"figure {name!r} {reason}; figures of this run: {others}")
    return figures[name]


def _reason(run: Run, figure: Figure) -> str | None:
    """Why a figure cannot show a run: whatever its family holds, or what the figure itself says."""
    if figure.barred:
        return figure.barred
    if run.table.empty:
        from superpos.figures.points import NOTHING  # what lists figures needs no arrays

        return NOTHING
    reason: str | None = _module(figure).applies(run)
    return reason


def _module(figure: Figure) -> Any:
    library.open_matplotlib()
    return (
        importlib.import_module(figure.module) if isinstance(figure.module, str) else figure.module
    )
