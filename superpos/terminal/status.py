"""What `superpos status` says of a run: how much is done and whole, how long it took, its shards,
what it found.
"""

from __future__ import annotations

import textwrap
from datetime import datetime
from typing import TYPE_CHECKING, Any

from superpos.terminal.findings import MAX_NAMED, findings, findings_fields, some
from superpos.training.stopwatch import PHASES
from superpos.units import duration, moment

_LONGEST = 1e10  # seconds, three hundred years

if TYPE_CHECKING:
    from superpos.family import Label
    from superpos.store import Run


def facts(run: Run) -> dict[str, Any]:
    """What `status` says of a run, ready for JSON. Recomputes every checksum."""
    states = run.folder.states(verify=True)
    whole = [
        len(rows) for rows, state in zip(run.folder.rows, states, strict=True) if state == "done"
    ]
    shared = run.folder.shared_states(verify=True)
    functions = run.family.functions if run.family else None
    found = findings(run)
    notes = [note.to_json() for note in run.notes]
    return {
        "run": str(run.path),
        **({"own": str(functions), "trained_with": functions.how_to_train} if functions else {}),
        "complete": run.complete and all(state == "done" for state in [*states, *shared.values()]),
        "chunks": {state: states.count(state) for state in ("done", "missing", "corrupt")},
        "corrupt": [chunk for chunk, state in enumerate(states) if state == "corrupt"],
        **({"shared": shared} if shared else {}),
        "models": {
            "total": run.n_models,
            "finished": sum(whole),
            "diverged": len(found["diverged"]),
        },
        "digest": run.digest(),
        "seconds": _seconds(run),
        **({"notes": notes} if notes else {}),
        **found,
        **_shards(run),
    }


def _seconds(run: Run) -> dict[str, float]:
    """Seconds that all attempts spent, by phase; what one that was killed spent is not known."""
    noted = [attempt.get("seconds") for attempt in run.folder.attempts()]
    spent = [seconds for seconds in noted if isinstance(seconds, dict)]
    return {phase: sum(_time(seconds.get(phase)) for seconds in spent) for phase in PHASES}


def _time(noted: Any) -> float:
    """A number of seconds as it was noted; 0 where it is none."""
    is_number = isinstance(noted, int | float) and 0 <= noted <= _LONGEST
    return float(noted) if is_number else 0.0


def _shards(run: Run) -> dict[str, Any]:
    """Of a run that was submitted: its shards by state, the ends of the logs of those that failed,
    the pace.
    """
    from superpos.cluster import shards

    found = shards.shards(run.folder)
    pace = shards.pace(run.folder)
    if not found:
        return {}
    failed = {shard.number: shard.log for shard in found if shard.log}
    times = (
        {"models_per_second": pace.models_per_second, "seconds_left": pace.seconds_left}
        if pace
        else {}
    )
    return {"shards": shards.counts(found), "logs": failed, **times}


def fields_of(found: dict[str, Any], label: Label | None) -> list[tuple[str, str]]:
    """`facts` as fields, a name and a text each."""
    models = found["models"]
    diverged = f" (models {some(found['diverged'])})" if found["diverged"] else ""
    return [
        ("run", found["run"]),
        *(
            [("own", f"{found['own']}; to train on: {found['trained_with']}")]
            if "own" in found
            else []
        ),
        ("chunks", _counted(found["chunks"], found["corrupt"])),
        *_shared_fields(found.get("shared", {})),
        (
            "models",
            f"{models['finished']:,} of {models['total']:,} finished, {models['diverged']:,} "
            f"diverged{diverged}",
        ),
        ("digest", found["digest"]),
        *_time_fields(found["seconds"]),
        *findings_fields(found, label),
        *_shard_fields(found),
        *_note_fields(found.get("notes", [])),
    ]


def _shared_fields(states: dict[str, str]) -> list[tuple[str, str]]:
    """The files that all models share as a field."""
    counts = {state: list(states.values()).count(state) for state in ("done", "corrupt")}
    corrupt = [name for name, state in states.items() if state == "corrupt"]
    return [("shared", _counted(counts, corrupt))] if states else []


def _counted(counts: dict[str, int], corrupt: list[Any]) -> str:
    """ "2 done, 1 missing, 1 corrupt (corrupt: 3)"."""
    text = ", ".join(f"{count:,} {state}" for state, count in counts.items())
    return text + (f" (corrupt: {some(corrupt)})" if corrupt else "")


def _time_fields(seconds: dict[str, float]) -> list[tuple[str, str]]:
    """Where the time went as a field: "19 s: 84% training, 9% starting, 4% writing, 3%
    evaluating".
    """
    total = sum(seconds.values())
    longest = sorted(seconds.items(), key=lambda item: -item[1])
    shares = ", ".join(f"{value / total:.0%} {phase}" for phase, value in longest if total)
    return [("time", f"{duration(total)}: {shares}")] if total else []


def _shard_fields(found: dict[str, Any]) -> list[tuple[str, str]]:
    if "shards" not in found:
        return []
    fields = [
        ("shards", ", ".join(f"{count:,} {state}" for state, count in found["shards"].items()))
    ]
    if "seconds_left" in found:
        pace = (
            f"{60 * found['models_per_second']:,.3g} models a minute, "
            f"{duration(found['seconds_left'])} left"
        )
        fields.append(("pace", pace))
    return fields


def _note_fields(notes: list[dict[str, str]]) -> list[tuple[str, str]]:
    """The newest notes as fields."""
    return [
        ("note", f"{moment(datetime.fromisoformat(note['time']))}: {note['text']}")
        for note in notes[-MAX_NAMED:]
    ]


def failed_logs(found: dict[str, Any]) -> str:
    """The ends of the logs of failed shards, as they are."""
    logs = list(found.get("logs", {}).items())[:MAX_NAMED]
    return "\n".join(f"shard {number}:\n{textwrap.indent(log, '    ')}" for number, log in logs)
