"""What a user sees while models train, on stderr: a bar on a terminal, a line every ten seconds
elsewhere.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from superpos.units import duration, quantity

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from superpos.training.progress import Progress

SECONDS_BETWEEN_LINES = 10.0


def say(text: str) -> None:
    """One line on stderr, as long as somebody is there: a closed terminal ends nothing."""
    with suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


class Notes(logging.Handler):
    """What modules log goes to stderr as all that a command says."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        say(f"superpos: {record.getMessage()}")


class Reporter(ABC):
    """Shows progress while it is entered.

    Rates are of this call: what was trained before a restart does not count.

    `models_before` and `models_now` say how many models were done before this call, and by it.
    """

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._message = ""
        self._first: Progress | None = None
        self.models_before = self.models_now = 0

    def __call__(self, progress: Progress) -> None:
        """Take note of the newest state and show it; called a few times a second."""
        if self._first is None and progress.models_total:
            self._first, self.models_before = progress, progress.models_done
        self.models_now = progress.models_done - self.models_before
        self._show(progress)

    @abstractmethod
    def _show(self, progress: Progress) -> None:
        """Show the newest state."""

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def note(self, text: str) -> None:
        """Say a line beside the progress."""
        say(text)

    def close(self) -> None:  # noqa: B027 - only a bar has something to close
        """Free what is shown."""

    def _news(self, progress: Progress) -> str:
        """The message where it is a new one."""
        news = progress.message if progress.message != self._message else ""
        self._message = progress.message
        return news

    def _clock(self, progress: Progress) -> None:
        """Start at the first step: what is imported and compiled before it takes no part in
        rates.
        """
        if not progress.steps_done:
            self._start = time.monotonic()

    def _state(self, progress: Progress) -> str:
        seconds = time.monotonic() - self._start
        left = progress.work_total - progress.work_done
        text = f"{progress.models_done:,} of {progress.models_total:,} models"
        if progress.steps_done and seconds > 0:
            text += f", {quantity(progress.steps_done / seconds)} model-steps/s"
            text += f", {duration(seconds * left / progress.work_done)} left" if left > 0 else ""
        return text


class Silent(Reporter):
    """Shows nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def _show(self, progress: Progress) -> None:
        """Nothing."""


class Lines(Reporter):
    """Plain lines: every new message, and the state every ten seconds."""

    def __init__(self, interval: float = SECONDS_BETWEEN_LINES) -> None:
        super().__init__()
        self._interval = interval
        self._last = time.monotonic()

    def _show(self, progress: Progress) -> None:
        """Print what is due."""
        self._clock(progress)
        if news := self._news(progress):
            say(news)
        if time.monotonic() - self._last >= self._interval:
            self._last = time.monotonic()
            say(self._state(progress))


class Terminal(Reporter):
    """A bar that is redrawn in place."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def _show(self, progress: Progress) -> None:
        """Redraw."""
        self._clock(progress)
        if self._bar is None or self._task is None:
            self._bar, self._task = _make_bar()
            self._bar.start()
        if news := self._news(progress):
            with suppress(OSError):  # as in `say`
                self._bar.console.print(news, markup=False, highlight=False)
        total = progress.work_total or 1.0
        done = progress.work_done if progress.work_total else total
        self._bar.update(self._task, total=total, completed=done, state=self._state(progress))

    def close(self) -> None:
        """Leave the bar as it is and free the terminal."""
        if self._bar is not None:
            with suppress(OSError):  # as in `say`
                self._bar.stop()


def reporter(quiet: bool) -> Reporter:
    """The reporter that fits stderr."""
    if quiet:
        return Silent()
    redraws = sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    return Terminal() if redraws and not _below_a_kernel() else Lines()


def _below_a_kernel() -> bool:
    """Whether a notebook's kernel started this program, as `!superpos train` does.

    It then has a terminal of 80 columns, of which the notebook shows every state below the one
    before.
    """
    # set by kernels of any front end
    drawn_inline = os.environ.get("MPLBACKEND", "").endswith("backend_inline")
    return drawn_inline or "JPY_PARENT_PID" in os.environ


def _make_bar() -> tuple[Bar, TaskID]:
    # imported here, with the first progress: rich takes a tenth of a second
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as RichProgress

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[state]}", markup=False))
    bar = RichProgress(*columns, console=Console(stderr=True))
    return bar, bar.add_task("train", state="")
