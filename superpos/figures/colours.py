"""Colours by name, also for those who draw nothing: imports no matplotlib."""

from __future__ import annotations

from typing import Final

INK: Final = "#222222"
GREY: Final = "#8a8a8a"
FAINT: Final = "#dddddd"

CYCLE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Of things beside each other: Okabe and Ito 2008, without the yellow, too pale for lines on
white.
"""
