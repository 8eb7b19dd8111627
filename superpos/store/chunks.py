"""The chunks of a run on disk: NNNNN.safetensors, NNNNN.parquet, and NNNNN.json, which makes them a chunk.

The json is written last and holds the size and checksum of both: without it there is no chunk.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa

from superpos.errors import IncompleteError
from superpos.store import formats
from superpos.store.files import beside, canonical_json, explained, link, move_aside, patiently, sha256, sha256_file
from superpos.store.formats import Array

ChunkState = Literal["done", "missing", "corrupt"]

SCHEMA_VERSION = 1
_TENSORS, _TABLE, _RECORD = ".safetensors", ".parquet", ".json"
_TRIES = 4  # more than one only where another process replaces the same files in the same moment
ABANDONED_SECONDS = 1.0  # a living writer needs milliseconds from its first link to its last


class ChunkFiles:
    """Chunks in one folder. Any number of processes may publish and read at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def publish(self, chunk: int, tensors: Mapping[str, Array], table: pd.DataFrame) -> bool:
        """Write a chunk unless it is there; a corrupt one and loose parts are moved aside first.

        Returns whether this call made it a chunk. Raises `IncompleteError` where the disk fails.
        """
        parts = {_TENSORS: formats.pack_tensors(tensors), _TABLE: formats.pack_table(table)}
        first = False
        with explained("write", self._path(chunk, _RECORD), IncompleteError):
            for _ in range(_TRIES):
                if self.state(chunk, verify=True) == "done":
                    return first
                self.quarantine(chunk)
                first = self._place(chunk, parts)
        raise IncompleteError(f"chunk {chunk} in {self.folder} does not hold what was written to it")

    def state(self, chunk: int, verify: bool = False) -> ChunkState:
        """Whether there is a chunk; sizes are compared always, checksums with `verify`. Raises `IncompleteError`."""
        with explained("read", self._path(chunk, _RECORD), IncompleteError):
            if not self._path(chunk, _RECORD).exists():
                return "missing"
            try:
                faults = [self._fault(chunk, suffix, verify) for suffix in (_TENSORS, _TABLE)]
            except FileNotFoundError:  # another process moved the record aside
                return "missing"
        return "corrupt" if any(faults) else "done"

    def published_at(self, chunk: int) -> float | None:
        """When a chunk was published, in seconds of the file system's clock; None where there is none."""
        record = self._path(chunk, _RECORD)
        return record.stat().st_mtime if record.exists() else None

    def quarantine(self, chunk: int) -> Path | None:
        """Move a corrupt chunk into corrupt/, never deleting it; returns where, or None for a good or missing one."""
        if self.state(chunk, verify=True) != "corrupt":
            return None
        # The record goes first: from then on there is no chunk.
        return self._set_aside(chunk, (_RECORD, _TENSORS, _TABLE))

    def read(self, chunk: int) -> tuple[dict[str, Array], pa.Table]:
        """Tensors and table of a chunk, their checksums recomputed. Raises `IncompleteError`."""
        return formats.unpack_tensors(self._checked(chunk, _TENSORS).read_bytes()), self.read_table(chunk)

    def read_table(self, chunk: int) -> pa.Table:
        """The table of a chunk, its checksum recomputed. Raises `IncompleteError`."""
        return formats.unpack_table(self._checked(chunk, _TABLE).read_bytes())

    def tensor_path(self, chunk: int) -> Path:
        """The tensors' file of a chunk, its checksum recomputed. Raises `IncompleteError`."""
        return self._checked(chunk, _TENSORS)

    def digest(self, chunk: int) -> str:
        """A digest of what a chunk says, not of how it is stored. Raises `IncompleteError`."""
        tensors, table = self.read(chunk)
        return sha256(f"{formats.tensors_digest(tensors)} {formats.table_digest(table)}".encode())

    def _path(self, chunk: int, suffix: str) -> Path:
        return self.folder / f"{chunk:05d}{suffix}"

    def _place(self, chunk: int, parts: Mapping[str, bytes]) -> bool:
        """Publish both parts, then the record of them; False where another process made the chunk."""
        record = {self._path(chunk, suffix).name: _facts(data) for suffix, data in parts.items()}
        text = canonical_json({"schema_version": SCHEMA_VERSION, "files": record})
        with ExitStack() as stack:  # everything is on disk before the first link
            whole = {**parts, _RECORD: text.encode()}
            written = {
                suffix: stack.enter_context(beside(self._path(chunk, suffix), whole[suffix])) for suffix in whole
            }
            return all(self._place_part(chunk, suffix, written[suffix], whole[suffix]) for suffix in whole)

    def _place_part(self, chunk: int, suffix: str, written: Path, data: bytes) -> bool:
        """Link one file; a different one under its name is moved aside if its writer died before making a chunk."""
        path, record = self._path(chunk, suffix), self._path(chunk, _RECORD)
        while not link(written, path):
            if path == record:
                return False
            if _holds(path, data):
                return True
            if _abandoned(path, record):
                self._set_aside(chunk, (suffix,))
            elif record.exists():
                return False
        return True

    def _set_aside(self, chunk: int, suffixes: tuple[str, ...]) -> Path:
        return move_aside([self._path(chunk, suffix) for suffix in suffixes], self.folder / "corrupt", f"{chunk:05d}")

    def _fault(self, chunk: int, suffix: str, verify: bool) -> str | None:
        """What is wrong with one part, in words. A missing record raises `FileNotFoundError`."""
        path, record = self._path(chunk, suffix), self._path(chunk, _RECORD)
        try:
            expected = json.loads(patiently(record.read_bytes))["files"][path.name]
            size, checksum = int(expected["bytes"]), str(expected["sha256"])
        except (ValueError, KeyError, TypeError):
            return f"{record} is damaged"
        try:
            found = patiently(path.stat).st_size
            if found != size:
                return f"{path} has {found} bytes instead of {size}"
            return f"{path} does not match its checksum" if verify and sha256_file(path) != checksum else None
        except FileNotFoundError:
            return f"{path} is missing"

    def _checked(self, chunk: int, suffix: str) -> Path:
        """The path of one part, known to be whole."""
        if self.state(chunk) == "missing":
            raise IncompleteError(f"{self.folder} does not hold chunk {chunk} yet")
        path = self._path(chunk, suffix)
        with explained("read", path, IncompleteError):
            fault = self._fault(chunk, suffix, verify=True)
        if fault:
            raise IncompleteError(f"{fault}: train again to replace chunk {chunk}")
        return path


def _facts(data: bytes) -> dict[str, int | str]:
    return {"bytes": len(data), "sha256": sha256(data)}


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


def _abandoned(path: Path, record: Path) -> bool:
    """Wait whether a loose part becomes a chunk, or is replaced; True where neither happens for a while."""
    pauses = random.SystemRandom()  # two writers that wait for each other must not wake together
    try:
        first, end = path.stat().st_ino, time.monotonic() + ABANDONED_SECONDS * pauses.uniform(1, 2)
        while time.monotonic() < end:
            if record.exists() or path.stat().st_ino != first:
                return False
            time.sleep(pauses.uniform(0.01, 0.05))
    except FileNotFoundError:
        return False
    return True
