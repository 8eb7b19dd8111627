"""Commands that keep runs in order: `superpos note` and `superpos rm`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from superpos.cli import common, completion
from superpos.cli.common import Json
from superpos.errors import ConfigError, SuperposError
from superpos.paths import given
from superpos.terminal.progress import say
from superpos.units import moment, quantity

if TYPE_CHECKING:
    from superpos.store import RunFolder
    from superpos.store.notes import Note

_Run = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", parser=given, help="A run folder.", autocompletion=completion.runs
    ),
]
_Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...", parser=given, help="Run folders.", autocompletion=completion.runs
    ),
]
_Text = Annotated[str | None, typer.Argument(metavar="TEXT", help="What to note.")]


def note(run: _Run, text: _Text = None, json_: Json = False) -> None:
    """Add a note to a run, or print its notes.

    They are shown by status and list --runs and on the page of report, and are no part of the
    results.
    """
    from superpos.store import notes

    folder = common.load(run).folder.path
    if text is not None:
        if json_:
            raise ConfigError("--json: prints notes; leave out the text")
        notes.add(folder, text)
        return
    found = notes.read(folder)
    if json_:
        typer.echo(json.dumps({"notes": [one.to_json() for one in found]}, indent=2))
    elif not found:
        say(f"superpos: no notes on {folder}")
    else:
        typer.echo("\n".join(_lines(one) for one in found))


def _lines(note: Note) -> str:
    """When it was written, and the text beside that."""
    when = f"{moment(note.time)}  "
    return when + note.text.replace("\n", "\n" + " " * len(when))


def rm(
    runs: _Runs,
    purge: Annotated[bool, typer.Option("--purge", help="Delete them for good.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --purge: do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also what is in training.")] = False,
) -> None:
    """Remove runs.

    They are moved to outputs/.trash, from which they can be moved back; --purge deletes them, and
    asks before. A run that is in training is refused. The name's latest then leads to the newest
    other run.
    """
    from superpos.store import inventory, remove

    if yes and not purge:
        raise ConfigError("--yes: is for --purge; without it nothing is lost, and nobody is asked")
    folders = {folder.path: folder for folder in map(remove.named, runs)}
    if not force:
        _refuse_training(folders.values())
    sizes = {path: inventory.size_of(path)[0] for path in folders}
    if purge:
        _ask([f"{path}, {quantity(size, 'B')}" for path, size in sizes.items()], yes)
    for path, folder in folders.items():
        gone = remove.purge(folder) if purge else remove.to_trash(folder)
        moved = f"; {path.parent.name}/latest is now {gone.newest.name}" if gone.newest else ""
        if gone.place is None:
            say(f"superpos: removed {path}, {quantity(sizes[path], 'B')} freed{moved}")
        else:
            say(f"superpos: moved {path} to {gone.place}{moved}")


def _refuse_training(folders: Iterable[RunFolder]) -> None:
    """Raises `SuperposError` for runs in training, and for those that jobs of SLURM will train."""
    from superpos.cluster import shards
    from superpos.store import remove

    faults = []
    for folder in folders:
        jobs = shards.counts(shards.shards(folder))
        states = [state for state in ("running", "pending") if state in jobs]
        queued = " and ".join(f"{jobs[state]} shards {state}" for state in states)
        if reason := remove.training(folder) or queued:
            faults.append(
                f"{folder.path} is in training: {reason}; --force removes it all the same"
            )
    if faults:
        raise ConfigError(faults)


def _ask(lines: list[str], yes: bool) -> None:
    """Raises `SuperposError` where the user says no, `ConfigError` where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("--yes: is needed where nobody can be asked")
    say("\n".join(["superpos: this removes", *(f"  {line}" for line in lines)]))
    if not typer.confirm("Go on?", err=True):
        raise SuperposError("nothing was removed")
