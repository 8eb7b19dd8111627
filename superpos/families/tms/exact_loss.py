"""Which losses are computed exactly, without sampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms import theory
from superpos.families.tms.structure import Structure, Task

# Up to here exact losses of ReLU models take little beside training; sampled ones would rank the
# seeds of a sparse model by chance.
EXACT_FEATURES: Final = 6


def has_exact_loss(structure: Structure) -> bool:
    """Whether the loss of such models is computed exactly: tied linear ones, and ReLU ones of few
    features.
    """
    plain = structure.tied and structure.hidden == "linear" and structure.target == "identity"
    known = structure.values == "uniform" and structure.in_sets
    drawn = known and not structure.signed and structure.n_points is None
    return (
        plain and drawn and (structure.output == "linear" or structure.n_features <= EXACT_FEATURES)
    )


def exact_work(structure: Structure) -> int:
    """What the exact loss of a model costs: states of the features for each ReLU output, or entries
    of a matrix.
    """
    n = structure.n_features
    return n * 3**n if structure.output == "relu" else n**2


def exact_loss(task: Task, params: Mapping[str, NDArray[np.floating[Any]]]) -> NDArray[np.float64]:
    """Exact L of models for which `has_exact_loss`: {"W": [M, F, H], "b": [M, F]}, or many of a
    task of one model.
    """
    structure = task.structure
    W, b = (params[name].astype(np.float64) for name in ("W", "b"))
    sets: dict[str, Any] = {"correlation": structure.correlation, "set_size": structure.set_size}
    return theory.expected_loss(W, b, task.density, task.importance, structure.output, **sets)
