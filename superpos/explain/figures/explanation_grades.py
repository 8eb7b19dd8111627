"""Grades of explanation methods over the density of the data, one panel a question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from superpos.explain.keys import METHODS
from superpos.explain.runs import kept
from superpos.figures import style
from superpos.figures.points import Run
from superpos.store.rows import healthy

LOWEST: Final = -0.2
"""Grades below are not shown: R² has no end there."""
_KEY: Final = "data.density"
_DASHES: Final[Mapping[str, Any]] = {"random": (0, (1, 1.5))}
_TITLES: Final[Mapping[str, str]] = {
    "drop": "drop: strongest cause named",
    "resample": "resample: strongest cause named",
    "sets": "sets: R² over all 2ⁿ sets",
    "global": "global: rank correlation",
    "structure": "structure: rank correlation",
}


def panels(grades: pd.DataFrame) -> Figure:
    """A line a method through the means over models, and one standard deviation about it.

    `grades` has the columns density, question, label and grade, one row per model, question and
    label.
    """
    questions = [question for question in _TITLES if question in set(grades["question"])]
    labels = list(dict.fromkeys(grades["label"]))
    with style.context():
        figure = style.new_figure(style.FULL if len(questions) > 1 else style.HALF * 1.4, 2.7)
        figure.set_layout_engine("constrained")
        axes_of = figure.subplots(1, len(questions), sharey=True, squeeze=False)[0]
        for axes, question in zip(axes_of, questions, strict=True):
            here = grades[grades["question"] == question]
            for number, label in enumerate(labels):
                _line(
                    axes,
                    here[here["label"] == label],
                    label,
                    style.CYCLE[number % len(style.CYCLE)],
                    number,
                )
            axes.set_xscale("log")
            axes.invert_xaxis()
            style.plain_log_numbers(axes.xaxis)
            axes.set_xlabel("density $1-S$")
            axes.set_title(_TITLES[question])
        axes_of[0].set_ylabel("grade")
        axes_of[0].set_ylim(max(LOWEST, min(0.0, float(grades["grade"].min()))), 1.03)
        handles, names = axes_of[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4)
    return figure


def _line(axes: Axes, rows: pd.DataFrame, label: str, colour: str, number: int) -> None:
    """The mean and the spread of one method."""
    groups = rows.groupby("density")["grade"]
    mean = groups.mean()
    spread = groups.std(ddof=0)
    density = mean.index.to_numpy(dtype=np.float64)
    method = label.partition(" ")[0]
    dashes = _DASHES.get(method, "-" if number < len(style.CYCLE) else (0, (4, 1.5)))
    axes.plot(
        density, mean, marker="o", color=colour, linestyle=dashes, label=label.replace("_", " ")
    )
    axes.fill_between(density, mean - spread, mean + spread, color=colour, alpha=0.12, linewidth=0)


def applies(run: Run) -> str | None:
    """Why grades cannot be drawn for this run; None when they can."""
    table = healthy(run.table)
    if _KEY not in table.columns or table[_KEY].map(np.ndim).any() or table[_KEY].nunique() < 2:
        return "needs a sweep of the density of equal features"
    if _grades(run).empty:
        return "needs grades of explanations: superpos explain RUN explain.question=drop,sets"
    return None


def draw(run: Run) -> Figure:
    """All grades that are kept of a run."""
    return panels(_grades(run))


def _grades(run: Run) -> pd.DataFrame:
    """What is kept, of two explanations of the same that with more inputs."""
    tables = []
    for options, table in sorted(kept(run), key=lambda one: int(one[0]["explain.inputs"])):
        details = [options[f"explain.{key}"] for key in ("background", "value")]
        unusual = [word for word in details if word not in ("zero", "interventional")]
        note = f" ({', '.join(unusual)})" if unusual else ""
        label = table["method"].map(
            lambda name, note=note: name + note * (name in _WITH_BACKGROUND)
        )
        tables.append(table.assign(label=label))
    if not tables:
        return pd.DataFrame()
    whole = pd.concat(tables, ignore_index=True)
    whole = whole.drop_duplicates(["model", "question", "label"], keep="last")
    whole = whole[~(whole["method"].eq("random") & whole["question"].eq("sets"))]
    order = {method: number for number, method in enumerate(METHODS)}
    whole = whole.sort_values("method", key=lambda names: names.map(order), kind="stable")
    return whole.assign(density=run.table.loc[whole["model"], _KEY].to_numpy(dtype=np.float64))


_WITH_BACKGROUND: Final = ("integrated_gradients", "occlusion", "shapley", "banzhaf")
