"""What the page of `superpos report` shows of toy models."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from superpos.family import Explorer, Late

_SCRIPTS: Final = (
    "features.js",
    "matrix.js",
    "directions.js",
    "norms.js",
    "dimensionality.js",
    "graph.js",
    "attributions.js",
    "neurons.js",
    "shown_feature.js",
    "panels.js",  # the list of the cards, which names what the others draw
)

EXPLORER: Final = Explorer(
    scripts=tuple(f"{__name__}:{script}" for script in _SCRIPTS),
    parts=Late(f"{__name__}.parts:parts"),
    layers=Late(f"{__name__}.theory:layers"),
    constants=Late(f"{__name__}.constants:constants"),
)


def own_functions_explorer(has_params: bool) -> Explorer:
    """The explorer of models that a user's functions make: theory knows nothing of them.

    Where the parameters are the user's, too, W may mean anything: it has no features to show.
    """
    known = replace(EXPLORER, layers=None)
    return replace(known, parts=None) if has_params else known
