"""The command line. The only importer of typer; what takes long to import is imported inside the commands.

stdout carries results only; progress, warnings and errors go to stderr.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from superpos import summary
from superpos.config.wording import did_you_mean
from superpos.errors import ConfigError, IncompleteError, SuperposError, TrainingInterruptedError
from superpos.progress import reporter, say

if TYPE_CHECKING:
    from superpos.config.compose import Composed
    from superpos.store import Run
    from superpos.sweep import Sweep


class _Commands(TyperGroup):
    """Turns a failure that a user can cause into a short message and its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SuperposError as error:
            lines = str(error).splitlines()
            say(f"superpos: {lines[0]}" if len(lines) == 1 else "\n  ".join([f"superpos: {len(lines)} faults", *lines]))
            raise typer.Exit(error.exit_code) from error


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Train toy models of superposition, thousands at once, and draw the figures of the papers.",
)

_OVERRIDES_HELP = "experiment=NAME, KEY=VALUE or KEY=V1,V2 (Hydra's grammar); without any, experiment=intro"
Overrides = Annotated[list[str] | None, typer.Argument(metavar="OVERRIDE", help=_OVERRIDES_HELP)]
Out = Annotated[Path, typer.Option(help="Folder of all runs.")]
ConfigDir = Annotated[Path | None, typer.Option(help="Folder with experiment/*.yaml of your own.")]
RunPath = Annotated[Path | None, typer.Argument(metavar="RUN", help="Run folder; default: the latest in outputs.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_OUTPUTS = Path("outputs")
_EARLY: list[int] = []  # warnings that came before training began
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAVE = signal.SIGUSR1  # SLURM's warning: save, and go back to the queue


@app.command()
def train(
    overrides: Overrides = None,
    shard: Annotated[str | None, typer.Option(metavar="K/N", help="Train part K of N, from 0.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print size and expected time; train nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Move an existing run aside and start again.")] = False,
    out: Out = _OUTPUTS,
    config_dir: ConfigDir = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Train a sweep, or resume it.

    The last line on stdout is the run folder.
    """
    part = _shard(shard)
    alone = [name for name, given in (("--shard", part), ("--fresh", fresh)) if given]
    if dry_run and alone:
        raise ConfigError(f"--dry-run: is about the whole sweep and changes nothing; leave out {' and '.join(alone)}")
    if fresh and part:
        raise ConfigError(
            "--fresh: with --shard every shard would move aside what the others train; give one of the two"
        )
    sweep = _compose(overrides, config_dir).sweep
    if dry_run:
        from superpos.estimate import estimate

        typer.echo(summary.of_estimate(estimate(sweep, say)))
    else:
        typer.echo(_trained(sweep, out, part, fresh, quiet))


@app.command()
def plot(
    run: RunPath = None,
    figure: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this figure; repeatable.")] = None,
    kind: Annotated[
        Literal["png", "svg", "pdf"], typer.Option("--format", help="Kind of file; a movie is always a GIF.")
    ] = "png",
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Write NAME_FIGURE files into this folder instead.")
    ] = None,
) -> None:
    """Draw the figures of a run.

    They go into RUN/figures; their paths are printed.
    """
    from superpos import figures
    from superpos.store import write_file

    loaded = _load(run)
    _check_names("--figure", figure or [], list(figures.FIGURES))
    if loaded.table.empty:
        raise IncompleteError(f"{loaded.path} has no finished models; train it first")
    if not loaded.complete:
        say(f"superpos: the run is incomplete: {len(loaded.table):,} of {loaded.n_models:,} models are drawn")
    reasons = figures.reasons(loaded)
    entries = figures.FIGURES
    names = figure or [name for name, reason in reasons.items() if reason is None and entries[name].animate is None]
    if not names:
        because = "; ".join(f"{name} {reason or 'is drawn by --figure only'}" for name, reason in reasons.items())
        raise SuperposError(f"no figure can show {loaded.path}: {because}")
    drawn = [figures.picture(loaded, name, kind) for name in dict.fromkeys(names)]
    for name, data in drawn:
        path = loaded.path / "figures" / name if to is None else to / f"{loaded.name}_{name}"
        typer.echo(write_file(path, data))


@app.command()
def status(
    run: RunPath = None,
    json_: Json = False,
    missing_shards: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Print only which of N shards are not done, as sbatch --array has it."),
    ] = None,
) -> None:
    """What of a run is done.

    Chunks done, missing and corrupt, diverged models, one digest over all results, and what the seeds of each setting
    found; the exit code is 4 unless all is done and whole.
    """
    loaded = _load(run)
    if missing_shards is not None:
        from superpos.cluster import submit

        typer.echo(submit.ranges(submit.missing(loaded.folder, missing_shards)))
        return
    facts = summary.facts(loaded)
    text = f"{summary.of_facts(facts)}\n\n{summary.of_settings(loaded)}".rstrip()
    typer.echo(json.dumps(facts, indent=2) if json_ else text)
    if not facts["complete"]:
        raise typer.Exit(IncompleteError.exit_code)


@app.command()
def submit(
    overrides: Overrides = None,
    shards: Annotated[
        int, typer.Option(metavar="N", help="Parts that run side by side, each a task of one array.")
    ] = 16,
    cluster: Annotated[str, typer.Option(metavar="NAME", help="Site options: configs/cluster/NAME.yaml.")] = "default",
    partition: Annotated[str | None, typer.Option(help="SLURM's partition.")] = None,
    account: Annotated[str | None, typer.Option(help="Account to charge.")] = None,
    time: Annotated[str | None, typer.Option(help="Limit of a shard: [days-]hours:minutes:seconds.")] = None,
    cpus: Annotated[int | None, typer.Option(help="Cores of a shard.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory of a shard, such as 4G.")] = None,
    gpus: Annotated[str | None, typer.Option(help="GPUs of a shard: a number, or type:number.")] = None,
    max_parallel: Annotated[int | None, typer.Option(help="Shards that run at the same time.")] = None,
    print_: Annotated[bool, typer.Option("--print", help="Print the batch scripts; write and submit nothing.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print time and cost of each shard; submit nothing.")
    ] = False,
    out: Out = _OUTPUTS,
    config_dir: ConfigDir = None,
) -> None:
    """Train a sweep on a SLURM cluster.

    Writes an array of shards and a finishing job into the run folder and submits both; what is done is not trained
    again. The last line on stdout is the run folder.
    """
    from superpos.cluster import site as sites
    from superpos.cluster import submit as submission
    from superpos.config.experiments import shipped_folder

    sweep = _compose(overrides, config_dir).sweep
    files = sites.site_files(config_dir, shipped_folder())
    _check_names("--cluster", [cluster], list(files))
    changes = {"partition": partition, "account": account, "time": time, "cpus": cpus, "memory": memory}
    site = sites.read_site(files[cluster], changes | {"gpus": gpus, "max_parallel": max_parallel})
    planned = submission.plan(sweep, site, shards, out, overrides or [], config_dir)
    if planned.job.shards < shards:
        say(f"superpos: --shards {planned.job.shards}: the sweep has no more chunks")
    if print_:
        typer.echo(planned.array(range(planned.job.shards)) + "\n" + planned.finish(), nl=False)
    elif dry_run:
        from superpos.engines.cpu import available_threads
        from superpos.estimate import estimate

        typer.echo(summary.of_shards(planned, estimate(sweep, say), available_threads()))
    else:
        from superpos import runner
        from superpos.cluster import slurm

        slurm.check_limits(site, planned.job.shards - 1)
        folder = runner.prepare(sweep, out=out, command=["superpos", *sys.argv[1:]])
        jobs = submission.submit(planned, folder)
        say("superpos: nothing to submit: the run is complete" if jobs is None else summary.of_jobs(*jobs))
        typer.echo(folder.path)


@app.command("list")
def list_(json_: Json = False, config_dir: ConfigDir = None) -> None:
    """Experiments and figures.

    A line each, with the number of models and the expected time on this machine.
    """
    from superpos.config.compose import compose, experiments

    infos, one = experiments(config_dir), compose([]).sweep
    from superpos import figures
    from superpos.estimate import estimate

    rate = estimate(one, say).seconds / one.work
    found = [
        {"name": info.name, "description": info.description, "models": info.sweep.n_models}
        | {"seconds": rate * info.sweep.work}
        for info in infos
    ]
    drawn = [{"name": name, "description": entry.description} for name, entry in figures.FIGURES.items()]
    typer.echo(
        json.dumps({"experiments": found, "figures": drawn}, indent=2) if json_ else summary.of_list(found, drawn)
    )


@app.command()
def config(overrides: Overrides = None, out: Out = _OUTPUTS, config_dir: ConfigDir = None) -> None:
    """Print config and size of a sweep.

    Every key, the number of models, and the run folder.
    """
    sweep = _compose(overrides, config_dir).sweep
    typer.echo(summary.of_config(sweep, out))


@app.command()
def verify(
    experiment: Annotated[list[str] | None, typer.Argument(metavar="EXPERIMENT", help="Default: all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller runs; skips what they cannot show.")] = False,
    json_: Json = False,
    out: Out = _OUTPUTS,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Check published and exact claims.

    Trains what the claims need, prints what was measured beside what is expected; the exit code is 1 if a claim fails.
    """
    from superpos import checks
    from superpos.store import load

    claims = checks.load_claims(_claims_folder())
    known = list(dict.fromkeys(claim.experiment for claim in claims))
    _check_names("EXPERIMENT", experiment or [], known)
    chosen = [claim for claim in claims if not experiment or claim.experiment in experiment]

    def train(name: str, overrides: tuple[str, ...]) -> Run:
        # Runs that are not the experiment itself have a name of their own: `latest` of the experiment stays its own.
        changes = [*overrides, f"name={checks.RUNS}"] if overrides else []
        sweep = _compose([f"experiment={name}", *changes], None).sweep
        if not quiet:
            say(f"superpos: {name} {' '.join(overrides)}".rstrip())
        return load(_trained(sweep, out, None, False, quiet))

    results: list[checks.Result] = []
    for result in checks.check(chosen, train, quick):
        if not json_:
            first = not results or results[-1].claim.experiment != result.claim.experiment
            typer.echo(summary.of_result(result, first))
        results.append(result)
    typer.echo(json.dumps([result.to_json() for result in results], indent=2) if json_ else summary.of_results(results))
    if any(result.verdict == "fails" for result in results):
        raise typer.Exit(1)


@app.command()
def bench(
    seconds: Annotated[float, typer.Option(min=0.1, help="Time for each case.")] = 10.0,
) -> None:
    """Measure the speed of the engines.

    Beside a plain autograd loop, and as a share of the machine's measured peak.
    """
    from superpos.engines import bench as benchmark

    typer.echo(benchmark.HEADER)
    benchmark.run(lambda row: typer.echo(benchmark.line(row)), seconds=seconds)


def _compose(overrides: list[str] | None, config_dir: Path | None) -> Composed:
    from superpos.config.compose import compose

    composed = compose(overrides or [], config_dir)
    for notice in composed.notices:
        say(f"superpos: {notice}")
    return composed


def _trained(sweep: Sweep, out: Path, shard: tuple[int, int] | None, fresh: bool, quiet: bool) -> Path:
    """The run folder of a sweep, once it is trained."""
    from superpos.finished import finished

    folder = None if fresh else finished(sweep, out, shard)
    if folder is not None:
        if not quiet:
            say(f"superpos: nothing to train: {'this shard' if shard else 'the run'} is complete")
        return folder
    from superpos import runner

    command = ["superpos", *sys.argv[1:]]
    try:
        with _noting(*_SIGNALS, _SAVE) as came, reporter(quiet) as progress:
            return runner.train(
                sweep, out=out, command=command, shard=shard, fresh=fresh, progress=progress, stop=lambda: bool(came)
            )
    except TrainingInterruptedError as error:
        if came[:1] == [_SAVE]:
            _requeue(sweep, out, error.progress)
        raise


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not match or int(match[1]) >= int(match[2]):
        raise ConfigError(f"--shard: got {text!r}; allowed: K/N with K from 0 to N - 1, such as 0/4")
    return int(match[1]), int(match[2])


def _requeue(sweep: Sweep, out: Path, progress: tuple[int, int]) -> None:
    """Back into the queue of SLURM, now that everything is saved."""
    from superpos.cluster import requeue
    from superpos.store import RunFolder

    folder = RunFolder.find(out, str(sweep.base["name"]), sweep.run_id)
    if folder is not None:
        say(f"superpos: {requeue.again(folder, progress)}")


@contextmanager
def _noting(*signals: signal.Signals) -> Iterator[list[int]]:
    """The numbers of the signals that came, the first one first; they do nothing else inside."""
    came = list(_EARLY)

    def note(number: int, _frame: object) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in signals}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _load(run: Path | None) -> Run:
    from superpos.store import latest_run, load

    return load(latest_run(_OUTPUTS) if run is None else run)


def _claims_folder() -> Path:
    from superpos.config.experiments import shipped_folder

    return shipped_folder() / "claims"


def _check_names(where: str, names: list[str], known: list[str]) -> None:
    wrong = [name for name in names if name not in known]
    if wrong:
        raise ConfigError([f"{where}: there is no {name!r}; {did_you_mean(name, known)}" for name in wrong])


def _leave(_number: int, _frame: object) -> None:
    """What SIGINT and SIGTERM do while there is nothing to save: before training, and in the other commands."""
    say("superpos: interrupted")
    raise SystemExit(TrainingInterruptedError.exit_code)


def main() -> None:
    """Entry point of `superpos`."""
    signal.signal(_SAVE, lambda number, _frame: _EARLY.append(number))
    for number in _SIGNALS:
        signal.signal(number, _leave)
    try:
        app(prog_name="superpos")
    finally:  # the interpreter takes its time to end; what it did must not look like a failure
        for number in (*_SIGNALS, _SAVE):
            signal.signal(number, signal.SIG_IGN)
