"""Where the time of a call of `train` goes, phase by phase."""

from __future__ import annotations

import time
from typing import Final

PHASES: Final = ("starting", "training", "evaluating", "writing")


class Stopwatch:
    """Gives every moment since `began` (of `time.monotonic`; default: now) to one phase: the phases
    add up to all.
    """

    def __init__(self, began: float | None = None) -> None:
        self._last = time.monotonic() if began is None else began
        self.seconds = dict.fromkeys(PHASES, 0.0)

    def lap(self, phase: str) -> None:
        """What passed since the last call was spent on `phase`."""
        now = time.monotonic()
        self.seconds[phase] += now - self._last
        self._last = now
