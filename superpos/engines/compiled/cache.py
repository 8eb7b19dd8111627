"""Where compiled kernels are kept: one folder for each version of the engine's source.

Numba notices an edit of the file that holds a cached function, not of the functions it calls; a folder named after a
hash of all sources makes a stale kernel impossible. It lies in the user's cache: the install folder may be
read-only.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import config, njit


def _candidates() -> list[Path]:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return [Path(home) / "superpos", Path(tempfile.gettempdir()) / f"superpos-{os.getuid()}"]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@cache
def folder() -> Path | None:
    """Folder of this version's kernels, or None where no cache can be written (kernels are then compiled each time)."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for source in sorted([*here.glob("*.py"), *here.parents[1].glob("families/*/cpu/*.py")]):
        digest.update(source.read_bytes())
    name = f"kernels-{digest.hexdigest()[:16]}"
    return next((path for base in _candidates() if _writable(path := base / name)), None)


def is_filled() -> bool:
    """Whether kernels of this version were compiled before."""
    path = folder()
    return path is not None and any(path.rglob("*.nbi"))


def inlined(function: Callable[..., Any]) -> Any:
    """A piece of a compiled function, written apart: compiled with each of its callers, not on its own."""
    return njit(inline="always")(function)


def compiled(function: Callable[..., Any]) -> Any:
    """`numba.njit` without the GIL, cached in `folder()`; strict floating point."""
    path = folder()
    if path is None:
        return njit(nogil=True)(function)
    before = vars(config)["CACHE_DIR"]
    vars(config)["CACHE_DIR"] = str(path)  # numba reads it while decorating
    try:
        return njit(nogil=True, cache=True)(function)
    finally:
        vars(config)["CACHE_DIR"] = before
