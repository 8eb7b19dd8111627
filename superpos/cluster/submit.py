"""From a sweep to jobs: scripts in the run folder, an array of shards, and a job that finishes the run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from superpos.cluster import scripts, slurm
from superpos.cluster.scripts import Job
from superpos.cluster.site import Site
from superpos.errors import ConfigError, SuperposError
from superpos.plan.shards import part
from superpos.plan.sweep import Sweep
from superpos.store import RunFolder

JOBS = "submit/jobs"
"""One line per submission: the number of the array's job, and into how many shards it splits the run."""
MAX_SHARDS = 100_000


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
    sweep: Sweep, site: Site, shards: int, out: Path, overrides: Sequence[str], config_dir: Path | None
) -> Submission:
    """What would be submitted; nothing is written. More shards than chunks are as many as there are chunks.

    Raises:
        ConfigError: a number of shards below 1 or beyond reason, a path that a batch script cannot hold.
    """
    if not 1 <= shards <= MAX_SHARDS:
        raise ConfigError(f"--shards: got {shards}; allowed: 1 to {MAX_SHARDS:,}")
    run = out.resolve() / str(sweep.base["name"]) / sweep.run_id
    if not str(run).isprintable() or '"' in str(run) or "%" in str(run):
        raise ConfigError(
            f"--out: {str(run)!r} cannot stand in a batch script; allowed: no quotes, % or control characters"
        )
    threads = [] if any(text.lstrip("+").startswith("engine.threads=") for text in overrides) else _threads(site)
    train = [*overrides, *threads, "--out", str(out.resolve())]
    train += ["--config-dir", str(config_dir.resolve())] if config_dir else []
    if faulty := [text for text in train if not text.isprintable()]:
        raise ConfigError(
            [f"{text!r}: cannot stand in a batch script; allowed: no control characters" for text in faulty]
        )
    name = str(sweep.base["name"])
    n_shards = min(shards, len(sweep.plan.rows))
    return Submission(sweep, site, Job(name, run, n_shards, [sys.executable, "-m", "superpos"], train))


def _threads(site: Site) -> list[str]:
    """As many threads as cores are asked for: many sites do not confine a task to its cores."""
    return [f"engine.threads={site.cpus}"] if site.cpus else []


def submit(submission: Submission, folder: RunFolder) -> tuple[str, str] | None:
    """Submit the shards that are not done; numbers of the array's and the finishing job, None if all is done.

    Raises:
        SuperposError: SLURM is missing or refuses.
    """
    todo = missing(folder, submission.job.shards)
    if not todo:
        return None
    script = folder.write("submit/array.sbatch", submission.array(todo).encode())
    finish = folder.write("submit/finish.sbatch", submission.finish().encode())
    array = slurm.sbatch(str(script))
    with (folder.path / JOBS).open("a", encoding="utf-8") as jobs:
        jobs.write(f"{array} {submission.job.shards}\n")
    try:
        return array, slurm.sbatch(str(finish), f"--dependency=afterany:{array}")
    except SuperposError as error:
        hint = f"sbatch --dependency=afterany:{array} {shlex.quote(str(finish))}"
        raise SuperposError(
            f"the array is job {array}, but its finishing job was refused: {error}. Try: {hint}"
        ) from error


def missing(folder: RunFolder, shards: int) -> list[int]:
    """The shards of which a chunk is missing or corrupt, by its checksums. Raises `IncompleteError`."""
    return [k for k in range(min(shards, folder.n_chunks)) if not folder.whole(part(folder.n_chunks, (k, shards)))]


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers as sbatch has them: "0-3,7"."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
