"""Files that nobody but this user can have written: what is read back from them is executed.

A folder that others may write to, or that another user made first in a shared place such as /tmp,
could hold anything. So a folder is used only where it belongs to this user, is no link, and nobody
else may write to it, and a file is read only where the same holds of it once it is open. Content is
preceded by its SHA-256: what is cut short or damaged is noticed before anything takes it apart.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

_DIGEST_BYTES: Final = 32
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_NO_LINKS: Final = (
    getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)


class UntrustedError(OSError):
    """Another user may have written a file or folder, or its content is damaged."""


def private_folder(path: Path) -> Path:
    """The folder, made where it is missing (with its parents), if this user alone may write to it;
    without links.

    Raises:
        UntrustedError: it belongs to another user, is a link, or others may write to it or move it.
        OSError: it cannot be made or written to.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    _check_owned(path, path.lstat(), stat.S_ISDIR, "folder")
    resolved = path.resolve()
    for parent in resolved.parents:
        _check_parent(parent)
    with tempfile.TemporaryFile(dir=resolved):
        return resolved


def read_sealed(path: Path) -> bytes:
    """What `write_sealed` wrote.

    Raises:
        UntrustedError: it is none of this user's own plain files, or not as it was written.
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | _NO_LINKS)
    with os.fdopen(descriptor, "rb") as file:
        _check_owned(path, os.fstat(descriptor), stat.S_ISREG, "file")
        digest = file.read(_DIGEST_BYTES)
        content = file.read()
    if hashlib.sha256(content).digest() != digest:
        raise UntrustedError(f"{path} is damaged")
    return content


def write_sealed(path: Path, content: bytes) -> None:
    """Write a file that is there as a whole or not at all. Raises `OSError`."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}-")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def _check_owned(
    path: Path, found: os.stat_result, is_kind: Callable[[int], bool], kind: str
) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise UntrustedError(f"{path} is a link")
    if not is_kind(found.st_mode):
        raise UntrustedError(f"{path} is no {kind}")
    if not hasattr(os, "getuid"):
        return  # Windows keeps a user's own folders from others, and knows neither owner nor mode
    if found.st_uid != os.getuid():
        raise UntrustedError(f"{path} belongs to another user")
    if found.st_mode & _OTHERS_WRITE:
        raise UntrustedError(f"{path} may be written by others (chmod go-w takes that back)")


def _check_parent(folder: Path) -> None:
    """Not everybody may put something else in the place of what is in this folder.

    The group, and an owner who is not this user, may: homes lie in such folders on many systems,
    and what they could put there is not this user's, which `_check_owned` notices.
    """
    mode = folder.stat().st_mode
    if hasattr(os, "getuid") and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise UntrustedError(f"{folder} may be written by everybody")
