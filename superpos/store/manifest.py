"""manifest.json: what a run is, sealed before training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.errors import IncompleteError, PlanMismatchError
from superpos.store.files import canonical_json, patiently, publish, sha256

SCHEMA_VERSION = 1
FILE_NAME = "manifest.json"
_FIXED = ("run_id", "plan", "chunks", "engine")  # what may not differ between two attempts in one folder

Rows = NDArray[np.intp]


def seal(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest unless there is one; returns the one that counts.

    `facts["chunks"]` holds the rows of each chunk. Raises `PlanMismatchError` where the folder was sealed for
    another plan, chunks or engine, `IncompleteError` where its manifest is damaged, `OSError`.
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

    Raises `IncompleteError` naming the file where it is damaged, `PlanMismatchError` for another schema, `OSError`.
    """
    path = folder / FILE_NAME
    try:
        fields: dict[str, Any] = json.loads(patiently(path.read_bytes))
        checksum = fields.pop("sha256")
        whole = checksum == _checksum(fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise IncompleteError(f"{path} is damaged: move its folder away, or start again with --fresh")
    if fields["schema_version"] != SCHEMA_VERSION:
        found = fields["schema_version"]
        raise PlanMismatchError(f"{path} has schema version {found}; this superpos reads version {SCHEMA_VERSION}")
    return fields


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
        shown = "; ".join(f"{key}: there {_brief(sealed.get(key))}, now {_brief(ours.get(key))}" for key in changed)
        raise PlanMismatchError(
            f"{folder} holds another run ({shown}). Use --fresh to move it aside, or --out for another place"
        )


def _brief(value: object, width: int = 80) -> str:
    text = canonical_json(value)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _to_bytes(fields: Mapping[str, Any]) -> bytes:
    """Canonical JSON, one field per line, with a checksum of the fields."""
    signed = {**fields, "sha256": _checksum(fields)}
    lines = (f"{canonical_json(key)}:{canonical_json(signed[key])}" for key in sorted(signed))
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _checksum(fields: Mapping[str, Any]) -> str:
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
