"""What a finished chunk is published with: its tensors, and a table with the loss and the metrics of every model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from superpos.engines import Choice
from superpos.engines.task import State, Structure, Task
from superpos.families.tms import geometry, metrics
from superpos.families.tms.exact_loss import exact_loss, exact_work, has_exact_loss
from superpos.plan.sweep import Sweep

if TYPE_CHECKING:
    from pandas import DataFrame

_EXACT_WORK = 3e6  # states at once: up to half a second
_FEWEST_MODELS = 16  # evaluated at once, to keep every thread busy
_WORK = 4e9  # nominal operations at once: well under a second, seconds on the reference engine


def tensors(structure: Structure, state: State) -> dict[str, NDArray[Any]]:
    """The tensors of a finished chunk, by their names in the run folder."""
    found: dict[str, NDArray[Any]] = dict(state.params)
    if len(structure.loss_steps):
        found |= {"history/step": structure.loss_steps, "history/loss": state.history}
    if state.snapshots:
        found["snapshots/step"] = structure.snapshot_steps
        found |= {f"snapshots/{name}": value for name, value in state.snapshots.items()}
    return found


def table(
    sweep: Sweep,
    rows: NDArray[np.intp],
    task: Task,
    state: State,
    choice: Choice,
    samples: int,
    pause: Callable[[], None],
) -> DataFrame:
    """A row a model: its keys, status, loss (exact, or on `samples` samples) and metrics.

    Untied models have the metrics of W1. `pause` is called every few models, and may raise.
    """
    from pandas import DataFrame
    from pandas.arrays import IntegerArray

    diverged, exact = state.diverged_at >= 0, has_exact_loss(task.structure)
    loss, error = _exact_losses(task, state, pause) if exact else _sampled_loss(task, state, choice, samples, pause)
    measured = {
        "status": np.where(diverged, "diverged", "ok").astype(object),
        "diverged_at": IntegerArray(state.diverged_at, ~diverged),
        "loss": loss,
        "loss_se": error,
        "loss_kind": "exact" if exact else "sampled",
        "backend": choice.engine.name,
    }
    return DataFrame(sweep.columns(rows) | measured | _of_weights(task.structure, state))


def _of_weights(structure: Structure, state: State) -> dict[str, NDArray[Any]]:
    """Metrics of W, or W1, by column; none of parameters of a user's own, whose meaning nobody knows."""
    if structure.own and structure.own.has_params:
        return {}
    encoder = state.params["W" if structure.tied else "W1"]
    found: dict[str, NDArray[Any]] = dict(metrics.summary(encoder))
    if structure.hidden == "linear":
        found["geometry"] = geometry.describe(encoder)
    else:
        neurons = metrics.neuron_monosemanticity(encoder)
        found["monosemantic_neurons"] = (neurons == 1).sum(axis=-1).astype(np.float64)
    return found


def _exact_losses(
    task: Task, state: State, pause: Callable[[], None]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact loss and its standard error 0, each [M], in parts of less than a second."""
    parts, size = [], max(1, int(_EXACT_WORK // exact_work(task.structure)))
    for start in range(0, len(task), size):
        pause()
        rows = slice(start, start + size)
        parts.append(exact_loss(task.take(rows), {name: value[rows] for name, value in state.params.items()}))
    return np.concatenate(parts), np.zeros(len(task))


def _sampled_loss(
    task: Task, state: State, choice: Choice, samples: int, pause: Callable[[], None]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loss and standard error, each [M], in parts that follow from the task alone, as the reference rounds by them.

    All models of one density see the same samples, whatever their seeds: which of two is better is then known far more
    precisely than the loss of either.
    """
    structure, task = task.structure, replace(task, seed=np.zeros_like(task.seed))
    work = samples * structure.n_features * (10 * structure.n_hidden + 60)
    size = max(_FEWEST_MODELS, int(_WORK // work))
    parts = []
    for start in range(0, len(task), size):
        pause()
        rows = slice(start, start + size)
        params = {name: value[rows] for name, value in state.params.items()}
        parts.append(choice.engine.evaluate(task.take(rows), params, samples))
    loss, error = zip(*parts, strict=True)
    return np.concatenate(loss), np.concatenate(error)
