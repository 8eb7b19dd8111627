"""`superpos patch`: parts of a finished run's model replaced, and what that shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from superpos.cli import common, completion
from superpos.cli.common import Json
from superpos.errors import ConfigError
from superpos.paths import given
from superpos.terminal import patches, tables

_KEY = re.compile(r"\w+(\.\w+)*=")


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
    run, overrides = _split(words or [])
    values = _values(overrides)
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


def _split(words: list[str]) -> tuple[Path | None, list[str]]:
    """The run, which stands first, and the overrides."""
    if words and not _KEY.match(words[0]):
        return given(words[0]), words[1:]
    return None, words


def _values(overrides: list[str]) -> dict[str, Any]:
    """What the overrides ask, by the last part of each key. Raises `ConfigError`."""
    from superpos.compose.overrides import read_overrides
    from superpos.explain.patch_keys import schema

    read = read_overrides(overrides, [], schema())
    faults = list(read.faults)
    if read.experiment is not None:
        faults.append("experiment: a run that is there is patched; train it first")
    values = dict(read.values)
    for keys, points in read.axes.items():
        values[keys[0]] = [point[0] for point in points]
    if faults:
        raise ConfigError(faults)
    return {key.partition(".")[2]: value for key, value in values.items()}
