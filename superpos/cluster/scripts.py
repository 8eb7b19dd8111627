"""The two batch scripts of a run as text, and the options of sbatch that go with them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from superpos.cluster.site import Site, limit_minutes, one_word
from superpos.errors import ConfigError

JOBS = "submit/jobs"
"""A line of this file is "JOB N", an array of shards K/N, or "JOB finishes"; JOB may end in
";CLUSTER".
"""
ROUNDS = 3
"""How often the finishing job submits again what is missing."""
COMPETING = ("SBATCH_ARRAY_INX", "SBATCH_ERROR", "SBATCH_WAIT")
"""Variables of sbatch that would change what superpos needs: one array, one log a task, an answer
at once.
"""
# before the time limit; SLURM may send it up to 60 s early
_WARNING_SECONDS = 120
_WARNING_SHARE = 0.2
_FINISH_MINUTES = 60
_NUMBER_IN_SED = r"^(Submitted batch job )?([0-9]+(;[^ ]+)?)( on cluster .*)?[[:space:]]*$"
_AMOUNTS = {  # of one option alone: SLURM refuses, or adds, what its variables ask beside it
    "mem": "MEM_PER_CPU MEM_PER_GPU MEM_PER_NODE",
    "mem-per-cpu": "MEM_PER_CPU MEM_PER_GPU MEM_PER_NODE",
    "cpus-per-task": "CPUS_PER_GPU",
    "gpus-per-task": "GPUS GPUS_PER_NODE GPUS_PER_SOCKET GPUS_PER_TASK GRES CPUS_PER_GPU",
}


@dataclass(frozen=True)
class Job:
    """What the scripts are about."""

    name: str
    run: Path  # absolute
    shards: int
    program: Sequence[str]  # the command line of superpos, up to its command
    train: Sequence[str]  # the arguments of `train`, without --shard
    plot: Sequence[str] = ()  # further arguments of `plot`


def array_options(site: Site, job: Job, shards: str) -> list[str]:
    """Options of sbatch for one task per shard; `shards` as in "0-15" or "3,7"."""
    return [
        *map(one_word, site.extra),  # first: of two that say the same the last one counts
        f"--job-name=superpos-{job.name}",
        f"--array={shards}{_parallel(site)}",
        f"--output={_log(job, '%A_%a')}",
        "--open-mode=append",  # or a requeued task would empty its log
        "--requeue",
        f"--signal=B:USR1@{_warning(site)}",
        *_resources(site),
    ]


def finish_options(site: Site, job: Job) -> list[str]:
    """Options of sbatch for the finishing job, but for what it waits for.

    It asks for what a shard asks for, without GPUs, and for an hour at most: a site that lets a
    shard run lets it run.
    """
    minutes = limit_minutes(site.time) if site.time else 0
    smaller = replace(
        site,
        gpus=None,
        time=str(_FINISH_MINUTES) if minutes > _FINISH_MINUTES else site.time,
        cpus=site.cpus if site.mem_per_cpu else 1,
    )
    return [
        *map(one_word, site.extra),  # first: of two that say the same the last one counts
        f"--job-name=superpos-{job.name}-finish",
        f"--output={_log(job, 'finish-%j')}",
        "--open-mode=append",
        "--kill-on-invalid-dep=yes",
        *_resources(smaller),
    ]


def array(site: Site, job: Job, shards: str) -> str:
    """The script of a shard: `superpos train ... --shard K/N`."""
    return _script(
        array_options(site, job, shards),
        site.setup,
        "# Until python has a handler of its own, the signal must not end the job; exec makes "
        "python receive it.",
        "trap '' USR1",
        f"exec {shlex.join([*job.program, 'train', *job.train])} \\",
        f'    --shard "$SLURM_ARRAY_TASK_ID/{job.shards}"',
    )


def finish(site: Site, job: Job) -> str:
    """Starts when the array has ended, however it ended; submits missing shards again, then draws
    the figures.
    """
    array, finish = (f'"$run"/submit/{name}.sbatch' for name in ("array", "finish"))
    return _script(
        finish_options(site, job),
        site.setup,
        f"# Trains missing shards again, at most {ROUNDS} times; then draws the figures.",
        "# Argument: the rounds so far.",
        f"round=${{1:-0}} run={shlex.quote(str(job.run))}",
        f'superpos() {{ {shlex.join(job.program)} "$@"; }}',
        "submit() {  # a script, by the options in it; prints the number of the job",
        """    eval "options=($(sed -n 's/^#SBATCH //p' "$1"))\"""",
        '    sbatch --parsable "${options[@]}" "${@:2}" "$1" $((round + 1)) | sed -nE \\',
        rf"        's/{_NUMBER_IN_SED}/\2/p' | tail -n 1 | grep .",
        "}",
        f'missing=$(superpos status "$run" --missing-shards {job.shards}) || exit',
        f'if [ -n "$missing" ] && [ "$round" -lt {ROUNDS} ]; then',
        f"    unset {' '.join(competing(site))}",
        f'    job=$(submit {array} --array="$missing{_parallel(site)}") || exit',
        f'    echo "$job {job.shards}" >> "$run"/{JOBS}',
        f'    job=$(submit {finish} --dependency=afterany:"${{job%%;*}}") || exit',
        f'    echo "$job finishes" >> "$run"/{JOBS}',
        "    exit",
        "fi",
        " ".join(['superpos plot "$run"', *map(shlex.quote, job.plot)]),
        'superpos status "$run"  # fails where something is missing still',
    )


def competing(site: Site) -> list[str]:
    """Variables of sbatch that would rule out, or add to, what is asked for; all others give way to
    its options.
    """
    asked = [
        name
        for name in _AMOUNTS
        if any(option.startswith(f"--{name}=") for option in _resources(site))
    ]
    return sorted(
        {*COMPETING, *(f"SBATCH_{name}" for option in asked for name in _AMOUNTS[option].split())}
    )


def check_path(path: Path) -> None:
    """Raises `ConfigError` for a run folder that SLURM cannot write logs into, or no script can
    hold.
    """
    if not str(path).isprintable() or "\\" in str(path):
        raise ConfigError(
            f"--out: {str(path)!r} cannot stand in a batch script; allowed: no backslashes or "
            "control characters, and "
            "UTF-8"
        )


def _resources(site: Site) -> list[str]:
    asked = {
        "partition": site.partition,
        "account": site.account,
        "qos": site.qos,
        "constraint": site.constraint,
        "time": site.time,
        "cpus-per-task": site.cpus,
        "mem": site.memory,
        "mem-per-cpu": site.mem_per_cpu,
        "gpus-per-task": site.gpus,
        "mail-user": site.mail_user,
        "mail-type": site.mail_type,
    }
    tasks = ["--ntasks=1"] if site.gpus else []
    return tasks + [f"--{name}={value}" for name, value in asked.items() if value is not None]


def _parallel(site: Site) -> str:
    return f"%{site.max_parallel}" if site.max_parallel else ""


def _log(job: Job, name: str) -> str:
    """A log of SLURM's naming; a % in the folder is none of it."""
    return f"{str(job.run / 'logs').replace('%', '%%')}/{name}.log"


def _warning(site: Site) -> int:
    """Seconds before the end of a shard at which it is told to save and to queue again."""
    seconds = 60 * limit_minutes(site.time) if site.time else math.inf
    return int(min(_WARNING_SECONDS, _WARNING_SHARE * seconds))


def _script(options: Sequence[str], setup: Sequence[str], *lines: str) -> str:
    told = (
        "# On sbatch's command line, too: there no variable such as SBATCH_PARTITION wins over "
        "them."
    )
    asked = [f"#SBATCH {shlex.quote(option)}" for option in options]
    return "\n".join(["#!/bin/bash", told, *asked, "", *setup, *lines, ""])
