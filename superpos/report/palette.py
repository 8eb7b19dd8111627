"""Colours of the page: the same as those of the figures, so that one definition rules both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex

from superpos.figures import style

KEY_CELLS: Final = 24  # of the two-dimensional colour key, along each side
_STOPS: Final = 33


def palette() -> dict[str, Any]:
    """What the scripts need to draw in the colours of the figures: one or a ramp of "#rrggbb"."""
    return {
        "signed": _ramp(style.SIGNED),
        "superposed": _ramp(style.SUPERPOSED),
        "importance": _ramp(style.IMPORTANCE),
        "sequence": _ramp(mpl.colormaps["cividis"]),
        "cycle": list(style.CYCLE),
        "grey": style.GREY,
        "pairs": _pairs(),
    }


def _ramp(colours: Callable[[Any], Any]) -> list[str]:
    return [to_hex(colour) for colour in colours(np.linspace(0, 1, _STOPS))]


def _pairs() -> list[list[str]]:
    """Colours [strength][hue] of two shares from 0 to 1: how far from white, and which colour."""
    steps = np.linspace(0, 1, KEY_CELLS)
    hue, strength = np.meshgrid(steps, steps)
    return [[to_hex(colour) for colour in row] for row in style.phase_colours(strength, hue)]
