"""What was found out about a run's models after it was finished: explain/ID/NNNNN.parquet, and
NNNNN.json.

A part holds models of the chunk of that number; in the folder patch, what patching one model found,
by the number of the model. Neither is part of a run's digest: they say nothing that its tensors do
not, and any may be made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from superpos.errors import IncompleteError
from superpos.store import formats
from superpos.store.file_group import FileGroup
from superpos.store.files import (
    canonical_json,
    clear_stale,
    explained,
    read_json,
    sha256,
    write_file,
)

_TABLE = ".parquet"
FOLDER = "explain"
PATCHES = "patch"


class ExplanationFiles:
    """The parts of one explanation in RUN/explain/ID, whose ID is made of the `facts` that decide
    what it says.

    `folder` is another name in the place of explain. Any number of processes may make and read one
    at the same time.
    """

    def __init__(self, run: Path, facts: Mapping[str, Any], folder: str = FOLDER) -> None:
        text = canonical_json(dict(facts))
        self.folder = run / folder / sha256(text.encode())[:12]
        self._text = text

    def has(self, part: int) -> bool:
        """Whether a part is there and whole, by its checksum. Raises `IncompleteError`."""
        return self._files(part).state(verify=True) == "done"

    def publish(self, part: int, table: pd.DataFrame) -> bool:
        """Write a part unless it is there; a damaged one is moved aside.

        Returns whether this call did.

        Raises `IncompleteError` where the disk fails.
        """
        with explained("write in", self.folder, IncompleteError):
            self.folder.mkdir(parents=True, exist_ok=True)
            clear_stale(self.folder)
            facts = self.folder / "facts"
            if not facts.exists():
                write_file(facts, f"{self._text}\n".encode())
        return self._files(part).publish({_TABLE: formats.pack_table(table)})

    def read(self, part: int) -> pd.DataFrame:
        """The table of a part, its checksum recomputed. Raises `IncompleteError`."""
        path = self._files(part).checked(_TABLE)
        return formats.to_frame([formats.unpack_table(path.read_bytes())])

    @classmethod
    def all_of(cls, run: Path) -> Iterator[tuple[dict[str, Any], list[pd.DataFrame]]]:
        """The facts and the whole parts of every explanation of a run. Raises `IncompleteError`."""
        with explained("read", run / FOLDER, IncompleteError):
            noted = [read_json(path) for path in sorted((run / FOLDER).glob("*/facts"))]
        for facts in noted:
            if isinstance(facts, dict):
                here = cls(run, facts)
                names = [path.stem for path in here.folder.glob(f"*{_TABLE}")]
                numbers = sorted(int(name) for name in names if name.isdecimal())
                yield facts, [here.read(part) for part in numbers if here.has(part)]

    def _files(self, part: int) -> FileGroup:
        return FileGroup(self.folder, f"{part:05d}", (_TABLE,), f"part {part} of the explanation")
