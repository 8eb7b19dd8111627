"""Arguments that several commands take, and what they do with them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from superpos.cli import completion
from superpos.config.wording import did_you_mean
from superpos.errors import ConfigError
from superpos.family import hint_of_others
from superpos.paths import given
from superpos.terminal.progress import say

if TYPE_CHECKING:
    from superpos.compose.compose import Composed
    from superpos.config.schema import Schema
    from superpos.family import Family
    from superpos.store import Run

_KEY = re.compile(r"\w+(\.\w+)*=")
OUTPUTS = Path("outputs")
_OVERRIDES_HELP = (
    "experiment=NAME, KEY=VALUE or KEY=V1,V2 (Hydra's grammar); without any, experiment=intro"
)
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="OVERRIDE", help=_OVERRIDES_HELP, autocompletion=completion.overrides),
]
Out = Annotated[Path, typer.Option(metavar="PATH", parser=given, help="Folder of all runs.")]
ConfigDir = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH", parser=given, help="Folder of your own experiments and functions."
    ),
]
_RUN_HELP = "Run folder; default: the latest in outputs."
RunPath = Annotated[
    Path | None,
    typer.Argument(metavar="RUN", parser=given, help=_RUN_HELP, autocompletion=completion.runs),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRunJson = Annotated[bool, typer.Option("--json", help="With --dry-run: print JSON.")]


def compose(overrides: list[str] | None, config_dir: Path | None) -> Composed:
    """The sweep of a command line, its notices on stderr. Raises `ConfigError`."""
    from superpos.compose import compose as composing
    from superpos.training import resolved

    composed = composing.compose(overrides or [], config_dir)
    composed = replace(composed, sweep=resolved(composed.sweep))
    for notice in composed.notices:
        say(f"superpos: {notice}")
    return composed


def load(run: Path | None) -> Run:
    """The run of a command line: the latest in `outputs` without a path. Raises `SuperposError`."""
    from superpos import store

    return store.load(store.latest_run(OUTPUTS) if run is None else run)


def run_and_overrides(words: list[str]) -> tuple[Path | None, list[str]]:
    """The run, which stands first where it stands at all, and the overrides of `superpos explain`
    and `patch`.
    """
    if words and not _KEY.match(words[0]):
        return given(words[0]), words[1:]
    return None, words


def asked(overrides: list[str], schema: Schema, command: str) -> dict[str, Any]:
    """What overrides ask of a finished run: values by key, lists of them where there are several.

    Raises `ConfigError`.
    """
    from superpos.compose.overrides import read_overrides

    if any(text.startswith("experiment=") for text in overrides):
        raise ConfigError(f"experiment: {command} RUN is about a finished run; train it first")
    read = read_overrides(overrides, [], schema)
    if read.faults:
        raise ConfigError(list(read.faults))
    values: dict[str, Any] = dict(read.values)
    for keys, points in read.axes.items():
        values[keys[0]] = [point[0] for point in points]
    return values


def print_path(path: Path) -> None:
    """A line on stdout that other programs can open, whatever bytes are in it and whatever a
    terminal can show.
    """
    typer.echo(os.fsencode(path))


def check_json(json_: bool, dry_run: bool) -> None:
    """Raises `ConfigError` for --json without --dry-run."""
    if json_ and not dry_run:
        raise ConfigError(
            "--json: is about --dry-run; of a run, `superpos status --json` prints what is done"
        )


def check_names(
    where: str,
    names: list[str],
    known: list[str],
    offered: Callable[[Family], Collection[str]] = lambda _: (),
) -> None:
    """Raises `ConfigError` for every name that is not known, with the nearest one.

    `offered`: what of this kind a family has, where other families have others.
    """
    wrong = [name for name in names if name not in known]
    if wrong:
        faults = [
            (
                f"{where}: there is no {name!r}; "
                f"{hint_of_others(name, offered) or did_you_mean(name, known)}"
            )
            for name in wrong
        ]
        raise ConfigError([fault.removesuffix("; ") for fault in faults])
