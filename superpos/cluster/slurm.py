"""The programs of SLURM, and what goes wrong with them in words."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping

from superpos.cluster.site import Site, limit_minutes
from superpos.config.wording import did_you_mean
from superpos.errors import SuperposError

_UNLIMITED = "UNLIMITED"
_TIMEOUT = 60.0  # seconds; SLURM itself gives up after less


def call(program: str, *arguments: str) -> str:
    """What a program of SLURM prints. Raises `SuperposError` where it is missing or fails, with what it says."""
    if shutil.which(program) is None:
        raise SuperposError(
            f"{program} is not here: submit where SLURM is, or train without it by superpos train ... --shard K/N"
        )
    try:
        answer = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise SuperposError(f"{program} does not answer within {_TIMEOUT:g} s") from None
    if answer.returncode:
        told = "; ".join(line.strip() for line in answer.stderr.splitlines() if line.strip())
        raise SuperposError(f"{program}: {told or f'exit code {answer.returncode}'}")
    return answer.stdout


def sbatch(script: str, *options: str) -> str:
    """Submit a script file; the number of the job. Raises `SuperposError`."""
    return call("sbatch", "--parsable", *options, script).strip().partition(";")[0]


def tasks(job: str) -> dict[int, str]:
    """{array index: state, such as "RUNNING"} of the tasks of a job that have not ended. Raises `SuperposError`."""
    try:
        lines = call("squeue", "--noheader", "--array", "--format=%K %T", f"--jobs={job}").split("\n")
    except SuperposError as error:
        if "Invalid job id" in str(error):  # long ended
            return {}
        raise
    pairs = [line.split() for line in lines if line]
    return {int(index): state for index, state in pairs if index.isdigit()}


def check_limits(site: Site, highest_shard: int) -> None:
    """Refuse what SLURM would refuse later or, worse, keep waiting for ever.

    Raises:
        SuperposError: an array index or a time beyond the limits, a partition that does not exist.
    """
    settings = _fields(call("scontrol", "show", "config"))
    size = int(settings.get("MaxArraySize", "0") or 0)
    if size and highest_shard >= size:
        raise SuperposError(f"--shards: this site numbers the tasks of an array up to {size - 1} (MaxArraySize={size})")
    partitions = {
        fields["PartitionName"]: fields
        for line in call("scontrol", "show", "partition", "--oneliner").splitlines()
        if (fields := dict(re.findall(r"(\w+)=(\S*)", line)))
    }
    for name in (site.partition or "").split(",") if site.partition else []:
        if name not in partitions:
            raise SuperposError(f"partition: there is no {name!r}; {did_you_mean(name, partitions)}")
        longest = partitions[name].get("MaxTime", _UNLIMITED)
        if site.time and longest != _UNLIMITED and limit_minutes(site.time) > limit_minutes(longest):
            raise SuperposError(f"time: got {site.time}; jobs in partition {name} end after {longest}")


def _fields(text: str) -> Mapping[str, str]:
    return dict(re.findall(r"^(\w+)\s*= (.*?)\s*$", text, flags=re.MULTILINE))
