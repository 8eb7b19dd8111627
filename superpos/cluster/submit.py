"""From a sweep to jobs: scripts in the run folder, an array of shards, and a job that finishes the
run.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from superpos.cluster import jobs, scripts, slurm
from superpos.cluster.jobs import Waiting, covered
from superpos.cluster.scripts import Job
from superpos.cluster.site import Site, memory_bytes
from superpos.errors import ConfigError, SuperposError
from superpos.plan.shards import part
from superpos.plan.sweep import Sweep
from superpos.store import RunFolder, remove
from superpos.units import quantity

PROGRAM = (sys.executable, "-P", "-m", "superpos")
"""How a job starts superpos. -P: a module in the folder of the user, such as random.py, is none of
Python's.
"""


@dataclass(frozen=True)
class Submission:
    """A sweep and how it is split."""

    sweep: Sweep
    site: Site
    job: Job

    @property
    def n_chunks(self) -> int:
        """Chunks of the sweep; a shard holds every N-th."""
        return len(self.sweep.plan.rows)

    def shares(self) -> list[tuple[int, int, float]]:
        """(chunks, models, share of the whole work) of each shard."""
        plan = self.sweep.plan
        shards = self.job.shards
        found = []
        for shard in range(shards):
            mine = [plan.chunks[number] for number in part(len(plan.chunks), (shard, shards))]
            work = sum(chunk.work for chunk in mine)
            found.append((len(mine), sum(len(chunk.rows) for chunk in mine), work / plan.work))
        return found

    def array(self, shards: Sequence[int]) -> str:
        """The script that trains some shards."""
        return scripts.array(self.site, self.job, ranges(shards))

    def finish(self) -> str:
        """The script of the finishing job."""
        return scripts.finish(self.site, self.job)


def plan(
    sweep: Sweep,
    site: Site,
    shards: int,
    out: Path,
    overrides: Sequence[str],
    config_dir: Path | None,
) -> Submission:
    """What would be submitted; nothing is written.

    More shards than chunks are as many as there are chunks.

    Raises:
        ConfigError: a number of shards below 1 or beyond reason, a path that a batch script cannot
        hold.
    """
    if not 1 <= shards <= jobs.MAX_SHARDS:
        raise ConfigError(f"--shards: got {shards}; allowed: 1 to {jobs.MAX_SHARDS:,}")
    run = out.resolve() / str(sweep.base["name"]) / sweep.run_id
    scripts.check_path(run)
    threads = (
        []
        if any(text.lstrip("+").startswith("engine.threads=") for text in overrides)
        else _threads(site)
    )
    # A file that is edited while the shards wait would have each train a run of its own.
    train = [*overrides, *threads, "--run-id", sweep.run_id, "--out", str(out.resolve())]
    folder = ["--config-dir", str(config_dir.resolve())] if config_dir else []
    train += folder
    if faulty := [text for text in train if not text.isprintable()]:
        raise ConfigError(
            [
                f"{text!r}: cannot stand in a batch script; allowed: no control characters"
                for text in faulty
            ]
        )
    name = str(sweep.base["name"])
    n_shards = min(shards, len(sweep.plan.rows))
    return Submission(sweep, site, Job(name, run, n_shards, PROGRAM, train, folder))


def _threads(site: Site) -> list[str]:
    """As many threads as cores are asked for: many sites do not confine a task to its cores."""
    return [f"engine.threads={site.cpus}"] if site.cpus else []


def unused(sweep: Sweep, site: Site) -> list[str]:
    """What is asked of SLURM and not of superpos, or the other way round, as lines for the user."""
    device = sweep.base["engine.device"]
    threads = sweep.base["engine.threads"]
    gpus = int(site.gpus.rpartition(":")[2]) if site.gpus else 0
    others = any("gpu" in option or "gres" in option for option in site.extra)
    told = []
    if gpus and device != "cuda":
        told.append(
            f"gpus {site.gpus}: nothing uses them; add engine.device=cuda, or leave them out"
        )
    if gpus > 1 and device == "cuda":
        told.append(f"gpus {site.gpus}: a shard trains on one; ask for one, and for more shards")
    if device == "cuda" and not gpus and not others:
        told.append("engine.device=cuda: no GPU is asked for; add --gpus 1")
    if site.cpus and threads and threads < site.cpus and device != "cuda":
        told.append(f"cpus {site.cpus}: engine.threads={threads} leaves some of them idle")
    if site.cpus and threads and threads > site.cpus:
        told.append(
            f"engine.threads={threads}: a shard has cpus {site.cpus}; ask for more with --cpus"
        )
    return told


def require_asked(site: Site, needed: float) -> None:
    """Raises `ConfigError` where a shard needs more bytes than are asked for: its job would refuse
    to train.
    """
    key, text, count = (
        ("memory", site.memory, 1)
        if site.memory
        else ("mem_per_cpu", site.mem_per_cpu, site.cpus or 1)
    )
    asked = count * memory_bytes(text) if text else math.inf
    if asked < needed:
        option = key.replace("_", "-")
        raise ConfigError(
            f"{key}: got {text}; a shard needs about {quantity(needed, 'B')}: ask for more with "
            f"--{option}"
        )


@dataclass(frozen=True)
class Outcome:
    """What became of a submission; a job is None where none was needed."""

    complete: bool
    array: str | None
    finish: str | None
    held: tuple[Waiting, ...]
    """Shards that waited or ran already: they are not submitted a second time."""


def submit(
    submission: Submission, folder: RunFolder, tell: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Submit the shards that are not done and that no job holds, and the finishing job; `tell`
    hears warnings.

    Raises:
        SuperposError: SLURM is missing or refuses; the number of a job that it took is in the
        message.
    """
    site = submission.site
    job = submission.job
    if not missing(folder, job.shards):
        return Outcome(True, None, None, ())
    held, finishing = _in_queue(folder, tell)
    todo = missing(folder, job.shards, covered(held, folder.n_chunks))
    if finishing and not todo:
        return Outcome(False, None, None, held)
    script = folder.write(
        "submit/array.sbatch", submission.array(todo or range(job.shards)).encode()
    )
    finish = folder.write("submit/finish.sbatch", submission.finish().encode())
    without = scripts.competing(site)
    array = None
    if todo:
        options = scripts.array_options(site, job, ranges(todo))
        array = slurm.sbatch(str(script), *options, without=without, tell=tell)
        jobs.note(folder, array, job.shards)
    before = [one.partition(";")[0] for one in (*(one.job for one in held), array) if one]
    options = [*scripts.finish_options(site, job), f"--dependency=afterany:{':'.join(before)}"]
    try:
        last = slurm.sbatch(str(finish), *options, without=without, tell=tell)
    except SuperposError as error:
        raise SuperposError(
            f"the array is job {' and '.join(before)}, but its finishing job was refused: {error}. "
            "The shards train "
            "all the same; the same command again submits what finishes the run alone"
        ) from error
    jobs.note(folder, last, "finishes")
    return Outcome(False, array, last, held)


@contextmanager
def gone_if_refused(run: Path) -> Iterator[None]:
    """Where SLURM refuses what the block submits, a run folder `run` that the block made is gone
    again.

    So are the folders around it that it made. A run that something else began to train stays.
    """
    made = [path for path in (run, *run.parents) if not path.exists()]
    try:
        yield
    except slurm.RefusedError:
        if run in made and run.exists():
            folder = RunFolder.at(run)
            if not jobs.arrays(folder) and not folder.attempts():
                remove.purge(folder)
                with suppress(OSError):  # another process made something there
                    for path in made[1:]:
                        if path.exists():
                            path.rmdir()
        raise


def _in_queue(folder: RunFolder, tell: Callable[[str], None]) -> tuple[tuple[Waiting, ...], bool]:
    """What waits or runs already, and whether a job will finish the run."""
    try:
        return tuple(jobs.waiting(folder)), jobs.will_finish(folder)
    except SuperposError as error:
        tell(f"shards that wait already may be submitted twice: {error}")
        return (), False


def missing(folder: RunFolder, shards: int, covered: Collection[int] = ()) -> list[int]:
    """The shards of which a chunk that is not `covered` is missing or corrupt, by its checksums.

    Raises `IncompleteError`.
    """
    parts = {
        k: [c for c in part(folder.n_chunks, (k, shards)) if c not in covered]
        for k in range(shards)
    }
    return [k for k, chunks in parts.items() if chunks and not folder.whole(chunks)]


def unclaimed(folder: RunFolder, shards: int) -> list[int]:
    """The shards that are not done and that no job holds, as far as SLURM can be asked.

    Raises `IncompleteError`.
    """
    held, _ = _in_queue(folder, lambda _: None)
    return missing(folder, shards, covered(held, folder.n_chunks))


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers as sbatch has them: "0-3,7"."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
