"""The benchmark of autoencoders: their engine beside autograd."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from auto import FAMILY
from auto.structure import Structure, Task
from auto.work import work
from auto.world import draw_dictionary
from superpos.bench.cases import COMPARED_STEPS, Bench, Standard
from superpos.engines.reference import ReferenceEngine
from superpos.engines.task import State

AUTOGRAD = "autograd"


class Case(NamedTuple):
    """M models with linear latents, of a dictionary each."""

    n_features: int
    n_inputs: int
    n_latents: int
    models: int
    batch_size: int = 64

    @property
    def shape(self) -> str:
        """d/k, such as "3/4"."""
        return f"{self.n_inputs}/{self.n_latents}"

    @property
    def label(self) -> str:
        """All that tells a case from another."""
        return f"{self.shape} × {self.models}, batch {self.batch_size}"

    @property
    def columns(self) -> dict[str, str]:
        """The same as cells of a table."""
        return {"d/k × models": f"{self.shape} × {self.models}", "batch": str(self.batch_size)}

    @property
    def samples(self) -> int:
        """Samples in a step, counted once for each model."""
        return self.models * self.batch_size

    @property
    def compared_steps(self) -> int:
        return COMPARED_STEPS

    @property
    def flops(self) -> float:
        """Nominal operations for one sample of a model."""
        return work(self.structure)

    @property
    def structure(self) -> Structure:
        """What the models share."""
        return Structure(
            n_features=self.n_features,
            n_inputs=self.n_inputs,
            n_latents=self.n_latents,
            activation="linear",
            decoder="learned",
            optimizer="adam",
            batch_size=self.batch_size,
            loss_every=0,
        )

    def task(self) -> Task:
        """The models, each with a seed of its own."""
        same = np.ones(self.models)
        dictionary = draw_dictionary(self.n_features, self.n_inputs, world=0)
        return Task(
            self.structure,
            seed=np.arange(self.models, dtype=np.uint64),
            lr=0.01 * same,
            weight_decay=0 * same,
            density=0.2 * same,
            noise=0 * same,
            l1=0.01 * same,
            dictionary=np.repeat(dictionary[None], self.models, axis=0),
        )


class AutogradSide:
    """The reference engine."""

    def __init__(self, task: Task, device: str) -> None:
        self.task = task
        self.engine = ReferenceEngine(FAMILY, device)
        self.state = State.initial(task, dict(FAMILY.init(task)), FAMILY.extra_state(task))

    def advance(self, steps: int) -> None:
        """Train so many more steps."""
        self.engine.advance(self.task, self.state, self.state.step + steps)

    def params(self) -> Any:
        """The weights now."""
        return self.state.params


def bench() -> Bench:
    """The cases, and who trains them."""
    return Bench(
        cases={"cpu": (Case(5, 3, 4, models=8),)},
        baselines={AUTOGRAD: AutogradSide},
        standard=Standard(AUTOGRAD, "autograd"),
    )
