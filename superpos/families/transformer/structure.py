"""What an engine trains of transformers: their structure, and what differs between them.

Shapes: M models, V tokens, T positions, L layers, H heads, d dimensions of the stream, k of a head.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from superpos.engines import task

Kind = Literal["chain", "source", "latin", "conditional", "repeats", "pairs", "markov", "triggers"]
Positions = Literal["none", "stream", "scores", "relative", "pointer"]

_PLANNED = 80
"""Bytes by which the reference engine plans each number of a sample."""


@dataclass(frozen=True)
class Structure(task.Structure):
    """What all models of a task share."""

    context: int = 32
    n_layers: int = 2
    n_heads: int = 1
    d_model: int = 32
    d_head: int = 16
    positions: Positions = "relative"
    smear: bool = False
    direct: bool = True
    kind: Kind = "pairs"
    tokens: int = 16
    sources: int = 8
    planted: int = 48
    planted_p: float = 0.8
    pool: int = 6
    period: tuple[int, int] = (6, 12)
    distinct: bool = False
    keys: int = 8
    values: int = 8
    states: int = 4
    triggers: int = 4
    targets: Literal["all", "determined"] = "all"

    @property
    def vocabulary(self) -> int:
        """All tokens V. Those that begin or decide a sequence come after the ordinary ones."""
        return {
            "source": self.tokens + self.sources,
            "latin": self.tokens + self.sources,
            "conditional": self.tokens + 1,
            "repeats": self.tokens + 1,
            "pairs": self.keys + self.values + 1,
            "markov": self.states,
        }.get(self.kind, self.tokens)

    @property
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter of one model, by TransformerLens' names; W_rel and smear are own
        ones.
        """
        d = self.d_model
        k = self.d_head
        heads = (self.n_layers, self.n_heads)
        shapes: dict[str, tuple[int, ...]] = {"W_E": (self.vocabulary, d)}
        if self.positions in ("stream", "scores", "pointer"):
            shapes["W_pos"] = (self.context, d)
        if self.n_layers:
            shapes |= dict.fromkeys(("W_Q", "W_K", "W_V"), (*heads, d, k))
            shapes["W_O"] = (*heads, k, d)
            if self.positions == "relative":
                shapes["W_rel"] = (*heads, self.context)
            if self.smear:
                shapes["smear"] = heads
        shapes["W_U"] = (d, self.vocabulary)
        return shapes

    @property
    def n_outputs(self) -> int:
        """One loss for each sequence."""
        return 1

    @property
    def width(self) -> int:
        """Numbers that a sequence takes in a model, in units of those by which the reference engine
        plans memory.
        """
        in_heads = self.n_heads * (6 * self.d_head + 4 * self.context + self.d_model)
        position = (
            6 * self.vocabulary + 4 * self.d_model + self.n_layers * (in_heads + 3 * self.d_model)
        )
        return -(-self.context * position * 8 // _PLANNED)


@dataclass(frozen=True)
class Task(task.Task):
    """M models of one structure."""

    structure: Structure
    language: NDArray[np.intp]  # [M]; places in the first axis of `tables`
    init_std: NDArray[np.float64]  # [M]; NaN where weights start by what they sum over
    tables: dict[str, NDArray[Any]] = field(metadata=task.SHARED)
    """What languages of a kind differ in, by name, [languages, ...]; see `data.tables`."""
