"""The programs of SLURM, and what goes wrong with them in words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence

from superpos.cluster.site import Site, limit_minutes
from superpos.config.wording import did_you_mean
from superpos.errors import SuperposError

_TIMEOUT = 60.0  # seconds; SLURM itself gives up after less
_NUMBER = re.compile(r"(?:Submitted batch job )?(\d+(?:;\S+)?)(?: on cluster .*)?")
_REFUSED = {  # what sbatch says: what to do; the first that fits counts
    "policy": "ask for less: fewer --shards, a shorter --time, or less --cpus, --memory or --gpus",
    "CPU count": "ask for less with --cpus",
    "memory": "ask for less with --memory",
    "node configuration": "no node has all of it: ask for less with --cpus, --memory or --gpus, "
    "or name another --partition or --constraint",
    "account": "name another --account or --partition",
    "qos": "name another --qos",
    "time limit": "ask for less with --time",
    "feature": "name another --constraint",
    "gres": "name other --gpus, or a --partition that has them",
    "partition": "name another --partition",
}


class RefusedError(SuperposError):
    """A program of SLURM is missing or says no: what it was asked for was not done."""


def call(program: str, *arguments: str, without: Sequence[str] = ()) -> str:
    """What a program of SLURM prints; variables named in `without` do not reach it.

    Raises:
        SuperposError: it is missing or fails, with what it says.
    """
    return _run(program, *arguments, without=without).stdout


def sbatch(
    script: str,
    *options: str,
    without: Sequence[str] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> str:
    """Submit a script file; the number of the job, followed by ;CLUSTER where sbatch names one.

    Sites print more than the number, before it and after it. `tell` hears what is said on stderr.

    Raises:
        RefusedError: sbatch is missing or refuses, with what it says and which option to change.
        SuperposError: it does not answer, or not with a number: there may be a job.
    """
    try:
        answer = _run("sbatch", "--parsable", *options, script, without=without)
    except SuperposError as error:
        hints = [hint for words, hint in _REFUSED.items() if words.lower() in str(error).lower()]
        raise type(error)(
            f"{error}. {hints[0][0].upper()}{hints[0][1:]}" if hints else str(error)
        ) from error
    numbers = _numbers_of_jobs(answer.stdout)
    for line in answer.stderr.splitlines():
        tell(line)
    if not numbers:
        said = "; ".join(answer.stdout.split("\n")).strip("; ") or "nothing"
        raise SuperposError(
            f"sbatch printed no number of a job but {said!r}: see whether there is one by squeue "
            "--me"
        )
    return numbers[-1]


def _numbers_of_jobs(printed: str) -> list[str]:
    return [found[1] for line in printed.splitlines() if (found := _NUMBER.fullmatch(line.strip()))]


def tasks(job: str) -> dict[str, str]:
    """{array index, or "N/A" of a job that is no array: state, such as "RUNNING"} of what has not
    ended.

    Raises:
        SuperposError: SLURM cannot be asked.
    """
    number, _, cluster = job.partition(";")
    where = [f"--clusters={cluster}"] if cluster else []
    options = ["--noheader", "--array", "--format=%K %T", f"--jobs={number}", *where]
    try:
        filters = [name for name in os.environ if name.startswith("SQUEUE_")]
        text = call("squeue", *options, without=filters)
    except SuperposError as error:
        if "Invalid job id" in str(error):  # long ended
            return {}
        raise
    return dict(re.findall(r"^(\d+|N/A) ([A-Z_]+)\s*$", text, flags=re.MULTILINE))


def check_limits(site: Site, highest_shard: int) -> None:
    """Refuse what SLURM would refuse later or, worse, keep waiting for ever.

    Raises:
        SuperposError: an array index or a time beyond the limits, a partition that does not exist.
    """
    if any(option.startswith(("--clusters", "--cluster=", "-M")) for option in site.extra):
        return  # what is asked here would be the limits of another cluster
    settings = dict(
        re.findall(r"^(\w+)\s*= (.*?)\s*$", call("scontrol", "show", "config"), flags=re.MULTILINE)
    )
    size = settings.get("MaxArraySize", "")
    if size.isdigit() and 0 < int(size) <= highest_shard:
        raise SuperposError(
            f"--shards: this site numbers the tasks of an array up to {int(size) - 1} "
            f"(MaxArraySize={size})"
        )
    partitions = _partitions()
    names = site.partition.split(",") if site.partition else _default(partitions)
    for name in names:
        if name not in partitions:
            raise SuperposError(
                f"partition: there is no {name!r}; {did_you_mean(name, partitions)}"
            )
    # a quality of service may have limits of its own
    if site.time is None or not names or site.qos:
        return
    longest = max(
        (partitions[name].get("MaxTime", "UNLIMITED") for name in names), key=limit_minutes
    )
    if limit_minutes(site.time) > limit_minutes(longest):
        raise SuperposError(
            f"time: got {site.time}; jobs in partition {site.partition or names[0]} end after "
            f"{longest}: "
            "ask for less with --time"
        )


def _partitions() -> dict[str, Mapping[str, str]]:
    """{name: its settings} of all partitions, hidden ones too."""
    lines = call("scontrol", "--all", "show", "partition", "--oneliner").splitlines()
    found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]
    return {fields["PartitionName"]: fields for fields in found if "PartitionName" in fields}


def _default(partitions: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The partition that jobs go to which name none."""
    named = os.environ.get("SBATCH_PARTITION")
    if named:
        return [name for name in named.split(",") if name in partitions]
    return [name for name, fields in partitions.items() if fields.get("Default") == "YES"]


def _run(program: str, *arguments: str, without: Sequence[str]) -> subprocess.CompletedProcess[str]:
    if shutil.which(program) is None:
        raise RefusedError(
            f"{program} is not here: submit where SLURM is, or train without it by superpos train "
            "... --shard K/N"
        )
    environment = {name: value for name, value in os.environ.items() if name not in without}
    try:
        answer = subprocess.run(
            [program, *arguments],
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_TIMEOUT,
        )
    except subprocess.TimeoutExpired as slow:
        said = f" It said: {_one_line(slow.stdout)}" if slow.stdout else ""
        raise SuperposError(f"{program} does not answer within {_TIMEOUT:g} s.{said}") from None
    if answer.returncode:
        told = _one_line(answer.stderr) or f"exit code {answer.returncode}"
        said = f". It said: {_one_line(answer.stdout)}" if answer.stdout.strip() else ""
        failed = SuperposError if _numbers_of_jobs(answer.stdout) else RefusedError
        raise failed(f"{program}: {told}{said}")
    return answer


def _one_line(text: str | bytes) -> str:
    """What a program said, without empty lines and what it calls itself in each."""
    whole = text.decode("utf-8", errors="replace") if isinstance(text, bytes) else text
    lines = [re.sub(r"^\w+: (error|fatal): ", "", line.strip()) for line in whole.splitlines()]
    return "; ".join(line for line in lines if line)
