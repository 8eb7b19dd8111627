"""The jobs of a run: RUN/submit/jobs notes each of them, and SLURM knows what has not ended."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from superpos.cluster import slurm
from superpos.cluster.scripts import JOBS
from superpos.errors import SuperposError
from superpos.plan.shards import part
from superpos.store import RunFolder
from superpos.store.files import note_once

MAX_SHARDS = 100_000
_LINE = re.compile(r"(\d+(?:;\S+)?) (\d{1,9}|finishes)")


@dataclass(frozen=True)
class Waiting:
    """Shards of an array that wait or run."""

    job: str
    shards: int  # N of K/N
    numbers: tuple[int, ...]

    def chunks(self, n_chunks: int) -> set[int]:
        """The chunks that they train."""
        return {chunk for number in self.numbers for chunk in part(n_chunks, (number, self.shards))}


def note(folder: RunFolder, job: str, what: int | Literal["finishes"]) -> None:
    """Note a job that was submitted. Raises `SuperposError`, with its number."""
    path = folder.path / JOBS
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{job} {what}\n")
    except OSError as error:
        raise SuperposError(
            f"job {job} was submitted, but {path} cannot be written: {error.strerror}"
        ) from error


def arrays(folder: RunFolder) -> list[tuple[str, int]]:
    """(job, shards) of every array, oldest first; numbers of shards that cannot be are left out."""
    numbers = [(job, int(what)) for job, what in _noted(folder) if what != "finishes"]
    return [(job, shards) for job, shards in numbers if 1 <= shards <= MAX_SHARDS]


def waiting(folder: RunFolder) -> list[Waiting]:
    """What waits or runs of each array. Raises `SuperposError` where SLURM cannot be asked."""
    found = []
    for job, count in arrays(folder):
        states = slurm.tasks(job).items()
        left = sorted(
            int(index) for index, state in states if index.isdigit() and state != "COMPLETING"
        )
        if left:
            found.append(Waiting(job, count, tuple(left)))
    return found


def will_finish(folder: RunFolder) -> bool:
    """Whether a finishing job waits. Raises `SuperposError` where SLURM cannot be asked."""
    return any(slurm.tasks(job) for job, what in _noted(folder) if what == "finishes")


def covered(held: Collection[Waiting], n_chunks: int) -> set[int]:
    """The chunks that need no other job."""
    return {chunk for one in held for chunk in one.chunks(n_chunks)}


def _noted(folder: RunFolder) -> list[tuple[str, str]]:
    path = folder.path / JOBS
    lines: list[str] = []
    try:
        if path.is_file():  # reading a pipe would wait for ever
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as fault:
        note_once(f"left out: {path} cannot be read: {fault.strerror}")
    return [(found[1], found[2]) for line in lines if (found := _LINE.fullmatch(line.strip()))]
