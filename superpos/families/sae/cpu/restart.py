"""Restarts of dead latents: the family's own, model by model, so that no model's rounding depends
on others.
"""

from __future__ import annotations

import numpy as np
import torch

from superpos.engines.machine import torch_threads
from superpos.engines.task import Stepped
from superpos.families.sae.cpu.arrays import F32, Trained
from superpos.families.sae.cpu.call import Numbers
from superpos.families.sae.structure import Task
from superpos.families.sae.upkeep import restarted


def restart_dead(task: Task, state: Trained, models: range, rows: F32, step: int) -> None:
    """Restart the dead latents of some models after a step, whose batch is x = rows [B', R]."""
    structure = task.structure
    x = torch.from_numpy(rows[None, : structure.batch_size, : structure.n_dims].copy())
    dead = (state.idle >= structure.restart_every).any(axis=1) & (state.diverged_at < 0)
    with torch_threads(1):
        for model in models:
            if dead[model]:
                _restart(task.take(slice(model, model + 1)), state, model, x, step)


def _restart(task: Task, state: Trained, model: int, x: torch.Tensor, step: int) -> None:
    layout = Numbers(task.structure)
    turn = state.turn[model]
    now = state.numbers[model, turn][None]
    before = state.numbers[model, 1 - turn][None]

    def tensors(numbers: F32, which: int = 0) -> dict[str, torch.Tensor]:
        found = {name: layout.view(numbers, name, which).copy() for name in layout.shapes}
        return {name: torch.from_numpy(value) for name, value in found.items()}

    extra = {
        "threshold": torch.from_numpy(state.threshold[model : model + 1]),
        "idle": torch.from_numpy(state.idle[model : model + 1].copy()),
    }
    stepped = Stepped(tensors(now), tensors(now, 1), tensors(now, 2), extra, tensors(before))
    found = restarted(task, stepped, x, step)
    for which, group in enumerate((found.params, found.first, found.second)):
        for name, value in group.items():
            layout.view(now, name, which)[...] = value.numpy()
    state.idle[model] = np.asarray(found.extra["idle"])[0]
