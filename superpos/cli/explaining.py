"""`superpos explain`: explanation methods graded on the models of a finished run."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from superpos.cli import common, completion
from superpos.cli.common import Json
from superpos.terminal import tables
from superpos.terminal.progress import reporter, say


def explain(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [KEY=VALUE]...",
            help="Run folder (default: the latest in outputs), and explain.* keys: docs/explain.md "
            "lists them.",
            autocompletion=completion.runs,
        ),
    ] = None,
    models: Annotated[
        str,
        typer.Option(
            metavar="all|best|ROWS", help="Which models: all, best of each setting, or 0,3,10:20."
        ),
    ] = "all",
    json_: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Grade explanations of a run's models.

    Every method against what is true of each model; nothing is trained. Grades are kept in
    RUN/explain and not made again; a table of them is printed, one line per setting, method and
    question.
    """
    from superpos.explain.keys import schema
    from superpos.explain.runs import Asked, graded
    from superpos.terminal import grades as blocks
    from superpos.training.progress import Progress

    run, overrides = common.run_and_overrides(words or [])
    asked = Asked.of(common.asked(overrides, schema(), "superpos explain"))
    loaded = common.load(run)
    with reporter(quiet) as report:

        def progress(done: int, total: int) -> None:
            report(
                Progress(
                    models_total=total,
                    models_done=done,
                    work_total=float(total),
                    work_done=float(done),
                )
            )

        found = graded(loaded, asked, models, progress)
    if found["error"].notna().any():
        say("superpos: some values were sampled; the column error is their mean standard error")
    summary = blocks.by_setting(loaded, found)
    if json_:
        typer.echo(
            json.dumps({"path": str(loaded.path), "grades": blocks.to_json(summary)}, indent=2)
        )
    else:
        tables.show(blocks.table(summary))
