"""manifest.json: what a run is, sealed before training."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.errors import IncompleteError, PlanMismatchError
from superpos.store.files import canonical_json, publish, read_json, sha256

SCHEMA_VERSION = 1
FILE_NAME = "manifest.json"
_MOST_MODELS = 10**8  # more than any sweep may have
# what may not differ between two attempts in one folder
_FIXED = ("run_id", "plan", "chunks", "engine")

Rows = NDArray[np.intp]


def seal(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest unless there is one; returns the one that counts.

    `facts["chunks"]` holds the rows of each chunk. Raises `PlanMismatchError` where the folder was
    sealed for another plan, chunks or engine, `IncompleteError` where its manifest is damaged,
    `OSError`.
    """
    fields: dict[str, Any] = {"created": datetime.now(UTC).isoformat(timespec="seconds"), **facts}
    fields["schema_version"] = SCHEMA_VERSION
    fields["chunks"] = [_shorten(rows) for rows in facts["chunks"]]
    if not (folder / FILE_NAME).exists():
        publish(folder / FILE_NAME, _to_bytes(fields))
    sealed = read(folder)
    _check_same(folder, sealed, fields)
    return sealed


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a run folder.

    Raises `IncompleteError` naming the file where it is damaged, `PlanMismatchError` for another
    schema, `OSError`.
    """
    path = folder / FILE_NAME
    fields = read_json(path)
    if not _is_sealed(fields):
        raise damaged(folder)
    fields = {key: value for key, value in fields.items() if key != "sha256"}
    version = fields.get("schema_version")
    if version != SCHEMA_VERSION:
        raise PlanMismatchError(
            f"{path} has schema version {version}; this superpos reads version {SCHEMA_VERSION}"
        )
    wrong = [key for key in ("name", "run_id") if not is_name(fields.get(key))]
    wrong += [] if _are_chunks(fields.get("chunks")) else ["chunks"]
    if wrong:
        raise damaged(folder, f"its {wrong[0]} is {_brief(fields.get(wrong[0]))}")
    return fields


def damaged(folder: Path, fault: str = "") -> IncompleteError:
    """The error of a manifest that cannot be: one that was changed, or sealed by something else
    than superpos.
    """
    path = folder / FILE_NAME
    told = f": {fault}" if fault else ""
    return IncompleteError(
        f"{path} is damaged{told}; move its folder away, or start again with --fresh"
    )


def is_name(value: object) -> bool:
    """Whether a value can be the name of a folder inside another one."""
    return isinstance(value, str) and value not in ("", ".", "..") and not set(value) & {"/", "\0"}


def _is_sealed(fields: object) -> bool:
    if not isinstance(fields, dict):
        return False
    sealed = {key: value for key, value in fields.items() if key != "sha256"}
    try:
        return bool(fields.get("sha256") == checksum_of(sealed))
    except ValueError:  # of a number that JSON does not have
        return False


def _are_chunks(value: object) -> bool:
    """Whether a value is what `_shorten` makes of the rows of each chunk, and fits into memory."""
    if not isinstance(value, list) or not all(isinstance(runs, list) for runs in value):
        return False
    runs = list(itertools.chain.from_iterable(value))
    if not all(
        isinstance(run, list) and [type(number) for number in run] == [int] * 3 for run in runs
    ):
        return False
    return (
        all(count >= 0 for _, count, _ in runs)
        and sum(count for _, count, _ in runs) <= _MOST_MODELS
    )


def chunk_rows(manifest: Mapping[str, Any]) -> list[Rows]:
    """The rows (model numbers) of each chunk."""
    return [_lengthen(runs) for runs in manifest["chunks"]]


def chunk_sizes(manifest: Mapping[str, Any]) -> list[int]:
    """The number of models of each chunk."""
    return [sum(count for _, count, _ in runs) for runs in manifest["chunks"]]


def _check_same(folder: Path, sealed: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    ours = json.loads(canonical_json(fields))
    changed = [key for key in _FIXED if sealed.get(key) != ours.get(key)]
    if changed:
        shown = "; ".join(
            f"{key}: there {_brief(sealed.get(key))}, now {_brief(ours.get(key))}"
            for key in changed
        )
        raise PlanMismatchError(
            f"{folder} holds another run ({shown}). Use --fresh to move it aside, or --out for "
            "another place"
        )


def _brief(value: object, width: int = 80) -> str:
    text = canonical_json(value)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _to_bytes(fields: Mapping[str, Any]) -> bytes:
    """Canonical JSON, one field per line, with a checksum of the fields."""
    signed = {**fields, "sha256": checksum_of(fields)}
    lines = (f"{canonical_json(key)}:{canonical_json(signed[key])}" for key in sorted(signed))
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def checksum_of(fields: Mapping[str, Any]) -> str:
    """SHA-256 of what a manifest says, whatever the order of its keys."""
    return sha256(canonical_json(fields).encode())


def _shorten(rows: Iterable[int]) -> list[list[int]]:
    """Rows as runs [first, count, step] of evenly spaced numbers."""
    values = np.asarray(rows, dtype=np.intp)
    runs: list[list[int]] = []
    start = 0
    while start < len(values):
        step = int(values[start + 1] - values[start]) if start + 1 < len(values) else 1
        breaks = np.flatnonzero(np.diff(values[start:]) != step)
        count = int(breaks[0]) + 1 if len(breaks) else len(values) - start
        runs.append([int(values[start]), count, step])
        start += count
    return runs


def _lengthen(runs: Iterable[Iterable[int]]) -> Rows:
    parts = [first + step * np.arange(count, dtype=np.intp) for first, count, step in runs]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.intp)
