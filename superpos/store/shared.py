"""What a run keeps for all of its models: shared/NAME.safetensors, and NAME.json, which makes it
whole.

A file "KEY-DIGEST" holds what was taken of another run, so that the run stands alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from superpos.errors import IncompleteError, PlanMismatchError
from superpos.store import formats
from superpos.store.file_group import RECORD, FileGroup, State
from superpos.store.files import clear_stale, explained, read_json
from superpos.store.formats import Array

_TENSORS = ".safetensors"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class SharedFiles:
    """Such files in one folder, which is made with the first.

    Any number of processes may write and read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def publish(self, name: str, tensors: Mapping[str, Array]) -> bool:
        """Write a file unless it is there; returns whether this call did.

        A damaged one is moved aside first.

        Raises `ValueError` for a name that is none of a file, `PlanMismatchError` where the file
        holds other tensors, `IncompleteError` where the disk fails.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"shared file {name!r}: allowed: letters, digits and ._-")
        with explained("write in", self.folder, IncompleteError):
            self.folder.mkdir(exist_ok=True)
            clear_stale(self.folder)
        if self._files(name).publish({_TENSORS: formats.pack_tensors(tensors)}):
            return True
        if formats.tensors_digest(self.read(name)) != formats.tensors_digest(tensors):
            raise PlanMismatchError(
                f"{self._files(name).path(_TENSORS)} holds other tensors than this run makes. "
                "Use --fresh to move the run aside, or --out for another place"
            )
        return False

    def read(self, name: str) -> dict[str, Array]:
        """The tensors of a file by name, its checksum recomputed. Raises `IncompleteError`."""
        return formats.unpack_tensors(self._files(name).checked(_TENSORS).read_bytes())

    def state(self, name: str, verify: bool = False) -> State:
        """Whether there is a file; checksums are compared with `verify`.

        Raises `IncompleteError`.
        """
        return self._files(name).state(verify)

    def states(self, verify: bool = False) -> dict[str, State]:
        """The state of every file that is there, by name; JSON of others is passed over.

        Raises `IncompleteError`.
        """
        with explained("read", self.folder, IncompleteError):
            names = sorted(
                path.name.removesuffix(RECORD) for path in self.folder.glob(f"*{RECORD}")
            )
            kept = [name for name in names if _NAME.fullmatch(name) and self._is_kept(name)]
        return {name: self.state(name, verify) for name in kept}

    def _is_kept(self, name: str) -> bool:
        """Whether there are tensors of a name, or a record of them."""
        files = self._files(name)
        tensors = files.path(_TENSORS)
        if tensors.exists():
            return True
        record = read_json(files.record)
        named = record.get("files") if isinstance(record, dict) else None
        return isinstance(named, dict) and tensors.name in named

    def _files(self, name: str) -> FileGroup:
        return FileGroup(self.folder, name, (_TENSORS,), name)
