"""From a sweep to a finished run folder: chunk by chunk, engine by engine; resumes, stops and
shards.

Nothing here decides a result: a chunk's numbers follow from its rows alone, whatever the stretches,
restarts or shards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.engines import Choice, choose
from superpos.engines.task import State, Structure, Task
from superpos.errors import IncompleteError, SuperposError, TrainingInterruptedError
from superpos.family import Family, Shared
from superpos.plan.shards import part
from superpos.plan.sweep import Sweep, work_a_step
from superpos.store import RunFolder
from superpos.training import results
from superpos.training.memory import require_memory
from superpos.training.progress import Progress
from superpos.training.provenance import provenance
from superpos.training.publisher import Publisher
from superpos.training.sources import keep, read
from superpos.training.stopwatch import Stopwatch
from superpos.training.trial import try_functions

if TYPE_CHECKING:
    from pandas import DataFrame

STRETCH_SECONDS = 0.3  # between two looks at signals; long against the cost of a call
CHECKPOINT_SECONDS = 5.0
# of the time at most, where many snapshots make a state large or the disk is slow
CHECKPOINT_SHARE = 0.05


@dataclass
class _Watch:
    """Reports progress, and knows whether the user or the system wants us to stop."""

    report: Callable[[Progress], None]
    stop: Callable[[], bool]
    clock: Stopwatch
    family: Family
    now: Progress = field(default_factory=lambda: Progress(0))
    # steps of the last one, where the next chunk begins
    stretches: dict[Structure, int] = field(default_factory=dict)

    def tell(self, **changes: Any) -> None:
        """Report a new state."""
        self.now = replace(self.now, **changes)
        self.report(self.now)

    def plan(self, structure: Structure, steps: int) -> None:
        """Count model-steps as to be done, or, below zero, as not to be done."""
        work = self.now.work_total + steps * work_a_step(self.family, structure)
        self.now = replace(self.now, steps_total=self.now.steps_total + steps, work_total=work)

    def count(self, structure: Structure, steps: int) -> None:
        """Report model-steps as done."""
        work = self.now.work_done + steps * work_a_step(self.family, structure)
        self.tell(steps_done=self.now.steps_done + steps, work_done=work)


def train(
    sweep: Sweep,
    *,
    out: Path,
    command: Sequence[str] = (),
    shard: tuple[int, int] | None = None,
    fresh: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    began: float | None = None,
) -> Path:
    """Train what is missing of a sweep (of shard (k, n): the chunks c with c % n == k) and return
    its run folder.

    Where the time went since `began` (of `time.monotonic`; default: now) is noted in the folder's
    attempts. Raises `TrainingInterruptedError` once `stop()` is true, after saving a checkpoint;
    `PlanMismatchError`, `IncompleteError`, `SuperposError` where the folder cannot be used;
    `ConfigError` where no engine can do it, or functions of a user's own cannot be used.
    """
    watch = _Watch(progress, stop, Stopwatch(began), sweep.family)
    chunks = sweep.plan.chunks
    mine = part(len(chunks), shard)
    require_memory(sweep, (chunks[number] for number in mine))
    engines = engines_of(sweep)
    try_functions(sweep)
    circumstances = {"command": list(command), **provenance()}
    folder, shared = _open(sweep, engines, out, circumstances, fresh)
    with _attempt(folder, circumstances, watch.clock):
        todo = [number for number in mine if _unfinished(folder, number)]
        total = sum(len(chunks[number].rows) for number in mine)
        open_models = sum(len(chunks[number].rows) for number in todo)
        for chunk in (chunks[number] for number in todo):
            watch.plan(chunk.structure, len(chunk.rows) * chunk.structure.steps)
        watch.tell(
            models_total=total,
            models_done=total - open_models,
            chunks=len(mine),
            chunk=len(mine) - len(todo),
        )
        _train_chunks(_Job(sweep, folder, shared, engines, watch), todo)
    return folder.path


class _Job(NamedTuple):
    """All that training a chunk needs, the same for every chunk of a call."""

    sweep: Sweep
    folder: RunFolder
    shared: Shared
    engines: Mapping[Structure, Choice]
    watch: _Watch


@contextmanager
def _attempt(
    folder: RunFolder, circumstances: Mapping[str, Any], clock: Stopwatch
) -> Iterator[None]:
    """Notes an attempt in the folder as it starts, and where its time went as it ends, however it
    does.

    A note is no requirement: a full disk has been, or will be, told of where it matters.
    """
    noted = None
    with suppress(SuperposError):
        noted = folder.record_attempt(circumstances)
    try:
        yield
    finally:
        if noted is not None:
            with suppress(SuperposError):
                folder.end_attempt(noted, clock.seconds)


def _train_chunks(job: _Job, chunks: Iterable[int]) -> None:
    folder = job.folder
    watch = job.watch
    with Publisher(folder, results.column_types(job.sweep)) as publisher:
        for chunk in chunks:
            rows = folder.rows[chunk]
            if watch.stop():
                raise _interrupted("everything trained so far is kept", (watch.now.chunk, 0))
            try:
                publisher.publish(chunk, *_train_chunk(job, chunk))
            except MemoryError as error:
                raise IncompleteError(
                    f"chunk {chunk} of {folder.path} does not fit into the memory that is left; "
                    "what is trained is "
                    f"kept. Free some, or ask for more, and start the same command again ({error})"
                ) from error
            watch.clock.lap("writing")
            watch.tell(models_done=watch.now.models_done + len(rows), chunk=watch.now.chunk + 1)
    watch.clock.lap("writing")


def _train_chunk(job: _Job, chunk: int) -> tuple[dict[str, NDArray[Any]], DataFrame]:
    """Tensors and table of a chunk, trained and evaluated."""
    sweep = job.sweep
    folder = job.folder
    watch = job.watch
    rows = folder.rows[chunk]
    task = sweep.task(rows, job.shared)
    choice = job.engines[task.structure]
    engine = choice.engine
    state = _resume(sweep.family, folder, chunk, task)
    kept = _Keeper(folder, chunk, task, state, watch)
    if first_use := engine.first_use():
        watch.tell(message=first_use)
    if not watch.now.steps_done:
        # trains nothing: loads or compiles before the first step is timed
        engine.advance(task, state, state.step)
    watch.plan(task.structure, -len(rows) * state.step)  # of a checkpoint
    watch.tell()
    watch.clock.lap("starting")
    length = watch.stretches.get(task.structure, 1)
    while state.step < task.structure.steps:
        began = time.monotonic()
        before = state.step
        engine.advance(task, state, min(_next_stop(task.structure, before), before + length))
        keep_snapshot(task.structure, state)
        watch.count(task.structure, len(rows) * (state.step - before))
        elapsed = time.monotonic() - began
        length = max(
            1, min(4 * length, int((state.step - before) * STRETCH_SECONDS / max(elapsed, 1e-6)))
        )
        kept.look("training")
    watch.stretches[task.structure] = length
    table = results.table(
        sweep, rows, task, state, choice, sweep.family.evaluation_samples, kept.pause
    )
    watch.clock.lap("evaluating")
    return results.tensors(sweep.family, task, state), table


@dataclass
class _Keeper:
    """Keeps the state of a chunk in training: every few seconds, and when training is to stop."""

    folder: RunFolder
    chunk: int
    task: Task
    state: State
    watch: _Watch
    due: float = field(default_factory=lambda: time.monotonic() + CHECKPOINT_SECONDS)

    def pause(self) -> None:
        """A look between two parts of the evaluation, which may take minutes, too."""
        self.watch.tell()
        self.look("evaluating")

    def look(self, phase: str) -> None:
        """Save a checkpoint if one is due, after a part of `phase`.

        Raises `TrainingInterruptedError`, with one, if training is to stop.
        """
        self.watch.clock.lap(phase)
        # asked once: a signal that comes from here on is seen at the next look
        stopping = self.watch.stop()
        began = time.monotonic()
        if stopping or began > self.due:
            self.folder.save_checkpoint(self.chunk, self.state.to_arrays())
            now = time.monotonic()
            self.due = now + max(CHECKPOINT_SECONDS, (now - began) / CHECKPOINT_SHARE)
            self.watch.clock.lap("writing")
        if stopping:
            step = self.state.step
            steps = self.task.structure.steps
            raise _interrupted(
                f"chunk {self.chunk} is kept at step {step:,} of {steps:,}",
                (self.watch.now.chunk, step),
            )


def _interrupted(hint: str, progress: tuple[int, int]) -> TrainingInterruptedError:
    return TrainingInterruptedError(f"interrupted; {hint}. The same command goes on", progress)


def _resume(family: Family, folder: RunFolder, chunk: int, task: Task) -> State:
    kept = folder.load_checkpoint(chunk)
    if kept is not None:
        return State.from_arrays(kept)
    state = initial_state(family, task)
    keep_snapshot(task.structure, state)
    return state


def initial_state(family: Family, task: Task) -> State:
    """The state of models before their first step; those that are made, not trained, are as they
    are made.
    """
    make = family.init
    if task.structure.built:
        if family.build is None or task.structure.steps:
            raise ValueError(
                f"models of the family {family.name!r} that are built need its `build`, and no "
                "steps"
            )
        make = family.build
    return State.initial(task, dict(make(task)), family.extra_state(task))


def _next_stop(structure: Structure, step: int) -> int:
    """Where training must pause next: at a snapshot or the end."""
    later = structure.snapshot_steps[structure.snapshot_steps > step]
    return int(later[0]) if len(later) else structure.steps


def keep_snapshot(structure: Structure, state: State) -> None:
    """Copy the weights where the state stands at a snapshot step."""
    at = np.flatnonzero(structure.snapshot_steps == state.step)
    for name, kept in state.snapshots.items():
        kept[:, at] = state.params[name][:, None]


def prepare(sweep: Sweep, *, out: Path, command: Sequence[str] = ()) -> RunFolder:
    """The run folder of a sweep that other machines will train, made if need be.

    Raises as `train`.
    """
    engines = engines_of(sweep, here=False)
    try_functions(sweep, here=False)
    folder, _ = _open(sweep, engines, out, {"command": list(command), **provenance()}, fresh=False)
    return folder


def engines_of(sweep: Sweep, here: bool = True) -> dict[Structure, Choice]:
    """The engine of each structure, on this machine or elsewhere; raises before anything is written
    without one.
    """
    wanted = {
        key: sweep.base[f"engine.{key}"] for key in ("backend", "device", "threads", "memory_gb")
    }
    return {
        structure: choose(sweep.family, structure, **wanted, here=here)
        for structure in sweep.plan.structures
    }


def _open(
    sweep: Sweep,
    engines: dict[Structure, Choice],
    out: Path,
    circumstances: Mapping[str, Any],
    fresh: bool,
) -> tuple[RunFolder, Shared]:
    """The run folder, and the files that it keeps for all models.

    What is taken of other runs is read before anything is written.
    """
    name = str(sweep.base["name"])
    sources = read(sweep, None if fresh else RunFolder.find(out, name, sweep.run_id))
    device = sweep.base["engine.device"]
    facts = {
        "plan": sweep.to_json(),
        "chunks": sweep.plan.rows,
        "family": sweep.family.name,
        "label": sweep.family.label,
        "loss": sweep.family.loss,
        "engine": {
            "backends": sorted({choice.engine.name for choice in engines.values()}),
            "device": "cpu" if device == "auto" else device,
        },
        "config": {
            key: value for key, value in sweep.base.items() if not key.startswith("engine.")
        },
        "reasons": sorted({choice.reason for choice in engines.values()}),
        **circumstances,
    }
    folder = RunFolder.open(out, name, sweep.run_id, facts, fresh=fresh)
    return folder, keep(sweep, folder, sources)


def _unfinished(folder: RunFolder, chunk: int) -> bool:
    """Whether a chunk must be trained; a corrupt one is moved aside first."""
    state = folder.state(chunk, verify=True)
    if state == "corrupt" and folder.quarantine(chunk) is None and folder.state(chunk) != "missing":
        raise IncompleteError(
            f"chunk {chunk} of {folder.path} is corrupt and cannot be moved aside"
        )
    return state != "done"
