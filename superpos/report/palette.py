"""Colours and thresholds of the page: the same as those of the figures, so that one definition rules both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex

from superpos.families.tms import geometry, metrics
from superpos.families.tms.figures import dimensionality, neurons
from superpos.figures import style

KEY_CELLS: Final = 24  # of the two-dimensional colour key, along each side
_STOPS: Final = 33
_LABEL_GAP: Final = 0.075  # of D_i, between two labels


def look() -> dict[str, Any]:
    """What the scripts need to draw in the colours of the figures."""
    return {
        "signed": _ramp(style.SIGNED),
        "superposed": _ramp(style.SUPERPOSED),
        "importance": _ramp(style.IMPORTANCE),
        "sequence": _ramp(mpl.colormaps["cividis"]),
        "cycle": list(style.CYCLE),
        "grey": style.GREY,
        "phase": _phase_key(),
        "fractions": _fractions(),
        "represented": metrics.REPRESENTED_NORM,
        "tau": geometry.TAU,
        "few": neurons.FEW,
        "many": neurons.MANY,
    }


def _ramp(colours: Callable[[Any], Any]) -> list[str]:
    return [to_hex(colour) for colour in colours(np.linspace(0, 1, _STOPS))]


def _phase_key() -> list[list[str]]:
    """Colours [norm][interference], from 0 to 1 in equal steps."""
    steps = np.linspace(0, 1, KEY_CELLS)
    interference, norm = np.meshgrid(steps, steps)
    return [[to_hex(colour) for colour in row] for row in style.phase_colours(norm, interference)]


def _fractions() -> list[dict[str, Any]]:
    """The polytopes' lines of the dimensionality, and where their labels stand."""
    values = [value for value, _ in dimensionality.FRACTIONS.values()]
    places = dimensionality.spread(values, _LABEL_GAP)
    return [
        {"name": name, "value": value, "text": text, "place": place}
        for (name, (value, text)), place in zip(dimensionality.FRACTIONS.items(), places, strict=True)
    ]
