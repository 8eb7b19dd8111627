"""What a notebook shows while models train: one bar that is updated in its place.

A kernel has no terminal. What rich draws there, and every carriage return, is printed below what
was there before, or kept in the file of the notebook; a display that is updated leaves only its
last state.
"""

from __future__ import annotations

import sys
import time
from html import escape
from typing import TYPE_CHECKING, Any, Final

from superpos.terminal import progress as terminal
from superpos.terminal.progress import Reporter

if TYPE_CHECKING:
    from IPython.core.display_functions import DisplayHandle

    from superpos.training.progress import Progress

SECONDS_BETWEEN_UPDATES: Final = 0.2


class Display(Reporter):
    """A bar, with what there is to say below it."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: DisplayHandle | None = None
        self._updated = 0.0
        self._lines: list[str] = []
        self._share = 0.0
        self._text = ""

    def note(self, text: str) -> None:
        """Say a line below the bar."""
        self._lines.append(text)
        self._update()

    def close(self) -> None:
        """Leave the bar in its last state."""
        if self._handle is not None:
            self._update()

    def _show(self, progress: Progress) -> None:
        self._clock(progress)
        self._share = progress.work_done / progress.work_total if progress.work_total else 1.0
        self._text = self._state(progress)
        if news := self._news(progress):
            self.note(news)
        elif time.monotonic() - self._updated >= SECONDS_BETWEEN_UPDATES:
            self._update()

    def _update(self) -> None:
        from IPython.display import display  # there where a kernel is

        self._updated = time.monotonic()
        if self._handle is None:
            self._handle = display(self._content(), raw=True, display_id=True)
        else:
            self._handle.update(self._content(), raw=True)

    def _content(self) -> dict[str, str]:
        lines = [self._text, *self._lines]
        bar = f'<progress value="{self._share:.3f}" max="1" style="width: 20em"></progress>'
        return {
            "text/plain": "\n".join(lines),
            "text/html": f"<div>{bar} {'<br>'.join(map(escape, lines))}</div>",
        }


def reporter(quiet: bool) -> Reporter:
    """The reporter that fits: a display in a notebook, elsewhere that of the terminal."""
    return Display() if not quiet and _kernel() is not None else terminal.reporter(quiet)


def _kernel() -> Any:
    """The kernel of the notebook that runs this; None elsewhere, also in a terminal's IPython."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None)
