"""Which thread does what: the batches of all worlds for a stretch of steps first, then the models
on them.

Shapes: M models, whose worlds rise; N numbers of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from superpos.engines.compiled.threads import on_threads
from superpos.engines.machine import torch_threads
from superpos.families.sae import FAMILY
from superpos.families.sae.cpu import batches, kernel
from superpos.families.sae.cpu.arrays import F32, F64, Batches, Crew, Models, Room, Shape, Trained
from superpos.families.sae.cpu.call import models_of, room_of, shape_of
from superpos.families.sae.cpu.restart import restart_dead
from superpos.families.sae.structure import Structure, Task
from superpos.families.sae.upkeep import restarts

_WORLD_BYTES = 2**22  # of the batches of one world in a stretch
_ALL_BYTES = 2**27  # of those of the worlds whose models are trained in turn
_MOST_STEPS = 64  # of a stretch
_FEW_STEPS = 4  # whose batches one thread makes at a time
_EVALUATED_AT_ONCE = 1024  # samples
_CREW_WORK = 8e6  # nominal operations of a step, at least, that several threads share

Use = Callable[[Batches, int, int, Room, Crew], None]
"""(batches, first model, its end, room, crew): one call of the kernel."""


class Turn(NamedTuple):
    """Worlds whose models are trained in turn, with room for the batches of a stretch."""

    worlds: list[int]
    models: list[range]
    made: list[Batches]

    @property
    def steps(self) -> int:
        """Of the longest stretch."""
        return len(self.made[0].rows)


def train(
    task: Task,
    state: Trained,
    start: int,
    stop: int,
    threads: int,
    gradients: tuple[F32, F64] | None = None,
) -> None:
    """Train all models from step `start` to `stop`, or leave gradients [M, N] and losses [M] of one
    step.
    """
    structure = task.structure
    shape = shape_of(structure, structure.batch_size)
    out, losses = gradients or (np.zeros((0, state.numbers.shape[2]), np.float32), np.zeros(0))
    team = Team(shape, threads)
    for turn in _turns(task, shape, stop - start):
        for steps in _stretches(structure, start, stop, turn.steps):
            team.make(task, turn, False, steps)
            team.use(
                turn,
                len(steps),
                _trainer(shape, models_of(task, steps), steps.start, state, out, losses),
            )
            if restarts(structure, steps.stop - 1) and gradients is None:
                for rows, made in zip(turn.models, turn.made, strict=True):
                    restart_dead(task, state, rows, made.rows[len(steps) - 1], steps.stop - 1)


def score(task: Task, state: Trained, samples: int, threads: int) -> None:
    """Add the sums of losses and of their squares over the first samples of the evaluation stream
    to state.moments.
    """
    shape = shape_of(task.structure, min(samples, _EVALUATED_AT_ONCE), inference=True)
    pieces, models = -(-samples // shape.samples), models_of(task, None)
    team = Team(shape, threads)
    for turn in _turns(task, shape, pieces):
        for first in range(0, pieces, turn.steps):
            some = range(first, min(first + turn.steps, pieces))
            team.make(task, turn, True, some)
            use = _scorer(shape, models, samples - first * shape.samples, state)
            team.use(turn, len(some), use, crews=False)


def _trainer(shape: Shape, models: Models, step: int, state: Trained, out: F32, losses: F64) -> Use:
    def use(made: Batches, first: int, last: int, room: Room, crew: Crew) -> None:
        kernel.train(shape, made, models, first, last, step, FAMILY.adam, state, out, losses, room, crew)

    return use


def _scorer(shape: Shape, models: Models, samples: int, state: Trained) -> Use:
    def use(made: Batches, first: int, last: int, room: Room, crew: Crew) -> None:
        kernel.score(shape, made, samples, models, first, last, state, room, crew)

    return use


def _turns(task: Task, shape: Shape, steps: int) -> Iterator[Turn]:
    """As many worlds at a time as there is memory for their batches."""
    size = sum(values.nbytes for values in batches.empty(1, shape.samples, shape.dims))
    length = max(1, min(steps, _MOST_STEPS, _WORLD_BYTES // size))
    count = max(1, _ALL_BYTES // (length * size))
    worlds, first = np.unique(task.world, return_index=True)
    ends = [*first[1:].tolist(), len(task)]
    models = [range(start, end) for start, end in zip(first.tolist(), ends, strict=True)]
    made = [batches.empty(length, shape.samples, shape.dims) for _ in range(min(count, len(worlds)))]
    for at in range(0, len(worlds), count):
        some = slice(at, at + count)
        yield Turn(worlds[some].tolist(), models[some], made[: len(models[some])])


def _stretches(structure: Structure, start: int, stop: int, most: int) -> Iterator[range]:
    """Steps between restarts, at most so many at a time."""
    first = start
    for step in range(start, stop):
        if step + 1 == stop or step + 1 - first == most or restarts(structure, step):
            yield range(first, step + 1)
            first = step + 1


class Team:
    """The threads, and the room that they work in."""

    def __init__(self, shape: Shape, threads: int) -> None:
        self.shape, self.threads = shape, threads
        self.rooms: list[Room] = []

    def make(self, task: Task, turn: Turn, evaluation: bool, steps: range) -> None:
        """Make the batches of some steps, or (evaluation) of so many pieces of the evaluation
        stream.
        """
        parts = [
            (world, made, first)
            for world, made in zip(turn.worlds, turn.made, strict=True)
            for first in range(0, len(steps), _FEW_STEPS)
        ]

        def work(taken: Iterator[tuple[int, Batches, int]]) -> None:
            for world, made, first in taken:
                some = slice(first, min(first + _FEW_STEPS, len(steps)))
                out = Batches(made.lanes[some], made.rows[some])
                at = (steps.start + first) * (self.shape.samples if evaluation else 1)
                batches.fill(out, task.worlds[world], evaluation, at, self.shape.samples)

        with torch_threads(1):  # bits must not depend on their number
            on_threads(self.threads, parts, work)

    def use(self, turn: Turn, steps: int, use: Use, crews: bool = True) -> None:
        """Use the batches of so many steps for every model: each thread takes models from one
        queue, or all share each model's steps.
        """
        some = [Batches(made.lanes[:steps], made.rows[:steps]) for made in turn.made]
        count = sum(map(len, turn.models))
        if crews and self.shared(count):
            self._crew(turn, some, use)
            return
        size = max(1, count // (8 * self.threads))
        shares = [
            (made, first, min(first + size, models.stop))
            for models, made in zip(turn.models, some, strict=True)
            for first in range(models.start, models.stop, size)
        ]

        def work(taken: Iterator[tuple[Batches, int, int]]) -> None:
            room = self.rooms.pop() if self.rooms else room_of(self.shape)
            for share in taken:
                use(*share, room, Crew(0, 1, np.zeros(2, np.int64)))
            self.rooms.append(room)

        on_threads(self.threads, shares, work)

    def shared(self, models: int) -> bool:
        """Whether threads share each model: it is large, and they could not be given equally many."""
        shape = self.shape
        work = 10.0 * shape.dims * shape.latents * shape.samples
        return self.threads > 1 and models < 4 * self.threads and bool(models % self.threads) and work > _CREW_WORK

    def _crew(self, turn: Turn, some: list[Batches], use: Use) -> None:
        room = self.rooms.pop() if self.rooms else room_of(self.shape, self.threads)
        barrier = np.zeros(2, np.int64)

        def work(taken: Iterator[int]) -> None:
            for thread in taken:
                for models, made in zip(turn.models, some, strict=True):
                    use(made, models.start, models.stop, room, Crew(thread, self.threads, barrier))

        on_threads(self.threads, range(self.threads), work)
        self.rooms.append(room)
