"""What an engine trains: M models of equal structure, and their state.

A family makes its own `Structure` and `Task` of these. A `Task` never changes; a `State` is
everything that must be kept to go on training bitwise where it stopped. Shapes: M models.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from superpos.maths import optimisers

Array = NDArray[np.generic]

SHARED = {"shared": True}
"""Metadata of a field of a task that all its models have in common: it has no axis of models."""


@dataclass(frozen=True, kw_only=True)
class Structure(ABC):
    """What all models of a task share.

    Every field is a number or text, so structures can be compared and hashed.
    """

    steps: int = 10_000
    batch_size: int = 1024
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr_schedule: Literal["constant", "linear", "cosine"] = "constant"
    decay_share: float = 1.0
    warmup_steps: int = 0
    reduction: Literal["mean", "sum"] = "mean"
    loss_every: int = 100
    snapshots: int = 0

    @property
    @abstractmethod
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter of one model, in their order."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Outputs of a model, over which `reduction` takes the mean."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers that a sample takes in a model, inputs and activations: memory is planned by
        it.
        """

    @property
    def built(self) -> bool:
        """Whether such models are made by the family's `build`, not trained; their `steps` are
        0.
        """
        return False

    @property
    def gradient_scale(self) -> float:
        """Factor on the loss of which gradients are taken."""
        return 1 / self.n_outputs if self.reduction == "mean" else 1.0

    @property
    def lr_factors(self) -> NDArray[np.float64]:
        """Factor on the learning rate at each step, [steps]; a warm-up ends where training does."""
        warmup = min(self.warmup_steps, self.steps)
        return optimisers.schedule(self.lr_schedule, self.steps, warmup, self.decay_share)

    @property
    def same_inputs(self) -> bool:
        """Whether all steps have the same inputs, which are then made once."""
        return False

    @property
    def samples_per_step(self) -> int:
        """Samples in one gradient step."""
        return self.batch_size

    @property
    def n_params(self) -> int:
        """Numbers in all parameters of one model."""
        return sum(math.prod(shape) for shape in self.param_shapes.values())

    def flat(self, params: Mapping[str, Array], multiple: int = 1) -> NDArray[np.float32]:
        """Parameters [M, P] in the order of `param_shapes`, with zeros up to a multiple of so many
        numbers.

        Owns its memory. The inverse of `unflat`.
        """
        rows = [params[name].reshape(len(params[name]), -1) for name in self.param_shapes]
        end = np.zeros((len(rows[0]), -self.n_params % multiple), np.float32)
        return np.concatenate([*rows, end], axis=1)

    def unflat(self, theta: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """{name: [M, ...]}, views of the parameters [M, P] in the order of `param_shapes`; the end
        may be filled up.
        """
        params = {}
        at = 0
        for name, shape in self.param_shapes.items():
            size = math.prod(shape)
            params[name] = theta[:, at : at + size].reshape(len(theta), *shape)
            at += size
        return params

    @property
    def loss_steps(self) -> NDArray[np.int64]:
        """Steps whose training loss is recorded."""
        return np.arange(
            0, self.steps if self.loss_every else 0, max(self.loss_every, 1), dtype=np.int64
        )

    @property
    def snapshot_steps(self) -> NDArray[np.int64]:
        """Numbers of finished steps after which the weights are kept, from 0 (the initial weights)
        to `steps`.
        """
        if not self.snapshots:
            return np.zeros(0, dtype=np.int64)
        return np.unique(np.linspace(0, self.steps, self.snapshots).round().astype(np.int64))


@dataclass(frozen=True)
class Task:
    """M models of one structure, with what may differ between them; a family adds fields of its
    own.
    """

    structure: Any  # a family's `Structure`
    seed: NDArray[np.uint64]  # [M]
    lr: NDArray[np.float64]  # [M]
    weight_decay: NDArray[np.float64]  # [M]

    def __post_init__(self) -> None:
        for name in self._per_model():
            found = getattr(self, name).shape
            expected = self.expected_shape(name)
            if found != expected:
                raise ValueError(f"task.{name} has shape {found}, expected {expected}")

    def __len__(self) -> int:
        return len(self.seed)

    def expected_shape(self, name: str) -> tuple[int, ...]:
        """The shape that a field must have: one number for each model."""
        return (len(self),)

    def take(self, rows: NDArray[np.intp] | slice) -> Self:
        """The same task for some of its models."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self._per_model()})

    @classmethod
    def _per_model(cls) -> list[str]:
        """Fields with an axis of models."""
        return [f.name for f in fields(cls)[1:] if not f.metadata.get("shared")]


class Stepped(NamedTuple):
    """Torch tensors [M, ...] by name, as a step of the optimiser leaves them and a family may
    change them.
    """

    params: dict[str, Any]
    first: dict[str, Any]
    second: dict[str, Any]
    """Moments of Adam, as `params`; a parameter that starts anew has them 0."""
    extra: dict[str, Any]
    before: Mapping[str, Any]
    """The parameters that the step began with, of which its losses and gradients are."""


@dataclass
class State:
    """Everything that training changes; float32 unless said. Engines update the arrays in place."""

    step: int
    params: dict[str, NDArray[np.float32]]  # [M, ...]
    first: dict[str, NDArray[np.float32]]  # Adam's first moments, as `params`
    second: dict[str, NDArray[np.float32]]  # Adam's second moments, as `params`
    diverged_at: NDArray[np.int64]  # [M]; the step at which a model stopped, -1 while it is fine
    history: NDArray[np.float32]  # [M, len(loss_steps)]; NaN where not reached
    # [M, len(snapshot_steps), ...]
    snapshots: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    # [M, ...], of any type; a family's own, such as counters
    extra: dict[str, Array] = field(default_factory=dict)

    _GROUPS = ("params", "first", "second", "snapshots", "extra")

    @classmethod
    def initial(
        cls, task: Task, params: dict[str, NDArray[np.float32]], extra: Mapping[str, Array] = {}
    ) -> State:
        """State before the first step."""
        models = len(task)
        kept = task.structure.snapshot_steps
        return cls(
            step=0,
            params=params,
            first={name: np.zeros_like(value) for name, value in params.items()},
            second={name: np.zeros_like(value) for name, value in params.items()},
            diverged_at=np.full(models, -1, dtype=np.int64),
            history=np.full((models, len(task.structure.loss_steps)), np.nan, dtype=np.float32),
            snapshots={
                name: np.full((models, len(kept), *value.shape[1:]), np.nan, dtype=np.float32)
                for name, value in params.items()
                if len(kept)
            },
            extra=dict(extra),
        )

    def to_arrays(self) -> dict[str, Array]:
        """A flat {name: array} copy of everything, for a checkpoint."""
        arrays: dict[str, Array] = {
            "step": np.array(self.step, dtype=np.int64),
            "diverged_at": self.diverged_at,
            "history": self.history,
        }
        for group in self._GROUPS:
            arrays |= {f"{group}/{name}": value for name, value in getattr(self, group).items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> State:
        """The inverse of `to_arrays`; owns its memory."""
        groups: dict[str, dict[str, Any]] = {group: {} for group in cls._GROUPS}
        for name, value in arrays.items():
            group, _, key = name.partition("/")
            if key:
                groups[group][key] = np.array(value)
        return cls(
            step=int(arrays["step"]),
            diverged_at=np.array(arrays["diverged_at"]),
            history=np.array(arrays["history"]),
            params=groups["params"],
            first=groups["first"],
            second=groups["second"],
            snapshots=groups["snapshots"],
            extra=groups["extra"],
        )
