"""The table that compares the runs of a page: settings that differ, losses, what was found,
digests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from superpos.report.sweep_axes import short
from superpos.store import Run
from superpos.store.compare import settings_of
from superpos.store.rows import healthy

_MAX_VALUES: Final = 4  # of a key that are written out
_MAX_FOUND: Final = 4  # labels
_BESIDE: Final = ("engine.", "family")
"""Beginnings of keys that change no result, and that have a column."""


def side_by_side(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A row of every run, as JSON.

    "label" names the run on the page; "differs": {key: its values as text} for keys that others of
    the runs have with other values, where it says any; "best" and "median" loss of the models that
    did not diverge, None where there is none; "found": (label, how many of these models), the most
    frequent ones.
    """
    settings = [settings_of(run) for run in runs]
    differing = _differing(settings)
    return [
        _row(
            run,
            label,
            {key: _text(own[key]) for key in differing if own.get(key, [None]) != [None]},
        )
        for run, label, own in zip(runs, labels(runs), settings, strict=True)
    ]


def labels(runs: Sequence[Run]) -> list[str]:
    """What tells runs apart: their names, with their ids where names are shared, else their
    folders.
    """
    names = [run.name for run in runs]
    with_ids = [f"{run.name} {run.path.name}" for run in runs]
    for found in (names, with_ids):
        if len(set(found)) == len(runs):
            return found
    return [str(run.path) for run in runs]


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys with other values in one of the runs that have them, but for those that are not
    shown.
    """
    keys = dict.fromkeys(key for own in settings for key in own if not key.startswith(_BESIDE))
    return [key for key in keys if len({str(own[key]) for own in settings if key in own}) > 1]


def _row(run: Run, label: str, differs: Mapping[str, str]) -> dict[str, Any]:
    good = healthy(run.table)
    losses = good["loss"].to_numpy(dtype=np.float64)
    column = None if run.label is None else run.label.column
    names = good[column].dropna().tolist() if column in good else []
    return {
        "label": label,
        "family": run.require_family().name,
        "differs": dict(differs),
        "finished": len(run.table),
        "models": run.n_models,
        "best": float(losses.min()) if len(losses) else None,
        "median": float(np.median(losses)) if len(losses) else None,
        "found": Counter(map(str, names)).most_common(_MAX_FOUND),
        "digest": run.digest(),
    }


def _text(values: Sequence[Any]) -> str:
    """The values of a key in a sweep, with the ends of a long one."""
    if len(values) > _MAX_VALUES:
        return f"{short(values[0])} … {short(values[-1])} ({len(values):,} values)"
    return ", ".join(map(short, values))
