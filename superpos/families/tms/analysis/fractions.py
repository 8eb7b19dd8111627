"""The share of a dimension that a feature of each ideal shape has (TMS, "Feature
dimensionality").
"""

from __future__ import annotations

from typing import Final

from superpos.families.tms import metrics
from superpos.maths.types import Floats

NO_SHAPE: Final = "not represented"
FRACTIONS: Final = {  # name: (share of a dimension, as it is written)
    "dedicated": (1.0, "1"),
    "tetrahedron": (3 / 4, "3/4"),
    "triangle": (2 / 3, "2/3"),
    "digon": (1 / 2, "1/2"),
    "pentagon": (2 / 5, "2/5"),
    "square antiprism": (3 / 8, "3/8"),
    NO_SHAPE: (0.0, "0"),
}


def lines_found(values: Floats) -> dict[str, metrics.LineCounts]:
    """The polytopes at whose fraction the values of D_i stand out, with the counts that say so."""
    shapes = {name: value for name, (value, _) in FRACTIONS.items() if name != NO_SHAPE}
    return {
        name: metrics.line_counts(values, value)
        for name, value in shapes.items()
        if metrics.stands_out(values, value)
    }
