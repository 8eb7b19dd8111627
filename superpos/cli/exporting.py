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
        Path | None, typer.Option("--to", metavar="FILE", parser=given, help="File to write: .csv, .parquet or .npz.")
    ] = None,
    models: Annotated[
        str, typer.Option(metavar="all|best|ROWS", help="Which models: all, best of each setting, or 0,3,10:20.")
    ] = "all",
    format_: Annotated[
        str | None, typer.Option("--as", metavar="FORMAT", help="Instead: one model, in a format of its family.")
    ] = None,
    model: Annotated[int | None, typer.Option(metavar="N", help="With --as: number of the model.")] = None,
) -> None:
    """Write results as one file that other programs read.

    The table as .csv or .parquet, or table and tensors as .npz; with --as, one model as another tool loads it.
    """
    if format_ is not None:
        _export_model(run, format_, model, models, to)
    elif model is not None:
        raise ConfigError("--model: is for --as; --models=N writes the row of one model")
    else:
        _export_table(run, to, models)


def _export_model(run: Path | None, format_: str, model: int | None, models: str, to: Path | None) -> None:
    if models != "all":
        raise ConfigError("--models: is for tables; --as takes one model, --model=N")
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


def _export_table(run: Path | None, to: Path | None, models: str) -> None:
    from superpos.store import check_target, write_file
    from superpos.store import export as exporting

    suffixes = ", ".join(exporting.SUFFIXES)
    if to is None:
        raise ConfigError(f"--to: is missing; allowed: a file name that ends in {suffixes}")
    suffix = exporting.suffix_of(to)
    if suffix not in exporting.SUFFIXES:
        raise ConfigError(f"--to: got {str(to)!r}; allowed: a file name that ends in {suffixes}")
    check_target(to)
    loaded = common.load(run)
    if not loaded.complete and not loaded.table.empty:
        say(f"superpos: the run is incomplete: {len(loaded.table):,} of {loaded.n_models:,} models are written")
    content = exporting.content(loaded, suffix, exporting.chosen(loaded, models))
    common.print_path(write_file(to, content))
