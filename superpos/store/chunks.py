"""The chunks of a run on disk: NNNNN.safetensors, NNNNN.parquet, and NNNNN.json, which makes them a
chunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from superpos.store import formats
from superpos.store.file_group import FileGroup, State
from superpos.store.files import sha256
from superpos.store.formats import Array, ColumnType

_TENSORS = ".safetensors"
_TABLE = ".parquet"


class ChunkFiles:
    """Chunks in one folder. Any number of processes may publish and read at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def publish(
        self,
        chunk: int,
        tensors: Mapping[str, Array],
        table: pd.DataFrame,
        types: Mapping[str, ColumnType],
    ) -> bool:
        """Write a chunk unless it is there; a corrupt one and loose parts are moved aside first.

        `types`: see `formats.pack_table`. Returns whether this call made it a chunk. Raises
        `IncompleteError` where the disk fails.
        """
        parts = {_TENSORS: formats.pack_tensors(tensors), _TABLE: formats.pack_table(table, types)}
        return self._files(chunk).publish(parts)

    def state(self, chunk: int, verify: bool = False) -> State:
        """Whether there is a chunk; sizes are compared always, checksums with `verify`.

        Raises `IncompleteError`.
        """
        return self._files(chunk).state(verify)

    def published_at(self, chunk: int) -> float | None:
        """When a chunk was published, in seconds of the file system's clock; None where there is
        none.
        """
        return self._files(chunk).published_at()

    def quarantine(self, chunk: int) -> Path | None:
        """Move a corrupt chunk into corrupt/, never deleting it; returns where, or None for a good
        or missing one.
        """
        return self._files(chunk).quarantine()

    def read(self, chunk: int) -> tuple[dict[str, Array], pa.Table]:
        """Tensors and table of a chunk, their checksums recomputed. Raises `IncompleteError`."""
        return formats.unpack_tensors(self.tensor_path(chunk).read_bytes()), self.read_table(chunk)

    def read_table(self, chunk: int) -> pa.Table:
        """The table of a chunk, its checksum recomputed. Raises `IncompleteError`."""
        return formats.unpack_table(self._files(chunk).checked(_TABLE).read_bytes())

    def tensor_path(self, chunk: int) -> Path:
        """The tensors' file of a chunk, its checksum recomputed. Raises `IncompleteError`."""
        return self._files(chunk).checked(_TENSORS)

    def digest(self, chunk: int) -> str:
        """A digest of what a chunk says, not of how it is stored. Raises `IncompleteError`."""
        tensors, table = self.read(chunk)
        return sha256(f"{formats.tensors_digest(tensors)} {formats.table_digest(table)}".encode())

    def _files(self, chunk: int) -> FileGroup:
        name = f"{chunk:05d}"
        return FileGroup(self.folder, name, (_TENSORS, _TABLE), f"chunk {chunk}")
