"""Which runs there are, and which folder a user means."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from superpos.errors import SuperposError
from superpos.store import manifest
from superpos.store.files import explained
from superpos.store.folder import ATTEMPT, LATEST, is_old, is_run

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Found(NamedTuple):
    """What lies in a folder of runs."""

    runs: list[Path]
    """Run folders out/<name>/<run_id>, sorted; those that --fresh moved aside, too."""
    passed_over: list[str]
    """What could not be looked into, and why, in words."""


def search(out: Path) -> Found:
    """The runs in a folder of runs.

    Links to runs, and copies of `latest`, are none of their own. Raises `OSError`.
    """
    found = Found([], [])
    for name in _names(out, found.passed_over):
        found.runs.extend(_runs_of(name, found.passed_over))
    return Found(sorted(found.runs), found.passed_over)


def find_runs(out: Path) -> list[Path]:
    """Run folders out/<name>/<run_id>, sorted; those that --fresh moved aside are left out.

    What could not be looked into is logged. Raises `SuperposError` when there is none.
    """
    with explained("read", out):
        found = search(out)
    _tell(found.passed_over)
    runs = [run for run in found.runs if not is_old(run)]
    if not runs:
        raise _no_runs(out)
    return runs


def latest_run(out: Path) -> Path:
    """The run that was started last: where out/*/latest leads, the newest run where that is no link
    to one.

    Raises `SuperposError` when there is none.
    """
    passed_over: list[str] = []
    with explained("read", out):
        last = [
            found for name in _names(out, passed_over) if (found := _last_of(name, passed_over))
        ]
        _tell(passed_over)
        if not last:
            raise _no_runs(out)
        return max(last)[1].resolve()


def last_run(name: Path) -> Path | None:
    """The run of a name's folder that was started last, as `latest_run`; None where it holds
    none.
    """
    found = _last_of(name, [])
    return found[1].resolve() if found else None


def locate(path: Path) -> Path:
    """The run folder that a path names: a run, a name's folder (its latest run), or `latest` in
    one, also where that is no link.

    Raises `SuperposError` naming the nearest runs.
    """
    passed_over: list[str] = []
    with explained("read", path):
        found = path if is_run(path) and not _is_copy(path) else None
        if found is None and (
            last := _last_of(path.parent if path.name == LATEST else path, passed_over)
        ):
            found = last[1]
        _tell(passed_over)
        if found is not None:
            return found.resolve()
        problem = "is not a run folder" if path.exists() else "does not exist"
        near = _nearest(path)
    hint = f"; there is {', '.join(map(str, near))}" if near else ""
    raise SuperposError(f"{path} {problem}{hint}")


def _no_runs(out: Path) -> SuperposError:
    return SuperposError(f"no runs in {out}: train one with `superpos train`")


def _tell(passed_over: list[str]) -> None:
    for fault in passed_over:
        _log.warning(fault)


def _looked(passed_over: list[str], path: Path, look: Callable[[Path], _T], otherwise: _T) -> _T:
    """What `look` sees at a path; `otherwise` where it may not or cannot."""
    try:
        return look(path)
    except OSError as fault:
        passed_over.append(f"passed over {path}: {fault.strerror or fault}")
        return otherwise


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder.

    Raises `OSError` where one may not look into it, also where its list may be read.
    """
    os.stat(f"{folder}/.")  # noqa: PTH116 - pathlib takes the dot away
    return [Path(entry) for entry in os.scandir(folder)]


def _names(out: Path, passed_over: list[str]) -> list[Path]:
    """Folders inside one, and links to folders elsewhere; none where it is not made yet.

    Raises `OSError`.
    """
    try:
        entries = _entries(out)
    except FileNotFoundError:
        return []
    folders = [path for path in entries if _looked(passed_over, path, Path.is_dir, False)]
    ways = {path.resolve(): path for path in sorted(folders, key=Path.is_symlink, reverse=True)}
    return sorted(ways.values())


def _runs_of(name: Path, passed_over: list[str]) -> list[Path]:
    """Run folders inside one, as far as it may be read."""
    nothing: list[Path] = []
    entries = _looked(passed_over, name, _entries, nothing)
    look = partial(_looked, passed_over, look=_is_own_run, otherwise=False)
    return [path for path in entries if look(path)]


def _is_own_run(path: Path) -> bool:
    return not path.is_symlink() and is_run(path) and not _is_copy(path)


def _is_copy(path: Path) -> bool:
    """Whether a folder `latest` was a link before somebody copied it: the run that it shows lies
    beside it.
    """
    if path.name != LATEST or path.is_symlink():
        return False
    try:
        run_id = str(manifest.read(path)["run_id"])
    except SuperposError:
        return False
    return run_id != LATEST and is_run(path.parent / run_id)


def _last_of(name: Path, passed_over: list[str]) -> tuple[int, Path] | None:
    """When the last run of a name's folder was started, in ns, and where it is; None where it holds
    none.
    """
    if not _looked(passed_over, name, Path.is_dir, False):
        return None
    runs = _runs_of(name, passed_over)
    link = name / LATEST
    if _looked([], link, _leads_to_run, False):
        return link.lstat().st_mtime_ns, link
    return max(((_started(run), run) for run in runs if not is_old(run)), default=None)


def _leads_to_run(link: Path) -> bool:
    return link.is_symlink() and is_run(link)


def _started(run: Path) -> int:
    """When a run was started for the last time, in ns: by its attempts, whose names survive a
    copy.
    """
    names = (path.name for path in (run / "attempts").glob("*.json"))
    begun = [match[1] for name in names if (match := ATTEMPT.fullmatch(name))]
    if not begun:
        return (run / manifest.FILE_NAME).stat().st_mtime_ns
    last = datetime.strptime(max(begun), "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    return int(last.timestamp() * 1e9)


def _nearest(path: Path, count: int = 3) -> list[Path]:
    """Runs with a path that holds the last part of `path` or is spelt like it, as a user would
    write them.
    """
    folder = next((folder for folder in (path, *path.parents) if folder.is_dir()), Path())
    for out in (folder, folder / "outputs", folder.parent, folder.parent.parent):
        found = _looked([], out, search, Found([], []))
        runs = [run for run in found.runs if not is_old(run)]
        links = {run.with_name(LATEST) for run in runs if run.with_name(LATEST).exists()}
        names = {str(known): known for known in [*links, *runs]}
        if names:
            likest = difflib.get_close_matches(str(path), names, n=len(names), cutoff=0.0)
            return [
                names[name]
                for name in sorted(likest, key=lambda name: path.name not in name)[:count]
            ]
    return []
