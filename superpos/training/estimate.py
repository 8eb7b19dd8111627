"""What a sweep will take on this machine, from training a few of its models for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from superpos.engines import Choice
from superpos.engines.task import State, Structure, Task
from superpos.families.tms import model
from superpos.plan.sweep import Sweep
from superpos.training.memory import chunk_bytes, require_memory
from superpos.training.runner import STRETCH_SECONDS, engines_of

_FEWEST_MODELS, _MOST_MODELS = 8, 64
_CALIBRATION_FLOPS = 1e10  # of one step of the models that are timed: a fraction of a second
_CALIBRATION_STRUCTURES = 4


@dataclass(frozen=True)
class Estimate:
    """What a sweep will take on this machine."""

    models: int
    chunks: int
    flops: float  # 10 n m a sample
    memory_bytes: float
    seconds: float


def estimate(sweep: Sweep, tell: Callable[[str], None] = lambda _: None) -> Estimate:
    """Size and expected time of a sweep, from training some models of its largest structures for a moment.

    `tell` hears what takes long before that.
    """
    chunks = sweep.chunks()
    require_memory(sweep, chunks)
    engines = engines_of(sweep, chunks)
    for wait in {choice.engine.first_use() for choice in engines.values()} - {None}:
        tell(str(wait))
    groups: dict[Structure, list[NDArray[np.intp]]] = {}
    for rows in chunks:
        groups.setdefault(sweep.structure(int(rows[0])), []).append(rows)
    work = {structure: _flops(structure) * sum(map(len, parts)) for structure, parts in groups.items()}
    largest = sorted(work, key=lambda structure: work[structure], reverse=True)[:_CALIBRATION_STRUCTURES]
    seconds = {
        structure: _seconds_per_model(sweep.task(_some(groups[structure][0], structure)), engines[structure])
        * sum(map(len, groups[structure]))
        for structure in largest
    }
    share = sum(work[structure] for structure in largest) / max(sum(work.values()), 1.0)
    return Estimate(
        models=sweep.n_models,
        chunks=len(chunks),
        flops=float(sum(work.values())),
        memory_bytes=chunk_bytes(sweep, chunks),
        seconds=sum(seconds.values()) / share if share else 0.0,
    )


def _some(rows: NDArray[np.intp], structure: Structure) -> NDArray[np.intp]:
    """Enough models to keep every thread busy, fewer where a step takes long."""
    return rows[: int(np.clip(_CALIBRATION_FLOPS / _flops_a_step(structure), _FEWEST_MODELS, _MOST_MODELS))]


def _seconds_per_model(task: Task, choice: Choice) -> float:
    """Time to train one model to the end, measured on a few steps of several."""
    steps = task.structure.steps
    if not steps:
        return 0.0
    state = State.initial(task, model.initial_params(task))
    choice.engine.advance(task, state, min(1, steps))  # compiles
    rate, length = 0.0, 1
    while rate * length < STRETCH_SECONDS / 2 and state.step < steps:
        before, began = state.step, time.perf_counter()
        choice.engine.advance(task, state, min(before + length, steps))
        rate = (time.perf_counter() - began) / (state.step - before)
        length *= 4
    return rate * steps / len(task)


def _flops(structure: Structure) -> float:
    return _flops_a_step(structure) * structure.steps


def _flops_a_step(structure: Structure) -> float:
    return 10.0 * structure.n_features * structure.n_hidden * structure.samples_per_step
