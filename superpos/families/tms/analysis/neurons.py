"""Which neurons and features of a ReLU hidden layer are shown apart.

Shapes: F features (n), H neurons (m).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from superpos.maths.types import Floats

FEW: Final = 12
"""Up to here every feature has its colour, and models of so few neurons stand side by side."""
MANY: Final = 5
"""Features of a neuron from which on its colour stays the same."""
SHOWN: Final = 0.1
"""Product of input and output weight from which on a feature comes through a neuron."""


def features_used(weights: Mapping[str, Floats]) -> int:
    """Features up to the last one that comes through a neuron; all where none does.

    `weights` [F, H] are {"W": ...}, or the input weights first and then the output weights.
    """
    first, *others = weights.values()
    through = np.abs(first * (others[0] if others else first)).max(axis=1) > SHOWN
    return int(np.flatnonzero(through)[-1]) + 1 if through.any() else len(through)
