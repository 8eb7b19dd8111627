"""What both fused engines say of a structure in the same way."""

from __future__ import annotations

from typing import Final

from superpos.families.tms.data.feature_values import LINEAR_LAWS
from superpos.families.tms.structure import Structure

ADAM = 0
ADAMW = 1
SGD = 2
IDENTITY = 0
ABS = 1
RELU = 2
TARGETS: Final = {"identity": IDENTITY, "abs": ABS, "relu": RELU}
OPTIMIZERS: Final = {"adam": ADAM, "adamw": ADAMW, "sgd": SGD}


def gradient_factor(structure: Structure) -> float:
    """From the gradient of the summed loss over its power (half of it, of squares) to that of the
    training loss.
    """
    features = structure.n_features if structure.reduction == "mean" else 1
    return structure.loss_power / (structure.samples_per_step * features)


def unknown_law(structure: Structure) -> str | None:
    """Why a fused engine cannot draw the features, or None."""
    if not structure.in_sets:
        given = f"data.correlation={structure.correlation}"
        return f"draws features by themselves or in sets only ({given} is set)"
    if structure.values in LINEAR_LAWS:
        return None
    return f"draws values that are uniform or 1 only (data.values={structure.values} is set)"
