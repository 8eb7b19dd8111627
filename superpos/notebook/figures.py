"""`run.plot`: a figure of a run by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superpos.errors import SuperposError
from superpos.figures import registry
from superpos.store import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot(run: Run, name: str | None = None) -> Figure:
    """One figure of the run as a matplotlib figure, which a notebook shows; `savefig` writes it.

    Raises `SuperposError` without a name, and for a figure that the run cannot show: it says which
    ones it can.
    """
    if name is None:
        names = registry.available(run)
        shown = ", ".join(map(repr, names)) if names else "none yet"
        raise SuperposError(f"run.plot takes the name of a figure; this run can show {shown}")
    return registry.draw(run, name)
