"""Which thread does what.

Where there are many worlds, a thread takes one after the other: it makes the batches of a stretch
of steps and trains the world's models on them. Else all threads make the batches of all worlds, and
then take models; where these are few and large, all threads share the steps of every model.

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
from superpos.families.sae.cpu.call import Memory, models_of, shape_of
from superpos.families.sae.cpu.restart import restart_dead
from superpos.families.sae.structure import Structure, Task
from superpos.families.sae.upkeep import restarts

_BATCH_BYTES = 2**22  # of the batches of one world in a stretch
_MOST_STEPS = 256  # of a stretch
_FEW_STEPS = 4  # whose batches one thread makes at a time
_EVALUATED_AT_ONCE = 1024  # samples
_CREW_WORK = 8e6  # nominal operations of a step, at least, that several threads share

Use = Callable[[Batches, range, Room, Crew], None]
"""(batches, models, room, crew): what is done with the batches of a stretch."""


def train(
    task: Task,
    state: Trained,
    start: int,
    stop: int,
    threads: int,
    gradients: tuple[F32, F64] | None = None,
) -> None:
    """Train all models from step `start` to `stop`.

    Or leave gradients [M, N] and losses [M] of the one step.
    """
    structure = task.structure
    team = Team(task, shape_of(structure, structure.batch_size), threads, stop - start)
    for steps in _stretches(structure, start, stop, team.longest):
        models = models_of(task, steps)
        team.use(
            False,
            steps.start,
            len(steps),
            _training(task, team.shape, models, steps, state, gradients),
        )


def score(task: Task, state: Trained, samples: int, threads: int) -> None:
    """Add the sums of losses and of their squares to state.moments.

    Over the first `samples` samples of the evaluation stream.
    """
    shape = shape_of(task.structure, min(samples, _EVALUATED_AT_ONCE), inference=True)
    pieces = -(-samples // shape.samples)
    models = models_of(task, None)
    team = Team(task, shape, threads, pieces, crews=False)
    for first in range(0, pieces, team.longest):
        count = min(team.longest, pieces - first)
        left = samples - first * shape.samples
        team.use(True, first * shape.samples, count, _scoring(shape, models, left, state))


def _training(
    task: Task,
    shape: Shape,
    models: Models,
    steps: range,
    state: Trained,
    gradients: tuple[F32, F64] | None,
) -> Use:
    nothing = np.zeros((0, state.numbers.shape[2]), np.float32), np.zeros(0)
    out = gradients or nothing
    restarted = gradients is None and restarts(task.structure, steps.stop - 1)

    def use(made: Batches, some: range, room: Room, crew: Crew) -> None:
        which = (models, some.start, some.stop, steps.start)
        kernel.train(shape, made, *which, FAMILY.adam, state, *out, room, crew)
        if restarted and crew.thread == 0:
            restart_dead(task, state, some, made.rows[-1], steps.stop - 1)

    return use


def _scoring(shape: Shape, models: Models, samples: int, state: Trained) -> Use:
    def use(made: Batches, some: range, room: Room, crew: Crew) -> None:
        kernel.score(shape, made, samples, models, some.start, some.stop, state, room, crew)

    return use


def _stretches(structure: Structure, start: int, stop: int, most: int) -> Iterator[range]:
    """Steps between restarts, at most so many at a time."""
    first = start
    for step in range(start, stop):
        if step + 1 == stop or step + 1 - first == most or restarts(structure, step):
            yield range(first, step + 1)
            first = step + 1


class World(NamedTuple):
    """A world with its models, which are neighbours."""

    number: int
    models: range


class Team:
    """The threads, and the room that they work in: for at most `longest` batches at a time."""

    def __init__(
        self,
        task: Task,
        shape: Shape,
        threads: int,
        batches_: int,
        crews: bool = True,
    ) -> None:
        self.task, self.shape, self.threads = task, shape, threads
        size = sum(values.nbytes for values in batches.empty(1, shape.samples, shape.dims))
        self.longest = max(1, min(batches_, _MOST_STEPS, _BATCH_BYTES // size))
        self.worlds = _worlds(task)
        self._way = self._by_model
        if len(self.worlds) >= 4 * threads:
            self._way = self._by_world
        elif crews and self.shares_steps():
            self._way = self._in_crews
        self._rooms: list[Memory] = []
        self._made: list[Batches] = []

    def shares_steps(self) -> bool:
        """Whether threads share each model: it is large, and they could not be given as many."""
        shape = self.shape
        models = len(self.task)
        work = 10.0 * shape.dims * shape.latents * shape.samples
        uneven = models < 4 * self.threads and models % self.threads != 0
        return self.threads > 1 and uneven and work > _CREW_WORK

    def use(self, evaluation: bool, start: int, count: int, use: Use) -> None:
        """Make `count` batches of every world, as `batches.fill`, and use them for its models."""
        with torch_threads(1):  # bits must not depend on their number
            self._way(evaluation, start, count, use)

    def _by_world(self, evaluation: bool, start: int, count: int, use: Use) -> None:
        def work(taken: Iterator[World]) -> None:
            memory = self._take_room()
            made = self._take_batches()
            some = _first(made, count)
            for world in taken:
                self._fill(some, world, evaluation, start)
                use(some, world.models, memory.room, _alone())
            self._rooms.append(memory)
            self._made.append(made)

        on_threads(self.threads, self.worlds, work)

    def _by_model(self, evaluation: bool, start: int, count: int, use: Use) -> None:
        size = max(1, len(self.task) // (8 * self.threads))
        shares = [
            (made, range(first, min(first + size, world.models.stop)))
            for world, made in zip(self.worlds, self._all(evaluation, start, count), strict=True)
            for first in range(world.models.start, world.models.stop, size)
        ]

        def work(taken: Iterator[tuple[Batches, range]]) -> None:
            memory = self._take_room()
            for made, models in taken:
                use(made, models, memory.room, _alone())
            self._rooms.append(memory)

        on_threads(self.threads, shares, work)

    def _in_crews(self, evaluation: bool, start: int, count: int, use: Use) -> None:
        made = self._all(evaluation, start, count)
        barrier = np.zeros(2, np.int64)
        memory = self._take_room(self.threads)

        def work(taken: Iterator[int]) -> None:
            for thread in taken:
                for world, some in zip(self.worlds, made, strict=True):
                    use(some, world.models, memory.room, Crew(thread, self.threads, barrier))

        on_threads(self.threads, range(self.threads), work)
        self._rooms.append(memory)

    def _all(self, evaluation: bool, start: int, count: int) -> list[Batches]:
        """The batches of every world, made by all threads."""
        while len(self._made) < len(self.worlds):
            self._made.append(self._take_batches(new=True))
        made = [_first(some, count) for some in self._made]
        parts = [
            (world, _first(Batches(some.lanes[first:], some.rows[first:]), _FEW_STEPS), first)
            for world, some in zip(self.worlds, made, strict=True)
            for first in range(0, count, _FEW_STEPS)
        ]

        def work(taken: Iterator[tuple[World, Batches, int]]) -> None:
            for world, some, first in taken:
                self._fill(
                    some,
                    world,
                    evaluation,
                    start + first * (self.shape.samples if evaluation else 1),
                )

        on_threads(self.threads, parts, work)
        return made

    def _fill(self, out: Batches, world: World, evaluation: bool, start: int) -> None:
        source = self.task.worlds[world.number]
        shape = self.shape
        batches.fill(out, source, evaluation, start, shape.samples, shape.dims)

    def _take_room(self, threads: int = 1) -> Memory:
        return self._rooms.pop() if self._rooms else Memory(self.shape, threads)

    def _take_batches(self, new: bool = False) -> Batches:
        if self._made and not new:
            return self._made.pop()
        return batches.empty(self.longest, self.shape.samples, self.shape.dims)


def _worlds(task: Task) -> list[World]:
    numbers, first = np.unique(task.world, return_index=True)
    starts = first.tolist()
    ends = [*first[1:].tolist(), len(task)]
    models = [range(start, end) for start, end in zip(starts, ends, strict=True)]
    return [World(*both) for both in zip(numbers.tolist(), models, strict=True)]


def _first(made: Batches, count: int) -> Batches:
    return Batches(made.lanes[:count], made.rows[:count])


def _alone() -> Crew:
    return Crew(0, 1, np.zeros(2, np.int64))
