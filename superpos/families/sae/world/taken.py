"""The world of another run's model: its hidden activations on its own data, and where its features
lie in them.

Shapes: B samples, G features, d dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.family import Family

HIDDEN = "hidden"
"""The part of a model's forward pass that is decoded."""

REPRESENTED = 0.5
"""Length above which a direction in the hidden layer counts as a feature."""
_COUNTED = 2**14  # samples


@dataclass(frozen=True, eq=False)
class Taken:
    """One model of another run, with draws of the world's seed in the place of its own."""

    family: Family
    task: Any  # of that one model
    params: Mapping[str, NDArray[np.float32]]  # [1, ...]

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """Where the features lie in the hidden layer [G, d]; of any length."""
        assert self.family.directions is not None
        found: NDArray[np.float32] = self.family.directions(self.task, self._tensors("cpu"))[
            0
        ].numpy()
        return found

    @property
    def density(self) -> NDArray[np.float64]:
        """How often each feature is active in the first samples of the evaluation stream, [G]."""
        active = self.codes(True, 0, range(_COUNTED)).numpy() > 0
        found: NDArray[np.float64] = active.mean(0)
        return found

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Which features the model represents, [G]."""
        found: NDArray[np.bool_] = np.linalg.norm(self.features, axis=1) > REPRESENTED
        return found

    @property
    def signed(self) -> bool:
        """Whether inputs are below 0 in the first samples of the evaluation stream."""
        return bool((self.codes(True, 0, range(_COUNTED)) < 0).any())

    def codes(
        self, evaluation: bool, step: int, samples: range, device: str = "cpu"
    ) -> torch.Tensor:
        """The model's inputs in a contiguous range of samples [B, G], float32: how active each
        feature is.
        """
        return self._inputs(evaluation, step, samples, device)[0]

    def activations(
        self,
        evaluation: bool,
        step: int,
        samples: range,
        device: str = "cpu",
        codes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The hidden activations x of these samples [B, d], float32; `codes` are theirs, where
        drawn already.
        """
        inputs = self._inputs(evaluation, step, samples, device) if codes is None else codes[None]
        with torch.no_grad():
            _, parts = self.family.forward(self.task, self._tensors(device), inputs)
        found: torch.Tensor = parts[HIDDEN][0]
        return found

    def losses(self, samples: range, hidden: torch.Tensor | None) -> torch.Tensor:
        """What the model's outputs cost in samples of the evaluation stream [B].

        With its hidden layer as it is, or in its place `hidden` [B, d].
        """
        assert self.family.output_loss is not None
        inputs = self._inputs(True, 0, samples, "cpu")
        given = {} if hidden is None else {HIDDEN: hidden[None]}
        with torch.no_grad():
            outputs, _ = self.family.forward(self.task, self._tensors("cpu"), inputs, given)
            found: torch.Tensor = self.family.output_loss(self.task, inputs, outputs)[0]
        return found

    def _inputs(self, evaluation: bool, step: int, samples: range, device: str) -> torch.Tensor:
        """Inputs [1, B, G] of the model's own data."""
        if evaluation:
            found: torch.Tensor = self.family.sample(self.task, samples, device)
            return found
        structure = replace(self.task.structure, batch_size=samples.stop)
        inputs: torch.Tensor = self.family.batch(
            replace(self.task, structure=structure), step, device
        )
        return inputs[:, samples.start :]

    def _tensors(self, device: str) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(value).to(device) for name, value in self.params.items()}
