"""What a finished chunk is published with: its tensors, and a table with the loss and the metrics of every model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from superpos import geometry, metrics
from superpos.engines import Choice
from superpos.losses import exact_loss, has_exact_loss
from superpos.sweep import Sweep
from superpos.task import State, Structure, Task

if TYPE_CHECKING:
    from pandas import DataFrame

_EXACT_MODELS = 128  # at once: up to half a second
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
    found = sweep.table(rows)
    diverged = state.diverged_at >= 0
    found["status"] = np.where(diverged, "diverged", "ok").astype(object)
    found["diverged_at"] = state.diverged_at
    found["diverged_at"] = found["diverged_at"].astype("Int64").mask(~diverged)
    exact = has_exact_loss(task.structure)
    if exact:
        found["loss"], found["loss_se"] = _exact_losses(task, state, pause), 0.0
    else:
        found["loss"], found["loss_se"] = _sampled_loss(task, state, choice, samples, pause)
    found["loss_kind"] = "exact" if exact else "sampled"
    found["backend"] = choice.engine.name
    encoder = state.params["W" if task.structure.tied else "W1"]
    for name, values in metrics.summary(encoder).items():
        found[name] = values
    if task.structure.hidden == "linear":
        found["geometry"] = geometry.describe(encoder)
    else:
        neurons = metrics.neuron_monosemanticity(encoder)
        found["monosemantic_neurons"] = (neurons == 1).sum(axis=-1).astype(np.float64)
    return found


def _exact_losses(task: Task, state: State, pause: Callable[[], None]) -> NDArray[np.float64]:
    """Exact loss [M], in parts of less than a second."""
    parts = []
    for start in range(0, len(task), _EXACT_MODELS):
        pause()
        rows = slice(start, start + _EXACT_MODELS)
        parts.append(exact_loss(task.take(rows), {name: value[rows] for name, value in state.params.items()}))
    return np.concatenate(parts)


def _sampled_loss(
    task: Task, state: State, choice: Choice, samples: int, pause: Callable[[], None]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loss and standard error, each [M], in parts that follow from the task alone, as the reference rounds by them."""
    structure = task.structure
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
