"""A control group with little memory, for processes that tests start."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

_LIMITS = ("memory.max", "memory.limit_in_bytes")  # of version 2 and 1


class Group:
    """A group that processes can be started in."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in the group."""
        enter = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.path / "cgroup.procs")]
        return subprocess.run(
            [*enter, *command], capture_output=True, text=True, check=False, **options
        )


@contextmanager
def limited(memory: int) -> Iterator[Group]:
    """A group of so many bytes; the test is skipped where none can be made."""
    name = f"superpos-{uuid.uuid4().hex[:8]}"
    for path in (parent / name for parent in _parents()):
        with suppress(OSError):
            path.mkdir()
            limits = [path / limit for limit in _LIMITS if (path / limit).exists()]
            if limits:
                limits[0].write_text(str(memory))
                break
            path.rmdir()
    else:
        pytest.skip("no control group can be made")
    try:
        yield Group(path)
    finally:
        path.rmdir()


def _parents() -> Iterator[Path]:
    """Where groups may be made: below this process's own of version 1, or at the top of version
    2.
    """
    groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    own = next(
        (group for _, controllers, group in groups if "memory" in controllers.split(",")), None
    )
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind, options, *_ = line.split()
        if kind == "cgroup" and "memory" in options.split(",") and own is not None:
            yield Path(mount + own)
        elif kind == "cgroup2":
            yield Path(mount)
