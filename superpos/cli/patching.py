"""`superpos patch`: parts of a finished run's model replaced, and what that shows."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from superpos.cli import common, completion
from superpos.cli.common import Json
from superpos.errors import ConfigError
from superpos.terminal import patches, tables


def patch(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [KEY=VALUE]...",
            help="Run folder (default: the latest in outputs), and patch.* keys.",
            autocompletion=completion.runs,
        ),
    ] = None,
    model: Annotated[int, typer.Option(metavar="N", help="Number of the model.")] = 0,
    json_: Json = False,
) -> None:
    """Replace parts of a model by their values on corrupt inputs.

    Prints the effect of every part, or of every edge between heads, as a share of what all of them
    change, beside what is true of the model. Several values of a key are several questions:
    patch.corrupt=query,key.
    """
    from superpos.explain.patch_keys import schema

    run, overrides = common.run_and_overrides(words or [])
    asked = common.asked(overrides, schema(), "superpos patch")
    values = {key.partition(".")[2]: value for key, value in asked.items()}
    loaded = common.load(run)
    if not 0 <= model < loaded.n_models:
        raise ConfigError(f"--model: got {model}; allowed: 0 to {loaded.n_models - 1}")
    found = loaded.patch(model, **values)
    if json_:
        facts = {"path": str(loaded.path), "model": model, "parts": patches.to_json(found)}
        typer.echo(json.dumps(facts, indent=2))
        return
    for line, table in patches.blocks(found):
        typer.echo(line)
        tables.show(table)
