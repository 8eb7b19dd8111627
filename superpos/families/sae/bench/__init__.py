"""The benchmark of autoencoders: beside a loop of torch modules, one batched program, and
SAELens.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from superpos.bench.cases import Bench, Standard
from superpos.families.sae.bench.cases import TABLE
from superpos.families.sae.bench.sae_lens_side import SaeLensSide
from superpos.families.sae.bench.torch_sides import BatchedSide, LoopSide
from superpos.families.sae.structure import Task

LOOP: Final = "loop"
BATCHED: Final = "batched"
SAE_LENS: Final = "SAELens"
ONE_WORLD: Final = "engine, one world"


def bench() -> Bench:
    """The cases, and who trains them."""
    return Bench(
        cases={"cpu": TABLE},
        baselines={LOOP: LoopSide, BATCHED: BatchedSide, SAE_LENS: SaeLensSide},
        standard=Standard(LOOP, "the loop"),
        own_rules=(SAE_LENS,),
        together={ONE_WORLD: _one_world},
    )


def _one_world(task: Task) -> Task:
    """The same autoencoders, all of them on the batches of the first one's world."""
    return replace(task, world=np.zeros_like(task.world))
