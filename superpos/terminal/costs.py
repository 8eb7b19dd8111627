"""How large a sweep is and what it costs: what `train --dry-run`, `submit` and `config` print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from superpos.config.wording import plain
from superpos.units import count, duration, number, quantity

if TYPE_CHECKING:
    from superpos.cluster.submit import Outcome, Submission
    from superpos.plan.sweep import Axis, Sweep
    from superpos.training.estimate import Estimate


def estimate_line(estimate: Estimate) -> str:
    """What `train --dry-run` prints."""
    engines = "\n        ".join(estimate.engines)
    return (
        f"models  {estimate.models:,}\n"
        f"chunks  {estimate.chunks:,}\n"
        f"work    {quantity(estimate.flops, 'FLOP')}\n"
        f"memory  {quantity(estimate.memory_bytes, 'B')}\n"
        f"engine  {engines}\n"
        f"time    about {duration(estimate.seconds)} on this machine"
    )


def outcome_lines(outcome: Outcome) -> list[str]:
    """What `submit` says once SLURM has been asked, as lines."""
    if outcome.complete:
        return ["superpos: nothing to submit: the run is complete"]
    said = [
        f"superpos: job {_number(one.job)} holds {count(len(one.numbers), 'shard')} of "
        f"{one.shards} already; "
        f"scancel {_number(one.job)} takes them back"
        for one in outcome.held
    ]
    trains = (
        f"job {_number(outcome.array)} trains"
        if outcome.array
        else "no other shard is to be trained"
    )
    finishes = (
        f"job {_number(outcome.finish)} finishes" if outcome.finish else "a job waits that finishes"
    )
    return [
        *said,
        f"superpos: {trains}, {finishes} the run; `superpos status` shows how far they are",
    ]


def _number(job: str) -> str:
    """Of a job that may be named with its cluster."""
    return job.partition(";")[0]


def shards(planned: Submission, whole: Estimate, threads: int) -> dict[str, Any]:
    """What `submit --dry-run` says: time and cost of each shard at the speed of this machine's
    `threads` cores.
    """
    cores = planned.site.cpus or 1
    core_hours = whole.seconds * threads / 3600
    found = [
        {
            "chunks": chunks,
            "models": models,
            "core_hours": share * core_hours,
            "hours": share * core_hours / cores,
        }
        for chunks, models, share in planned.shares()
    ]
    return {"shards": found, "cores": cores, "core_hours": core_hours}


def shards_line(cost: dict[str, Any]) -> str:
    """`shards` as lines."""
    lines = [
        f"shard {k:<5} {shard['chunks']:>5,} chunks  {shard['models']:>8,} models  "
        f"{'~' + _time(shard['hours']):>8}"
        f"  {number(shard['core_hours'], 3)} core-hours"
        for k, shard in enumerate(cost["shards"])
    ]
    longest = _time(max(shard["hours"] for shard in cost["shards"]))
    together = (
        f"longest ~{longest} on {cost['cores']} cores each, together "
        f"{number(cost['core_hours'], 3)} core-hours"
    )
    return "\n".join([*lines, f"{together}, at the speed of this machine's cores"])


def _time(hours: float) -> str:
    return duration(3600 * hours)


def config_facts(sweep: Sweep, out: Path) -> dict[str, Any]:
    """What `config` says, ready for JSON: the values of every key that is not swept, the axes,
    size, run folder.
    """
    axes = [{"keys": axis.keys, "values": axis.values} for axis in sweep.axes]
    swept = {key for axis in sweep.axes for key in axis.keys}
    values = {key: value for key, value in sweep.base.items() if key not in swept}
    size = {"models": sweep.n_models, "chunks": len(sweep.plan.rows)}
    return {
        "config": values,
        "axes": axes,
        **size,
        "run": str(out / str(sweep.base["name"]) / sweep.run_id),
    }


def config_fields(sweep: Sweep, out: Path) -> list[tuple[str, str]]:
    """What `config` prints, as fields: every key, the size of the sweep, the run folder."""
    swept = {key: _values(axis, key) for axis in sweep.axes for key in axis.keys}
    keys = [(key, swept.get(key) or plain(value)) for key, value in sweep.base.items()]
    shape = f" ({' x '.join(map(str, sweep.shape))})" if len(sweep.shape) > 1 else ""
    size = f"{sweep.n_models:,}{shape} in {count(len(sweep.plan.rows), 'chunk')}"
    folder = str(out / str(sweep.base["name"]) / sweep.run_id)
    return [*keys, ("", ""), ("models", size), ("run folder", folder)]


def _values(axis: Axis, key: str) -> str:
    """The values of a swept key, shortened."""
    column = [plain(point[axis.keys.index(key)]) for point in axis.values]
    shown = column if len(column) <= 10 else [*column[:3], "...", column[-1]]
    others = [other for other in axis.keys if other != key]
    return (
        f"swept: {', '.join(shown)} ({len(column)} "
        f"values{', with ' + ', '.join(others) if others else ''})"
    )
