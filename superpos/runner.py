"""From a sweep to a finished run folder: chunk by chunk, engine by engine; resumes, stops and shards.

Nothing here decides a result: a chunk's numbers follow from its rows alone, whatever the stretches, restarts or shards.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from superpos import geometry, metrics, model, theory
from superpos.engines import Choice, choose
from superpos.errors import IncompleteError, TrainingInterruptedError
from superpos.store import RunFolder
from superpos.sweep import Sweep
from superpos.task import State, Structure, Task

if TYPE_CHECKING:
    from pandas import DataFrame

STRETCH_SECONDS = 0.3  # between two looks at signals; long against the cost of a call
CHECKPOINT_SECONDS = 5.0
EVALUATION_SAMPLES = 2**17
EXACT_FEATURES = 3  # up to here the exact loss of a ReLU model costs less than sampling it
_CALIBRATION_MODELS = 64
_CALIBRATION_STRUCTURES = 4


@dataclass(frozen=True)
class Progress:
    """How far a call of `train` is. Steps are model-steps of this call: one model, one gradient step."""

    models_total: int
    models_done: int = 0
    chunks: int = 0
    chunk: int = 0
    steps_total: int = 0
    steps_done: int = 0
    message: str = ""


@dataclass(frozen=True)
class Estimate:
    """What a sweep will take on this machine."""

    models: int
    chunks: int
    flops: float  # 10 n m a sample
    memory_bytes: float
    seconds: float


@dataclass
class _Watch:
    """Reports progress, and knows whether the user or the system wants us to stop."""

    report: Callable[[Progress], None]
    stop: Callable[[], bool]
    now: Progress = field(default_factory=lambda: Progress(0))

    def tell(self, **changes: Any) -> None:
        """Report a new state."""
        self.now = replace(self.now, **changes)
        self.report(self.now)


def train(
    sweep: Sweep,
    *,
    out: Path,
    command: Sequence[str] = (),
    shard: tuple[int, int] | None = None,
    fresh: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train what is missing of a sweep (of shard (k, n): the chunks c with c % n == k) and return its run folder.

    Raises `TrainingInterruptedError` once `stop()` is true, after saving a checkpoint; `PlanMismatchError`,
    `IncompleteError`, `SuperposError` where the folder cannot be used; `ConfigError` where no engine can do it.
    """
    chunks = sweep.chunks()
    engines = _engines(sweep, chunks)
    folder = _open(sweep, chunks, engines, out, command, fresh)
    mine = range(len(chunks)) if shard is None else range(shard[0], len(chunks), shard[1])
    todo = [chunk for chunk in mine if _unfinished(folder, chunk)]
    total, open_models = sum(len(chunks[c]) for c in mine), sum(len(chunks[c]) for c in todo)
    watch = _Watch(progress, stop)
    steps = sum(len(chunks[c]) * sweep.structure(int(chunks[c][0])).steps for c in todo)
    watch.tell(models_total=total, models_done=total - open_models, chunks=len(mine), steps_total=steps)
    for chunk in todo:
        if stop():
            raise _interrupted("everything trained so far is kept")
        _train_chunk(sweep, folder, chunk, engines[sweep.structure(int(chunks[chunk][0]))], watch)
        watch.tell(models_done=watch.now.models_done + len(chunks[chunk]), chunk=watch.now.chunk + 1)
    return folder.path


def _train_chunk(sweep: Sweep, folder: RunFolder, chunk: int, choice: Choice, watch: _Watch) -> None:
    rows, engine = folder.rows[chunk], choice.engine
    task = sweep.task(rows)
    state = _resume(folder, chunk, task)
    if first_use := engine.first_use():
        watch.tell(message=first_use)
        engine.advance(task, state, state.step)  # compiles, trains nothing
    watch.tell(steps_total=watch.now.steps_total - len(rows) * state.step)
    saved = time.monotonic()
    length = 1
    while state.step < task.structure.steps:
        began, before = time.monotonic(), state.step
        engine.advance(task, state, min(_next_stop(task.structure, before), before + length))
        keep_snapshot(task.structure, state)
        watch.tell(steps_done=watch.now.steps_done + len(rows) * (state.step - before))
        elapsed = time.monotonic() - began
        length = max(1, min(4 * length, int((state.step - before) * STRETCH_SECONDS / max(elapsed, 1e-6))))
        stopping = watch.stop()  # asked once: a signal that comes from here on is seen after the next stretch
        if stopping or time.monotonic() - saved > CHECKPOINT_SECONDS:
            folder.save_checkpoint(chunk, state.to_arrays())
            saved = time.monotonic()
        if stopping:
            raise _interrupted(f"chunk {chunk} is kept at step {state.step:,} of {task.structure.steps:,}")
    folder.publish(chunk, tensors(task.structure, state), results(sweep, rows, task, state, choice))
    folder.drop_checkpoints(chunk)


def _interrupted(hint: str) -> TrainingInterruptedError:
    return TrainingInterruptedError(f"interrupted; {hint}. The same command goes on")


def _resume(folder: RunFolder, chunk: int, task: Task) -> State:
    kept = folder.load_checkpoint(chunk)
    if kept is not None:
        return State.from_arrays(kept)
    state = State.initial(task, model.initial_params(task))
    keep_snapshot(task.structure, state)
    return state


def _next_stop(structure: Structure, step: int) -> int:
    """Where training must pause next: at a snapshot or the end."""
    later = structure.snapshot_steps[structure.snapshot_steps > step]
    return int(later[0]) if len(later) else structure.steps


def keep_snapshot(structure: Structure, state: State) -> None:
    """Copy the weights where the state stands at a snapshot step."""
    at = np.flatnonzero(structure.snapshot_steps == state.step)
    for name, kept in state.snapshots.items():
        kept[:, at] = state.params[name][:, None]


def tensors(structure: Structure, state: State) -> dict[str, NDArray[Any]]:
    """The tensors of a finished chunk, by their names in the run folder."""
    found: dict[str, NDArray[Any]] = dict(state.params)
    if len(structure.loss_steps):
        found |= {"history/step": structure.loss_steps, "history/loss": state.history}
    if state.snapshots:
        found["snapshots/step"] = structure.snapshot_steps
        found |= {f"snapshots/{name}": value for name, value in state.snapshots.items()}
    return found


def results(sweep: Sweep, rows: NDArray[np.intp], task: Task, state: State, choice: Choice) -> DataFrame:
    """A row a model: its keys, status, evaluated loss and metrics."""
    table = sweep.table(rows)
    diverged = state.diverged_at >= 0
    table["status"] = np.where(diverged, "diverged", "ok").astype(object)
    table["diverged_at"] = state.diverged_at
    table["diverged_at"] = table["diverged_at"].astype("Int64").mask(~diverged)
    exact = has_exact_loss(task.structure)
    if exact:
        table["loss"], table["loss_se"] = exact_loss(task, state), 0.0
    else:
        table["loss"], table["loss_se"] = choice.engine.evaluate(task, state.params, EVALUATION_SAMPLES)
    table["loss_kind"] = "exact" if exact else "sampled"
    table["backend"] = choice.engine.name
    encoder = state.params["W" if task.structure.tied else "W1"]
    for name, values in metrics.summary(encoder).items():
        table[name] = values
    if task.structure.hidden == "linear":
        table["geometry"] = geometry.describe(encoder)
    else:
        neurons = metrics.neuron_monosemanticity(encoder)
        table["monosemantic_neurons"] = (neurons == 1).sum(axis=-1).astype(np.float64)
    return table


def has_exact_loss(structure: Structure) -> bool:
    """Whether the loss of such models is computed exactly: linear ones, and ReLU ones of few features."""
    plain = structure.tied and structure.hidden == "linear" and structure.target == "identity"
    independent = structure.correlation == "none" and not structure.signed and structure.n_points is None
    cheap = structure.output == "linear" or structure.n_features <= EXACT_FEATURES
    return plain and independent and cheap


def exact_loss(task: Task, state: State) -> NDArray[np.float64]:
    """Exact L [M] of the models of a task for which `has_exact_loss`."""
    params = {name: value.astype(np.float64) for name, value in state.params.items()}
    loss = theory.expected_loss(params["W"], params["b"], 1 - task.sparsity, task.importance, task.structure.output)
    return np.asarray(loss, dtype=np.float64)


def estimate(sweep: Sweep) -> Estimate:
    """Size and expected time of a sweep, from training some models of its largest structures for a moment."""
    chunks = sweep.chunks()
    engines = _engines(sweep, chunks)
    groups: dict[Structure, list[NDArray[np.intp]]] = {}
    for rows in chunks:
        groups.setdefault(sweep.structure(int(rows[0])), []).append(rows)
    work = {structure: _flops(structure) * sum(map(len, parts)) for structure, parts in groups.items()}
    largest = sorted(work, key=lambda structure: work[structure], reverse=True)[:_CALIBRATION_STRUCTURES]
    seconds = {
        structure: _seconds_per_model(sweep.task(groups[structure][0][:_CALIBRATION_MODELS]), engines[structure])
        * sum(map(len, groups[structure]))
        for structure in largest
    }
    share = sum(work[structure] for structure in largest) / max(sum(work.values()), 1.0)
    return Estimate(
        models=sweep.n_models,
        chunks=len(chunks),
        flops=float(sum(work.values())),
        memory_bytes=max(len(rows) * _model_bytes(sweep.structure(int(rows[0]))) for rows in chunks),
        seconds=sum(seconds.values()) / share if share else 0.0,
    )


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
    return 10.0 * structure.n_features * structure.n_hidden * structure.samples_per_step * structure.steps


def _model_bytes(structure: Structure) -> float:
    """State of a model: weights and two moments, snapshots, loss history; all float32."""
    params = sum(int(np.prod(shape)) for shape in structure.param_shapes.values())
    return 4.0 * (params * (3 + len(structure.snapshot_steps)) + len(structure.loss_steps))


def _engines(sweep: Sweep, chunks: list[NDArray[np.intp]]) -> dict[Structure, Choice]:
    """The engine of each structure; raises before anything is written where there is none."""
    wanted = {key: sweep.base[f"engine.{key}"] for key in ("backend", "device", "threads", "memory_gb")}
    structures = dict.fromkeys(sweep.structure(int(rows[0])) for rows in chunks)
    return {structure: choose(structure, **wanted) for structure in structures}


def _open(
    sweep: Sweep,
    chunks: list[NDArray[np.intp]],
    engines: dict[Structure, Choice],
    out: Path,
    command: Sequence[str],
    fresh: bool,
) -> RunFolder:
    device = sweep.base["engine.device"]
    facts = {
        "plan": sweep.to_json(),
        "chunks": chunks,
        "engine": {
            "backends": sorted({choice.engine.name for choice in engines.values()}),
            "device": "cpu" if device == "auto" else device,
        },
        "config": {key: value for key, value in sweep.base.items() if not key.startswith("engine.")},
        "command": list(command),
        "reasons": sorted({choice.reason for choice in engines.values()}),
        **provenance(),
    }
    folder = RunFolder.open(out, str(sweep.base["name"]), sweep.run_id, facts, fresh=fresh)
    folder.record_attempt({"command": list(command), **provenance()})
    return folder


def _unfinished(folder: RunFolder, chunk: int) -> bool:
    """Whether a chunk must be trained; a corrupt one is moved aside first."""
    state = folder.state(chunk, verify=True)
    if state == "corrupt" and folder.quarantine(chunk) is None and folder.state(chunk) != "missing":
        raise IncompleteError(f"chunk {chunk} of {folder.path} is corrupt and cannot be moved aside")
    return state != "done"


def provenance() -> dict[str, Any]:
    """What trained a run: versions, processor, and the state of the git repository in the working directory."""
    return {
        "versions": {name: _version(name) for name in ("superpos", "torch", "numba", "numpy")}
        | {"python": platform.python_version()},
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        "git": _git_state(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a source tree that is not installed
        return None


def _git_state() -> dict[str, Any] | None:
    git = shutil.which("git")
    if git is None:
        return None
    commands = {"commit": ("rev-parse", "HEAD"), "changes": ("status", "--porcelain", "--untracked-files=no")}
    found = {}
    for name, arguments in commands.items():
        answer = subprocess.run([git, *arguments], capture_output=True, text=True, check=False)
        if answer.returncode:
            return None
        found[name] = answer.stdout.strip()
    return {"commit": found["commit"], "dirty": bool(found["changes"])}
