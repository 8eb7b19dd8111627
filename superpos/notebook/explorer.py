"""`run.report`: the explorer of a run inside a notebook."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from superpos.paths import given
from superpos.report import document
from superpos.store import Run

HEIGHT: Final = 720
"""Pixels: the map and a model are seen at once, and the cells around it too."""
BUDGET: Final = 5_000_000
"""Bytes of the page, which stands in the file of the notebook."""
# The page runs its scripts and saves its table; it is kept out of the notebook around it.
_MAY: Final = "allow-scripts allow-downloads"


@dataclass(frozen=True)
class Explorer:
    """The explorer of a run, shown in a frame by Jupyter, VS Code and Colab."""

    run: Run
    page: str = field(repr=False)
    height: int

    def write(self, to: str | Path | None = None) -> Path:
        """Write the page of `superpos report`, with its room, to RUN/report.html or to a file."""
        return document.write(self.run, None if to is None else given(to))

    def _repr_html_(self) -> str:
        style = f"width: 100%; height: {self.height}px; border: 0"
        return f'<iframe srcdoc="{html.escape(self.page)}" sandbox="{_MAY}" style="{style}"></iframe>'


def report(run: Run, *, height: int = HEIGHT, budget: int = BUDGET) -> Explorer:
    """The explorer inside a notebook, `height` pixels high; `run.report().write()` writes a file.

    `budget` is the size of the page in bytes, which becomes part of the notebook: what does not fit
    is left out, the best model of every setting last.

    Raises `IncompleteError` where no model is finished, `SuperposError` for a family that is not
    known.
    """
    return Explorer(run, document.page(run, budget), height)
