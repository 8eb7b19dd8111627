"""The figures of a run: which there are, which a run can show, drawing them.

Every figure is one module with `applies(run)`, which says in words why a run cannot be drawn (None: it can), and
`draw(run)`. Beside them stand pure drawing functions that take arrays. Nothing here writes a file: `style.render`
gives the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from matplotlib.figure import Figure

from superpos.errors import SuperposError
from superpos.figures import dimensionality, dimensions, features, loss, phase_diagram, superposition
from superpos.figures.records import Run
from superpos.figures.style import render

__all__ = ["FIGURES", "Entry", "Run", "available", "draw", "reasons", "render"]


class Entry(NamedTuple):
    """One figure of the registry."""

    description: str
    applies: Callable[[Run], str | None]  # why the run cannot be drawn; None when it can
    draw: Callable[[Run], Figure]


FIGURES: Final[Mapping[str, Entry]] = {
    "features": Entry("feature directions as arrows, one panel a density (m = 2)", features.applies, features.draw),
    "superposition": Entry(
        "WᵀW, b and feature norms coloured by interference", superposition.applies, superposition.draw
    ),
    "phase_diagram": Entry(
        "phases of the last feature: trained, candidate theory, exact minimum",
        phase_diagram.applies,
        phase_diagram.draw,
    ),
    "geometry": Entry("dimensions per feature D* against sparsity", dimensions.applies, dimensions.draw),
    "dimensionality": Entry(
        "dimensionality D_i of every feature against sparsity, with the polytopes' fractions",
        dimensionality.applies,
        dimensionality.draw,
    ),
    "loss": Entry("training loss over steps", loss.applies, loss.draw),
}


def available(run: Run) -> list[str]:
    """Names of the figures that this run can show, in the order of the registry."""
    return [name for name, reason in reasons(run).items() if reason is None]


def reasons(run: Run) -> dict[str, str | None]:
    """Why each figure cannot show this run, in words that go on from its name: "needs ..."; None where it can."""
    return {name: entry.applies(run) for name, entry in FIGURES.items()}


def draw(run: Run, name: str) -> Figure:
    """One figure of a run.

    Raises:
        SuperposError: there is no figure of that name, or the run cannot show it; says why and what it can show.
    """
    if name not in FIGURES:
        raise SuperposError(f"no figure {name!r}; there are {', '.join(FIGURES)}")
    reason = FIGURES[name].applies(run)
    if reason is not None:
        others = ", ".join(available(run)) or "none"
        raise SuperposError(f"figure {name!r} {reason}; figures of this run: {others}")
    return FIGURES[name].draw(run)
