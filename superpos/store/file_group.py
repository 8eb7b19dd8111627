"""Files that are whole together: NAME.a, NAME.b, ... and NAME.json, which makes them one.

The json is written last and holds the size and checksum of the others: without it there is nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from superpos.errors import IncompleteError
from superpos.store.files import (
    beside,
    canonical_json,
    explained,
    link,
    move_aside,
    patiently,
    read_json,
    sha256,
    sha256_file,
)

State = Literal["done", "missing", "corrupt"]

SCHEMA_VERSION: Final = 1
RECORD: Final = ".json"
_TRIES = 4  # more than one only where another process replaces the same files in the same moment
ABANDONED_SECONDS = 1.0  # a living writer needs milliseconds from its first link to its last


@dataclass(frozen=True)
class FileGroup:
    """One such group. Any number of processes may publish and read it at the same time."""

    folder: Path
    name: str
    suffixes: tuple[str, ...]
    """Of its parts, with their dots; the record is none of them."""
    title: str
    """What it is called in messages."""

    def path(self, suffix: str) -> Path:
        """Where a part lies."""
        return self.folder / f"{self.name}{suffix}"

    @property
    def record(self) -> Path:
        """Where the record of the parts lies."""
        return self.path(RECORD)

    def publish(self, parts: Mapping[str, bytes]) -> bool:
        """Write the parts, by suffix, unless the group is there; damaged and loose ones are moved
        aside first.

        Returns whether this call made the group. Raises `IncompleteError` where the disk fails.
        """
        first = False
        with explained("write", self.record, IncompleteError):
            for _ in range(_TRIES):
                if self.state(verify=True) == "done":
                    return first
                self.quarantine()
                first = self._place(parts)
        raise IncompleteError(f"{self.title} in {self.folder} does not hold what was written to it")

    def state(self, verify: bool = False) -> State:
        """Whether it is there; sizes are compared always, checksums with `verify`.

        Raises `IncompleteError`.
        """
        with explained("read", self.record, IncompleteError):
            if not self.record.exists():
                return "missing"
            try:
                faults = [self._fault(suffix, verify) for suffix in self.suffixes]
            except FileNotFoundError:  # another process moved the record aside
                return "missing"
        return "corrupt" if any(faults) else "done"

    def published_at(self) -> float | None:
        """When it was published, in seconds of the file system's clock; None where it is not
        there.
        """
        return self.record.stat().st_mtime if self.record.exists() else None

    def quarantine(self) -> Path | None:
        """Move a corrupt group into corrupt/, never deleting it; returns where, or None for a good
        or missing one.
        """
        if self.state(verify=True) != "corrupt":
            return None
        # The record goes first: from then on there is no group.
        return self._set_aside(RECORD, *self.suffixes)

    def checked(self, suffix: str) -> Path:
        """The path of a part, its checksum recomputed. Raises `IncompleteError`."""
        if self.state() == "missing":
            raise IncompleteError(f"{self.folder} does not hold {self.title} yet")
        with explained("read", self.path(suffix), IncompleteError):
            fault = self._fault(suffix, verify=True)
        if fault:
            raise IncompleteError(f"{fault}: train again to replace {self.title}")
        return self.path(suffix)

    def _place(self, parts: Mapping[str, bytes]) -> bool:
        """Publish the parts, then the record of them; False where another process made the
        group.
        """
        facts = {self.path(suffix).name: _facts(data) for suffix, data in parts.items()}
        record = canonical_json({"schema_version": SCHEMA_VERSION, "files": facts})
        whole = {**parts, RECORD: record.encode()}
        with ExitStack() as stack:  # everything is on disk before the first link
            written = {
                suffix: stack.enter_context(beside(self.path(suffix), data))
                for suffix, data in whole.items()
            }
            return all(self._place_part(suffix, written[suffix], whole[suffix]) for suffix in whole)

    def _place_part(self, suffix: str, written: Path, data: bytes) -> bool:
        """Link one file; a different one under its name is moved aside if its writer died before
        the record.
        """
        path = self.path(suffix)
        while not link(written, path):
            if path == self.record:
                return False
            if _holds(path, data):
                return True
            if _abandoned(path, self.record):
                self._set_aside(suffix)
            elif self.record.exists():
                return False
        return True

    def _set_aside(self, *suffixes: str) -> Path:
        return move_aside([self.path(suffix) for suffix in suffixes], self.name)

    def _fault(self, suffix: str, verify: bool) -> str | None:
        """What is wrong with one part, in words. A missing record raises `FileNotFoundError`."""
        path = self.path(suffix)
        try:
            expected = read_json(self.record)["files"][path.name]
            size = int(expected["bytes"])
            checksum = str(expected["sha256"])
        except (ValueError, KeyError, TypeError, OverflowError):
            return f"{self.record} is damaged"
        try:
            found = patiently(path.stat).st_size
            if found != size:
                return f"{path} has {found} bytes instead of {size}"
            wrong = verify and sha256_file(path) != checksum
        except FileNotFoundError:
            return f"{path} is missing"
        return f"{path} does not match its checksum" if wrong else None


def _facts(data: bytes) -> dict[str, int | str]:
    return {"bytes": len(data), "sha256": sha256(data)}


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


def _abandoned(path: Path, record: Path) -> bool:
    """Wait whether a loose part becomes part of a group, or is replaced; True where neither happens
    for a while.
    """
    pauses = random.SystemRandom()  # two writers that wait for each other must not wake together
    try:
        first = path.stat().st_ino
        end = time.monotonic() + ABANDONED_SECONDS * pauses.uniform(1, 2)
        while time.monotonic() < end:
            if record.exists() or path.stat().st_ino != first:
                return False
            time.sleep(pauses.uniform(0.01, 0.05))
    except FileNotFoundError:
        return False
    return True
