"""`superpos submit`."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from superpos.cli import common, completion
from superpos.cli.common import OUTPUTS, ConfigDir, DryRunJson, Out, Overrides
from superpos.errors import ConfigError
from superpos.family import ships
from superpos.terminal import costs
from superpos.terminal.progress import say


def submit(
    overrides: Overrides = None,
    shards: Annotated[
        int,
        typer.Option(metavar="N", help="Parts that run side by side, each a task of one array."),
    ] = 16,
    cluster: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Site options: configs/cluster/NAME.yaml.",
            autocompletion=completion.clusters,
        ),
    ] = "default",
    partition: Annotated[str | None, typer.Option(help="SLURM's partition.")] = None,
    account: Annotated[str | None, typer.Option(help="Account to charge.")] = None,
    time: Annotated[
        str | None, typer.Option(help="Limit of a shard: [days-]hours:minutes:seconds.")
    ] = None,
    cpus: Annotated[int | None, typer.Option(help="Cores of a shard.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory of a shard, such as 4G.")] = None,
    gpus: Annotated[
        str | None, typer.Option(help="GPUs of a shard: a number, or type:number.")
    ] = None,
    max_parallel: Annotated[
        int | None, typer.Option(help="Shards that run at the same time.")
    ] = None,
    qos: Annotated[str | None, typer.Option(help="Quality of service.")] = None,
    constraint: Annotated[str | None, typer.Option(help="Features that nodes must have.")] = None,
    mem_per_cpu: Annotated[
        str | None, typer.Option(help="Memory of a core, in place of --memory.")
    ] = None,
    mail_user: Annotated[
        str | None, typer.Option(help="Who gets mail when the run ends or fails.")
    ] = None,
    mail_type: Annotated[
        str | None, typer.Option(help="Of what mail tells, such as BEGIN,END,FAIL.")
    ] = None,
    print_: Annotated[
        bool, typer.Option("--print", help="Print the batch scripts; write and submit nothing.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print time and cost of each shard; submit nothing.")
    ] = False,
    out: Out = OUTPUTS,
    config_dir: ConfigDir = None,
    json_: DryRunJson = False,
) -> None:
    """Train a sweep on a SLURM cluster.

    Writes an array of shards and a finishing job into the run folder and submits both; what is done
    is not trained again. The last line on stdout is the run folder.
    """
    from superpos.cluster import site as sites
    from superpos.cluster import submit as submission
    from superpos.compose.experiments import shipped_folder
    from superpos.training.memory import process_bytes

    common.check_json(json_, dry_run)
    sweep = common.compose(overrides, config_dir).sweep
    _require_shipped(sweep.family.name)
    sites.check_suffix(cluster, config_dir)
    files = sites.site_files(config_dir, shipped_folder())
    common.check_names("--cluster", [cluster], list(files))
    changes = {
        **{
            "partition": partition,
            "account": account,
            "qos": qos,
            "constraint": constraint,
            "time": time,
        },
        **{"cpus": cpus, "memory": memory, "mem_per_cpu": mem_per_cpu, "gpus": gpus},
        **{"max_parallel": max_parallel, "mail_user": mail_user, "mail_type": mail_type},
    }
    site = sites.read_site(files[cluster], changes)
    planned = submission.plan(sweep, site, shards, out, overrides or [], config_dir)
    submission.require_asked(site, process_bytes(sweep.plan.chunks))
    for line in submission.unused(sweep, site):
        say(f"superpos: {line}")
    if planned.job.shards < shards:
        say(f"superpos: --shards {planned.job.shards}: the sweep has no more chunks")
    if print_:
        typer.echo(planned.array(range(planned.job.shards)) + "\n" + planned.finish(), nl=False)
    elif dry_run:
        from superpos.engines.machine import available_threads
        from superpos.training.estimate import estimate

        cost = costs.shards(planned, estimate(sweep, say), available_threads())
        typer.echo(json.dumps(cost, indent=2) if json_ else costs.shards_line(cost))
    else:
        from superpos.cluster import slurm
        from superpos.training import runner

        slurm.check_limits(site, planned.job.shards - 1)
        with submission.gone_if_refused(planned.job.run):
            folder = runner.prepare(sweep, out=out, command=["superpos", *sys.argv[1:]])
            outcome = submission.submit(planned, folder, tell=lambda line: say(f"superpos: {line}"))
        for line in costs.outcome_lines(outcome):
            say(line)
        common.print_path(folder.path)


def _require_shipped(family: str) -> None:
    """Raises `ConfigError` for a family that a job would not know."""
    if not ships(family):
        raise ConfigError(
            f"family: {family} is registered in this process alone, and a job would not know it; "
            "write a batch script "
            "that runs your own launcher (docs/slurm.md)"
        )
