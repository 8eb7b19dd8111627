"""What an engine trains: M models of equal structure, and their state.

Shapes: M models, B batch, F features (n), H hidden (m). A `Task` never changes; a `State` is everything
that must be kept to go on training bitwise where it stopped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from superpos.user.functions import Own

Activation = Literal["relu", "linear"]
Array = NDArray[np.generic]


@dataclass(frozen=True)
class Structure:
    """What all models of a task share. Every field is a number or text, so structures can be compared and hashed."""

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
    steps: int = 10_000
    batch_size: int = 1024
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr_schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = 0
    reduction: Literal["mean", "sum"] = "mean"
    loss_every: int = 100
    snapshots: int = 0
    own: Own | None = None

    @property
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter of one model: tied {W, b}; untied {W1, W2, b} with h = x @ W1, out = h @ W2.T + b.

        A user's own model may have others.
        """
        if self.own and self.own.has_params:
            return self.own.shapes(self.n_features, self.n_hidden)
        weight = (self.n_features, self.n_hidden)
        weights = {"W": weight} if self.tied else {"W1": weight, "W2": weight}
        return {**weights, "b": (self.n_features,)}

    def unflat(self, theta: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """{name: [M, ...]}, views of the parameters [M, P] in the order of `param_shapes`; the end may be filled up."""
        params, at = {}, 0
        for name, shape in self.param_shapes.items():
            size = math.prod(shape)
            params[name] = theta[:, at : at + size].reshape(len(theta), *shape)
            at += size
        return params

    @property
    def samples_per_step(self) -> int:
        """Samples in one gradient step: the batch, or all points of a finite data set."""
        return self.n_points or self.batch_size

    @property
    def loss_steps(self) -> NDArray[np.int64]:
        """Steps whose training loss is recorded."""
        return np.arange(0, self.steps if self.loss_every else 0, max(self.loss_every, 1), dtype=np.int64)

    @property
    def snapshot_steps(self) -> NDArray[np.int64]:
        """Numbers of finished steps after which the weights are kept, from 0 (the initial weights) to `steps`."""
        if not self.snapshots:
            return np.zeros(0, dtype=np.int64)
        return np.unique(np.linspace(0, self.steps, self.snapshots).round().astype(np.int64))


@dataclass(frozen=True)
class Task:
    """M models of one structure, with what may differ between them."""

    structure: Structure
    seed: NDArray[np.uint64]  # [M]
    sparsity: NDArray[np.float64]  # [M, F]; of its set, where sets are correlated
    importance: NDArray[np.float64]  # [M, F]
    lr: NDArray[np.float64]  # [M]
    weight_decay: NDArray[np.float64]  # [M]
    init_std: NDArray[np.float64]  # [M]

    def __post_init__(self) -> None:
        models, features = len(self.seed), self.structure.n_features
        for f in fields(self)[1:]:
            found = getattr(self, f.name).shape
            expected = (models, features) if f.name in ("sparsity", "importance") else (models,)
            if found != expected:
                raise ValueError(f"task.{f.name} has shape {found}, expected {expected}")

    def __len__(self) -> int:
        return len(self.seed)

    def take(self, rows: NDArray[np.intp] | slice) -> Task:
        """The same task for some of its models."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self)[1:]}
        return replace(self, **arrays)


@dataclass
class State:
    """Everything that training changes; float32 unless said. Engines update the arrays in place."""

    step: int
    params: dict[str, NDArray[np.float32]]  # [M, ...]
    first: dict[str, NDArray[np.float32]]  # Adam's first moments, as `params`
    second: dict[str, NDArray[np.float32]]  # Adam's second moments, as `params`
    diverged_at: NDArray[np.int64]  # [M]; the step at which a model stopped, -1 while it is fine
    history: NDArray[np.float32]  # [M, len(loss_steps)]; NaN where not reached
    snapshots: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # [M, len(snapshot_steps), ...]

    _GROUPS = ("params", "first", "second", "snapshots")

    @classmethod
    def initial(cls, task: Task, params: dict[str, NDArray[np.float32]]) -> State:
        """State before the first step."""
        models, kept = len(task), task.structure.snapshot_steps
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
        groups: dict[str, dict[str, NDArray[np.float32]]] = {group: {} for group in cls._GROUPS}
        for name, value in arrays.items():
            group, _, key = name.partition("/")
            if key:
                groups[group][key] = np.array(value, dtype=np.float32)
        return cls(
            step=int(arrays["step"]),
            diverged_at=np.array(arrays["diverged_at"]),
            history=np.array(arrays["history"]),
            params=groups["params"],
            first=groups["first"],
            second=groups["second"],
            snapshots=groups["snapshots"],
        )
