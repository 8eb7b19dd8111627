"""What patching finds: of gates precision and recall, of prompts the share of every head.

Shapes: Q ways to look, K kinds of gates, P heads.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from superpos.explain import induction
from superpos.explain.patched import Asked
from superpos.families.circuit.analysis.answers import METHODS, Group, answer, grades, groups
from superpos.families.circuit.keys import GATES
from superpos.figures import style
from superpos.figures.points import NOTHING
from superpos.maths.types import Floats
from superpos.store import Run

_ROW: Final = 0.19  # inches
MAX_KINDS: Final = 12
_PROMPTS: Final = 40
_QUESTIONS: Final = (
    *({"corrupt": how} for how in induction.CORRUPTIONS),
    {"ablation": "zero"},
    {"ablation": "mean"},
    {"ablation": "resample"},
    *({"metric": metric} for metric in ("prob", "kl", "top1")),
    *({"metric": metric, "direction": "denoising"} for metric in ("prob", "kl", "top1")),
)
"""What is asked of prompts; else the query is corrupt, and the logit difference is measured."""


class Grid(NamedTuple):
    """Numbers in cells with words for rows and columns."""

    title: str
    rows: list[str]
    columns: list[str]
    cells: Floats  # [rows, columns]
    signed: bool


def applies(run: Run) -> str | None:
    """Why there is no grid; None when there is."""
    found = groups(run)
    if not found:
        return NOTHING
    kinds = {group.kind for group in found}
    if len(kinds) > MAX_KINDS:
        return f"needs at most {MAX_KINDS} kinds, found {len(kinds)}"
    return None


def gather(run: Run) -> list[Grid]:
    """The grids of a run: two of its gates, one of each of its induction circuits."""
    found = []
    first: dict[str, Group] = {}
    for group in groups(run):
        first.setdefault(group.kind, group)
    if set(first) & set(GATES):
        found += _gate_grids(run)
    found += [_prompt_grid(run, group) for kind, group in first.items() if kind not in GATES]
    return found


def _gate_grids(run: Run) -> list[Grid]:
    present = {group.kind for group in groups(run)}
    kinds: list[str] = [kind for kind in GATES if kind in present]
    recall, precision = (np.full((len(METHODS), len(kinds)), np.nan) for _ in range(2))
    for row, method in enumerate(METHODS):
        by_kind: dict[str, list[tuple[Floats, Floats]]] = {}
        for group, grade in grades(run, method):
            both = (grade.recall.numpy(), grade.precision.numpy())
            by_kind.setdefault(group.kind, []).append(both)
        for kind, pairs in by_kind.items():
            if kind in kinds:
                column = kinds.index(kind)
                recall[row, column] = _mean([one for one, _ in pairs])
                precision[row, column] = _mean([one for _, one in pairs])
    names = list(METHODS)
    words = [kind.replace("_", "\n") for kind in kinds]
    return [
        Grid("recall", names, words, recall, False),
        Grid("precision", names, words, precision, False),
    ]


def _mean(parts: list[Floats]) -> float:
    """The mean of all numbers that there are; NaN where there are none."""
    values = np.concatenate(parts)
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _prompt_grid(run: Run, group: Group) -> Grid:
    """Shares of the first model of a kind."""
    models = group.models[:1]
    asked = [Asked.each({"prompts": _PROMPTS, **question})[0] for question in _QUESTIONS]
    answers = [answer(run, models, one) for one in asked]
    roles = induction.roles(group.kind, len(answers[0].names) // 2 - _used(group.kind))
    heads = [f"{head}\n{roles[head]}" for head in answers[0].names]
    cells = np.stack([one.shares[:, 0].numpy() for one in answers])
    rows = [", ".join(question.values()) for question in _QUESTIONS]
    return Grid(group.kind, rows, heads, cells, True)


def _used(kind: str) -> int:
    """Heads of a layer without unread ones."""
    return len(induction.roles(kind, 0)) // 2


def draw(run: Run) -> Figure:
    """All grids side by side, or under each other where they have heads."""
    return diagram(gather(run))


def diagram(grids: list[Grid]) -> Figure:
    """One panel for each grid."""
    signed = any(grid.signed for grid in grids)
    rows = sum(len(grid.rows) + 4 for grid in grids) if signed else len(grids[0].rows) + 4
    with style.context():
        figure = style.new_figure(style.FULL, _ROW * rows)
        shape = (len(grids), 1) if signed else (1, len(grids))
        panels = figure.subplots(*shape, squeeze=False).ravel()
        for axes, grid in zip(panels, grids, strict=True):
            _panel(axes, grid)
    return figure


def _panel(axes: Axes, grid: Grid) -> None:
    low, colours = (-1.5, style.SIGNED) if grid.signed else (0.0, style.IMPORTANCE)
    high = 1.5 if grid.signed else 1.0
    axes.imshow(grid.cells, vmin=low, vmax=high, cmap=colours, aspect="auto")
    for (row, column), value in np.ndenumerate(grid.cells):
        if np.isnan(value):
            continue
        dark = abs(value) > 0.9 if grid.signed else value > 0.4
        ink = "white" if dark else style.INK
        text = f"{round(value, 2) + 0.0:.2f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=6, color=ink)
    axes.set_xticks(range(len(grid.columns)), grid.columns, fontsize=6)
    axes.set_yticks(range(len(grid.rows)), grid.rows, fontsize=6)
    axes.set_title(grid.title)
    axes.tick_params(length=0)
