"""What trained a run: versions, machine, and the state of the source tree."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PATIENCE_SECONDS = 5.0
"""How long git may take, which is a note and no part of training: in a large tree it reads every
file.
"""
_ASK_NOTHING = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"}
_COMMIT = re.compile(rb"^[0-9a-f]{40,64}$", re.MULTILINE)


def provenance() -> dict[str, Any]:
    """What trained a run: versions, processor, and the state of the git repository in the working
    directory.
    """
    return {
        "versions": {name: _version(name) for name in ("superpos", "torch", "numba", "numpy")}
        | {"python": platform.python_version()},
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        "git": _git_state(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a source tree that is not installed
        return None


def _git_state() -> dict[str, Any] | None:
    """The commit, and whether files differ from it (None where git takes too long); None outside of
    a repository.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    found = _COMMIT.search(_git(end, "rev-parse", "--verify", "HEAD") or b"")
    if found is None:
        return None
    changes = _git(end, "status", "--porcelain", "--untracked-files=no")
    return {
        "commit": found[0].decode(),
        "dirty": None if changes is None else bool(changes.strip()),
    }


def _git(end: float, *arguments: str) -> bytes | None:
    """What git prints; None where there is none, it fails or does not end in time.

    It asks for nothing.
    """
    program = shutil.which("git")
    if program is None:
        return None
    # A file system monitor is a program that the repository names.
    command = [program, "-c", "core.fsmonitor=false", *arguments]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | _ASK_NOTHING,
            # has no terminal to ask at, and ends together with what it started
            start_new_session=True,
        )
    except OSError:
        return None
    try:
        printed, _ = process.communicate(timeout=max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        _end(process)
        return None
    return printed if process.returncode == 0 else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program with all that it started, and do not wait for what cannot be ended, as on a
    disk that is gone.
    """
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=1.0)
