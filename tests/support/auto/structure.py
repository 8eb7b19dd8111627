"""What an engine trains of autoencoders: their structure, and what differs between them.

Shapes: M models, F features (n), D inputs (d), K latents (k).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from superpos.engines import task


@dataclass(frozen=True)
class Structure(task.Structure):
    """What all models of a task share: z = act(x E + b), out = z D."""

    n_features: int
    n_inputs: int
    n_latents: int
    activation: Literal["relu", "linear"]
    decoder: Literal["learned", "dictionary", "identity"]

    @property
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter of one model."""
        inputs, latents = self.n_inputs, self.n_latents
        return {"E": (inputs, latents), "b": (latents,), "D": (latents, inputs)}

    @property
    def n_outputs(self) -> int:
        """One output for each input."""
        return self.n_inputs

    @property
    def width(self) -> int:
        """Numbers that a sample takes in a model."""
        return self.n_features + self.n_inputs + self.n_latents

    @property
    def built(self) -> bool:
        """The identity is made by hand."""
        return self.decoder == "identity"


@dataclass(frozen=True)
class Task(task.Task):
    """M models of one structure."""

    structure: Structure
    density: NDArray[np.float64]  # [M]
    noise: NDArray[np.float64]  # [M]
    l1: NDArray[np.float64]  # [M]
    dictionary: NDArray[np.float32]  # [M, F, D]

    def expected_shape(self, name: str) -> tuple[int, ...]:
        """The shape that a field must have."""
        structure = self.structure
        return (
            (len(self), structure.n_features, structure.n_inputs)
            if name == "dictionary"
            else (len(self),)
        )
