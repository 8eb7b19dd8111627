"""What the page of `superpos report` shows of circuits."""

from __future__ import annotations

from typing import Final

from superpos.family import Explorer, Late

EXPLORER: Final = Explorer(
    scripts=(f"{__name__}:panels.js",),
    parts=Late(f"{__name__}.parts:parts"),
    constants=Late(f"{__name__}.parts:constants"),
)
