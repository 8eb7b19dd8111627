"""`superpos new`: an experiment of one's own to start from."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from superpos.cli import common
from superpos.errors import ConfigError
from superpos.paths import given
from superpos.terminal.progress import say


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the experiment.")],
    config_dir: Annotated[
        Path,
        typer.Option(metavar="PATH", parser=given, help="Folder of your own experiments."),
    ] = Path("mine"),
) -> None:
    """Write an experiment to start from.

    A commented YAML file in the folder's experiment/, that trains in seconds, and one in claims/
    with a claim about it and the control that must fail. It prints their paths; no file is ever
    overwritten.
    """
    from superpos.compose.experiments import new_experiment
    from superpos.store.files import explained, publish

    for path, text in new_experiment(name, config_dir).items():
        with explained("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            written = publish(path, text.encode())
        if not written:  # by another process, since it was looked at
            raise ConfigError(f"{path} is there already; give another name")
        common.print_path(path)
    folder = shlex.quote(os.fspath(config_dir))
    say(f"superpos: train it with: superpos train experiment={name} --config-dir {folder}")
    say(
        f"superpos: check its claim with: superpos verify {shlex.quote(name)} --config-dir {folder}"
    )
