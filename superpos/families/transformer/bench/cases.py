"""What is trained: the cases of the table."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from superpos.bench.cases import COMPARED_STEPS
from superpos.families.transformer.structure import Structure, Task

RUN_STEPS: Final = 1000  # of the runs that a benchmark stands for


class Case(NamedTuple):
    """M transformers with d dimensions, L layers of H heads, relative positions and T of them, on
    keys and values.

    There are V = keys + values + 1 tokens; every model has sequences of its own.
    """

    d_model: int
    keys: int
    values: int
    context: int
    models: int
    n_heads: int = 1
    n_layers: int = 2
    d_head: int = 16
    batch_size: int = 16
    compared_steps: int = COMPARED_STEPS

    @property
    def shape(self) -> str:
        """d/V/T, such as "32/17/32"."""
        return f"{self.d_model}/{self.keys + self.values + 1}/{self.context}"

    @property
    def label(self) -> str:
        """All that tells a case from another."""
        heads = f"{self.n_layers} layers of {self.n_heads} heads of {self.d_head}"
        return f"{self.shape} × {self.models}, {heads}, batch {self.batch_size}"

    @property
    def columns(self) -> dict[str, str]:
        """The same as cells of a table."""
        return {
            "d/V/T × models": f"{self.shape} × {self.models}",
            "layers × heads × k": f"{self.n_layers} × {self.n_heads} × {self.d_head}",
            "batch": str(self.batch_size),
        }

    @property
    def flops(self) -> float:
        """Of a sequence: 6dV for logits, 24dk for the weights of a head, 12k for each key that a
        query sees.
        """
        heads = self.n_layers * self.n_heads
        vocabulary = self.keys + self.values + 1
        head = 24.0 * self.d_model * self.d_head + 6.0 * (self.context + 1) * self.d_head
        return self.context * (6.0 * self.d_model * vocabulary + heads * head)

    @property
    def samples(self) -> int:
        """Sequences in a step, counted once for each model."""
        return self.models * self.batch_size

    def task(self) -> Task:
        """The models; the rate is constant, so that no step costs less than another."""
        return Task(
            Structure(
                context=self.context,
                n_layers=self.n_layers,
                n_heads=self.n_heads,
                d_model=self.d_model,
                d_head=self.d_head,
                keys=self.keys,
                values=self.values,
                steps=self.compared_steps + RUN_STEPS,
                batch_size=self.batch_size,
                optimizer="adam",
                loss_every=0,
            ),
            seed=np.arange(self.models, dtype=np.uint64),
            lr=np.full(self.models, 3e-3),
            weight_decay=np.zeros(self.models),
            language=np.zeros(self.models, dtype=np.intp),
            init_std=np.full(self.models, np.nan),
            tables={},
        )


TABLE: Final = (
    Case(16, 4, 3, 16, 64),
    Case(32, 8, 8, 24, 32),
    Case(32, 8, 8, 32, 32),
    Case(32, 8, 8, 32, 16, n_heads=2, batch_size=32),
    Case(64, 32, 31, 64, 8, n_heads=2),
)
