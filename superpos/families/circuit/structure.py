"""What circuits of a chunk share, and what differs between them. Shapes: M models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from superpos.engines import task
from superpos.explain import circuits, induction

Kind = Literal[
    "and",
    "or",
    "xor",
    "add",
    "inhibit",
    "backup",
    "random_gates",
    "illusion",
    "induction_k",
    "induction_q",
    "induction_kq",
]


@dataclass(frozen=True)
class Structure(task.Structure):
    """What all models of a task share."""

    kind: Kind
    distractors: int
    always_on: int

    @property
    def is_induction(self) -> bool:
        """Whether they are transformers, not gates."""
        return self.kind in induction.KINDS

    @property
    def wires(self) -> circuits.Wires:
        """The nodes of gates."""
        return circuits.wires_of(self.kind, self.distractors, self.always_on)

    @property
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter of one model."""
        if self.is_induction:
            return induction.shapes(self.kind, self.distractors)
        return self.wires.shapes

    @property
    def n_outputs(self) -> int:
        """Logits: of each token, or of off and on."""
        return induction.N_TOKENS + 1 if self.is_induction else 2

    @property
    def width(self) -> int:
        """Numbers that a sample takes in a model."""
        if not self.is_induction:
            return len(self.wires.nodes) + self.n_outputs
        layers, n_heads, d, k = self.param_shapes["W_Q"]
        return induction.LENGTH * (layers * n_heads * (d + 3 * k + induction.LENGTH) + 2 * d)

    @property
    def built(self) -> bool:
        """Circuits are made, not trained."""
        return True


@dataclass(frozen=True)
class Task(task.Task):
    """M models of one structure."""

    structure: Structure
    beta: NDArray[np.float64]  # [M]; of induction circuits
    rho: NDArray[np.float64]  # [M]; of backups
