"""Texts that the command line prints on stdout."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superpos.config.wording import show
from superpos.units import duration, quantity

if TYPE_CHECKING:
    from superpos.checks import Result
    from superpos.cluster.submit import Submission
    from superpos.estimate import Estimate
    from superpos.store import Run
    from superpos.sweep import Axis, Sweep

MAX_SETTINGS = 60  # more would fill the screen
VERDICTS = ("holds", "fails", "skipped")


def of_estimate(estimate: Estimate) -> str:
    """What `train --dry-run` prints."""
    return (
        f"models  {estimate.models:,}\n"
        f"chunks  {estimate.chunks:,}\n"
        f"work    {quantity(estimate.flops, 'FLOP')}\n"
        f"memory  {quantity(estimate.memory_bytes, 'B')}\n"
        f"time    about {duration(estimate.seconds)} on this machine"
    )


def facts(run: Run) -> dict[str, Any]:
    """What `status` says of a run, ready for JSON. Recomputes every checksum."""
    states = run.folder.states(verify=True)
    whole = [len(rows) for rows, state in zip(run.folder.rows, states, strict=True) if state == "done"]
    diverged = int((run.table["status"] == "diverged").sum()) if "status" in run.table else 0
    return {
        "run": str(run.path),
        "complete": all(state == "done" for state in states),
        "chunks": {state: states.count(state) for state in ("done", "missing", "corrupt")},
        "corrupt": [chunk for chunk, state in enumerate(states) if state == "corrupt"],
        "models": {"total": run.n_models, "finished": sum(whole), "diverged": diverged},
        "digest": run.digest(),
        **_shards(run),
    }


def _shards(run: Run) -> dict[str, Any]:
    """Of a run that was submitted: its shards by state, the ends of the logs of those that failed, the pace."""
    from superpos.cluster import shards

    found, pace = shards.shards(run.folder), shards.pace(run.folder)
    if not found:
        return {}
    failed = {shard.number: shard.log for shard in found if shard.log}
    times = {"models_per_second": pace.models_per_second, "seconds_left": pace.seconds_left} if pace else {}
    return {"shards": shards.counts(found), "logs": failed, **times}


def of_facts(found: dict[str, Any]) -> str:
    """`facts` as lines."""
    models, corrupt = found["models"], found["corrupt"]
    chunks = ", ".join(f"{count:,} {state}" for state, count in found["chunks"].items())
    which = f" (corrupt: {', '.join(map(str, corrupt[:10]))}{', ...' if len(corrupt) > 10 else ''})" if corrupt else ""
    return (
        f"run     {found['run']}\n"
        f"chunks  {chunks}{which}\n"
        f"models  {models['finished']:,} of {models['total']:,} finished, {models['diverged']:,} diverged\n"
        f"digest  {found['digest']}{_of_shards(found)}"
    )


def _of_shards(found: dict[str, Any]) -> str:
    if "shards" not in found:
        return ""
    lines = ["shards  " + ", ".join(f"{count:,} {state}" for state, count in found["shards"].items())]
    if "seconds_left" in found:
        lines.append(
            f"pace    {60 * found['models_per_second']:,.3g} models a minute, {duration(found['seconds_left'])} left"
        )
    for number, log in list(found["logs"].items())[:10]:
        lines += [f"shard {number}:", *(f"    {line}" for line in log.splitlines())]
    return "\n" + "\n".join(lines)


def of_settings(run: Run) -> str:
    """Best and spread over the seeds of each setting, how often each geometry was found; empty where it is no help."""
    table = run.by_setting()
    if len(table) == run.n_models or not 0 < len(table) <= MAX_SETTINGS:
        return ""
    numbers = table.drop(columns=["geometries"], errors="ignore")
    lines = numbers.to_string(index=False, float_format="{:.4g}".format).splitlines()
    named = ["geometries", *table["geometries"].fillna("")] if "geometries" in table else [""] * (len(table) + 1)
    return "\n".join(f"{line}  {geometries}".rstrip() for line, geometries in zip(lines, named, strict=True))


def of_list(experiments: list[dict[str, Any]], figures: list[dict[str, str]]) -> str:
    """What `list` prints: a line an experiment, a line a figure."""
    width = max(len(item["name"]) for item in [*experiments, *figures])
    lines = [
        f"  {item['name']:<{width}}  {item['models']:>7,} models  {'~' + duration(item['seconds']):<8}"
        f"  {item['description']}"
        for item in experiments
    ]
    drawn = [f"  {item['name']:<{width}}  {item['description']}" for item in figures]
    return "\n".join(["experiments", *lines, "figures", *drawn])


def of_result(result: Result, first: bool) -> str:
    """A claim of `verify` in lines, below a header where it is the first of its experiment."""
    claim, lines = result.claim, []
    if first:
        lines.append(f"{claim.row}. {claim.experiment}")
    expected = "" if result.expected is None else f"expected {_number(result.expected)}"
    published = "" if claim.published is None else f"published {_number(claim.published)}"
    measured = "" if result.verdict == "skipped" else f"measured {_number(result.measured)}{_spread(result)}"
    numbers = ", ".join(part for part in (measured, expected, published, _band(result)) if part)
    lines.append(f"  {result.verdict:<7} {claim.text} [{claim.source}]")
    lines.append(f"{'':10}{numbers}")
    if result.verdict == "fails":
        lines.append(f"{'':10}{result.why}: {claim.reason}")
    return "\n".join(lines)


def of_results(results: list[Result]) -> str:
    """The last line of `verify`."""
    counts = [f"{sum(result.verdict == verdict for result in results)} {verdict}" for verdict in VERDICTS]
    return f"{len(results)} claims: {', '.join(counts)}"


def _number(value: float) -> str:
    return f"{value:.4g}"


def _spread(result: Result) -> str:
    if result.spread is None or result.trials < 2:
        return ""
    low, high = map(_number, result.spread)
    return f" ({low} to {high}, {result.trials:,} trials)"


def _band(result: Result) -> str:
    ends = [f"{word} {_number(end)}" for word, end in (("from", result.low), ("to", result.high)) if isfinite(end)]
    return f"allowed {' '.join(ends)}" if ends else ""


def of_jobs(array: str, finish: str) -> str:
    """What `submit` says once SLURM has the jobs."""
    return f"superpos: job {array} trains, job {finish} finishes the run; `superpos status` shows how far they are"


def of_shards(planned: Submission, whole: Estimate, threads: int) -> str:
    """What `submit --dry-run` prints: time and cost of each shard at the speed of this machine's `threads` cores."""
    shares, cores = planned.shares(), planned.site.cpus or 1
    core_hours = whole.seconds * threads / 3600
    lines = [
        f"shard {k:<5} {chunks:>5,} chunks  {models:>8,} models  {'~' + _time(share * core_hours / cores):>8}"
        f"  {share * core_hours:.3g} core-hours"
        for k, (chunks, models, share) in enumerate(shares)
    ]
    longest = _time(max(share for _, _, share in shares) * core_hours / cores)
    together = f"longest ~{longest} on {cores} cores each, together {core_hours:.3g} core-hours"
    return "\n".join([*lines, f"{together}, at the speed of this machine's cores"])


def _time(hours: float) -> str:
    return duration(3600 * hours)


def of_config(sweep: Sweep, out: Path) -> str:
    """What `config` prints: every key, the size of the sweep, the run folder."""
    swept = {key: _values(axis, key) for axis in sweep.axes for key in axis.keys}
    width = max(map(len, sweep.base))
    keys = [f"{key:<{width}}  {swept.get(key) or _plain(value)}" for key, value in sweep.base.items()]
    shape = f" ({' x '.join(map(str, sweep.shape))})" if len(sweep.shape) > 1 else ""
    chunks = len(sweep.chunks())
    size = f"{'models':<{width}}  {sweep.n_models:,}{shape} in {chunks:,} chunk{'s' if chunks > 1 else ''}"
    folder = f"{'run folder':<{width}}  {out / sweep.base['name'] / sweep.run_id}"
    return "\n".join([*keys, "", size, folder])


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else show(value)


def _values(axis: Axis, key: str) -> str:
    """The values of a swept key, shortened."""
    column = [_plain(point[axis.keys.index(key)]) for point in axis.values]
    shown = column if len(column) <= 10 else [*column[:3], "...", column[-1]]
    others = [other for other in axis.keys if other != key]
    return f"swept: {', '.join(shown)} ({len(column)} values{', with ' + ', '.join(others) if others else ''})"
