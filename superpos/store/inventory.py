"""What runs are on disk, without opening their results."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from superpos.errors import SuperposError
from superpos.store import manifest
from superpos.store.chunks import ChunkFiles
from superpos.store.files import explained
from superpos.store.folder import LATEST, is_run
from superpos.store.shared import SharedFiles

RunState = Literal["complete", "incomplete", "corrupt", "unreadable"]


@dataclass(frozen=True)
class RunOnDisk:
    """One run folder.

    "complete": every chunk is there, with the sizes that its record says; checksums are not recomputed.
    "corrupt": a file of a chunk, or one that all models share, is gone or has another size.
    "unreadable": the manifest is damaged or of another schema; why is in `fault`, and the numbers of models are
    unknown.
    """

    path: Path
    name: str
    run_id: str
    state: RunState
    bytes: int  # of all files below the folder
    changed: datetime  # when the last chunk was published; of a run without one, when it was made
    latest: bool  # whether the name's `latest` leads here
    models_done: int | None = None
    models_total: int | None = None
    fault: str = ""


def inventory(out: Path) -> list[RunOnDisk]:
    """Every run out/<name>/<run_id>, those that --fresh moved aside too; the one that changed last comes first.

    Whatever else lies in `out` is passed over. Raises `SuperposError` where `out` cannot be read.
    """
    if not out.exists():
        return []
    with explained("read", out):
        found = [path for name in _folders(out) for path in _runs_of(name)]
        return sorted(map(_look, found), key=lambda run: (run.changed, run.path), reverse=True)


def _folders(path: Path) -> list[Path]:
    """Folders inside one, links left out. Raises `OSError`."""
    return [Path(entry) for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]


def _runs_of(name: Path) -> list[Path]:
    """Run folders inside one, as far as it may be read."""
    with suppress(PermissionError):
        return [path for path in _folders(name) if _is_run(path)]
    return []


def _is_run(path: Path) -> bool:
    with suppress(PermissionError):
        return is_run(path)
    return False


def _look(path: Path) -> RunOnDisk:
    made = (path / manifest.FILE_NAME).stat().st_mtime
    latest = path.parent / LATEST
    known: dict[str, Any] = {
        "path": path,
        "name": path.parent.name,
        "run_id": path.name,
        "bytes": sum(_sizes(path)),
        "latest": latest.is_symlink() and latest.resolve() == path.resolve(),
    }
    try:
        with explained("read", path):
            return RunOnDisk(**known, **_progress(path, made))
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
        "state": "corrupt" if "corrupt" in found else "incomplete" if "missing" in found else "complete",
        "models_done": sum(size for size, state in zip(sizes, states, strict=True) if state == "done"),
        "models_total": sum(sizes),
        "changed": _time(max([made, *(when for when in published if when is not None)])),
    }


def _sizes(path: Path) -> Iterator[int]:
    """The sizes of all files below a folder; links are not followed, and what vanishes meanwhile counts nothing."""
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                yield os.lstat(Path(folder, name)).st_size
            except FileNotFoundError:
                continue


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
