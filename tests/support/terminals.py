"""Programs on a terminal of their own, for tests."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class OnTerminal:
    """A process on a pseudo-terminal with a width."""

    def __init__(
        self,
        command: Sequence[str],
        columns: int = 80,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._file, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
        self.process = subprocess.Popen(
            command, env=env, cwd=cwd, start_new_session=True, preexec_fn=_own_terminal, **streams
        )
        os.close(terminal)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the terminal."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._file, text.encode())

    def read(self, until: str | None = None, seconds: float = 60.0) -> str:
        """What is shown from here on: until a text, or until the process ends."""
        start, end = len(self.shown), time.monotonic() + seconds
        while until is None or until not in self.shown[start:]:
            if not select.select([self._file], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError(f"waited for {until!r}; there is {self.shown[start:]!r}")
            try:
                data = os.read(self._file, 65536)
            except OSError:  # the process has ended
                data = b""
            if not data:
                break
            self.shown += data.decode().replace("\r\n", "\n")
        return self.shown[start:]


def _own_terminal() -> None:
    """In the new process: what Ctrl-C and job control belong to."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
