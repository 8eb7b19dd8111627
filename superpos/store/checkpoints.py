"""Checkpoints of chunks that are being trained: whole, checksummed, the last two of each chunk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from superpos.errors import IncompleteError
from superpos.store import formats
from superpos.store.files import explained, move_aside, publish, sha256
from superpos.store.formats import Array

_KEPT = 2
# chunk, number, checksum of the file
_NAME = re.compile(r"(\d+)-(\d+)\.([0-9a-f]{16})\.safetensors")


class Checkpoints:
    """Checkpoints in one folder.

    The checksum stands in the name, so that data and checksum appear in one step.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, chunk: int, arrays: Mapping[str, Array]) -> Path:
        """Write the next checkpoint of a chunk and drop all but the last two.

        Raises `IncompleteError`.
        """
        data = formats.pack_tensors(arrays)
        with explained("write a checkpoint in", self.folder, IncompleteError):
            found = self._found(chunk)
            number = _number(found[-1]) + 1 if found else 0
            path = self.folder / f"{chunk:05d}-{number:06d}.{_checksum(data)}.safetensors"
            publish(path, data)
            _delete(self._found(chunk)[:-_KEPT])
        return path

    def load(self, chunk: int) -> dict[str, Array] | None:
        """The newest whole checkpoint, or None.

        Damaged ones are moved into corrupt/. Raises `IncompleteError`.
        """
        with explained("read a checkpoint in", self.folder, IncompleteError):
            for path in reversed(self._found(chunk)):
                with suppress(FileNotFoundError):  # another copy of this process dropped it
                    data = path.read_bytes()
                    if path.name.endswith(f".{_checksum(data)}.safetensors"):
                        return formats.unpack_tensors(data)
                    move_aside([path], f"{chunk:05d}")
        return None

    def drop(self, chunk: int) -> None:
        """Delete the checkpoints of a finished chunk. Raises `IncompleteError`."""
        with explained("delete checkpoints in", self.folder, IncompleteError):
            _delete(self._found(chunk))

    def _found(self, chunk: int) -> list[Path]:
        """Checkpoints of a chunk, oldest first."""
        paths = self.folder.glob(f"{chunk:05d}-*.safetensors")
        return sorted(
            (path for path in paths if _NAME.fullmatch(path.name) and path.is_file()), key=_number
        )


def _number(path: Path) -> int:
    return int(path.name.partition(".")[0].partition("-")[2])


def _checksum(data: bytes) -> str:
    return sha256(data)[:16]


def _delete(paths: list[Path]) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            path.unlink()
