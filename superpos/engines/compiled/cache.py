"""Where compiled kernels are kept: one folder for each version of what they are made of.

Numba notices an edit of the file that holds a cached function, not of the functions it calls; a
folder named after a hash of all sources makes a stale kernel impossible. It lies in the user's
cache: the install folder may be read-only. An engine has one value beside its kernels, wherever
its package lies:

    KERNELS = KernelCache(Path(__file__).parent)

    @KERNELS.compiled
    def train(...): ...
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from numba import config, njit

from superpos.maths import streams

# What all engines share; `philox` takes its numbers from `streams`.
_SHARED = (*sorted(Path(__file__).parent.glob("*.py")), Path(streams.__file__))


@dataclass(frozen=True)
class KernelCache:
    """The compiled kernels of one engine; an edit of another's sources leaves them alone."""

    kernels: Path
    """Folder of the engine's own modules; those of folders inside it are named in `more`."""
    more: tuple[Path, ...] = ()
    """Sources elsewhere whose functions or numbers are compiled into its kernels."""

    def folder(self) -> Path | None:
        """Folder of this version's kernels.

        None where no cache can be written: they are then compiled each time.
        """
        return _folder(self)

    def is_filled(self) -> bool:
        """Whether kernels of this version were compiled before."""
        path = self.folder()
        return path is not None and any(path.rglob("*.nbi"))

    def compiled(self, function: Callable[..., Any]) -> Any:
        """`numba.njit` without the GIL, cached in `folder()`; strict floating point."""
        path = self.folder()
        if path is None:
            return njit(nogil=True)(function)
        before = vars(config)["CACHE_DIR"]
        vars(config)["CACHE_DIR"] = str(path)  # numba reads it while decorating
        try:
            return njit(nogil=True, cache=True)(function)
        finally:
            vars(config)["CACHE_DIR"] = before

    @staticmethod
    def inlined(function: Callable[..., Any]) -> Any:
        """A piece of a compiled function, written apart: compiled with each of its callers."""
        return njit(inline="always")(function)


@cache
def _folder(kernels: KernelCache) -> Path | None:
    name = f"kernels-{_digest([*_SHARED, *sorted(kernels.kernels.glob('*.py')), *kernels.more])}"
    return next((path for base in _candidates() if _writable(path := base / name)), None)


def _digest(sources: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


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
