"""The tables of `superpos list`: experiments, figures, runs on disk."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from superpos.config.wording import plain
from superpos.terminal.tables import Column, Table
from superpos.units import count, duration, moment, quantity

if TYPE_CHECKING:
    from superpos.store.inventory import RunOnDisk

_NOTE_LETTERS = 40


def experiments_table(found: Sequence[dict[str, Any]]) -> Table:
    """Experiments by their place in the paper, which their descriptions begin with."""
    rows = []
    for item in found:
        place, description = re.fullmatch(
            r"(?:(\d+)\. )?(.*)", item["description"], re.DOTALL
        ).groups()  # type: ignore[union-attr]  # matches everything
        time = "" if item["seconds"] is None else "~" + duration(item["seconds"])
        rows.append([place or "", item["name"], f"{item['models']:,}", time, description])
    columns = [
        Column("#", right=True),
        Column("experiment"),
        Column("models", right=True),
        Column("time", right=True),
    ]
    return Table([*columns, Column("description")], rows, note=True, grouped=True)


def figures_table(found: Sequence[dict[str, str]]) -> Table:
    """Figures in the order of the registry."""
    rows = [[item["name"], item["description"]] for item in found]
    return Table([Column("figure"), Column("description")], rows, note=True)


def keys_table(found: Sequence[dict[str, Any]]) -> Table:
    """Config keys in the order of the schema."""
    rows = [
        [item["key"], plain(item["default"]), f"{item['meaning']}: {item['allowed']}"]
        for item in found
    ]
    return Table(
        [Column("key"), Column("default"), Column("meaning: what is allowed")], rows, note=True
    )


def runs_table(runs: Sequence[RunOnDisk]) -> Table:
    """Runs on disk with their paths, as other commands take them."""
    notes = [_newest_note(run) for run in runs]
    noted = any(notes)
    rows = []
    for run, note in zip(runs, notes, strict=True):
        facts = [
            run.name,
            _models(run),
            run.state,
            quantity(run.bytes, "B"),
            moment(run.changed),
            _latest(run),
        ]
        rows.append([*facts, *([note] if noted else []), str(run.path)])
    columns = [
        Column("name"),
        Column("models", right=True),
        Column("state"),
        Column("size", right=True),
    ]
    columns += [Column("changed", spare=True), Column("latest")]
    columns += [Column("note", spare=True)] if noted else []
    return Table([*columns, Column("run")], rows, note=True)


def _newest_note(run: RunOnDisk) -> str:
    """The beginning of a run's newest note."""
    notes = run.notes
    return textwrap.shorten(notes[-1].text, _NOTE_LETTERS, placeholder="…") if notes else ""


def _models(run: RunOnDisk) -> str:
    return "" if run.models_total is None else f"{run.models_done:,}/{run.models_total:,}"


def _latest(run: RunOnDisk) -> str:
    return "latest" if run.latest else ""


def total(runs: Sequence[RunOnDisk]) -> str:
    """How many runs there are and what they take."""
    return f"{count(len(runs), 'run')}, {quantity(sum(run.bytes for run in runs), 'B')}"


def to_json(run: RunOnDisk) -> dict[str, Any]:
    """A run on disk, ready for JSON."""
    notes = [note.to_json() for note in run.notes]
    return {
        **vars(run),
        **({"notes": notes} if notes else {}),
        "path": str(run.path),
        "changed": run.changed.isoformat(timespec="seconds"),
    }
