"""The reference engine: plain torch and autograd, every model, every device. The ground truth of the fused engines.

Shapes: M models, B samples, F features. Models are stacked but never coupled: their losses are summed, never averaged,
and the optimiser works elementwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.engines.splitting import in_memory
from superpos.engines.task import State, Structure, Task
from superpos.families.tms import model
from superpos.families.tms.data import inputs
from superpos.maths import optimisers
from superpos.maths.streams import Purpose

Tensors = dict[str, torch.Tensor]
_BYTES_PER_CELL = 80  # draws (int64, with intermediate products), inputs, outputs and their gradients, measured
_DEFAULT_MEMORY_GB = 2.0
_EVALUATED_AT_ONCE = 8192  # samples
_CELLS_A_THREAD = 2**17


def batch_losses(structure: Structure, params: Tensors, x: torch.Tensor, importance: torch.Tensor) -> torch.Tensor:
    """L = mean over the batch of sum_i I_i (target_i - x'_i)², for each model [M]."""
    return model.sample_losses(structure, params, x, importance).mean(-1)


def loss_and_gradients(
    structure: Structure, params: Tensors, x: torch.Tensor, importance: torch.Tensor
) -> tuple[torch.Tensor, Tensors]:
    """Losses L [M] and the gradient of each model's training loss (L, or L / F for reduction "mean")."""
    leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
    losses = batch_losses(structure, leaves, x, importance)
    scale = 1 / structure.n_features if structure.reduction == "mean" else 1.0
    grads = torch.autograd.grad(losses.sum() * scale, list(leaves.values()))
    return losses.detach(), dict(zip(leaves, grads, strict=True))


@dataclass(frozen=True)
class ReferenceEngine:
    """Trains and evaluates on one torch device; `memory_gb` bounds the models stacked at once and changes no result."""

    device: str = "cpu"
    threads: int | None = None
    memory_gb: float | None = None
    name = "reference"

    def first_use(self) -> str | None:
        """Nothing to wait for."""
        return None

    def unsupported(self, structure: Structure) -> str | None:
        """Why a structure cannot be trained: never."""
        return None

    def gradients(self, task: Task, params: dict[str, NDArray[np.float32]], step: int) -> tuple[Any, dict[str, Any]]:
        """Losses [M] and gradients {name: [M, ...]} of one training step, as numpy arrays."""
        x = inputs.batch(task, step, self.device)
        loss, grads = loss_and_gradients(task.structure, self._tensors(params), x, self._column(task.importance))
        return loss.cpu().numpy(), {name: grad.cpu().numpy() for name, grad in grads.items()}

    def advance(self, task: Task, state: State, stop: int) -> None:
        """Train all models from `state.step` to `stop`, updating `state` in place."""
        with self._threads(task, task.structure.samples_per_step):
            for rows in self._slices(task, task.structure.samples_per_step):
                in_memory(rows, lambda part: self._advance_rows(task.take(part), state, part, stop))
        state.step = stop

    def evaluate(
        self, task: Task, params: dict[str, NDArray[np.float32]], samples: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Loss L and its standard error, each [M], on `samples` fresh samples of the evaluation stream."""
        sums = np.zeros((len(task), 2))

        def evaluate_rows(rows: slice) -> None:
            own = {name: value[rows] for name, value in params.items()}
            sums[rows] = self._sums(task.take(rows), own, samples)

        with self._threads(task, _EVALUATED_AT_ONCE), torch.no_grad():
            for rows in self._slices(task, _EVALUATED_AT_ONCE):
                in_memory(rows, evaluate_rows)
        return model.mean_and_error(sums, samples)

    def _sums(self, task: Task, params: dict[str, NDArray[np.float32]], samples: int) -> NDArray[np.float64]:
        """Sums of the losses and of their squares over the samples, [M, 2]."""
        sums, tensors = np.zeros((len(task), 2)), self._tensors(params)
        for first in range(0, samples, _EVALUATED_AT_ONCE):
            numbers = range(first, min(first + _EVALUATED_AT_ONCE, samples))
            x = inputs.sample(task, Purpose.EVALUATE, 0, numbers, self.device)
            losses = model.sample_losses(task.structure, tensors, x, self._column(task.importance)).double()
            sums += torch.stack([losses.sum(-1), (losses**2).sum(-1)], -1).cpu().numpy()
        return sums

    def _advance_rows(self, task: Task, state: State, rows: slice, stop: int) -> None:
        structure = task.structure
        factors = optimisers.schedule(structure.lr_schedule, structure.steps, structure.warmup_steps)
        importance, decay = self._column(task.importance), self._column(task.weight_decay)
        old = {
            name: optimisers.Update(*(torch.from_numpy(group[name][rows]).to(self.device) for group in _groups(state)))
            for name in structure.param_shapes
        }
        diverged_at = torch.from_numpy(state.diverged_at[rows]).to(self.device)
        for step in range(state.step, stop):
            x = inputs.batch(task, step, self.device)
            params = {name: value.param for name, value in old.items()}
            losses, grads = loss_and_gradients(structure, params, x, importance)
            if structure.loss_every and step % structure.loss_every == 0:
                recorded = torch.where(diverged_at < 0, losses, torch.nan)
                state.history[rows, step // structure.loss_every] = recorded.cpu().numpy()
            lr = self._column(task.lr * factors[step])
            new = {
                name: optimisers.update(structure.optimizer, step, lr, decay, old[name], grads[name]) for name in old
            }
            finite = losses.isfinite()
            for value in new.values():
                finite &= value.param.flatten(1).isfinite().all(-1)
            diverged_at = torch.where((diverged_at < 0) & ~finite, step, diverged_at)
            old = {name: _where(diverged_at < 0, new[name], old[name]) for name in old}
        for name, value in old.items():
            for group, tensor in zip(_groups(state), value, strict=True):
                group[name][rows] = tensor.cpu().numpy()
        state.diverged_at[rows] = diverged_at.cpu().numpy()

    def _slices(self, task: Task, samples: int) -> Iterator[slice]:
        """Rows that fit into memory together, at least one model at a time."""
        cells = samples * (task.structure.n_features + task.structure.n_hidden)
        fit = int((self.memory_gb or _DEFAULT_MEMORY_GB) * 1e9 / (_BYTES_PER_CELL * cells))
        for start in range(0, len(task), max(fit, 1)):
            yield slice(start, min(start + max(fit, 1), len(task)))

    def _tensors(self, params: dict[str, NDArray[np.float32]]) -> Tensors:
        return {name: torch.from_numpy(value).to(self.device) for name, value in params.items()}

    def _column(self, values: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.device)

    def _threads(self, task: Task, samples: int) -> _TorchThreads:
        """As many as find enough to do: at every operation on a small tensor threads would wait for each other."""
        busy = len(task) * samples * task.structure.n_features // _CELLS_A_THREAD
        return _TorchThreads(self.threads or max(1, min(torch.get_num_threads(), busy)))


class _TorchThreads:
    """torch's thread count for the length of a `with` block."""

    def __init__(self, threads: int) -> None:
        self.threads, self.before = threads, torch.get_num_threads()

    def __enter__(self) -> None:
        torch.set_num_threads(self.threads)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self.before)


def _groups(state: State) -> tuple[dict[str, NDArray[np.float32]], ...]:
    return state.params, state.first, state.second


def _where(keep_new: torch.Tensor, new: optimisers.Update, old: optimisers.Update) -> optimisers.Update:
    mask = keep_new.reshape(-1, *[1] * (new.param.ndim - 1))
    return optimisers.Update(*(torch.where(mask, a, b) for a, b in zip(new, old, strict=True)))
