"""What an engine trains of toy models: their structure, and what differs between them.

Shapes: M models, F features (n), H hidden (m).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from superpos.engines import task

Activation = Literal["relu", "linear"]


@dataclass(frozen=True)
class Structure(task.Structure):
    """What all models of a task share. Tied: {W, b}; untied {W1, W2, b} with h = x @ W1, out = h @ W2.T + b."""

    n_features: int
    n_hidden: int
    output: Activation = "relu"
    hidden: Activation = "linear"
    tied: bool = True
    target: Literal["identity", "abs"] = "identity"
    correlation: Literal["none", "correlated", "anticorrelated"] = "none"
    set_size: int = 1
    signed: bool = False
    n_points: int | None = None
    sampler: Literal["dense", "sparse"] = "dense"

    @property
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter of one model."""
        weight = (self.n_features, self.n_hidden)
        weights = {"W": weight} if self.tied else {"W1": weight, "W2": weight}
        return {**weights, "b": (self.n_features,)}

    @property
    def n_outputs(self) -> int:
        """One output a feature."""
        return self.n_features

    @property
    def width(self) -> int:
        """Numbers that a sample takes in a model."""
        return self.n_features + self.n_hidden

    @property
    def samples_per_step(self) -> int:
        """Samples in one gradient step: the batch, or all points of a finite data set."""
        return self.n_points or self.batch_size


@dataclass(frozen=True)
class Task(task.Task):
    """M models of one structure."""

    structure: Structure
    sparsity: NDArray[np.float64]  # [M, F]; of its set, where sets are correlated
    importance: NDArray[np.float64]  # [M, F]
    init_std: NDArray[np.float64]  # [M]

    @property
    def density(self) -> NDArray[np.float64]:
        """Density p = 1 - S [M, F], as exact theory takes it.

        It is that of the S that was drawn with, which a density that was given may miss by one rounding: theory and
        draws agree to the last bit.
        """
        return 1 - self.sparsity

    def expected_shape(self, name: str) -> tuple[int, ...]:
        """The shape that a field must have."""
        return (len(self), self.structure.n_features) if name in ("sparsity", "importance") else (len(self),)
