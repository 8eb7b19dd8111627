"""Notes on a run: what users write of it, each with its time in a small file of its own.

They are no part of what a run is: its id, its digest and its results do not depend on them. Any
number of processes may add some at the same time. Whoever may write in the folder may have written
what is there, so that nothing of a note is trusted: what cannot be printed is replaced, and what is
no note is left out.
"""

from __future__ import annotations

import json
import logging
import stat
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from superpos.errors import ConfigError
from superpos.store import files

_log = logging.getLogger(__name__)

FOLDER: Final = "notes"
MAX_LETTERS: Final = 10_000
_MAX_BYTES: Final = 20 * MAX_LETTERS  # of a file: letters may be escaped
_KEPT: Final = "\n\t"  # of what cannot be printed


class Note(NamedTuple):
    """When a note was written, and what it says."""

    time: datetime
    text: str

    def to_json(self) -> dict[str, str]:
        """Time and text, ready for JSON."""
        return {"time": self.time.isoformat(timespec="seconds"), "text": self.text}


def add(run: Path, text: str) -> None:
    """Write a note into a run folder.

    Raises `ConfigError` for a text that is empty or too long, `SuperposError` where nothing can be
    written.
    """
    if not text.strip() or len(text) > MAX_LETTERS:
        shown = repr(text) if len(text) <= MAX_LETTERS else f"{len(text):,} letters"
        allowed = f"a text of at most {MAX_LETTERS:,} letters"
        raise ConfigError(f"a note: got {shown}; allowed: {allowed}")
    now = datetime.now(UTC)
    path = run / FOLDER / f"{now:%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:8]}.json"
    with files.explained("write", path):
        path.parent.mkdir(exist_ok=True)
        files.publish(path, f"{files.canonical_json(Note(now, text.strip()).to_json())}\n".encode())


def read(run: Path) -> list[Note]:
    """The notes in a run folder, the oldest first.

    What is no note, or cannot be read, is logged and left out.
    """
    found = [_note(path) for path in _files(run / FOLDER)]
    return sorted(note for note in found if note is not None)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except FileNotFoundError:
        return []
    except OSError as fault:
        _log.warning("left out the notes in %s: %s", folder, fault.strerror or fault)
        return []


def _note(path: Path) -> Note | None:
    try:
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _MAX_BYTES:
            raise ValueError("no file of a note")
        fields = json.loads(path.read_bytes())
        time = datetime.fromisoformat(fields["time"])
        text = fields["text"]
        if time.tzinfo is None or not isinstance(text, str):
            raise ValueError("no note")
        return Note(time, _printable(text))
    except FileNotFoundError:  # taken away meanwhile
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        _log.warning("left out %s: it is no note, or damaged", path)
        return None


def _printable(text: str) -> str:
    """The text without what changes a terminal, or the direction of writing; a sign stands
    there.
    """
    kept = (letter if letter.isprintable() or letter in _KEPT else "\ufffd" for letter in text)
    return "".join(kept)
