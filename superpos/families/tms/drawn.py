"""What models are trained and evaluated on: the inputs of `inputs`, bit for bit, by the compiled
sampler where it runs.

Shapes: M models, B samples, F features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from superpos.families.tms.data import inputs
from superpos.families.tms.structure import Task

if TYPE_CHECKING:
    import torch


def batch(task: Task, step: int, device: str) -> torch.Tensor:
    """Training inputs [M, B, F] of a step: `inputs.batch`."""
    return inputs.batch(task, step, device, _densely(device))


def sample(task: Task, samples: range, device: str) -> torch.Tensor:
    """Inputs [M, B, F] of a contiguous range of samples of the evaluation stream:
    `inputs.evaluation`.
    """
    return inputs.evaluation(task, samples, device, _densely(device))


def _densely(device: str) -> inputs.Sampler | None:
    """The compiled sampler; None where there is none."""
    # with numba, which the definition does without
    from superpos.engines.compiled.cache import no_compiler

    if device != "cpu" or no_compiler():
        return None
    from superpos.families.tms.cpu.inputs import dense

    return dense
