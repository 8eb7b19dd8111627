"""A root that holds Python, its packages and the C libraries, and nothing else: less than any
container has.

No /tmp, /etc, /proc, /home or /bin; all but /data can be read alone, and the user has a number but
no name and no home.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

UID = 54321
_NO_ROOT = 77  # exit code of a set-up that this machine does not allow
_LIBRARIES = [path for path in ("/lib", "/lib64", "/usr/lib") if Path(path).is_dir()]
_DEVICES = ("/dev/null", "/dev/urandom")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # where chroot may be


class BareRoot:
    """Runs Python there; `data` is its one folder that can be written."""

    def __init__(self, folder: Path) -> None:
        self.data, self._root = folder / "data", folder / "root"
        self._chroot = shutil.which("chroot", path=_PATH) or "chroot"
        self._root.mkdir()
        self.data.mkdir()
        os.chown(self.data, UID, UID)
        packages = sysconfig.get_path("purelib")
        self._places = {sys.base_prefix: "/python", packages: "/site"} | {
            path: path for path in _LIBRARIES
        }

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`python ARGUMENTS` in /data, with these variables alone; the test is skipped where there
        can be no root.
        """
        python = f"/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
        told = {"LD_LIBRARY_PATH": "/python/lib", "PYTHONDONTWRITEBYTECODE": "1", **variables}
        there = (
            "import os, sys; os.chdir('/data'); os.execv(sys.executable, [sys.executable, "
            "*sys.argv[1:]])"
        )
        words = ["env", "-i", *(f"{name}={value}" for name, value in told.items())]
        words += [
            self._chroot,
            f"--userspec={UID}:{UID}",
            str(self._root),
            python,
            "-c",
            there,
            *arguments,
        ]
        script = "\n".join([f"({self._mounts()}) || exit {_NO_ROOT}", f"exec {shlex.join(words)}"])
        try:
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", script],
                env={"PATH": _PATH}, capture_output=True, text=True, check=False,
            )  # fmt: skip
        except FileNotFoundError:
            pytest.skip("no unshare")
        if done.returncode == _NO_ROOT or "unshare" in done.stderr:
            pytest.skip(f"no root can be made: {done.stderr.strip()}")
        return done

    def _mounts(self) -> str:
        """Commands that fill the root, which are undone as the process ends."""
        lines = ["set -e", f"mount -t tmpfs tmpfs {shlex.quote(str(self._root))}"]
        for source, name in (self._places | {str(self.data): "/data"}).items():
            place = shlex.quote(f"{self._root}{name}")
            lines += [f"mkdir -p {place}", f"mount --bind {shlex.quote(source)} {place}"]
            if name != "/data":
                lines.append(f"mount -o remount,bind,ro {place}")
        lines.append(f"mkdir {shlex.quote(f'{self._root}/dev')}")
        for device in _DEVICES:
            place = shlex.quote(f"{self._root}{device}")
            lines += [f"touch {place}", f"mount --bind {device} {place}"]
        return "\n".join([*lines, f"mount -o remount,ro {shlex.quote(str(self._root))}"])


def bare_root(folder: Path) -> BareRoot:
    """A root in an empty folder; the test is skipped for anybody but root."""
    if (
        not hasattr(os, "geteuid")
        or os.geteuid() != 0
        or shutil.which("chroot", path=_PATH) is None
    ):
        pytest.skip("a root needs root")
    return BareRoot(folder)
