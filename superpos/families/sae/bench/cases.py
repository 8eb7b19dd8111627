"""What is trained: the cases of the table."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from superpos.bench.cases import COMPARED_STEPS, PART_STEPS
from superpos.families.sae.structure import Kind, Structure, Task
from superpos.families.sae.world.dictionary import dictionary
from superpos.families.sae.world.synthetic import Synthetic
from superpos.maths.activity import Independent

RUN_STEPS: Final = 1000  # of the runs that a benchmark stands for
LATE: Final = 40 * PART_STEPS  # when latents are about as sparse as features
L1: Final = 0.3
L0: Final = 0.03
BANDWIDTH: Final = 0.1


class Case(NamedTuple):
    """M autoencoders with m latents of activations in d dimensions, as many features as latents.

    Every one has a world of its own, whose features are equally often active: `active` of them on
    average. `compared_steps` after the start all sides are compared and timed: a late case shows
    what the steps of a run cost once few latents are active.
    """

    n_dims: int
    latents: int
    models: int
    active: float
    kind: Kind = "l1"
    batch_size: int = 256
    compared_steps: int = COMPARED_STEPS

    @property
    def shape(self) -> str:
        """d/m, such as "64/128"."""
        return f"{self.n_dims}/{self.latents}"

    @property
    def label(self) -> str:
        """All that tells a case from another."""
        what = f"{self.shape} × {self.models}, {self.kind}, batch {self.batch_size}"
        return f"{what}, after {self.compared_steps} steps"

    @property
    def columns(self) -> dict[str, str]:
        """The same as cells of a table."""
        return {
            "d/m × SAEs": f"{self.shape} × {self.models}",
            "kind": self.kind,
            "active": f"{self.active:g}",
            "batch": str(self.batch_size),
            "after": f"{self.compared_steps} steps",
        }

    @property
    def flops(self) -> float:
        """10md for a sample of a model: encoder, decoder, and three products back."""
        return 10 * self.n_dims * self.latents

    @property
    def samples(self) -> int:
        """Samples in a step, counted once for each model."""
        return self.models * self.batch_size

    def task(self) -> Task:
        """The models; k is the number of active features, λ by the kind."""
        penalty = {"l1": L1, "jumprelu": L0}.get(self.kind, 0.0)
        k = float(max(1, round(self.active))) if self.kind in ("topk", "batchtopk") else 0.0
        return Task(
            Structure(
                n_features=self.latents,
                n_dims=self.n_dims,
                latents=self.latents,
                kind=self.kind,
                steps=self.compared_steps + RUN_STEPS,
                batch_size=self.batch_size,
                optimizer="adam",
                reduction="sum",
                loss_every=0,
            ),
            seed=np.arange(self.models, dtype=np.uint64),
            lr=np.full(self.models, 3e-3),
            weight_decay=np.zeros(self.models),
            world=np.arange(self.models),
            penalty=np.full(self.models, penalty),
            k=np.full(self.models, k),
            bandwidth=np.full(self.models, BANDWIDTH),
            theta=np.full(self.models, 0.1),
            prefix_weights=np.ones((self.models, 1)),
            start=np.full(self.models, "random", dtype=object),
            worlds=tuple(self._world(seed) for seed in range(self.models)),
        )

    def _world(self, seed: int) -> Synthetic:
        features = dictionary("sphere", 0.0, self.latents, self.n_dims, seed)
        law = Independent(np.full(self.latents, self.active / self.latents))
        return Synthetic(seed, features, law, "uniform", 0.0, 0.0)


TABLE: Final = (
    *(Case(2, 5, 200, 0.5), Case(16, 32, 100, 1.5), Case(64, 128, 40, 3), Case(256, 512, 8, 10)),
    *(Case(2, 5, 200, 1, "topk"), Case(16, 32, 100, 2, "topk"), Case(64, 128, 40, 3, "topk")),
    *(Case(64, 128, 40, 3, "batchtopk"), Case(256, 512, 8, 10, "batchtopk")),
    Case(64, 128, 40, 3, "jumprelu"),
    *(Case(64, 128, 40, 3, compared_steps=LATE), Case(256, 512, 8, 10, compared_steps=LATE)),
    Case(64, 128, 40, 3, "jumprelu", compared_steps=LATE),
)
