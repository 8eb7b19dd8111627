"""What trained a run: versions, machine, and the state of the source tree."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def provenance() -> dict[str, Any]:
    """What trained a run: versions, processor, and the state of the git repository in the working directory."""
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
    git = shutil.which("git")
    if git is None:
        return None
    commands = {"commit": ("rev-parse", "HEAD"), "changes": ("status", "--porcelain", "--untracked-files=no")}
    found = {}
    for name, arguments in commands.items():
        answer = subprocess.run([git, *arguments], capture_output=True, text=True, check=False)
        if answer.returncode:
            return None
        found[name] = answer.stdout.strip()
    return {"commit": found["commit"], "dirty": bool(found["changes"])}
