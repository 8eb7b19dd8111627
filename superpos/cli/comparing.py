"""`superpos diff`: two runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from superpos.cli import common, completion
from superpos.cli.common import Json
from superpos.paths import given
from superpos.terminal import tables

_RUN = {"metavar": "RUN", "parser": given, "autocompletion": completion.runs}
_First = Annotated[Path, typer.Argument(help="A run folder.", **_RUN)]
_Second = Annotated[Path, typer.Argument(help="Another one.", **_RUN)]


def diff(first: _First, second: _Second, json_: Json = False) -> None:
    """Compare two runs.

    Settings, engines and versions where they differ, and the results of models of equal settings,
    which have the same row id in both.
    """
    from superpos.store.compare import compare
    from superpos.terminal import comparison

    found = compare(common.load(first), common.load(second))
    if json_:
        typer.echo(json.dumps(found, indent=2))
        return
    typer.echo(tables.fields(comparison.fields_of(found)))
    drawn = [
        table
        for table in (comparison.settings_table(found), comparison.results_table(found))
        if table is not None
    ]
    if drawn:
        typer.echo()
        tables.show(*drawn)
