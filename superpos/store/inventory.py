"""What runs are on disk, without opening their results."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from superpos.errors import SuperposError
from superpos.store import manifest, notes
from superpos.store.chunks import ChunkFiles
from superpos.store.files import explained
from superpos.store.find import last_run, search
from superpos.store.notes import Note
from superpos.store.shared import SharedFiles

RunState = Literal["complete", "incomplete", "corrupt", "unreadable"]


@dataclass(frozen=True)
class RunOnDisk:
    """One run folder.

    "complete": every chunk is there, with the sizes that its record says; checksums are not
    recomputed. "corrupt": a file of a chunk, or one that all models share, is gone or has another
    size. "unreadable": the manifest is damaged or of another schema, or may not be read; why is in
    `fault`, and the numbers of models are unknown. A run of another state has a fault where a part
    of it may not be read.
    """

    path: Path
    name: str
    run_id: str
    state: RunState
    bytes: int  # of all files below the folder
    changed: datetime  # when the last chunk was published; of a run without one, when it was made
    latest: bool  # whether it is its name's latest run
    models_done: int | None = None
    models_total: int | None = None
    fault: str = ""

    @property
    def notes(self) -> list[Note]:
        """What users noted of it, the oldest first."""
        return notes.read(self.path)


def inventory(out: Path, passed_over: list[str] | None = None) -> list[RunOnDisk]:
    """Every run out/<name>/<run_id>, those that --fresh moved aside too; the one that changed last
    comes first.

    Other files and folders are no runs; what could not be looked into is added to `passed_over`, in
    words. Raises `SuperposError` where `out` cannot be read.
    """
    runs = []
    with explained("read", out):
        found = search(out)
        last = {name: last_run(name) for name in {path.parent for path in found.runs}}
        for path in found.runs:
            with suppress(FileNotFoundError):  # moved away meanwhile
                runs.append(_look(path, latest=path.resolve() == last[path.parent]))
    if passed_over is not None:
        passed_over += found.passed_over
    return sorted(runs, key=lambda run: (run.changed, run.path), reverse=True)


def _look(path: Path, latest: bool) -> RunOnDisk:
    made = (path / manifest.FILE_NAME).stat().st_mtime
    size, unread = size_of(path)
    known: dict[str, Any] = {
        "path": path,
        "name": path.parent.name,
        "run_id": path.name,
        "bytes": size,
        "latest": latest,
    }
    try:
        with explained("read", path):
            return RunOnDisk(**known, **_progress(path, made), fault=unread)
    except SuperposError as error:
        return RunOnDisk(**known, state="unreadable", changed=_time(made), fault=str(error))


def _progress(path: Path, made: float) -> dict[str, Any]:
    """State, models and time of a run that can be read. Raises `SuperposError`, `OSError`."""
    sizes = manifest.chunk_sizes(manifest.read(path))
    chunks = ChunkFiles(path / "chunks")
    states = [chunks.state(chunk) for chunk in range(len(sizes))]
    published = [chunks.published_at(chunk) for chunk in range(len(sizes))]
    found = {*states, *SharedFiles(path / "shared").states().values()}
    return {
        "state": "corrupt"
        if "corrupt" in found
        else "incomplete"
        if "missing" in found
        else "complete",
        "models_done": sum(
            size for size, state in zip(sizes, states, strict=True) if state == "done"
        ),
        "models_total": sum(sizes),
        "changed": _time(max([made, *(when for when in published if when is not None)])),
    }


def size_of(path: Path) -> tuple[int, str]:
    """The bytes of all files below a folder, and what could not be read, in words; empty where all
    was.

    Links are not followed, and what vanishes meanwhile counts nothing.
    """
    faults: list[OSError] = []
    size = 0
    for folder, _, names in os.walk(path, onerror=faults.append):
        for name in names:
            try:
                size += os.lstat(Path(folder, name)).st_size
            except FileNotFoundError:
                continue
            except OSError as fault:
                faults.append(fault)
    return size, f"cannot read {faults[0].filename}: {faults[0].strerror}" if faults else ""


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
