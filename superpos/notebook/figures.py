"""`run.plot`: a figure of a run by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from superpos.figures import registry
from superpos.store import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@overload
def plot(run: Run, name: None = None) -> list[str]: ...
@overload
def plot(run: Run, name: str) -> Figure: ...
def plot(run: Run, name: str | None = None) -> Figure | list[str]:
    """One figure of the run as a matplotlib figure, which a notebook shows; `savefig` writes it.

    Without a name it is the names of the figures that this run can show. Raises `SuperposError`
    for a figure that it cannot show.
    """
    return registry.available(run) if name is None else registry.draw(run, name)
