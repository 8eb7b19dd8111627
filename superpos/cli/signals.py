"""What signals do: stop at a safe place while models train, leave at once otherwise."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from superpos.errors import TrainingInterruptedError
from superpos.terminal.progress import say

Handler = Callable[[int, FrameType | None], object]


def _there(*names: str) -> tuple[signal.Signals, ...]:
    """The signals of these names that this system has."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


STOP = _there("SIGINT", "SIGHUP", "SIGUSR2", "SIGXCPU", "SIGTERM")
"""A terminal that is closed hangs up; queues beside SLURM's warn by SIGUSR2 and SIGXCPU."""
SAVE = _there("SIGUSR1")
"""SLURM's warning: save, and go back to the queue."""
_EARLY: list[int] = []  # warnings that came before training began


def catch() -> None:
    """Before a command: what stops leaves at once, a warning is noted for training."""
    _handle(SAVE, lambda number, _frame: _EARLY.append(number))
    _handle(STOP, _leave)


def ignore() -> None:
    """After a command: the interpreter takes its time to end; what it did must not look like a
    failure.
    """
    for number in (*STOP, *SAVE):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def noting(*signals: signal.Signals) -> Iterator[list[int]]:
    """The numbers of the signals that came, the first one first; they do nothing else inside."""
    came = list(_EARLY)

    def note(number: int, _frame: object) -> None:
        came.append(number)

    before = _handle(signals, note)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(signals: Iterable[signal.Signals], handler: Handler) -> dict[signal.Signals, Any]:
    """Set a handler; the handlers before.

    A hang-up that is ignored stays so: that is what `nohup` asks for.
    """
    ignored = [number for number in _there("SIGHUP") if signal.getsignal(number) is signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in signals if number not in ignored}


def _leave(_number: int, _frame: object) -> None:
    """What a signal of `STOP` does while there is nothing to save: before training, and in the
    other commands.
    """
    say("superpos: interrupted")
    raise SystemExit(TrainingInterruptedError.exit_code)
