"""Where compiled kernels are kept: one folder for each version of what they are made of.

Numba notices an edit of the file that holds a cached function, not of the functions it calls; a
folder named after a hash of all sources makes a stale kernel impossible. It lies in the user's
cache: the install folder may be read-only. An engine has one value beside its kernels, wherever
its package lies:

    KERNELS = KernelCache(Path(__file__).parent)

    @KERNELS.compiled
    def train(...): ...

A kept kernel is optional and code: it is read only where nobody else can have written it
(`private_files`), and whatever fails in reading or writing one, the kernel is compiled.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numba
from llvmlite import binding
from numba import njit
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from superpos.engines.compiled.private_files import (
    UntrustedError,
    private_folder,
    read_sealed,
    write_sealed,
)
from superpos.maths import streams

# What all engines share; `philox` takes its numbers from `streams`.
_SHARED = (*sorted(Path(__file__).parent.glob("*.py")), Path(streams.__file__))
_SUFFIX: Final = ".kernel"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KernelCache:
    """The compiled kernels of one engine; an edit of another's sources leaves them alone."""

    kernels: Path
    """Folder of the engine's own modules; those of folders inside it are named in `more`."""
    more: tuple[Path, ...] = ()
    """Sources elsewhere whose functions or numbers are compiled into its kernels."""

    def folder(self) -> Path | None:
        """Folder of this version's kernels.

        None where no cache can be trusted and written: they are then compiled each time.
        """
        return _folder(self)

    def is_filled(self) -> bool:
        """Whether kernels of this version were compiled before."""
        path = self.folder()
        return path is not None and any(path.glob(f"*{_SUFFIX}"))

    def first_use(self, entry: Any, seconds: int) -> str | None:
        """What to tell a user before the kernels are first called: that they will be compiled, and
        for about how long. None where `entry`, the function that engines call, is compiled or kept.
        """
        if self.is_filled() or entry.signatures:
            return None
        path = self.folder()
        where = f"once: kept in {path}" if path else "no cache folder"
        return f"compiling the training kernels, about {seconds} s ({where})"

    def compiled(self, function: Callable[..., Any]) -> Any:
        """`numba.njit` without the GIL, kept in `folder()`; strict floating point."""
        dispatcher: Any = njit(nogil=True)(function)
        path = self.folder()
        if path is not None and compiles():
            # What `cache=True` sets, to a cache that lies elsewhere and may fail.
            dispatcher._cache = _KeptOverloads(function, path)
        return dispatcher

    @staticmethod
    def inlined(function: Callable[..., Any]) -> Any:
        """A piece of a compiled function, written apart: compiled with each of its callers."""
        return njit(inline="always")(function)


def compiles() -> bool:
    """Whether numba compiles in this process: NUMBA_DISABLE_JIT=1 makes it run Python instead."""
    return not vars(numba.config)["DISABLE_JIT"]


def no_compiler() -> str | None:
    """Why compiled kernels cannot run in this process, whatever they train; None where they can."""
    if not compiles():
        return "the fused CPU engine needs numba's compiler, which NUMBA_DISABLE_JIT switches off"
    if not _has_fused_multiply_add():
        return "the fused CPU engine needs a processor with fused multiply-add"
    return None


@cache
def _has_fused_multiply_add() -> bool:
    features = binding.get_host_cpu_features()
    return "avx2" not in features or bool(features["fma"])


class _KeptOverloads:
    """The compiled versions of one function in a folder: what numba asks of a dispatcher's cache.

    A file's name says for what it was compiled: function, types, processor, numba and Python.
    """

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self._function = function
        self.cache_path = str(folder)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled function, or None where it is not kept or cannot be used."""
        target_context.refresh()
        key = self._key(signature, target_context.codegen())
        path = self._file(key)
        try:
            kept_key, payload = pickle.loads(read_sealed(path))
            if kept_key != key:
                raise UntrustedError(f"{path} is of another function")
            return CompileResult._rebuild(target_context, *payload)
        except FileNotFoundError:
            return None
        except Exception as error:
            _log.warning("superpos: a kept kernel is compiled anew: %s", _in_words(error))
            with contextlib.suppress(OSError):
                path.unlink()
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep a compiled function."""
        if compiled.library.has_dynamic_globals or compiled.lifted:
            return  # it holds addresses of this process
        key = self._key(signature, compiled.codegen)
        try:
            content = dumps((key, compiled._reduce()))
            write_sealed(self._file(key), content)
        except Exception as error:
            _log.warning("superpos: a compiled kernel is not kept: %s", _in_words(error))

    def flush(self) -> None:
        """Forget what is kept of this function."""
        for path in Path(self.cache_path).glob(f"{self._function.__name__}-*{_SUFFIX}"):
            path.unlink(missing_ok=True)

    def enable(self) -> None:
        """It is always in use."""

    def disable(self) -> None:
        """It is always in use."""

    def _key(self, signature: Any, codegen: Any) -> tuple[str, ...]:
        code = self._function.__code__
        place = f"{self._function.__module__}:{self._function.__qualname__}:{code.co_firstlineno}"
        held = [cell.cell_contents for cell in self._function.__closure__ or ()]
        body = hashlib.sha256(code.co_code + dumps(held)).hexdigest()
        return (place, body, str(signature), repr(codegen.magic_tuple()))

    def _file(self, key: tuple[str, ...]) -> Path:
        versions = (numba.__version__, sys.version)
        digest = hashlib.sha256(repr((versions, key)).encode()).hexdigest()[:24]
        return Path(self.cache_path) / f"{self._function.__name__}-{digest}{_SUFFIX}"


def _in_words(error: Exception) -> str:
    return str(error) or type(error).__name__


@cache
def _folder(kernels: KernelCache) -> Path | None:
    name = f"kernels-{_digest([*_SHARED, *sorted(kernels.kernels.glob('*.py')), *kernels.more])}"
    refused: list[str] = []
    for base in _candidates():
        try:
            return private_folder(private_folder(base) / name)
        except UntrustedError as error:
            refused.append(str(error))
        except OSError:
            continue  # a place that cannot be written is no news: homes are often read-only
    if refused:
        _log.warning("superpos: kernels are compiled anew each time: %s", "; ".join(refused))
    return None


def _digest(sources: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _candidates() -> Iterator[Path]:
    """Folders for kernels, each found only when the one before it cannot be used."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():  # a relative one is to be ignored, as its specification says
        yield given / "superpos"
    elif os.environ.get("HOME") != "":  # an empty one would be the root of the system
        with contextlib.suppress(RuntimeError):  # no HOME, and a user that the system cannot name
            home = Path.home()
            if home.is_absolute():
                yield home / ".cache" / "superpos"
    if hasattr(os, "getuid"):
        with contextlib.suppress(OSError):  # no temporary folder can be written
            yield Path(tempfile.gettempdir()).absolute() / f"superpos-{os.getuid()}"
