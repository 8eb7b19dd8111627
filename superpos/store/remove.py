"""Taking a run out of the way or off the disk, and nothing else: no link is followed, what is no
run is refused.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from superpos.errors import SuperposError
from superpos.store import manifest
from superpos.store.files import explained
from superpos.store.find import last_run, locate
from superpos.store.folder import LATEST, RunFolder, is_run
from superpos.units import duration

TRASH: Final = ".trash"
"""Folder of outputs for runs that were removed."""
FRESH_SECONDS: Final = 600.0
"""Checkpoints are written every few seconds; evaluation and slow disks take longer."""


def named(path: Path) -> RunFolder:
    """The run folder that a path names: that folder itself, or a name's link `latest`.

    Raises `SuperposError` for anything else, also for a name's folder, which holds several runs,
    and for a run whose manifest is damaged: it cannot be told from a folder of something else.
    """
    with explained("read", path):
        has_name = path.name not in ("", "..")
        folder = path.parent.resolve() / path.name if has_name else path.resolve()
        if folder.name == LATEST and folder.is_symlink():
            folder = folder.parent / folder.readlink().name
        if folder.is_symlink() or (folder / manifest.FILE_NAME).is_symlink():
            raise SuperposError(f"{path} is a link; name the run folder itself, {locate(path)}")
        if not is_run(folder):
            one = locate(path)
            raise SuperposError(f"{path} is a folder of runs; name one of them, such as {one}")
    return RunFolder.at(folder)


def training(folder: RunFolder) -> str | None:
    """Why a run is taken to be in training, in words; None where nothing says so.

    So it is while an attempt has not ended whose process is alive on this machine, or when files of
    training were written in the last minutes. An attempt that was killed has no end either.
    """
    going_on = [attempt for attempt in _attempts(folder) if "seconds" not in attempt]
    here = [attempt for attempt in going_on if attempt.get("host") == platform.node()]
    alive = [attempt["pid"] for attempt in here if _lives(attempt)]
    if alive:
        return f"process {alive[-1]} of this machine trains it"
    age = time.time() - max(_written(folder.path), default=0.0)
    if going_on and age < FRESH_SECONDS:
        host = going_on[-1].get("host", "another machine")
        return f"an attempt of {host} has not ended and wrote {_ago(age)}"
    return None


class Gone(NamedTuple):
    """Where a run is now, None where it is deleted, and the run that `latest` now leads to, where
    that changed.
    """

    place: Path | None
    newest: Path | None


def to_trash(folder: RunFolder) -> Gone:
    """Move a run folder to outputs/.trash/NAME/.

    Raises `SuperposError` where it cannot be moved.
    """
    path = folder.path
    trash = path.parent.parent / TRASH / path.parent.name
    with explained("write", trash):
        trash.mkdir(parents=True, exist_ok=True)
    place = trash / path.name
    number = 1
    while place.exists():
        number += 1
        place = trash / f"{path.name}.{number}"
    link = _latest_of(path)
    with explained("move", path):
        path.rename(place)
    newest = _move_latest(link) if link else None
    _drop_empty(path.parent)
    return Gone(place, newest)


def purge(folder: RunFolder) -> Gone:
    """Delete a run folder. Raises `SuperposError` where something cannot be deleted.

    The folder is moved out of sight first: no other program sees a part of a run.
    """
    path = folder.path
    gone = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.removed")
    link = _latest_of(path)
    with explained("remove", path):
        path.rename(gone)
        (gone / manifest.FILE_NAME).unlink()  # from here on it is no run
    newest = _move_latest(link) if link else None
    with explained("remove all of", gone):
        shutil.rmtree(gone)
    _drop_empty(path.parent)
    return Gone(None, newest)


def _latest_of(path: Path) -> Path | None:
    """The link `latest` where it leads to this run."""
    link = path.parent / LATEST
    return link if link.is_symlink() and link.readlink().name == path.name else None


def _drop_empty(name: Path) -> None:
    with suppress(OSError):  # other runs are there
        name.rmdir()


def _move_latest(link: Path) -> Path | None:
    newest = last_run(link.parent)
    if newest is None:
        with explained("remove", link):
            link.unlink()
    else:
        RunFolder.at(newest).mark_latest()
    return newest


def _attempts(folder: RunFolder) -> Iterator[Mapping[str, Any]]:
    """What was noted of attempts, the oldest first; a file that cannot be read says nothing."""
    for path in sorted((folder.path / "attempts").glob("*.json")):
        with suppress(OSError, ValueError):
            facts = json.loads(path.read_bytes())
            if isinstance(facts, dict):
                yield facts


def _lives(attempt: Mapping[str, Any]) -> bool:
    pid = attempt.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _written(path: Path) -> Iterator[float]:
    """When files of training were written, in seconds."""
    for folder in ("attempts", "checkpoints", "chunks"):
        for entry in (path / folder).glob("*"):
            with suppress(OSError):
                yield entry.lstat().st_mtime


def _ago(seconds: float) -> str:
    return f"{duration(max(0.0, seconds))} ago"
