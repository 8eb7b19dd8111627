"""What patches do to the output that is meant and to all others, against the density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from superpos.families.tms.analysis.collateral import PATCHES, moved
from superpos.families.tms.figures import contamination
from superpos.figures import style
from superpos.figures.points import all_equal
from superpos.store import Run
from superpos.store.rows import healthy

MAX_SIZES: Final = 4
_SIZE: Final = ["model.n_features", "model.n_hidden"]
_WORDS: Final = {
    "neuron": "one hidden unit",
    "direction": "along $W_i$",
    "input": "the input itself",
}
_ROWS: Final[Mapping[str, str]] = {
    "on_target": "R² of the output\nthat is meant",
    "others": "movement of others\nover what is meant",
}


def panels(found: pd.DataFrame) -> Figure:
    """A column of panels for each size, a line through the means over models for each patch.

    `found` has the columns size, density, patch, on_target and others, one row per model and patch.
    """
    sizes = list(dict.fromkeys(found["size"]))
    with style.context():
        figure = style.new_figure(style.FULL, 3.6)
        grid = figure.subplots(len(_ROWS), len(sizes), squeeze=False, sharex=True, sharey="row")
        for column, size in enumerate(sizes):
            here = found[found["size"] == size]
            for row, (name, words) in enumerate(_ROWS.items()):
                _lines(grid[row, column], here, name)
                grid[row, 0].set_ylabel(words)
            grid[0, column].set_title(size)
            grid[-1, column].set_xlabel("density $1-S$")
        grid[0, 0].legend(loc="lower left")
    return figure


def _lines(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    for number, patch in enumerate(PATCHES):
        groups = rows[rows["patch"] == patch].groupby("density")[name]
        mean = groups.mean()
        spread = groups.std(ddof=0)
        colour = style.CYCLE[number]
        axes.plot(mean.index, mean, marker="osv"[number], color=colour, label=_WORDS[patch])
        axes.fill_between(
            mean.index, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0
        )
    axes.set_xscale("log")
    style.plain_log_numbers(axes.xaxis)


def applies(run: Run) -> str | None:
    """Why there are no lines; None when there are."""
    table = healthy(run.table)
    reason = contamination.applies(run) or all_equal(run, {"model.hidden": "linear"})
    if reason is not None:
        return reason
    sizes = len(table[_SIZE].drop_duplicates())
    return (
        f"needs at most {MAX_SIZES} sizes of models, found {sizes}" if sizes > MAX_SIZES else None
    )


def draw(run: Run) -> Figure:
    """All healthy models."""
    table = healthy(run.table).set_index("model")
    models = set(table.index)
    found: list[dict[str, Any]] = []
    for patch in PATCHES:
        one = moved(run, models, patch)
        for model, on_target, others in zip(*one, strict=True):
            row = table.loc[model]
            size = f"n = {row[_SIZE[0]]}, m = {row[_SIZE[1]]}"
            values = {
                "on_target": on_target,
                "others": others,
                "density": float(row["data.density"]),
            }
            found.append({"size": size, "patch": patch, **values})
    return panels(pd.DataFrame(found))
