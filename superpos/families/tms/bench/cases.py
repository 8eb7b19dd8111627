"""What is trained: the cases of the table, and those that show how cost grows."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import numpy as np

from superpos.bench.cases import COMPARED_STEPS
from superpos.families.tms.structure import Structure, Task

# of the runs that a benchmark stands for: no engine is asked for a step beyond
RUN_STEPS: Final = 10_000


class Case(NamedTuple):
    """M models with n features in m dimensions, all features equally important and equally
    sparse.
    """

    n_features: int
    n_hidden: int
    models: int
    sparsity: float = 0.9
    sampler: Literal["dense", "sparse"] = "dense"  # of the engine; a baseline draws every cell
    batch_size: int = 1024

    @property
    def shape(self) -> str:
        """n/m, such as "20/5"."""
        return f"{self.n_features}/{self.n_hidden}"

    @property
    def label(self) -> str:
        """All that tells a case from another."""
        return (
            f"{self.shape} × {self.models}, S {self.sparsity:g}, {self.sampler}, batch "
            f"{self.batch_size}"
        )

    @property
    def columns(self) -> dict[str, str]:
        """The same as cells of a table."""
        return {
            "n/m × models": f"{self.shape} × {self.models}",
            "S": f"{self.sparsity:g}",
            "sampler": self.sampler,
            "batch": str(self.batch_size),
        }

    @property
    def flops(self) -> float:
        """10nm for a sample of a model: two products forward, and three back."""
        return 10 * self.n_features * self.n_hidden

    @property
    def samples(self) -> int:
        """Samples in a step, counted once for each model."""
        return self.models * self.batch_size

    @property
    def compared_steps(self) -> int:
        """Few: what a step costs does not change over training."""
        return COMPARED_STEPS

    def task(self) -> Task:
        """The models, each with a seed of its own, trained as in the notebook of Elhage et al.
        2022.
        """
        n = self.n_features
        m = self.n_hidden
        models = self.models
        return Task(
            Structure(
                n,
                m,
                steps=RUN_STEPS,
                batch_size=self.batch_size,
                loss_every=0,
                sampler=self.sampler,
            ),
            seed=np.arange(models, dtype=np.uint64),
            sparsity=np.full((models, n), self.sparsity),
            importance=np.ones((models, n)),
            lr=np.full(models, 1e-3),
            weight_decay=np.full(models, 0.01),
            init_std=np.full(models, (2 / (n + m)) ** 0.5),
            bias_init=np.zeros(models),
            bias_std=np.zeros(models),
            data_seed=np.arange(models, dtype=np.uint64),
        )


TABLE: Final = (
    *(
        Case(5, 2, 100),
        Case(2, 1, 100),
        Case(20, 5, 100),
        Case(80, 20, 8),
        Case(200, 20, 20),
        Case(400, 30, 20),
    ),
    *(
        Case(5, 2, 100, 0.99, "sparse"),
        Case(20, 5, 100, 0.99, "sparse"),
        Case(200, 20, 20, 0.99, "sparse"),
    ),
    *(Case(20, 5, 100, 0.999, "sparse"), Case(200, 20, 20, 0.999, "sparse")),
)
GPU_TABLE: Final = (
    # here the eager loop is bound by its launches
    *(Case(2, 1, 100), Case(5, 2, 100), Case(20, 5, 100)),
    *(Case(2, 1, 100_000), Case(5, 2, 10_000), Case(20, 5, 10_000)),
    *(Case(80, 20, 1000), Case(200, 20, 100), Case(400, 30, 50)),
    *(
        Case(20, 5, 10_000, 0.99, "sparse"),
        Case(20, 5, 10_000, 0.999, "sparse"),
        Case(200, 20, 100, 0.99, "sparse"),
    ),
)
"""As many models as a GPU needs to be busy."""
TABLES: Final = {"cpu": TABLE, "cuda": GPU_TABLE}

BASE: Final = Case(20, 5, 20)
AXES: Final[dict[str, tuple[Any, ...]]] = {
    "models": (1, 2, 5, 20, 50, 200, 500),
    "n_features": (5, 10, 20, 50, 100, 200, 400),
    "n_hidden": (1, 2, 5, 10, 20),
    "batch_size": (64, 256, 1024, 4096, 16384),
    "sparsity": (0.0, 0.7, 0.9, 0.97, 0.99, 0.997, 0.999),
}
"""One field of `BASE` varies at a time."""
SCALING: Final = tuple(
    dict.fromkeys(
        [BASE._replace(**{field: value}) for field, values in AXES.items() for value in values]
        + [
            BASE._replace(sparsity=value, sampler="sparse")
            for value in AXES["sparsity"]
            if value >= 0.7
        ]
    )
)
