"""What signals do: stop at a safe place while models train, leave at once otherwise."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from superpos.errors import TrainingInterruptedError
from superpos.terminal.progress import say

STOP = (signal.SIGINT, signal.SIGTERM)
SAVE = signal.SIGUSR1  # SLURM's warning: save, and go back to the queue
_EARLY: list[int] = []  # warnings that came before training began


def catch() -> None:
    """Before a command: SIGINT and SIGTERM leave at once, a warning is noted for training."""
    signal.signal(SAVE, lambda number, _frame: _EARLY.append(number))
    for number in STOP:
        signal.signal(number, _leave)


def ignore() -> None:
    """After a command: the interpreter takes its time to end; what it did must not look like a failure."""
    for number in (*STOP, SAVE):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def noting(*signals: signal.Signals) -> Iterator[list[int]]:
    """The numbers of the signals that came, the first one first; they do nothing else inside."""
    came = list(_EARLY)

    def note(number: int, _frame: object) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in signals}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(_number: int, _frame: object) -> None:
    """What SIGINT and SIGTERM do while there is nothing to save: before training, and in the other commands."""
    say("superpos: interrupted")
    raise SystemExit(TrainingInterruptedError.exit_code)
