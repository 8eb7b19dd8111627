"""What an engine trains of toy models: their structure, and what differs between them.

Shapes: M models, F features (n), H hidden (m).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from superpos.engines import task

Activation = Literal["relu", "linear"]
Values = Literal["uniform", "one", "sign", "normal", "exponential"]
Correlation = Literal["none", "correlated", "anticorrelated", "circle", "pairs", "tree", "exactly"]


@dataclass(frozen=True)
class Structure(task.Structure):
    """What all models of a task share.

    Tied: {W, b}; untied {W1, W2, b} with h = x @ W1, out = h @ W2.T + b.
    """

    n_features: int
    n_hidden: int
    output: Activation = "relu"
    hidden: Activation = "linear"
    tied: bool = True
    target: Literal["identity", "abs", "relu"] = "identity"
    init: str | None = None
    bias: Literal["learned", "none"] = "learned"
    correlation: Correlation = "none"
    sharpness: float = 10.0
    strength: float = 0.0
    tree: tuple[Any, ...] | None = None
    exactly: int | None = None
    set_size: int = 1
    signed: bool = False
    values: Values = "uniform"
    n_points: int | None = None
    sampler: Literal["dense", "sparse"] = "dense"
    loss_power: int = 2
    l1: float = 0.0
    decay_bias: bool = True
    norm_pull: float = 0.0

    @property
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter of one model."""
        weight = (self.n_features, self.n_hidden)
        weights = {"W": weight} if self.tied else {"W1": weight, "W2": weight}
        return {**weights, "b": (self.n_features,)}

    @property
    def biases(self) -> frozenset[str]:
        """Names of the parameters that are vectors: b, or those of a user's own."""
        return frozenset(name for name, shape in self.param_shapes.items() if len(shape) < 2)

    @property
    def frozen(self) -> frozenset[str]:
        """Names of the parameters that training leaves as they are."""
        return self.biases if self.bias == "none" else frozenset()

    @property
    def undecayed(self) -> frozenset[str]:
        """Names of the parameters that weight decay leaves alone."""
        return frozenset() if self.decay_bias else self.biases

    @property
    def in_sets(self) -> bool:
        """Whether features are active by themselves or in sets: what fused engines, the sparse
        sampler and exact theory know.
        """
        return self.correlation in ("none", "correlated", "anticorrelated")

    @property
    def n_outputs(self) -> int:
        """One output a feature."""
        return self.n_features

    @property
    def width(self) -> int:
        """Numbers that a sample takes in a model."""
        return self.n_features + self.n_hidden

    @property
    def same_inputs(self) -> bool:
        """Whether all steps have the same inputs: those of a finite data set."""
        return self.n_points is not None

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
    bias_init: NDArray[np.float64]  # [M]
    bias_std: NDArray[np.float64]  # [M]
    data_seed: NDArray[np.uint64]  # [M]; of a finite data set

    @property
    def density(self) -> NDArray[np.float64]:
        """Density p = 1 - S [M, F], as exact theory takes it.

        It is that of the S that was drawn with, which a density that was given may miss by one
        rounding: theory and draws agree to the last bit.
        """
        return 1 - self.sparsity

    @property
    def in_training(self) -> Task:
        """These models with the seeds of which their training inputs are drawn."""
        return replace(self, seed=self.data_seed) if self.structure.n_points else self

    def expected_shape(self, name: str) -> tuple[int, ...]:
        """The shape that a field must have."""
        return (
            (len(self), self.structure.n_features)
            if name in ("sparsity", "importance")
            else (len(self),)
        )
