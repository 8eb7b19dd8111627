"""The benchmark of the toy models: beside the published notebook's loop, `torch.compile` and
JAX.
"""

from __future__ import annotations

from typing import Final

from superpos.bench.cases import Bench, Standard
from superpos.families.tms.bench.cases import SCALING, TABLES, Case
from superpos.families.tms.bench.eager import EagerSide, compiled_side
from superpos.families.tms.bench.jit_scan import jax_side

EAGER: Final = "eager"
COMPILED: Final = "torch.compile"
JAX: Final = "JAX"


def bench() -> Bench:
    """The cases, and who trains them."""
    return Bench(
        cases=TABLES,
        baselines={EAGER: EagerSide, COMPILED: compiled_side, JAX: jax_side},
        standard=Standard(EAGER, "the eager loop"),
        scaling=SCALING,
        baselines_of_scaling=_scaling_sides,
    )


def _scaling_sides(case: Case) -> tuple[str, ...]:
    """Without what compiles for half a minute; a baseline knows one sampler."""
    return (EAGER, JAX) if case.sampler == "dense" else ()
