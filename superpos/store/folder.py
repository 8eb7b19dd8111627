"""RunFolder: every path of a run, and every write."""

from __future__ import annotations

import os
import platform
import re
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from superpos.errors import SuperposError
from superpos.store import files, formats, manifest
from superpos.store.checkpoints import Checkpoints
from superpos.store.chunks import ChunkFiles
from superpos.store.file_group import State
from superpos.store.formats import Array, ColumnType
from superpos.store.manifest import Rows
from superpos.store.shared import SharedFiles

LATEST = "latest"
ATTEMPT = re.compile(r"(\d{8}T\d{6}\.\d{6})-[0-9a-f]+\.json")
"""Names of the files in attempts/: when each began, in UTC."""
_OLD = ".old-"
_FOLDERS = ("chunks", "checkpoints", "attempts", "logs", "figures")
_PER_RUN = ("/step",)  # tensors whose name ends so have no axis of models


class RunFolder:
    """One run on disk. `open` makes or continues it; `at` reads one that exists."""

    def __init__(self, path: Path, sealed: Mapping[str, Any]) -> None:
        self.path = path
        self.manifest = dict(sealed)
        self.rows: list[Rows] = manifest.chunk_rows(sealed)
        self.chunk_files = ChunkFiles(path / "chunks")
        self._checkpoints = Checkpoints(path / "checkpoints")
        self._shared = SharedFiles(path / "shared")

    @classmethod
    def open(
        cls, out: Path, name: str, run_id: str, facts: Mapping[str, Any], fresh: bool = False
    ) -> RunFolder:
        """Make out/name/run_id, or continue it, and point out/name/latest at it.

        `facts` become the manifest: "plan" (JSON), "chunks" (the rows of each chunk) and "engine"
        must be the same at every start; whatever else it holds is kept from the first. `fresh`
        moves an existing run to run_id.old-N first. Any number of processes may open one run at the
        same time.
        Raises `PlanMismatchError` where the folder holds another run, `IncompleteError` where its
        manifest is damaged, `SuperposError` where something else is in the way or nothing can be
        written.
        """
        if not manifest.is_name(name):
            raise SuperposError(f"name={name!r} cannot be the name of a folder")
        path = out / name / run_id
        with files.explained("write the run folder", path):
            if fresh and is_run(path):
                _move_old(path)
            _refuse_foreign(path)
            path.mkdir(parents=True, exist_ok=True)
            sealed = manifest.seal(path, {**facts, "name": name, "run_id": run_id})
            files.clear_stale(path)
            for folder in _FOLDERS:
                (path / folder).mkdir(exist_ok=True)
                files.clear_stale(path / folder)
        run = cls(path, sealed)
        run.mark_latest()
        return run

    @classmethod
    def find(cls, out: Path, name: str, run_id: str) -> RunFolder | None:
        """out/name/run_id where it is a run; nothing is written.

        Raises `IncompleteError` as `at`.
        """
        path = out / name / run_id
        with files.explained("read", path):
            there = is_run(path)
        return cls.at(path) if there else None

    @classmethod
    def at(cls, path: Path) -> RunFolder:
        """An existing run; nothing is written.

        Raises `IncompleteError` where its manifest is damaged.
        """
        with files.explained("read", path / manifest.FILE_NAME):
            return cls(path, manifest.read(path))

    def mark_latest(self) -> None:
        """Point `latest` at this run.

        Where that cannot be it is logged: `latest` then means the newest run.
        """
        link = self.path.parent / LATEST
        try:
            files.replace_link(link, self.path.name)
        except (OSError, NotImplementedError) as fault:
            if not _leads_to(link, self.path.name):
                files.note_once(
                    f"cannot set the link {link}: {getattr(fault, 'strerror', None) or fault}"
                )
                _drop(link)

    @property
    def n_chunks(self) -> int:
        """Chunks of the plan, finished or not."""
        return len(self.rows)

    @property
    def n_models(self) -> int:
        """Models of the plan, trained or not."""
        return sum(len(rows) for rows in self.rows)

    def publish(
        self,
        chunk: int,
        tensors: Mapping[str, Array],
        table: pd.DataFrame,
        types: Mapping[str, ColumnType] = MappingProxyType({}),
    ) -> bool:
        """Write the results of a chunk unless they are there; returns whether this call did.

        `tensors` are [models, ...] in the order of the chunk's rows, or [steps] where the name ends
        in "/step"; `table` has one row per model; `types` are those of the columns that not every
        chunk of the run has or fills: with them the files of all chunks are one table (see
        `formats.pack_table`). Raises `ValueError` where these do not fit the chunk,
        `IncompleteError` where the disk fails.
        """
        self._check_fit(chunk, tensors, table)
        return self.chunk_files.publish(chunk, tensors, table, types)

    def state(self, chunk: int, verify: bool = False) -> State:
        """ "done", "missing" or "corrupt"; `verify` recomputes the checksums.

        Raises `IncompleteError`.
        """
        return self.chunk_files.state(chunk, verify)

    def states(self, verify: bool = False) -> list[State]:
        """The state of every chunk. Raises `IncompleteError`."""
        return [self.state(chunk, verify) for chunk in range(self.n_chunks)]

    def whole(self, chunks: Sequence[int]) -> bool:
        """Whether these chunks are all done and no shared file is damaged, by their checksums.

        Raises `IncompleteError`.
        """
        # costs nothing beside the checksums
        there = all(self.state(chunk) == "done" for chunk in chunks)
        if not there or "corrupt" in self.shared_states(verify=True).values():
            return False
        return all(self.state(chunk, verify=True) == "done" for chunk in chunks)

    def quarantine(self, chunk: int) -> Path | None:
        """Move a corrupt chunk into chunks/corrupt/; returns where, or None where it is not
        corrupt.
        """
        return self.chunk_files.quarantine(chunk)

    def read(self, chunk: int) -> tuple[dict[str, Array], pd.DataFrame]:
        """Tensors and table of a finished chunk.

        Raises `IncompleteError` for a missing or corrupt one.
        """
        tensors, table = self.chunk_files.read(chunk)
        return tensors, formats.to_frame([table])

    def share(self, name: str, tensors: Mapping[str, Array]) -> bool:
        """Keep tensors for all models of the run as shared/NAME, unless they are there.

        Returns whether this call wrote them; a damaged file is moved aside first. Raises
        `ValueError` for a name that is none of a file, `PlanMismatchError` where other tensors are
        kept under it, `IncompleteError` where the disk fails.
        """
        return self._shared.publish(name, tensors)

    def shared(self, name: str) -> dict[str, Array] | None:
        """The tensors that `share` kept; None where there are none, or damaged ones.

        Raises `IncompleteError`.
        """
        done = self._shared.state(name, verify=True) == "done"
        return self._shared.read(name) if done else None

    def shared_states(self, verify: bool = False) -> dict[str, State]:
        """The state of every shared file by name; `verify` recomputes checksums.

        Raises `IncompleteError`.
        """
        return self._shared.states(verify)

    def save_checkpoint(self, chunk: int, arrays: Mapping[str, Array]) -> Path:
        """Keep the state of a chunk in training; the last two are kept.

        Raises `IncompleteError`.
        """
        return self._checkpoints.save(chunk, arrays)

    def load_checkpoint(self, chunk: int) -> dict[str, Array] | None:
        """The newest whole checkpoint of a chunk, or None.

        The arrays are read-only. Raises `IncompleteError`.
        """
        return self._checkpoints.load(chunk)

    def drop_checkpoints(self, chunk: int) -> None:
        """Delete the checkpoints of a chunk, once it is published. Raises `IncompleteError`."""
        self._checkpoints.drop(chunk)

    def record_attempt(self, info: Mapping[str, Any]) -> Path:
        """Note a start of the program, with time, host and process, in attempts/.

        Raises `SuperposError`.
        """
        now = datetime.now(UTC)
        facts = {"time": now.isoformat(), "host": platform.node(), "pid": os.getpid(), **info}
        name = f"{now:%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:8]}.json"
        return self.write(f"attempts/{name}", f"{files.canonical_json(facts)}\n".encode())

    def end_attempt(self, attempt: Path, seconds: Mapping[str, float]) -> None:
        """Add to what `record_attempt` noted at this path where its time went, by phase.

        Raises `SuperposError`.
        """
        with files.explained("read", attempt):
            facts = files.read_json(attempt)
        if not isinstance(facts, dict):
            raise SuperposError(f"{attempt} is damaged")
        facts["seconds"] = {phase: round(value, 3) for phase, value in seconds.items()}
        self.write(f"attempts/{attempt.name}", f"{files.canonical_json(facts)}\n".encode())

    def attempts(self) -> list[dict[str, Any]]:
        """What `record_attempt` and `end_attempt` noted, oldest first. Raises `SuperposError`.

        Nothing vouches for these notes: what is none is left out, and the log says so.
        """
        noted = []
        with files.explained("read", self.path / "attempts"):
            for path in sorted((self.path / "attempts").glob("*.json")):
                if not ATTEMPT.fullmatch(path.name):
                    continue
                facts = None
                with suppress(OSError):
                    facts = files.read_json(path)
                if isinstance(facts, dict):
                    noted.append(facts)
                else:
                    files.note_once(f"left out: {path} cannot be read, or is damaged")
        return noted

    def write(self, name: str, data: bytes) -> Path:
        """Write another file of the run, such as "report.html" or "figures/x.png", in the place of
        an old one.

        Raises `SuperposError`.
        """
        return files.write_file(self.path / name, data)

    def digest(self) -> str:
        """One SHA-256 over what the finished chunks say: names, types, shapes and bytes of tensors,
        values of tables.

        It does not depend on when, where and in which order chunks were published, nor on how
        parquet stores a table. Corrupt chunks are left out. Raises `IncompleteError`.
        """
        done = [chunk for chunk, state in enumerate(self.states(verify=True)) if state == "done"]
        return files.sha256(
            "\n".join(f"{chunk} {self.chunk_files.digest(chunk)}" for chunk in done).encode()
        )

    def _check_fit(self, chunk: int, tensors: Mapping[str, Array], table: pd.DataFrame) -> None:
        rows = self.rows[chunk]
        if not np.array_equal(table["model"].to_numpy(), rows):
            raise ValueError(
                f"the table's models are not those of chunk {chunk}, {rows[:3]}… ({len(rows)} "
                "models)"
            )
        for name, value in tensors.items():
            if not name.endswith(_PER_RUN) and value.shape[:1] != rows.shape:
                raise ValueError(
                    f"tensor {name} has shape {value.shape}, expected {len(rows)} models first"
                )


def _leads_to(link: Path, name: str) -> bool:
    return link.is_symlink() and str(link.readlink()) == name


def _drop(link: Path) -> None:
    """Take away a link that would lead to an older run."""
    if link.is_symlink():
        with suppress(OSError):
            link.unlink()


def is_run(path: Path) -> bool:
    """Whether a path is a run folder."""
    return (path / manifest.FILE_NAME).is_file()


def is_old(path: Path) -> bool:
    """Whether a run was moved aside by `fresh`."""
    return _OLD in path.name


def _move_old(path: Path) -> None:
    number = 1
    while (old := path.with_name(f"{path.name}{_OLD}{number}")).exists():
        number += 1
    path.rename(old)


def _refuse_foreign(path: Path) -> None:
    """Refuse to write among files that are not a run."""
    if path.exists() and not path.is_dir():
        raise SuperposError(
            f"{path} is a file; a run folder would stand there. Move it away, or use --out"
        )
    if not path.exists():
        return
    strange = sorted(entry.name for entry in path.iterdir() if not files.is_litter(entry))
    # Looked up last: another process may have made the run in the meantime.
    if strange and not is_run(path):
        raise SuperposError(
            f"{path} is not a run folder: it holds {', '.join(strange[:3])} but no "
            f"{manifest.FILE_NAME}. "
            "Move it away, or use --out"
        )
