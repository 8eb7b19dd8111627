"""What both fused engines say of a structure in the same way."""

from __future__ import annotations

from typing import Final

from superpos.families.tms.structure import Structure

ADAM, ADAMW, SGD = 0, 1, 2
OPTIMIZERS: Final = {"adam": ADAM, "adamw": ADAMW, "sgd": SGD}


def gradient_factor(structure: Structure) -> float:
    """From the gradient of half the summed loss to that of the training loss."""
    features = structure.n_features if structure.reduction == "mean" else 1
    return 2 / (structure.samples_per_step * features)
