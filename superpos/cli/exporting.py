"""`superpos export`: results for other programs."""

from __future__ import annotations

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
        typer.Option("--to", metavar="FILE", parser=given, help="File to write: .csv, .parquet, .md, .tex or .npz."),
    ] = None,
    models: Annotated[
        str, typer.Option(metavar="all|best|ROWS", help="Which models: all, best of each setting, or 0,3,10:20.")
    ] = "all",
    by_setting: Annotated[
        bool, typer.Option("--by-setting", help="One row per setting: best and spread over its seeds.")
    ] = False,
    format_: Annotated[
        str | None,
        typer.Option("--as", metavar="FORMAT", help="Format of a table, whatever --to is called, or of one model."),
    ] = None,
    model: Annotated[int | None, typer.Option(metavar="N", help="With --as: number of the model.")] = None,
) -> None:
    """Write results as one file that other programs read.

    The table as .csv or .parquet, for people as .md or .tex, or table and tensors as .npz; with --as, one model as
    another tool loads it.
    """
    if by_setting and models != "all":
        raise ConfigError("--by-setting: is about all models; leave out --models")
    from superpos.store.export import SUFFIXES

    if format_ is not None and f".{format_}" not in SUFFIXES:
        if models != "all" or by_setting:
            option = "--by-setting" if by_setting else "--models"
            raise ConfigError(f"{option}: is for tables; --as takes one model, --model=N")
        _export_model(run, format_, model, to)
    elif model is not None:
        raise ConfigError("--model: is for --as; --models=N writes the row of one model")
    else:
        _export_table(run, to, None if by_setting else models, format_)


def _export_model(run: Path | None, format_: str, model: int | None, to: Path | None) -> None:
    loaded = common.load(run)
    formats = loaded.require_family().exporters
    if not formats:
        raise ConfigError(f"--as: the family {loaded.require_family().name!r} has no formats of other tools")
    common.check_names("--as", [format_], list(formats))
    if model is None:
        raise ConfigError("--model: is missing; --as writes one model, --model=N")
    if not 0 <= model < loaded.n_models:
        raise ConfigError(f"--model: got {model}; allowed: 0 to {loaded.n_models - 1}")
    path = loaded.path / "export" / f"{format_}-{model}" if to is None else to
    common.print_path(loaded.export(format_, model, path))


def _export_table(run: Path | None, to: Path | None, models: str | None, format_: str | None) -> None:
    """One row per model, or without `models` one per setting."""
    from superpos.store import check_target, write_file
    from superpos.store import export as exporting

    allowed = exporting.OF_TABLES if models is None else exporting.SUFFIXES
    suffixes = ", ".join(allowed)
    if to is None:
        raise ConfigError(f"--to: is missing; allowed: a file name that ends in {suffixes}")
    suffix = exporting.suffix_of(to) if format_ is None else f".{format_}"
    if format_ is not None and suffix not in allowed:
        raise ConfigError(f"--as: got {format_}; allowed: {', '.join(name[1:] for name in allowed)}")
    if suffix not in allowed:
        raise ConfigError(f"--to: got {str(to)!r}; allowed: a file name that ends in {suffixes}")
    check_target(to)
    loaded = common.load(run)
    if not loaded.complete and not loaded.table.empty:
        say(f"superpos: the run is incomplete: {len(loaded.table):,} of {loaded.n_models:,} models are written")
    if models is None:
        content = exporting.settings(loaded, suffix)
    else:
        content = exporting.content(loaded, suffix, exporting.chosen(loaded, models))
    common.print_path(write_file(to, content))
