"""Commands about what can be trained: `superpos list`, `superpos keys` and `superpos config`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from superpos.cli import common
from superpos.cli.common import OUTPUTS, ConfigDir, Json, Out, Overrides
from superpos.config.schema import KeySpec, schema_of
from superpos.config.wording import did_you_mean
from superpos.errors import ConfigError
from superpos.family import DEFAULT, find, names
from superpos.paths import given
from superpos.terminal import costs, listing, tables
from superpos.terminal.progress import say

if TYPE_CHECKING:
    from superpos.plan.sweep import Sweep


def list_(
    runs: Annotated[
        bool, typer.Option("--runs", help="Runs on disk instead: models, state, size.")
    ] = False,
    json_: Json = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", parser=given, help="With --runs: folder of all runs; default: outputs."
        ),
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Experiments and figures, or runs.

    Experiments have the number of models and the expected time on this machine. A run is complete
    when every chunk is there with its size; `superpos status` checks every byte.
    """
    if runs:
        if config_dir is not None:
            raise ConfigError("--config-dir: is about experiments; leave it out with --runs")
        _list_runs(out or OUTPUTS, json_)
        return
    if out is not None:
        raise ConfigError("--out: is about runs; give it with --runs")
    found, passed_over = _experiments(config_dir)
    drawn = _figures()
    if json_:
        typer.echo(
            json.dumps(
                {"experiments": found, "figures": drawn, "passed_over": passed_over}, indent=2
            )
        )
    else:
        tables.show(listing.experiments_table(found), listing.figures_table(drawn))
    for fault in passed_over:
        say(f"superpos: passed over: {fault}")


def _experiments(config_dir: Path | None) -> tuple[list[dict[str, Any]], list[str]]:
    """What there is to say of each experiment, and what was passed over."""
    from superpos.compose.compose import compose, survey

    infos, passed_over = survey(config_dir)
    from superpos.training.estimate import estimate

    rates: dict[str, float] = {}  # seconds per nominal operation of each kind: their engines differ
    found = []
    for info in infos:
        family = info.sweep.family
        seconds = None
        if not _needs_runs(info.sweep):
            kind = f"{family.name} {family.functions or ''}".strip()
            try:
                if kind not in rates:
                    one = compose([]).sweep if kind == DEFAULT else info.sweep
                    rates[kind] = estimate(one, say).seconds / one.plan.work
            except ConfigError as error:
                if family.functions is None:
                    raise
                passed_over += [f"experiment {info.name}: {fault}" for fault in error.faults]
                continue
            seconds = rates[kind] * info.sweep.plan.work
        found.append(
            {
                "name": info.name,
                "description": info.description,
                "models": info.sweep.n_models,
                "seconds": seconds,
            }
        )
    return found, passed_over


def _needs_runs(sweep: Sweep) -> bool:
    """Whether a sweep takes something of other runs, without which it has no plan."""
    return any(
        sweep.schema.keys[source.key].names_run(value)
        for source in sweep.family.sources
        for value in sweep.values(source.key)
    )


def _figures() -> list[dict[str, str]]:
    from superpos.figures.registry import every_figure

    return [
        {"name": name, "description": figure.description} for name, figure in every_figure().items()
    ]


def _list_runs(out: Path, json_: bool) -> None:
    from superpos.store.inventory import inventory

    passed_over: list[str] = []
    found = inventory(out, passed_over)
    if json_:
        runs = [listing.to_json(run) for run in found]
        typer.echo(json.dumps({"runs": runs, "passed_over": passed_over}, indent=2))
    elif not found:
        say(f"superpos: no runs in {out}: train one with `superpos train`")
    else:
        tables.show(listing.runs_table(found))
        say(f"superpos: {listing.total(found)} in {out}")
    faults = [run.fault for run in found if run.fault and not json_]
    for fault in [*faults, *passed_over]:
        say(f"superpos: {fault}")


def keys(
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="Only keys that begin so, such as train.")
    ] = "",
    family: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Kind of models; default: the first that has such keys."),
    ] = None,
    json_: Json = False,
) -> None:
    """Keys of experiments and overrides.

    Each with its default, what it may be, and what it means.
    """
    if family is not None:
        common.check_names("--family", [family], list(names()))
    schemas = [schema_of(find(name)) for name in ([family] if family else names())]
    schema = next((own for own in schemas if any(key.startswith(prefix) for key in own.keys)), None)
    if schema is None:
        begun = dict.fromkeys(key.partition(".")[0] for own in schemas for key in own.keys)
        raise ConfigError(
            f"PREFIX: no key begins with {prefix!r}; {did_you_mean(prefix, list(begun))}"
        )
    specs = (spec for key, spec in schema.keys.items() if key.startswith(prefix))
    found = [_key(spec, spec.key in schema.axis_keys) for spec in specs]
    if json_:
        typer.echo(json.dumps(found, indent=2))
    else:
        tables.show(listing.keys_table(found))


def _key(spec: KeySpec, swept: bool) -> dict[str, Any]:
    """What there is to say of a key; `swept`: whether it may be."""
    facts = {
        name: getattr(spec, name)
        for name in ("key", "kind", "default", "unit", "choices", "low", "high", "above", "below")
    }
    return {
        **facts,
        "null": spec.null or None,
        "allowed": spec.described,
        "meaning": spec.doc,
        "swept": swept,
    }


def config(
    overrides: Overrides = None,
    json_: Json = False,
    out: Out = OUTPUTS,
    config_dir: ConfigDir = None,
) -> None:
    """Print config and size of a sweep.

    Every key, the number of models, and the run folder.
    """
    sweep = common.compose(overrides, config_dir).sweep
    if json_:
        typer.echo(json.dumps(costs.config_facts(sweep, out), indent=2))
    else:
        typer.echo(tables.fields(costs.config_fields(sweep, out)))
