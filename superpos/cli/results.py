"""Commands about a run that is there: `superpos plot`, `superpos report` and `superpos status`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from superpos.cli import common, completion
from superpos.cli.common import ConfigDir, Json, RunPath
from superpos.errors import ConfigError, IncompleteError, SuperposError
from superpos.paths import given
from superpos.terminal import tables
from superpos.terminal.progress import say

if TYPE_CHECKING:
    from superpos.family import Label

MAX_SETTINGS = 60  # more would fill the screen
_PICTURES = (".png", ".svg", ".pdf", ".gif", ".jpg", ".jpeg")


def plot(
    run: RunPath = None,
    figure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Only this figure; repeatable.", autocompletion=completion.figures
        ),
    ] = None,
    kind: Annotated[
        Literal["png", "svg", "pdf"],
        typer.Option("--format", help="Kind of file; a movie is always a GIF."),
    ] = "png",
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="DIR",
            parser=given,
            help="Write NAME_FIGURE files into this folder instead.",
        ),
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Draw the figures of a run.

    They go into RUN/figures; their paths are printed. With --config-dir those of that folder are
    among them.
    """
    from superpos.compose.experiments import own_folder
    from superpos.figures import registry
    from superpos.figures.own import own_figures
    from superpos.store import write_file

    if to is not None:
        _check_folder(to)
    loaded = common.load(run)
    family = loaded.require_family()
    folder = None if config_dir is None else own_folder(config_dir)
    own = own_figures(folder, registry.figures_of(family))
    figures = registry.figures_of(family, own)
    common.check_names("--figure", figure or [], list(figures), lambda family: family.shows.figures)
    if loaded.table.empty:
        raise IncompleteError(f"{loaded.path} has no finished models; train it first")
    if not loaded.complete:
        say(
            f"superpos: the run is incomplete: {len(loaded.table):,} of {loaded.n_models:,} models "
            "are drawn"
        )
    reasons = registry.reasons(loaded, own)
    names = figure or [
        name for name, reason in reasons.items() if reason is None and not figures[name].movie
    ]
    if not names:
        because = "; ".join(
            f"{name} {reason or 'is drawn by --figure only'}" for name, reason in reasons.items()
        )
        raise SuperposError(f"no figure can show {loaded.path}: {because}")
    drawn = [registry.picture(loaded, name, kind, own) for name in dict.fromkeys(names)]
    for name, data in drawn:
        path = loaded.path / "figures" / name if to is None else to / f"{loaded.name}_{name}"
        with _or_elsewhere(to, "DIR"):
            common.print_path(write_file(path, data))


@contextmanager
def _or_elsewhere(to: Path | None, place: str) -> Iterator[None]:
    """Says of a run folder that cannot be written, such as a colleague's, that `--to` takes another
    place.
    """
    try:
        yield
    except SuperposError as error:
        if to is None and isinstance(error.__cause__, OSError):
            raise SuperposError(f"{error}; --to {place} writes elsewhere") from error
        raise


def _check_folder(to: Path) -> None:
    """Raises `ConfigError` where figures cannot go into a folder of this name."""
    from superpos.store import explained

    with explained("write", to):
        if to.is_dir():
            return
        if to.exists() or to.suffix.lower() in _PICTURES:
            raise ConfigError(
                f"--to: got {to}; allowed: a folder, in which figures have names of their own"
            )


def report(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN]...",
            parser=given,
            help="Run folders; default: the latest in outputs.",
            autocompletion=completion.runs,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FILE",
            parser=given,
            help="Write this file instead, or into this folder.",
        ),
    ] = None,
) -> None:
    """Write the explorer of a run, or of several on one page.

    One HTML file, RUN/report.html, that opens from disk without a network; its path is printed. In
    another folder it is NAME_report.html. Several runs need --to FILE.html.
    """
    from superpos import report as explorer

    loaded = [common.load(run) for run in runs] if runs else [common.load(None)]
    for run in loaded:
        run.require_family()
        if not run.complete and not run.table.empty:
            which = "the run" if len(loaded) == 1 else str(run.path)
            say(
                f"superpos: {which} is incomplete: {len(run.table):,} of {run.n_models:,} models "
                "are shown"
            )
    with _or_elsewhere(to, "FILE.html"):
        common.print_path(explorer.write(loaded, to))


def status(
    run: RunPath = None,
    json_: Json = False,
    missing_shards: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Print only which of N shards need a job, as sbatch --array has it.",
        ),
    ] = None,
) -> None:
    """What of a run is done.

    Chunks done, missing and corrupt, diverged models, one digest over all results, and what the
    seeds of each setting found; the exit code is 4 unless all is done and whole.
    """
    if missing_shards is not None and json_:
        raise ConfigError("--missing-shards: prints one line for sbatch --array; leave out --json")
    loaded = common.load(run)
    if missing_shards is not None:
        from superpos.cluster import submit

        typer.echo(submit.ranges(submit.unclaimed(loaded.folder, missing_shards)))
        return
    from superpos.terminal import findings
    from superpos.terminal import status as states

    facts = states.facts(loaded)
    settings = findings.settings(loaded)
    if json_:
        typer.echo(json.dumps(facts | {"settings": settings}, indent=2))
    else:
        _show_status(facts, settings, loaded.label)
    if not facts["complete"]:
        raise typer.Exit(IncompleteError.exit_code)


def _show_status(
    facts: dict[str, Any], settings: list[dict[str, Any]], label: Label | None
) -> None:
    from superpos.terminal import findings
    from superpos.terminal import status as states

    typer.echo(tables.fields(states.fields_of(facts, label)))
    if logs := states.failed_logs(facts):
        typer.echo(logs)
    if len(settings) > MAX_SETTINGS:
        say(f"superpos: {len(settings):,} settings are too many to show; --json has them")
    elif settings:
        typer.echo()
        tables.show(findings.settings_table(settings, label))
