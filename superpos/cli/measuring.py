"""Commands that measure superpos itself: `superpos verify` and `superpos bench`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from superpos.cli import common, completion
from superpos.cli.common import OUTPUTS, ConfigDir, Json, Out
from superpos.cli.training import trained
from superpos.errors import ConfigError
from superpos.family import DEFAULT
from superpos.terminal import verdicts as blocks
from superpos.terminal.progress import reporter, say

if TYPE_CHECKING:
    from superpos.store import Run


def verify(
    experiment: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="EXPERIMENT", help="Default: all.", autocompletion=completion.claimed
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Smaller runs; skips what they cannot show.")
    ] = False,
    json_: Json = False,
    out: Out = OUTPUTS,
    config_dir: ConfigDir = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Check published and exact claims.

    Trains what the claims need, prints what was measured beside what is expected; the exit code is
    1 if a claim fails. With --config-dir the claims of that folder are checked, by measures of its
    own, too.
    """
    from superpos.claims import verdicts
    from superpos.compose import experiments
    from superpos.store import load

    if config_dir is None:
        claims = verdicts.load_claims(*experiments.claims_folders())
    else:
        claims = verdicts.load_claims(own=experiments.own_folder(config_dir))
    if not claims:
        raise ConfigError(
            f"--config-dir: {config_dir} holds no claims; put them in {config_dir}/claims/*.yaml"
        )
    known = list(dict.fromkeys(claim.experiment for claim in claims))
    common.check_names("EXPERIMENT", experiment or [], known)
    chosen = [claim for claim in claims if not experiment or claim.experiment in experiment]

    def train(name: str, overrides: tuple[str, ...]) -> Run:
        # Runs that are not the experiment itself have a name of their own: `latest` of the
        # experiment stays its own.
        changes = [*overrides, f"name={verdicts.RUNS}"] if overrides else []
        sweep = common.compose([f"experiment={name}", *changes], config_dir).sweep
        if not quiet:
            say(f"superpos: {name} {' '.join(overrides)}".rstrip())
        return load(trained(sweep, out, None, False, reporter(quiet)))

    results: list[verdicts.Result] = []
    for result in verdicts.check(chosen, train, quick):
        if not json_:
            first = not results or results[-1].claim.experiment != result.claim.experiment
            typer.echo(blocks.claim_lines(result, first))
        results.append(result)
    typer.echo(
        json.dumps([result.to_json() for result in results], indent=2)
        if json_
        else blocks.totals_line(results)
    )
    if any(result.verdict == "fails" for result in results):
        raise typer.Exit(1)


def bench(
    case: Annotated[
        list[str] | None,
        typer.Option("--case", metavar="N/M", help="Only models of this shape; repeatable."),
    ] = None,
    repeat: Annotated[
        int, typer.Option(metavar="RUNS", help="Measure so often; medians are shown.")
    ] = 1,
    scaling: Annotated[
        bool,
        typer.Option("--scaling", help="How cost grows with models, n, m, batch and sparsity."),
    ] = False,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to train.")] = "cpu",
    family: Annotated[str, typer.Option(metavar="NAME", help="Kind of models.")] = DEFAULT,
    json_: Json = False,
) -> None:
    """Measure the speed of the engines.

    Beside the published notebook's loop, torch.compile and JAX (where installed), which train the
    same models.
    """
    from superpos.bench import main

    typer.echo(
        main(
            case or [],
            repeat,
            scaling,
            device,
            json_,
            lambda text: say(f"superpos: {text}"),
            family,
        )
    )
