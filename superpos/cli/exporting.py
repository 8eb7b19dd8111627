"""`superpos export`: results for other programs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from superpos.cli import common
from superpos.cli.common import RunPath
from superpos.errors import ConfigError
from superpos.paths import given
from superpos.terminal.progress import say


def export(
    run: RunPath = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="PATH",
            parser=given,
            help="File (.csv, .parquet, .md, .tex, .npz) or, of tools, folder.",
        ),
    ] = None,
    models: Annotated[
        str,
        typer.Option(
            metavar="all|best|ROWS", help="Which models: all, best of each setting, or 0,3,10:20."
        ),
    ] = "all",
    by_setting: Annotated[
        bool,
        typer.Option("--by-setting", help="One row per setting: best and spread over its seeds."),
    ] = False,
    format_: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="FORMAT",
            help="Format, whatever --to is called; of another tool: see above.",
        ),
    ] = None,
    model: Annotated[
        int | None, typer.Option(metavar="N", help="With --as: number of the model.")
    ] = None,
) -> None:
    """Write results as one file that other programs read.

    The table as .csv or .parquet, for people as .md or .tex, or table and tensors as .npz; with
    --as=tensorboard or --as=wandb, models as runs of these tools; with another --as and --model,
    one model as a tool loads it.
    """
    if by_setting and models != "all":
        raise ConfigError("--by-setting: is about all models; leave out --models")
    from superpos.store.suffixes import SUFFIXES
    from superpos.store.trackers import TRACKERS

    if format_ in TRACKERS:
        if by_setting or model is not None:
            raise ConfigError(
                f"--as={format_}: takes --models: all, best of each setting, or 0,3,10:20"
            )
        _export_tracked(run, format_, models, to)
    elif format_ is not None and f".{format_}" not in SUFFIXES:
        if models != "all" or by_setting:
            option = "--by-setting" if by_setting else "--models"
            raise ConfigError(f"{option}: is for tables; --as takes one model, --model=N")
        _export_model(run, format_, model, to)
    elif model is not None:
        raise ConfigError("--model: is for --as; --models=N writes the row of one model")
    else:
        _export_table(run, to, None if by_setting else models, format_)


def _export_tracked(run: Path | None, format_: str, models: str, to: Path | None) -> None:
    """Models as runs of a tool that tracks experiments."""
    from superpos.store import export as exporting
    from superpos.store import trackers

    loaded = common.load(run)
    place = loaded.path / "export" / format_ if to is None else to
    common.print_path(trackers.export(loaded, format_, exporting.chosen(loaded, models), place))
    folder = shlex.quote(os.fspath(place))
    shown = {
        "tensorboard": f"tensorboard --logdir {folder}",
        "wandb": f"wandb sync {folder}/wandb/offline-run-*",
    }
    verb = {"tensorboard": "look at them", "wandb": "nothing was sent; upload them"}
    say(f"superpos: {verb[format_]} with: {shown[format_]}")


def _export_model(run: Path | None, format_: str, model: int | None, to: Path | None) -> None:
    from superpos.store.suffixes import SUFFIXES
    from superpos.store.trackers import TRACKERS

    loaded = common.load(run)
    formats = loaded.require_family().exporters
    known = [*(name[1:] for name in SUFFIXES), *TRACKERS, *formats]
    common.check_names("--as", [format_], known, lambda family: family.exporters)
    if model is None:
        raise ConfigError("--model: is missing; --as writes one model, --model=N")
    if not 0 <= model < loaded.n_models:
        raise ConfigError(f"--model: got {model}; allowed: 0 to {loaded.n_models - 1}")
    path = loaded.path / "export" / f"{format_}-{model}" if to is None else to
    common.print_path(loaded.export(format_, model, path))


def _export_table(
    run: Path | None, to: Path | None, models: str | None, format_: str | None
) -> None:
    """One row per model, or without `models` one per setting."""
    from superpos.store import check_target, write_file
    from superpos.store import export as exporting
    from superpos.store import suffixes as named

    allowed = named.OF_TABLES if models is None else named.SUFFIXES
    suffixes = ", ".join(allowed)
    if to is None:
        raise ConfigError(f"--to: is missing; allowed: a file name that ends in {suffixes}")
    suffix = named.suffix_of(to) if format_ is None else f".{format_}"
    if format_ is not None and suffix not in allowed:
        raise ConfigError(
            f"--as: got {format_}; allowed: {', '.join(name[1:] for name in allowed)}"
        )
    if suffix not in allowed:
        raise ConfigError(f"--to: got {str(to)!r}; allowed: a file name that ends in {suffixes}")
    check_target(to)
    loaded = common.load(run)
    if not loaded.complete and not loaded.table.empty:
        say(
            f"superpos: the run is incomplete: {len(loaded.table):,} of {loaded.n_models:,} models "
            "are written"
        )
    if models is None:
        content = exporting.settings(loaded, suffix)
    else:
        content = exporting.content(loaded, suffix, exporting.chosen(loaded, models))
    common.print_path(write_file(to, content))
