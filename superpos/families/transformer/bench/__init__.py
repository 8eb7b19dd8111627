"""The benchmark of transformers: beside a loop of torch modules, the reference engine, and JAX."""

from __future__ import annotations

from typing import Final

from superpos.bench.cases import Bench, Standard
from superpos.bench.sides import EngineSide
from superpos.families.transformer import FAMILY
from superpos.families.transformer.bench.cases import TABLE
from superpos.families.transformer.bench.jit_scan import jax_side
from superpos.families.transformer.bench.loop import LoopSide
from superpos.families.transformer.structure import Task

LOOP: Final = "loop"
REFERENCE: Final = "reference"
JAX: Final = "JAX"


def bench() -> Bench:
    """The cases, and who trains them; models share nothing, so the engine has no other way to train
    them.
    """
    return Bench(
        cases={"cpu": TABLE},
        baselines={LOOP: LoopSide, REFERENCE: _reference, JAX: jax_side},
        together={},
        standard=Standard(LOOP, "the loop"),
    )


def _reference(task: Task, device: str) -> EngineSide:
    """All models of a task in one program, by autograd."""
    return EngineSide(FAMILY, task, device, backend="reference")
