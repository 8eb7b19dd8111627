"""Times and numbers as text. Imports the standard library only."""

from __future__ import annotations

from datetime import datetime

_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float, digits: int = 4) -> str:
    """A number to some significant digits: "0.3679", "12", "1e-05"."""
    return f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """A time in words: "45 s", "12 min", "3.5 h"."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5940 else f"{seconds / 3600:.1f} h"


def moment(time: datetime) -> str:
    """A time to the minute, as clocks of this place show it: "2026-01-31 09:05"."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M")


def quantity(number: float, unit: str = "") -> str:
    """A large number in words: "950", "12.3 k", "4.5 MB"."""
    scale, prefix = next(((s, p) for s, p in _PREFIXES if number >= s), (1.0, ""))
    return f"{number / scale:.3g} {prefix}{unit}".rstrip()


def count(number: int, noun: str) -> str:
    """A number of things: "1 model", "25,000 models"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
