"""What has become of the shards of a run that was submitted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from superpos.cluster import jobs, slurm
from superpos.errors import SuperposError
from superpos.plan.shards import part
from superpos.store import RunFolder

State = Literal["done", "running", "pending", "failed", "unknown"]

_RUNNING = (
    "RUNNING",
    "COMPLETING",
    "CONFIGURING",
    "SUSPENDED",
    "STOPPED",
    "SIGNALING",
    "STAGE_OUT",
)
_TAIL_LINES = 3
_TAIL_BYTES = 4096


@dataclass(frozen=True)
class Shard:
    """A shard and, where it failed, the end of its log; "unknown" where no SLURM can be asked."""

    number: int
    state: State
    log: str = ""


@dataclass(frozen=True)
class Pace:
    """How fast the submitted shards are."""

    models_per_second: float
    seconds_left: float


def shards(folder: RunFolder) -> list[Shard]:
    """The shards of the last submission; none where nothing was submitted.

    Raises `IncompleteError`.
    """
    submitted = jobs.arrays(folder)
    if not submitted:
        return []
    count = submitted[-1][1]
    queue = _queue([job for job, of in submitted if of == count])
    return [_shard(folder, number, count, queue) for number in range(count)]


def counts(found: list[Shard]) -> dict[str, int]:
    """{state: number of shards}, only states that occur."""
    return dict(Counter(shard.state for shard in found))


def pace(folder: RunFolder) -> Pace | None:
    """Models finished a second since the last submission, and the time for the rest; None before
    the first chunk.
    """
    if not jobs.arrays(folder):
        return None
    script = folder.path / "submit" / "array.sbatch"
    if not script.exists():
        return None
    began = script.stat().st_mtime
    finished = {chunk: folder.chunk_files.published_at(chunk) for chunk in range(folder.n_chunks)}
    since = [chunk for chunk, when in finished.items() if when is not None and when > began]
    left = sum(len(folder.rows[chunk]) for chunk, when in finished.items() if when is None)
    if not since or not left:
        return None
    last = max(when for when in finished.values() if when is not None)
    rate = sum(len(folder.rows[chunk]) for chunk in since) / (last - began)
    return Pace(rate, left / rate)


def _queue(arrays: list[str]) -> dict[int, str] | None:
    """{shard: state} of what waits or runs; None where no SLURM can be asked."""
    found: dict[str, str] = {}
    try:
        for job in arrays:
            found |= slurm.tasks(job)
    except SuperposError:
        return None
    return {int(index): state for index, state in found.items() if index.isdigit()}


def _shard(folder: RunFolder, number: int, count: int, queue: dict[int, str] | None) -> Shard:
    if all(folder.state(chunk) == "done" for chunk in part(folder.n_chunks, (number, count))):
        return Shard(number, "done")
    if queue is None:
        return Shard(number, "unknown", _tail(folder, number))
    state = queue.get(number)
    if state is None:
        return Shard(number, "failed", _tail(folder, number))
    return Shard(number, "running" if state in _RUNNING else "pending")


def _tail(folder: RunFolder, number: int) -> str:
    """The last lines of the newest log of a shard."""
    paths = (folder.path / "logs").glob(f"*_{number}.log")
    files = (path for path in paths if path.is_file() and not path.name.startswith("."))
    logs = sorted(files, key=lambda path: path.stat().st_mtime)
    return _end(logs[-1]) if logs else ""


def _end(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join("".join(c for c in line if c.isprintable()) for line in lines[-_TAIL_LINES:])
