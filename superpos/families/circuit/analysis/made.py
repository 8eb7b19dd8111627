"""Circuits of a run as they were made, and prompts to ask them. Shapes: M models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch

from superpos.explain import induction
from superpos.families.circuit.purposes import Purpose
from superpos.families.circuit.structure import Structure
from superpos.maths.streams import draws
from superpos.plan.sweep import Sweep
from superpos.store import Run

SEED: Final = np.zeros(1, dtype=np.uint64)
"""Prompts are the same for every model."""


def made_of(run: Run, models: Sequence[int]) -> tuple[Structure, Mapping[str, torch.Tensor]]:
    """The structure and the parameters [M, ...] of some circuits of one kind, in double
    precision.
    """
    structure: Structure = Sweep.from_json(run.plan).settings.structure(int(models[0]))
    names = structure.param_shapes
    return structure, {name: torch.from_numpy(run.tensor(name, models)).double() for name in names}


def prompts_of(count: int) -> induction.Prompts:
    """Prompts that are the same for every model."""
    words = draws(SEED, Purpose.PROMPTS, 0, range(count), induction.N_TOKENS + 1)[0].numpy()
    return induction.prompts(words)
