"""`superpos circuits`: what is read off the weights of a finished run's model."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from superpos.cli import common
from superpos.cli.common import Json, RunPath
from superpos.errors import ConfigError
from superpos.family import find, names
from superpos.terminal import circuits as blocks
from superpos.terminal import tables

_VIEW = "read_circuits"
"""The method of a run by which a family says that its models have circuits."""


def circuits(
    run: RunPath = None,
    model: Annotated[int, typer.Option(metavar="N", help="Number of the model.")] = 0,
    top: Annotated[
        int, typer.Option(metavar="N", help="Greatest entries of each table of tokens.")
    ] = 5,
    json_: Json = False,
) -> None:
    """Read the circuits of a transformer off its weights.

    Prints its class and what each path costs when it is removed, what its heads attend to and copy,
    composition of heads minus that of random ones, and the greatest entries of its tables of
    tokens: the direct path, what heads write (OV) and attend to (QK).
    """
    loaded = common.load(run)
    family = loaded.require_family()
    if _VIEW not in family.views:
        having = " and ".join(name for name in names() if _VIEW in find(name).views)
        raise ConfigError(
            f"{loaded.path} is a run of family={family.name}, without circuits to read; allowed: "
            f"{having}"
        )
    if not 0 <= model < loaded.n_models:
        raise ConfigError(f"--model: got {model}; allowed: 0 to {loaded.n_models - 1}")
    if top < 1:
        raise ConfigError(f"--top: got {top}; allowed: 1 or more")
    found = getattr(loaded, _VIEW)(model, top)
    if json_:
        facts = {"path": str(loaded.path), "model": model} | {"tables": blocks.to_json(found)}
        typer.echo(json.dumps(facts, indent=2))
        return
    for number, (name, rows) in enumerate(found.items()):
        typer.echo(f"{chr(10) if number else ''}{name.replace('_', ' ')}")
        tables.show(blocks.table(rows))
