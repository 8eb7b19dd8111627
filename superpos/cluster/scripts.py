"""The two batch scripts of a run, as text."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from superpos.cluster.site import Site, limit_minutes

ROUNDS = 3
"""How often the finishing job submits again what is missing."""
_WARNING_SECONDS, _WARNING_SHARE = 120, 0.2  # before the time limit; SLURM may send it up to 60 s early
_FINISH_TIME = "01:00:00"


@dataclass(frozen=True)
class Job:
    """What the scripts are about."""

    name: str
    run: Path  # absolute
    shards: int
    program: Sequence[str]  # the command line of superpos, up to its command
    train: Sequence[str]  # the arguments of `train`, without --shard


def array(site: Site, job: Job, shards: str) -> str:
    """One task per shard, each of them `superpos train ... --shard K/N`; `shards` as in "0-15" or "3,7"."""
    parallel = f"%{site.max_parallel}" if site.max_parallel else ""
    options = [
        f"--job-name=superpos-{job.name}",
        f"--array={shards}{parallel}",
        f"--output={_path(job.run / 'logs' / '%A_%a.log')}",
        "--open-mode=append",  # or a requeued task would empty its log
        "--requeue",
        f"--signal=B:USR1@{_warning(site)}",
        *_resources(site),
    ]
    return _script(
        options,
        site.setup,
        "# Until python has a handler of its own, the signal must not end the job; exec makes python receive it.",
        "trap '' USR1",
        f"exec {shlex.join([*job.program, 'train', *job.train])} \\",
        f'    --shard "$SLURM_ARRAY_TASK_ID/{job.shards}"',
    )


def finish(site: Site, job: Job) -> str:
    """Starts when the array has ended, however it ended; submits missing shards again, then draws the figures."""
    options = [
        f"--job-name=superpos-{job.name}-finish",
        f"--output={_path(job.run / 'logs' / 'finish-%j.log')}",
        "--kill-on-invalid-dep=yes",
        *_resources(Site(site.partition, site.account, _FINISH_TIME, 1, site.memory, extra=site.extra)),
    ]
    parallel = f"%{site.max_parallel}" if site.max_parallel else ""
    submit = '"$run"/submit'
    return _script(
        options,
        site.setup,
        f"# Trains missing shards again, at most {ROUNDS} times; then draws the figures. Argument: the rounds so far.",
        f"round=${{1:-0}} run={shlex.quote(str(job.run))}",
        f'superpos() {{ {shlex.join(job.program)} "$@"; }}',
        f'missing=$(superpos status "$run" --missing-shards {job.shards}) || exit',
        f'if [ -n "$missing" ] && [ "$round" -lt {ROUNDS} ]; then',
        f'    job=$(sbatch --parsable --array="$missing{parallel}" {submit}/array.sbatch) || exit',
        "    job=${job%%;*}  # without the name of the cluster",
        f'    echo "$job {job.shards}" >> {submit}/jobs',
        f'    exec sbatch --dependency=afterany:"$job" {submit}/finish.sbatch $((round + 1))',
        "fi",
        'superpos plot "$run"',
        'superpos status "$run"  # fails where something is missing still',
    )


def _resources(site: Site) -> list[str]:
    asked = {
        "partition": site.partition,
        "account": site.account,
        "time": site.time,
        "cpus-per-task": site.cpus,
        "mem": site.memory,
        "gpus-per-task": site.gpus,
    }
    tasks = ["--ntasks=1"] if site.gpus else []
    return tasks + [f"--{name}={value}" for name, value in asked.items() if value is not None] + list(site.extra)


def _warning(site: Site) -> int:
    """Seconds before the end of a shard at which it is told to save and to queue again."""
    seconds = 60 * limit_minutes(site.time) if site.time else math.inf
    return int(min(_WARNING_SECONDS, _WARNING_SHARE * seconds))


def _path(path: Path) -> str:
    """A path in an #SBATCH line; SLURM splits it at spaces unless it is quoted."""
    return f'"{path}"' if " " in str(path) else str(path)


def _script(options: Sequence[str], setup: Sequence[str], *lines: str) -> str:
    return "\n".join(["#!/bin/bash", *(f"#SBATCH {option}" for option in options), "", *setup, *lines, ""])
