"""What this machine, or the part of it that a job has, gives to training."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

PROGRAM_BYTES = 250e6
"""Python, torch and the compiled loops, before the first model; measured."""


def available_threads() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # of a system that keeps no such set


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """torch's thread count for the length of a `with` block."""
    import torch  # slow to import, and not every engine needs it

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine_bytes(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> float:
    """Memory for models: what the machine, the cgroup and the job allow, without what the program
    itself takes.

    Infinite where nothing says how much there is. `root` is that of the file system.
    """
    limits = [*_physical(), *_cgroup_limits(root), *_job_limits(environment)]
    return max(0.0, min(limits, default=math.inf) - PROGRAM_BYTES)


def _physical() -> Iterator[float]:
    """Memory of the machine, where the system says it."""
    names = os.sysconf_names if hasattr(os, "sysconf") else {}
    if {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= names.keys():
        yield float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")


def _cgroup_limits(root: Path) -> Iterator[float]:
    """Limits of the control groups of this process, whose memory the kernel ends it for; Linux
    alone has such.

    A group is bound by those above it. Inside a container its name may be that of the host: what is
    mounted is then the container's own group.
    """
    hierarchies = [
        line.split(":", 2) for line in _lines(root / "proc/self/cgroup") if line.count(":") >= 2
    ]
    for line in _lines(root / "proc/self/mounts"):
        mount, kind, options = (*line.split(), "", "", "", "")[1:4]
        if kind == "cgroup2":
            file = "memory.max"
            names = [""]
        elif kind == "cgroup" and "memory" in options.split(","):
            file = "memory.limit_in_bytes"
            names = ["memory"]
        else:
            continue
        for _, controllers, group in hierarchies:
            if any(name in controllers.split(",") for name in names):
                path = PurePosixPath(group.lstrip("/"))
                for above in (path, *path.parents):
                    yield from _numbers(_lines(root / mount.lstrip("/") / above / file))


def _job_limits(environment: Mapping[str, str]) -> Iterator[float]:
    """What SLURM gives to this job on this node; 0 is all that the node has.

    Of several numbers the largest counts: the others are left of the job that submitted this one.
    """

    def number(name: str) -> float:
        return next(_numbers([environment.get(name, "")]), 0.0)

    counts = {"NODE": 1.0, "CPU": number("SLURM_CPUS_ON_NODE"), "GPU": number("SLURM_GPUS_ON_NODE")}
    megabytes = max(number(f"SLURM_MEM_PER_{each}") * count for each, count in counts.items())
    if megabytes:
        yield megabytes * 2**20


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _numbers(texts: list[str]) -> Iterator[float]:
    """The numbers among texts; "max" and the like say nothing."""
    return (float(text) for text in texts if text.isdecimal())
