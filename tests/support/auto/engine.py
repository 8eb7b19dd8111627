"""An engine of its own for autoencoders with linear latents: gradients by hand, no autograd.

Shapes: M models, B samples, D inputs, K latents.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auto import FAMILY
from auto.structure import Structure, Task
from superpos.engines.reference import ReferenceEngine
from superpos.engines.task import State, Stepped
from superpos.maths import optimisers


class LinearEngine:
    """Trains models with linear latents by Adam at a constant rate."""

    name = "fused"

    def __init__(self, threads: int | None) -> None:
        self._reference = ReferenceEngine(FAMILY, threads=threads)

    def first_use(self) -> str | None:
        """Nothing to wait for."""
        return None

    def unsupported(self, structure: Structure) -> str | None:
        """Why a structure cannot be trained, or None."""
        plain = (
            structure.optimizer == "adam"
            and structure.lr_schedule == "constant"
            and not structure.warmup_steps
        )
        if structure.activation != "linear" or not plain:
            return "the fused engine has linear latents and Adam at a constant rate alone"
        return None

    def gradients(
        self, task: Task, params: Any, step: int, extra: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """Losses [M] and gradients {name: [M, ...]} of one training step."""
        tensors = {name: torch.from_numpy(value) for name, value in params.items()}
        losses, grads = _gradients(task, tensors, FAMILY.batch(task, step, "cpu"))
        return losses.numpy(), {name: grad.numpy() for name, grad in grads.items()}

    def advance(self, task: Task, state: State, stop: int) -> None:
        """Train all models from `state.step` to `stop`, updating `state` in place."""
        for step in range(state.step, stop):
            self._step(task, state, step)
        state.step = stop

    def evaluate(
        self, task: Task, params: Any, samples: int, extra: Any = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Loss and its standard error, each [M]: as the reference has them."""
        return self._reference.evaluate(task, params, samples, extra)

    def _step(self, task: Task, state: State, step: int) -> None:
        x = FAMILY.batch(task, step, "cpu")
        params = {name: torch.from_numpy(value) for name, value in state.params.items()}
        losses, grads = _gradients(task, params, x)
        every = task.structure.loss_every
        healthy = torch.from_numpy(state.diverged_at < 0)
        if every and step % every == 0:
            state.history[:, step // every] = torch.where(healthy, losses, torch.nan).numpy()
        lr, decay = (
            torch.from_numpy(value.astype(np.float32)) for value in (task.lr, task.weight_decay)
        )
        new = {
            name: optimisers.update(
                "adam",
                FAMILY.adam,
                step,
                lr,
                decay * (name not in FAMILY.undecayed(task.structure)),
                optimisers.Update(
                    *(
                        torch.from_numpy(group[name])
                        for group in (state.params, state.first, state.second)
                    )
                ),
                grad,
            )
            for name, grad in grads.items()
        }
        assert FAMILY.after_step is not None
        first = {name: value.first for name, value in new.items()}
        second = {name: value.second for name, value in new.items()}
        extra = {name: torch.from_numpy(value) for name, value in state.extra.items()}
        moved = params | {name: value.param for name, value in new.items()}
        stepped = FAMILY.after_step(task, Stepped(moved, first, second, extra, params), x, step)
        finite = losses.isfinite()
        for name in grads:
            finite &= stepped.params[name].flatten(1).isfinite().all(-1)
        state.diverged_at[(healthy & ~finite).numpy()] = step
        keep = (healthy & finite).numpy()
        for name in new:
            state.params[name][keep] = stepped.params[name].numpy()[keep]
            state.first[name][keep] = stepped.first[name].numpy()[keep]
            state.second[name][keep] = stepped.second[name].numpy()[keep]
        for name, counts in stepped.extra.items():
            state.extra[name][keep] = counts.numpy()[keep]


def _gradients(
    task: Task, params: dict[str, torch.Tensor], x: torch.Tensor
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Losses [M] and the gradients of those times the gradient's scale, without those of what is
    frozen.
    """
    E, b, D = (params[name] for name in ("E", "b", "D"))
    l1 = x.new_tensor(task.l1)[:, None, None]
    z = x @ E + b[:, None, :]
    off = z @ D - x
    losses = ((off**2).sum(-1) + l1[..., 0] * (z**2).sum(-1)).mean(-1)
    scale = 2 * task.structure.gradient_scale / x.shape[1]
    dz = scale * (off @ D.mT + l1 * z)
    grads = {"E": x.mT @ dz, "b": dz.sum(1), "D": scale * (z.mT @ off)}
    return losses, {
        name: grad for name, grad in grads.items() if name not in FAMILY.frozen(task.structure)
    }
