"""What a sweep will take on this machine, from training a few of its models for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from superpos.engines import Choice
from superpos.engines.task import Structure, Task
from superpos.errors import SuperposError
from superpos.family import Family
from superpos.plan.sweep import Chunk, Sweep, work_a_step
from superpos.training.memory import chunk_bytes, require_memory
from superpos.training.runner import STRETCH_SECONDS, engines_of, initial_state
from superpos.training.sources import needed
from superpos.training.trial import try_functions

_FEWEST_MODELS = 8
_MOST_MODELS = 64
_CALIBRATION_FLOPS = 1e10  # of one step of the models that are timed: a fraction of a second
_CALIBRATION_STRUCTURES = 4


@dataclass(frozen=True)
class Estimate:
    """What a sweep will take on this machine."""

    models: int
    chunks: int
    flops: float  # nominal operations, as the family counts them
    memory_bytes: float
    seconds: float
    engines: list[str]  # each with the reason why it is taken


def estimate(sweep: Sweep, tell: Callable[[str], None] = lambda _: None) -> Estimate:
    """Size and expected time of a sweep, from training some models of its largest structures for a
    moment.

    `tell` hears what takes long before that.
    """
    plan = sweep.plan
    require_memory(sweep, plan.chunks)
    engines = engines_of(sweep)
    try_functions(sweep)
    for wait in {choice.engine.first_use() for choice in engines.values()} - {None}:
        tell(str(wait))
    shared = needed(sweep)
    groups: dict[Structure, list[Chunk]] = {}
    for chunk in plan.chunks:
        groups.setdefault(chunk.structure, []).append(chunk)
    models = {
        structure: sum(len(chunk.rows) for chunk in chunks) for structure, chunks in groups.items()
    }
    work = {
        structure: count * _flops(sweep.family, structure) for structure, count in models.items()
    }
    largest = sorted(work, key=lambda structure: work[structure], reverse=True)[
        :_CALIBRATION_STRUCTURES
    ]
    seconds = 0.0
    for structure in largest:
        rows = timed_models(sweep.family, groups[structure][0])
        task = sweep.task(rows, shared)
        try:
            seconds += models[structure] * _seconds_per_model(
                sweep.family, task, engines[structure]
            )
        except MemoryError as error:
            raise SuperposError(
                f"a step does not fit into the memory that is left: {error}"
            ) from error
    share = sum(work[structure] for structure in largest) / max(sum(work.values()), 1.0)
    return Estimate(
        models=sweep.n_models,
        chunks=len(plan.chunks),
        flops=float(sum(work.values())),
        memory_bytes=chunk_bytes(plan.chunks),
        seconds=seconds / share if share else 0.0,
        engines=sorted({f"{choice.engine.name}: {choice.reason}" for choice in engines.values()}),
    )


def timed_models(family: Family, chunk: Chunk) -> NDArray[np.intp]:
    """Enough models to keep every thread busy, fewer where a step takes long."""
    fit = _CALIBRATION_FLOPS / work_a_step(family, chunk.structure)
    return chunk.rows[: int(np.clip(fit, _FEWEST_MODELS, _MOST_MODELS))]


def _seconds_per_model(family: Family, task: Task, choice: Choice) -> float:
    """Time to train one model to the end, measured on a few steps of several.

    Of stretches of growing length the fastest counts: what else runs on the machine, or the first
    touch of memory, makes some of them slow, and nothing makes one fast.
    """
    steps: int = task.structure.steps
    if not steps:
        return 0.0
    state = initial_state(family, task)
    choice.engine.advance(task, state, min(1, steps))  # compiles
    fastest = np.inf
    length = 1
    spent = 0.0
    while spent < STRETCH_SECONDS and state.step < steps:
        before = state.step
        began = time.perf_counter()
        choice.engine.advance(task, state, min(before + length, steps))
        taken = time.perf_counter() - began
        fastest = min(fastest, taken / (state.step - before))
        spent += taken
        length *= 4
    return float(fastest * steps / len(task)) if np.isfinite(fastest) else 0.0


def _flops(family: Family, structure: Structure) -> float:
    return float(structure.steps * work_a_step(family, structure))
