"""What the page of `superpos report` shows of transformers."""

from __future__ import annotations

from typing import Final

from superpos.family import Explorer, Late

_SCRIPTS: Final = (
    "forward.js",  # what the cards compute of weights
    "patterns.js",
    "tables.js",
    "composition.js",
    "formation.js",
    "panels.js",  # the list of the cards, which names what the others draw
)

EXPLORER: Final = Explorer(
    scripts=tuple(f"{__name__}:{script}" for script in _SCRIPTS),
    parts=Late(f"{__name__}.parts:parts"),
)
