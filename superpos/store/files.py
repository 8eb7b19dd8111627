"""Files that are whole or absent: written beside, flushed to disk, then published under their name
in one step.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from superpos.errors import SuperposError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

CORRUPT = "corrupt"
"""Folder beside damaged files, into which they are moved."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# said by a file system that does not know a call
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
_LITTER = (".DS_Store", ".directory", "Thumbs.db", "desktop.ini")
STALE_SECONDS = 3600.0  # writing one file takes seconds: what is older was left by a killed process
PATIENCE_SECONDS = (0.02, 0.05, 0.1)  # network file systems show a new file late


@cache
def note_once(text: str) -> None:
    """Log what a user should know, once in this process."""
    _log.warning(text)


@contextmanager
def explained(
    action: str, path: Path, error: type[SuperposError] = SuperposError
) -> Iterator[None]:
    """Turn an `OSError` inside the block into `error`, with the path and the system's reason."""
    try:
        yield
    except OSError as fault:
        raise error(f"cannot {action} {path}: {fault.strerror or fault}") from fault


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text.

    Arrays become lists; NaN is refused.

    Bytes of the system that are no UTF-8, as in names of files, are escaped: reading the JSON gives
    them back.
    """
    text = json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
        default=_plain,
    )
    return text.encode("utf-8", "backslashreplace").decode()


def read_json(path: Path) -> Any:
    """What a file of JSON says; None where it is none, such as one that was cut off.

    Raises `OSError`.
    """
    if not path.is_file() and path.exists():  # reading a pipe would wait for ever
        return None
    try:
        return json.loads(patiently(path.read_bytes))
    except (ValueError, RecursionError):
        return None


def sha256(data: bytes) -> str:
    """Checksum of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Checksum of a file, read in pieces, in hex. Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def beside(final: Path, data: bytes) -> Iterator[Path]:
    """A flushed file with `data` beside `final`, gone when the block ends; then the folder is
    flushed.

    Raises `OSError`.
    """
    temporary = _temporary(final)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            _flush(file.fileno())
        yield temporary
    finally:
        with suppress(FileNotFoundError):  # moved into place
            temporary.unlink()
    _flush_folder(final.parent)


@contextmanager
def beside_folder(final: Path) -> Iterator[Path]:
    """A new folder that takes the name `final`, which is free or an empty folder, when the block
    ends.

    Raises `OSError`; then, and where the block raises, nothing of it is left.
    """
    temporary = _temporary(final)
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _flush_folder(final.parent)


def link(temporary: Path, final: Path) -> bool:
    """Give a written file its name; False where the name is taken. Raises `OSError`."""
    try:
        os.link(temporary, final)
    except (OSError, AttributeError):  # not every system has hard links
        # NFS may report an error for a link that it made; a real failure shows again in `replace`.
        with suppress(FileNotFoundError):
            return final.samefile(temporary)
        try:
            temporary.replace(final)
        except FileExistsError:  # made since then, where a file cannot be renamed over another
            return False
    return True


def publish(final: Path, data: bytes) -> bool:
    """Write `final` unless it exists: of several writers the first wins, and no reader ever sees a
    part of it.

    Returns whether this call wrote it. Raises `OSError` and then leaves nothing behind.
    """
    with beside(final, data) as temporary:
        return link(temporary, final)


def replace(final: Path, data: bytes) -> None:
    """Write `final`, in the place of what is there; readers see the old or the new.

    Raises `OSError`.
    """
    with beside(final, data) as temporary:
        _rename_over(temporary, final)


def _rename_over(temporary: Path, final: Path) -> None:
    """Give a file the name of another one: in one step, or in two where the file system cannot.

    Raises `OSError`.
    """
    try:
        temporary.replace(final)
    except OSError:
        if not final.is_file() and not final.is_symlink():
            raise
        old = _temporary(final)
        final.rename(old)
        try:
            temporary.rename(final)
        except OSError:
            old.rename(final)
            raise
        old.unlink()


def check_target(path: Path) -> None:
    """Raises `SuperposError` where a file can only be written by taking something else away, such
    as a pipe.
    """
    with explained("write", path), suppress(FileNotFoundError):
        kind = _KINDS.get(stat.S_IFMT(path.stat().st_mode))
        if kind is not None:
            raise SuperposError(
                f"cannot write {path}: it is {kind}; allowed: a file, or a name that is free"
            )


def write_file(path: Path, data: bytes) -> Path:
    """`replace` in a folder that is made if need be; returns the path.

    Where it is a link, the file behind it is meant.

    Raises `SuperposError` with the reason, also where something else than a file is there.
    """
    check_target(path)
    with explained("write", path):
        file = path.resolve() if path.is_symlink() else path
        file.parent.mkdir(parents=True, exist_ok=True)
        replace(file, data)
    return path


def replace_link(link: Path, target: str) -> None:
    """Point the symbolic link `link` at `target` (relative to its folder) in one step.

    Raises `OSError` or `NotImplementedError` where there are no such links, `OSError` where it is
    something else.
    """
    if link.exists() and not link.is_symlink():
        raise FileExistsError(errno.EEXIST, "it is no link")
    temporary = _temporary(link)
    try:
        temporary.symlink_to(target)
        _rename_over(temporary, link)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    _flush_folder(link.parent)


def move_aside(paths: list[Path], name: str) -> Path:
    """Move what exists of `paths`, in that order, into a new folder corrupt/name-N beside them;
    returns it.

    Raises `OSError`.
    """
    folder = paths[0].parent / CORRUPT
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        aside = folder / f"{name}-{number}"
        try:
            aside.mkdir()
            break
        except FileExistsError:
            number += 1
    for path in paths:
        with suppress(FileNotFoundError):  # another process moved it
            path.rename(aside / path.name)
    return aside


def is_temporary(path: Path) -> bool:
    """Whether the file is an unpublished one."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def is_litter(path: Path) -> bool:
    """Whether nobody would miss the file: an unpublished one, or what a system leaves in every
    folder that it shows.
    """
    return (
        is_temporary(path)
        or path.name in _LITTER
        or path.name.startswith(("._", ".nfs", ".fuse_hidden"))
    )


def clear_stale(folder: Path) -> None:
    """Delete unpublished files that a killed process left in `folder` more than an hour ago, where
    that is allowed.

    Raises `OSError` where the folder cannot be read.
    """
    for path in folder.iterdir():
        if is_temporary(path):
            with suppress(OSError):
                if time.time() - path.lstat().st_mtime > STALE_SECONDS:
                    path.unlink()


def patiently(read: Callable[[], _T]) -> _T:
    """The result of `read`, tried again for a moment while a file is missing.

    Raises `FileNotFoundError` after that.
    """
    for pause in PATIENCE_SECONDS:
        try:
            return read()
        except FileNotFoundError:
            time.sleep(pause)
    return read()


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _temporary(final: Path) -> Path:
    return final.with_name(f".{final.name}.{uuid.uuid4().hex}.tmp")


def _flush(handle: int) -> None:
    """Make what was written survive a power cut, where the file system can.

    Raises `OSError` where writing failed.
    """
    try:
        os.fsync(handle)
    except OSError as fault:
        if fault.errno not in _CANNOT:
            raise
        note_once(
            f"this file system cannot flush files ({fault.strerror}): a power cut may damage the "
            "last ones"
        )


def _flush_folder(folder: Path) -> None:
    """Make a new name survive a power cut, where the system can.

    What is lost is missing, and made again.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as fault:
        if fault.errno != errno.EINVAL:  # a usual answer
            note_once(
                f"this file system cannot flush folders ({fault.strerror}): a power cut may lose "
                "the last files"
            )
