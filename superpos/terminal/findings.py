"""What the models of a run found: the lowest loss, how often each label, diverged models, one row
per setting.

Ready for JSON, and as the fields and tables that `superpos status` and `superpos train` print.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from superpos.config.wording import plain
from superpos.store.by_setting import by_setting
from superpos.store.rows import best, healthy
from superpos.terminal.tables import Column, Table
from superpos.units import count, duration, number

if TYPE_CHECKING:
    from pathlib import Path

    from superpos.family import Label
    from superpos.store import Run
    from superpos.terminal.progress import Reporter

NEXT = ("plot", "report")  # commands for a run that is complete
MAX_NAMED = 10  # models, chunks, labels named in a line
# what a narrow terminal may do without
_SPARE = ("models", "diverged", "best", "loss_median", "loss_worst")


def findings(run: Run) -> dict[str, Any]:
    """What the finished models found, ready for JSON.

    "best": number, loss and setting (the swept keys) of the model of lowest loss, or None;
    "settings": how many have a result, "best_losses": the lowest and the highest loss of the best
    model of a setting, or None;
    "scores": {column: the lowest and the highest mean of a setting}, where the family has scores;
    "diverged": numbers of the models that diverged; and, where the family counts by a label, under
    its plural, such as "geometries": {name: how many models}, the most frequent first.
    """
    table = run.table
    good = healthy(table)
    diverged = [] if table.empty else table.loc[table["status"] == "diverged", "model"].tolist()
    return {
        "best": None if good.empty else _best(good, run.swept),
        **_best_losses(good, run.swept),
        **({"scores": _ranges(good, run.swept, run.scores)} if run.scores else {}),
        **({run.label.plural: _counts(good, run.label.column)} if run.label else {}),
        "diverged": diverged,
    }


def _best_losses(good: pd.DataFrame, swept: list[str]) -> dict[str, Any]:
    if good.empty:
        return {"settings": 0, "best_losses": None}
    losses = best(good, [key for key in swept if key != "seed"])["loss"].astype(float)
    return {"settings": len(losses), "best_losses": [losses.min(), losses.max()]}


def _ranges(good: pd.DataFrame, swept: list[str], scores: Sequence[str]) -> dict[str, Any]:
    """For each score that is known anywhere the lowest and the highest mean of a setting."""
    means = by_setting(good, swept, None, scores)
    known = [name for name in scores if means[name].notna().any()]
    return {name: [float(means[name].min()), float(means[name].max())] for name in known}


def _counts(good: pd.DataFrame, column: str) -> dict[str, int]:
    named: list[str] = good[column].dropna().tolist() if column in good else []
    return dict(Counter(named).most_common())


def _best(good: pd.DataFrame, keys: list[str]) -> dict[str, Any]:
    row = best(good, ()).iloc[0]
    setting = {key: _value(row[key]) for key in keys}
    return {"model": int(row["model"]), "loss": float(row["loss"]), "setting": setting}


def _value(value: Any) -> Any:
    """A cell of a table as JSON has it."""
    if isinstance(value, np.ndarray | list | tuple):
        return [_value(item) for item in value]
    if value is pd.NA or (isinstance(value, float) and isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


def findings_fields(found: dict[str, Any], label: Label | None) -> list[tuple[str, str]]:
    """Losses and labels as fields.

    Losses of several settings are not ranked: other data and other penalties make another loss.
    """
    fields = []
    if found["settings"] > 1:
        lowest, highest = map(number, found["best_losses"])
        of = f"the best of each of {found['settings']:,} settings"
        fields.append(("loss", f"{lowest} to {highest}: {of}"))
    elif best := found["best"]:
        words = [f"{number(best['loss'])} at best: model {best['model']:,}"]
        words += [f"{key}={plain(value)}" for key, value in best["setting"].items()]
        fields.append(("loss", ", ".join(words)))
    if ranges := found.get("scores"):
        fields.append(("scores", ", ".join(map(_range, ranges, ranges.values()))))
    counts = found[label.plural] if label else {}
    if counts:
        fields.append(("found", some([f"{name} ({models:,})" for name, models in counts.items()])))
    return fields


def _range(name: str, ends: Sequence[float]) -> str:
    """ "mmcs 0.97 to 0.99", or "chance 0.32"."""
    return f"{name} {' to '.join(dict.fromkeys(map(number, ends)))}"


def training_fields(
    run: Run, path: Path, progress: Reporter, seconds: float
) -> list[tuple[str, str]]:
    """What `train` says at its end, as fields: what it did, what the run at `path` found so far,
    what to run next.
    """
    found = findings(run)
    left = run.n_models - len(run.table)
    before = f"; {progress.models_before:,} were done before" if progress.models_before else ""
    trained = f"{count(progress.models_now, 'model')} in {duration(seconds)}{before}"
    fields = [("trained", trained), *findings_fields(found, run.label)]
    if found["diverged"]:
        which = f"{count(len(found['diverged']), 'model')} ({some(found['diverged'])})"
        fields.append(
            ("diverged", f"{which}: their last finite weights are kept; run.table has the step")
        )
    if left:
        fields.append(("missing", f"{left:,} of {run.n_models:,} models"))
    commands = [
        f"superpos {command} {shlex.quote(as_argument(path))}"
        for command in (("status",) if left else NEXT)
    ]
    return [*fields, ("next", commands[0]), *(("", command) for command in commands[1:])]


def as_argument(path: Path) -> str:
    """A path that no command takes for an option."""
    text = str(path)
    return f"./{text}" if text.startswith("-") else text


def some(names: Sequence[Any]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - MAX_NAMED
    return ", ".join(map(str, names[:MAX_NAMED])) + (f", {more:,} more" if more > 0 else "")


def settings(run: Run) -> list[dict[str, Any]]:
    """One row per setting, ready for JSON; empty where it would say no more than the fields of
    `findings`: no two models share a setting, and there are no scores to tell them apart.
    """
    table = run.by_setting()
    if len(table) == run.n_models and (len(table) == 1 or not run.scores):
        return []
    return [
        {str(key): _value(value) for key, value in row.items()} for row in table.to_dict("records")
    ]


def settings_table(rows: list[dict[str, Any]], label: Label | None) -> Table:
    """`settings` as a table: best and spread over the seeds of each setting, how often each label
    was found.
    """
    counts = label.plural if label and label.plural in rows[0] else None
    named = [key for key in rows[0] if key != counts]
    leaves = [key.rpartition(".")[2] for key in named]
    columns = [
        Column(key, right=True, spare=key in _SPARE, short=leaf if leaves.count(leaf) == 1 else "")
        for key, leaf in zip(named, leaves, strict=True)
    ]
    if counts is None:
        return Table(columns, [[_cell(row[key]) for key in named] for row in rows])
    cells = [[*(_cell(row[key]) for key in named), _cell(row[counts])] for row in rows]
    return Table([*columns, Column(counts)], cells, note=True)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if isnan(value) else number(value)
    return "" if value is None else plain(value)
