"""The corners of a regular polygon."""

from __future__ import annotations

import numpy as np

from superpos.maths.types import Floats


def polygon(n_sides: int) -> Floats:
    """Unit vectors of a regular polygon, [n_sides, 2]."""
    angle = 2 * np.pi * np.arange(n_sides) / n_sides
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)
