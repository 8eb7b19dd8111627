"""The reference engine: plain torch and autograd, every family, every device.

The ground truth of the fused engines.

Shapes: M models, B samples. Models are stacked but never coupled: their losses are summed, never
averaged, and the optimiser works elementwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.engines.machine import machine_bytes, torch_threads
from superpos.engines.splitting import in_memory
from superpos.engines.task import State, Stepped, Structure, Task
from superpos.family import Arrays, Family
from superpos.maths import optimisers
from superpos.maths.sampling import mean_and_error

Tensors = dict[str, torch.Tensor]
# draws (int64, with intermediate products), inputs, outputs and their gradients, measured
_BYTES_PER_CELL = 80
_DEFAULT_MEMORY_GB = 2.0
# of the memory that there is: the state of the models and their results take the other half
_SHARE = 0.5
_EVALUATED_AT_ONCE = 8192  # samples
_CELLS_A_THREAD = 2**17


def loss_and_gradients(
    family: Family, task: Task, params: Tensors, inputs: Any, extra: Tensors, step: int
) -> tuple[torch.Tensor, Tensors]:
    """Losses [M], means over the batch, and the gradient of each model's training loss by every
    trained parameter.
    """
    frozen = family.frozen(task.structure)
    leaves = {
        name: value.detach().requires_grad_(name not in frozen) for name, value in params.items()
    }
    losses: torch.Tensor = family.losses(task, leaves, inputs, extra, step).mean(-1)
    minimised = losses.sum() * task.structure.gradient_scale
    penalty = None if family.penalty is None else family.penalty(task, leaves)
    if penalty is not None:
        minimised = minimised + penalty.sum()
    trained = [name for name in leaves if name not in frozen]
    grads = torch.autograd.grad(minimised, [leaves[name] for name in trained])
    return losses.detach(), dict(zip(trained, grads, strict=True))


@dataclass(frozen=True)
class ReferenceEngine:
    """Trains and evaluates models of a family on one torch device.

    `memory_gb` bounds the models that are stacked at once.
    """

    family: Family
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

    def gradients(
        self,
        task: Task,
        params: dict[str, NDArray[np.float32]],
        step: int,
        extra: Arrays | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Losses [M] and gradients {name: [M, ...]} of one training step, as numpy arrays."""
        inputs = self.family.batch(task, step, self.device)
        tensors = self._tensors(params)
        loss, grads = loss_and_gradients(
            self.family, task, tensors, inputs, self._tensors(extra or {}), step
        )
        return loss.cpu().numpy(), {name: grad.cpu().numpy() for name, grad in grads.items()}

    def advance(self, task: Task, state: State, stop: int) -> None:
        """Train all models from `state.step` to `stop`, updating `state` in place."""
        with self._threads(task, task.structure.samples_per_step):
            for rows in self._slices(task, task.structure.samples_per_step):
                in_memory(rows, lambda part: self._advance_rows(task.take(part), state, part, stop))
        state.step = stop

    def evaluate(
        self,
        task: Task,
        params: dict[str, NDArray[np.float32]],
        samples: int,
        extra: Arrays | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Loss and its standard error, each [M], on `samples` fresh samples of the evaluation
        stream.
        """
        sums = np.zeros((len(task), 2))

        def evaluate_rows(rows: slice) -> None:
            own = {name: value[rows] for name, value in params.items()}
            state = {name: value[rows] for name, value in (extra or {}).items()}
            sums[rows] = self._sums(task.take(rows), own, state, samples)

        with self._threads(task, _EVALUATED_AT_ONCE), torch.no_grad():
            for rows in self._slices(task, _EVALUATED_AT_ONCE):
                in_memory(rows, evaluate_rows)
        return mean_and_error(sums, samples)

    def _sums(self, task: Task, params: Arrays, extra: Arrays, samples: int) -> NDArray[np.float64]:
        """Sums of the losses and of their squares over the samples, [M, 2]."""
        sums = np.zeros((len(task), 2))
        tensors = self._tensors(params)
        state = self._tensors(extra)
        for first in range(0, samples, _EVALUATED_AT_ONCE):
            numbers = range(first, min(first + _EVALUATED_AT_ONCE, samples))
            inputs = self.family.sample(task, numbers, self.device)
            losses = self.family.losses(task, tensors, inputs, state, None).double()
            sums += torch.stack([losses.sum(-1), (losses**2).sum(-1)], -1).cpu().numpy()
        return sums

    def _advance_rows(self, task: Task, state: State, rows: slice, stop: int) -> None:
        structure = task.structure
        factors = structure.lr_factors
        undecayed = self.family.undecayed(structure)
        decay = {
            name: self._column(task.weight_decay * (name not in undecayed)) for name in state.params
        }
        groups = (state.params, state.first, state.second)
        old = {
            name: optimisers.Update(*(self._tensor(group[name][rows]) for group in groups))
            for name in state.params
        }
        extra = {name: self._tensor(value[rows]) for name, value in state.extra.items()}
        diverged_at = self._tensor(state.diverged_at[rows])
        inputs = self.family.batch(task, state.step, self.device) if structure.same_inputs else None
        for step in range(state.step, stop):
            if not structure.same_inputs:
                inputs = self.family.batch(task, step, self.device)
            losses, grads = loss_and_gradients(self.family, task, _params(old), inputs, extra, step)
            if structure.loss_every and step % structure.loss_every == 0:
                recorded = torch.where(diverged_at < 0, losses, torch.nan)
                state.history[rows, step // structure.loss_every] = recorded.cpu().numpy()
            lr = self._column(task.lr * factors[step])
            new = {
                name: optimisers.update(
                    structure.optimizer, self.family.adam, step, lr, decay[name], old[name], grad
                )
                for name, grad in grads.items()
            }
            new, new_extra = self._after_step(task, old, old | new, extra, inputs, step)
            finite = losses.isfinite()
            for value in new.values():
                finite &= value.param.flatten(1).isfinite().all(-1)
            diverged_at = torch.where((diverged_at < 0) & ~finite, step, diverged_at)
            healthy = diverged_at < 0
            old = {name: _update_where(healthy, new[name], old[name]) for name in old}
            extra = {name: _where(healthy, new_extra[name], extra[name]) for name in extra}
        for name, value in old.items():
            for group, tensor in zip(groups, value, strict=True):
                group[name][rows] = tensor.cpu().numpy()
        for name, kept in extra.items():
            state.extra[name][rows] = kept.cpu().numpy()
        state.diverged_at[rows] = diverged_at.cpu().numpy()

    def _after_step(
        self,
        task: Task,
        old: dict[str, optimisers.Update],
        new: dict[str, optimisers.Update],
        extra: Tensors,
        inputs: Any,
        step: int,
    ) -> tuple[dict[str, optimisers.Update], Tensors]:
        """What the family does to parameters and extra state once the optimiser has made its
        step.
        """
        if self.family.after_step is None:
            return new, extra
        params, first, second = ({name: value[i] for name, value in new.items()} for i in range(3))
        stepped = self.family.after_step(
            task, Stepped(params, first, second, extra, _params(old)), inputs, step
        )
        changed = {
            name: optimisers.Update(stepped.params[name], stepped.first[name], stepped.second[name])
            for name in new
        }
        return changed, stepped.extra

    def _slices(self, task: Task, samples: int) -> Iterator[slice]:
        """Rows that fit into memory together, at least one model at a time.

        Raises `MemoryError` where the memory of this process does not hold one.
        """
        each = _BYTES_PER_CELL * samples * task.structure.width
        there = machine_bytes() if self.device == "cpu" else math.inf
        if each > there:
            raise MemoryError(
                f"{samples:,} samples of a model need about {each / 1e9:.3g} GB at once, this "
                "process has "
                f"{there / 1e9:.3g} GB"
            )
        room = (
            self.memory_gb * 1e9
            if self.memory_gb
            else min(_DEFAULT_MEMORY_GB * 1e9, _SHARE * there)
        )
        fit = int(room / each)
        for start in range(0, len(task), max(fit, 1)):
            yield slice(start, min(start + max(fit, 1), len(task)))

    def _tensors(self, params: Arrays) -> Tensors:
        return {name: self._tensor(value) for name, value in params.items()}

    def _tensor(self, values: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)

    def _column(self, values: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.device)

    def _threads(self, task: Task, samples: int) -> AbstractContextManager[None]:
        """As many as find enough to do: at every operation on a small tensor threads would wait for
        each other.
        """
        busy = len(task) * samples * task.structure.n_outputs // _CELLS_A_THREAD
        return torch_threads(self.threads or max(1, min(torch.get_num_threads(), busy)))


def _params(values: dict[str, optimisers.Update]) -> Tensors:
    return {name: value.param for name, value in values.items()}


def _where(keep_new: torch.Tensor, new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """`new` for the models [M] that keep it, `old` for the others."""
    return torch.where(keep_new.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _update_where(
    keep_new: torch.Tensor, new: optimisers.Update, old: optimisers.Update
) -> optimisers.Update:
    return optimisers.Update(*(_where(keep_new, a, b) for a, b in zip(new, old, strict=True)))
