"""`superpos train`."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from superpos import BEGAN
from superpos.cli import common, signals
from superpos.cli.common import OUTPUTS, ConfigDir, DryRunJson, Out, Overrides
from superpos.errors import ConfigError, TrainingInterruptedError
from superpos.terminal import costs, tables
from superpos.terminal.progress import Reporter, reporter, say

if TYPE_CHECKING:
    from superpos.plan.sweep import Sweep


def train(
    overrides: Overrides = None,
    shard: Annotated[
        str | None, typer.Option(metavar="K/N", help="Train part K of N, from 0.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print size and expected time; train nothing.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Move an existing run aside and start again.")
    ] = False,
    out: Out = OUTPUTS,
    config_dir: ConfigDir = None,
    run_id: Annotated[
        str | None,
        typer.Option("--run-id", metavar="ID", help="Refuse to train any other run than this."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    json_: DryRunJson = False,
) -> None:
    """Train a sweep, or resume it.

    The last line on stdout is the run folder.
    """
    part = _shard(shard)
    alone = [name for name, given in (("--shard", part), ("--fresh", fresh)) if given]
    if dry_run and alone:
        raise ConfigError(
            "--dry-run: is about the whole sweep and changes nothing; leave out "
            f"{' and '.join(alone)}"
        )
    common.check_json(json_, dry_run)
    if fresh and part:
        raise ConfigError(
            "--fresh: with --shard every shard would move aside what the others train; give one of "
            "the two"
        )
    sweep = common.compose(overrides, config_dir).sweep
    if run_id is not None and run_id != sweep.run_id:
        raise ConfigError(
            f"--run-id: {run_id} was asked for, but this is now {sweep.run_id}: an experiment or a "
            "function of one's "
            "own has changed since; put it back, or start what it is now without --run-id"
        )
    if dry_run:
        from superpos.training.estimate import estimate

        size = estimate(sweep, say)
        typer.echo(json.dumps(vars(size), indent=2) if json_ else costs.estimate_line(size))
    else:
        progress = reporter(quiet)
        folder = trained(sweep, out, part, fresh, progress, began=BEGAN)
        if progress.models_now and not quiet:
            _conclude(folder, progress)
        common.print_path(folder)


def trained(
    sweep: Sweep,
    out: Path,
    shard: tuple[int, int] | None,
    fresh: bool,
    progress: Reporter,
    began: float | None = None,
) -> Path:
    """The run folder of a sweep, once it is trained; `began`: see `runner.train`."""
    from superpos.training.already_trained import finished

    folder = None if fresh else finished(sweep, out, shard)
    if folder is not None:
        progress.note(
            f"superpos: nothing to train: {'this shard' if shard else 'the run'} is complete"
        )
        return folder
    from superpos.training import runner

    command = ["superpos", *sys.argv[1:]]
    try:
        with signals.noting(*signals.STOP, *signals.SAVE) as came, progress:
            return runner.train(
                sweep,
                out=out,
                command=command,
                shard=shard,
                fresh=fresh,
                progress=progress,
                stop=lambda: bool(came),
                began=began,
            )
    except TrainingInterruptedError as error:
        if came and came[0] in signals.SAVE:
            # SLURM ends a job that goes back to the queue at once
            with signals.noting(*signals.STOP):
                _requeue(sweep, out, error.progress)
        raise


def _conclude(folder: Path, progress: Reporter) -> None:
    """What was trained and found, and what to run next, on stderr."""
    from superpos import store
    from superpos.terminal import findings

    fields = findings.training_fields(
        store.load(folder), folder, progress, time.monotonic() - BEGAN
    )
    say(tables.fields(fields, sys.stderr))


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not match or int(match[1]) >= int(match[2]):
        raise ConfigError(
            f"--shard: got {text!r}; allowed: K/N with K from 0 to N - 1, such as 0/4"
        )
    return int(match[1]), int(match[2])


def _requeue(sweep: Sweep, out: Path, progress: tuple[int, int]) -> None:
    """Back into the queue of SLURM, now that everything is saved."""
    from superpos.cluster import requeue
    from superpos.store import RunFolder

    folder = RunFolder.find(out, str(sweep.base["name"]), sweep.run_id)
    if folder is not None:
        say(f"superpos: {requeue.again(folder, progress)}")
