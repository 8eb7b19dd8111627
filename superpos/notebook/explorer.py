"""`run.report`: the explorer of a run, or of several, inside a notebook."""

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
    """The explorer of runs, shown in a frame by Jupyter, VS Code and Colab."""

    runs: tuple[Run, ...]
    page: str = field(repr=False)
    height: int

    def write(self, to: str | Path | None = None) -> Path:
        """Write the page of `superpos report`, with its room, to a file; else to RUN/report.html.

        That of several runs needs the file.
        """
        return document.write(self.runs, None if to is None else given(to))

    def _repr_html_(self) -> str:
        style = f"width: 100%; height: {self.height}px; border: 0"
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" sandbox="{_MAY}" style="{style}"></iframe>'
        )


def report(run: Run, *others: Run, height: int = HEIGHT, budget: int = BUDGET) -> Explorer:
    """The explorer inside a notebook, `height` pixels high; `run.report().write()` writes a file.

    With `others` it is one page on which the reader chooses between the runs.

    `budget` is the size of the page in bytes, which becomes part of the notebook: what does not fit
    is left out, the best model of every setting last.

    Raises `IncompleteError` where no model is finished, `SuperposError` for a family that is not
    known, `ConfigError` for a run that is given twice.
    """
    return Explorer((run, *others), document.page([run, *others], budget), height)
