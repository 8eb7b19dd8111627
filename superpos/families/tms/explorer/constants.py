"""Numbers and words that the cards of the page share with metrics and figures."""

from __future__ import annotations

from typing import Any, Final

from superpos.families.tms import geometry, metrics
from superpos.families.tms.analysis import neurons
from superpos.families.tms.analysis.fractions import FRACTIONS
from superpos.figures.graph_layout import spread

_LABEL_GAP: Final = 0.075  # of D_i, between two labels


def constants() -> dict[str, Any]:
    """What the scripts read as `RUN.constants`."""
    return {
        "fractions": _fractions(),
        "tau": geometry.TAU,
        "represented": metrics.REPRESENTED_NORM,
        "few": neurons.FEW,
        "many": neurons.MANY,
    }


def _fractions() -> list[dict[str, Any]]:
    """The polytopes' lines of the dimensionality, and where their labels stand."""
    values = [value for value, _ in FRACTIONS.values()]
    places = spread(values, _LABEL_GAP)
    return [
        {"name": name, "value": value, "text": text, "place": place}
        for (name, (value, text)), place in zip(FRACTIONS.items(), places, strict=True)
    ]
