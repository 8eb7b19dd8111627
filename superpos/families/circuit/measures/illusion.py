"""Directions that exchange an input perfectly beside the part that carries it.

Values are one per circuit.
"""

from __future__ import annotations

import numpy as np

from superpos.claims.measured import Measured
from superpos.families.circuit.analysis.illusions import aligned
from superpos.store import Run


def cosine(run: Run) -> Measured:
    """Median size of the cosine of a perfect direction with the part that carries the input."""
    return Measured(np.array([np.median(one.cosine) for one in aligned(run)]))
