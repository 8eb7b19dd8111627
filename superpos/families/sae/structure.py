"""What an engine trains of sparse autoencoders: their structure, their worlds, and what differs
between them.

Shapes: M models, W worlds, B samples, G features, d dimensions, m latents, P prefixes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from superpos.engines import task

if TYPE_CHECKING:
    import torch

Kind = Literal["l1", "topk", "batchtopk", "jumprelu", "gated"]
Activity = Literal["independent", "copula", "tree", "exactly", "source"]


@dataclass(frozen=True)
class Structure(task.Structure):
    """What all models of a task share."""

    n_features: int
    n_dims: int
    latents: int
    kind: Kind = "l1"
    activity: Activity = "independent"
    magnitude: Literal["one", "uniform", "normal", "abs_normal", "lognormal"] = "uniform"
    tied: bool = False
    decoder_bias: bool = True
    prefixes: tuple[int, ...] | None = None
    frozen: Literal["none", "decoder"] = "none"
    restart_every: int = 0
    anneal_k: float = 0.0
    aux_k: int = 0
    penalty_warmup: float = 0.1

    @property
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter of one model."""
        matrix = (self.latents, self.n_dims)
        latents = (self.latents,)
        shapes: dict[str, tuple[int, ...]] = (
            {"D": matrix} if self.tied else {"E": matrix, "D": matrix}
        )
        shapes["b_e"] = latents
        if self.decoder_bias:
            shapes["b_d"] = (self.n_dims,)
        if self.kind == "jumprelu":
            shapes["theta"] = latents
        if self.kind == "gated":
            shapes |= {"r": latents, "b_gate": latents}
        return shapes

    @property
    def n_outputs(self) -> int:
        """One output for each dimension."""
        return self.n_dims

    @property
    def width(self) -> int:
        """Numbers that a sample takes in a model."""
        return self.n_features + 2 * self.n_dims + 2 * self.latents

    @property
    def cuts(self) -> tuple[int, ...]:
        """The prefixes that reconstruct, [P]: all latents alone where none are given."""
        return self.prefixes or (self.latents,)


class World(Protocol):
    """Where activations come from: features, and draws that are a function of the world alone."""

    @property
    def features(self) -> NDArray[np.float32]:
        """The true features [G, d]."""
        ...

    @property
    def density(self) -> NDArray[np.float64]:
        """How often each feature is active, [G]."""
        ...

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Which features count in scores, [G]."""
        ...

    def codes(self, evaluation: bool, step: int, samples: range, device: str) -> torch.Tensor:
        """How active each feature is in a contiguous range of samples [B, G], float32.

        It is active where this is above 0.
        """
        ...

    def activations(
        self,
        evaluation: bool,
        step: int,
        samples: range,
        device: str,
        codes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The activations x of these samples [B, d], float32; `codes` are theirs, where they are
        drawn already.

        Numbers belong to a sample, their last bits to the range: engines ask for whole batches.
        """
        ...


@dataclass(frozen=True)
class Task(task.Task):
    """M models of one structure. What belongs to another kind is 0."""

    structure: Structure
    world: NDArray[np.intp]  # [M]; places in `worlds`
    penalty: NDArray[np.float64]  # [M]; λ of the L1 or the L0
    k: NDArray[np.float64]  # [M]
    bandwidth: NDArray[np.float64]  # [M]
    theta: NDArray[np.float64]  # [M]; where thresholds start
    prefix_weights: NDArray[np.float64]  # [M, P]
    start: NDArray[np.object_]  # [M]; random, truth or truth+noise
    worlds: tuple[World, ...] = field(metadata=task.SHARED)

    def expected_shape(self, name: str) -> tuple[int, ...]:
        """The shape that a field must have."""
        return (len(self), len(self.structure.cuts)) if name == "prefix_weights" else (len(self),)
