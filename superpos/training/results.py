"""What a finished chunk is published with: its tensors, and a table with the loss and the metrics
of every model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from superpos.engines import Choice
from superpos.engines.task import State, Task
from superpos.family import ExactLoss, Family
from superpos.plan.sweep import Sweep
from superpos.store.formats import ColumnType, Values

if TYPE_CHECKING:
    from pandas import DataFrame

_KINDS: Final[Mapping[str, Values]] = {
    "int": "int",
    "number": "float",
    "bool": "bool",
    "list": "list",
}
_TYPES: Final[Mapping[type, Values]] = {int: "int", float: "float", bool: "bool", str: "text"}
_EXACT_WORK = 3e6  # states at once: up to half a second
_FEWEST_MODELS = 16  # evaluated at once, to keep every thread busy
_WORK = 4e9  # nominal operations at once: well under a second, seconds on the reference engine


def tensors(family: Family, task: Task, state: State) -> dict[str, NDArray[Any]]:
    """The tensors of a finished chunk, by their names in the run folder."""
    structure = task.structure
    found: dict[str, NDArray[Any]] = {**state.params, **family.tensors(task, state)}
    if len(structure.loss_steps):
        found |= {"history/step": structure.loss_steps, "history/loss": state.history}
    if state.snapshots:
        found["snapshots/step"] = structure.snapshot_steps
        found |= {f"snapshots/{name}": value for name, value in state.snapshots.items()}
    return found


def column_types(sweep: Sweep) -> dict[str, ColumnType]:
    """Types of the columns that a chunk may hold empty or lack: the same for every chunk of a
    run.
    """
    keys = {key: ColumnType(_values_of(sweep, key)) for key in sweep.schema.axis_keys}
    measured: dict[str, ColumnType] = {}
    for structure in sweep.plan.structures:
        for name, kind in sweep.family.some_columns(structure).items():
            measured[name] = ColumnType(_TYPES[kind], everywhere=False)
    return keys | measured


def _values_of(sweep: Sweep, key: str) -> Values:
    """What the column of a key holds where it has values."""
    kind = sweep.schema.keys[key].kind
    if kind == "numbers":
        return "list" if any(isinstance(value, tuple) for value in sweep.values(key)) else "float"
    return _KINDS.get(kind, "text")


def table(
    sweep: Sweep,
    rows: NDArray[np.intp],
    task: Task,
    state: State,
    choice: Choice,
    samples: int,
    pause: Callable[[], None],
) -> DataFrame:
    """One row per model: its keys, status, loss (exact, or on `samples` samples) and the family's
    measures.

    `pause` is called every few models, and may raise.
    """
    from pandas import DataFrame
    from pandas.arrays import IntegerArray

    family = sweep.family
    exact = (
        family.exact_loss if family.exact_loss and family.exact_loss.known(task.structure) else None
    )
    if exact:
        loss, error = _exact_losses(exact, task, state, pause)
    else:
        loss, error = _sampled_loss(family, task, state, choice, samples, pause)
    diverged = state.diverged_at >= 0
    results = {
        "status": np.where(diverged, "diverged", "ok").astype(object),
        "diverged_at": IntegerArray(state.diverged_at, ~diverged),
        "loss": loss,
        "loss_se": error,
        "loss_kind": "exact" if exact else "sampled",
        "backend": choice.engine.name,
    }
    columns = sweep.columns(rows) | results
    measured = family.measure(task, state, pause)
    if taken := columns.keys() & measured.keys():
        raise ValueError(
            f"the family {family.name!r} measures {', '.join(sorted(taken))}, which are columns "
            "already"
        )
    if missing := family.some_columns(task.structure).keys() - measured.keys():
        raise ValueError(
            f"the family {family.name!r} does not measure {', '.join(sorted(missing))} of its "
            "some_columns"
        )
    return DataFrame(columns | dict(measured))


def _exact_losses(
    exact: ExactLoss, task: Task, state: State, pause: Callable[[], None]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact loss and its standard error 0, each [M], in parts of less than a second."""
    parts = []
    size = max(1, int(_EXACT_WORK // exact.work(task.structure)))
    for start in range(0, len(task), size):
        pause()
        rows = slice(start, start + size)
        parts.append(
            exact.loss(task.take(rows), {name: value[rows] for name, value in state.params.items()})
        )
    return np.concatenate(parts), np.zeros(len(task))


def _sampled_loss(
    family: Family,
    task: Task,
    state: State,
    choice: Choice,
    samples: int,
    pause: Callable[[], None],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loss and standard error, each [M], in parts that follow from the task alone, as the reference
    rounds by them.

    All models of the same data see the same samples, whatever their seeds: which of two is better
    is then known far more precisely than the loss of either.
    """
    task = replace(task, seed=np.zeros_like(task.seed))
    size = max(_FEWEST_MODELS, int(_WORK // (samples * family.work(task.structure))))
    parts = []
    for start in range(0, len(task), size):
        pause()
        rows = slice(start, start + size)
        params = {name: value[rows] for name, value in state.params.items()}
        extra = {name: value[rows] for name, value in state.extra.items()}
        parts.append(choice.engine.evaluate(task.take(rows), params, samples, extra))
    loss, error = zip(*parts, strict=True)
    return np.concatenate(loss), np.concatenate(error)
