"""Maps over penalty and size: what is found, what dies, how sparse codes are, what they miss.

Shapes: P penalties (ascending), L numbers of latents (ascending).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from superpos.families.sae.analysis.points import penalty_key, settings, values, varied
from superpos.figures import style
from superpos.figures.points import Point, Run, short
from superpos.maths.types import Floats

MIN_PENALTIES: Final = 3
MIN_SIZES: Final = 2
SIZE: Final = "sae.latents"
WORDS: Final[Mapping[str, str]] = {
    "mmcs": "MMCS",
    "dead": "dead latents",
    "l0": "L0",
    "fvu": "variance unexplained",
}
_LOGARITHMIC: Final = "l0"


class Map(NamedTuple):
    """Columns over a grid, means over the models of each cell."""

    penalties: Floats  # [P]
    sizes: Floats  # [L]
    columns: Mapping[str, Floats]  # [L, P]; NaN where no model is
    chance: Floats  # [L]


def gather(run: Run) -> Map:
    """The settings of a run as a grid."""
    chosen = settings(run)
    key = _penalty(chosen)
    penalties = np.unique([point.number(key) for point in chosen])
    sizes = np.unique([_size(run, point) for point in chosen])
    columns = {name: np.full((len(sizes), len(penalties)), np.nan) for name in WORDS}
    chance = np.full(len(sizes), np.nan)
    for point in chosen:
        row = int(np.searchsorted(sizes, _size(run, point)))
        column = int(np.searchsorted(penalties, point.number(key)))
        chance[row] = values(run, point, "chance").mean()
        for name, cells in columns.items():
            cells[row, column] = values(run, point, name).mean()
    return Map(penalties, sizes, columns, chance)


def _penalty(chosen: list[Point]) -> str:
    key = penalty_key(chosen)
    assert key is not None, "applies() has seen one kind of penalty"
    return key


def _size(run: Run, point: Point) -> float:
    return float(values(run, point, SIZE)[0])


def diagram(found: Map, label: str) -> Figure:
    """A panel for each column; the dot is the best penalty of a size, the number its MMCS."""
    with style.context():
        figure = style.new_figure(style.FULL, 1.2 + 0.27 * 2 * len(found.sizes))
        panels = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
        for panel, (name, cells) in zip(panels, found.columns.items(), strict=True):
            _panel(figure, panel, name, cells)
            _ticks(panel, found)
        _ridge(panels[0], found)
        figure.supxlabel(label, fontsize=8)
        figure.supylabel("latents (chance)", fontsize=8)
    return figure


def _panel(figure: Figure, axes: Axes, name: str, cells: Floats) -> None:
    shown = np.log10(np.maximum(cells, 1e-3)) if name == _LOGARITHMIC else cells
    top = None if name == _LOGARITHMIC else 1.0
    colours = "viridis" if name == "mmcs" else "magma_r"
    image = axes.imshow(shown, cmap=colours, aspect="auto", origin="lower", vmax=top)
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=12)
    bar.outline.set_visible(False)
    if name == _LOGARITHMIC:
        ticks = np.arange(np.ceil(np.nanmin(shown)), np.floor(np.nanmax(shown)) + 1)
        bar.set_ticks(list(ticks), labels=[short(10.0**tick) for tick in ticks])
    axes.set_title(WORDS[name])


def _ticks(axes: Axes, found: Map) -> None:
    step = -(-len(found.penalties) // 7)
    places = range(0, len(found.penalties), step)
    axes.set_xticks(list(places), [short(found.penalties[i]) for i in places])
    sizes = zip(found.sizes, found.chance, strict=True)
    labels = [f"{size:g} ({chance:.2f})" for size, chance in sizes]
    axes.set_yticks(range(len(found.sizes)), labels)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _ridge(axes: Axes, found: Map) -> None:
    """The best penalty of each size, and the MMCS there."""
    mmcs = found.columns["mmcs"]
    known = np.where(np.isnan(mmcs), -np.inf, mmcs)
    best = known.argmax(axis=1)
    for row, column in enumerate(best):
        value = f"{mmcs[row, column]:.2f}"
        axes.text(column, row, value, ha="center", va="center", fontsize=6, color=style.INK)


def applies(run: Run) -> str | None:
    """Why a run has no such map; None when it has."""
    chosen = settings(run)
    key = penalty_key(chosen)
    others = set(varied(chosen)) - {key, SIZE, "sae.expansion"}
    sizes = {_size(run, point) for point in chosen}
    penalties = {point.number(key) for point in chosen} if key else set()
    if key is None or others or len(sizes) < MIN_SIZES or len(penalties) < MIN_PENALTIES:
        return (
            f"needs {MIN_PENALTIES} or more penalties of one kind, {MIN_SIZES} or more numbers of "
            "latents, and nothing else but seeds and worlds of one size to vary"
        )
    return None


def draw(run: Run) -> Figure:
    """Means over seeds and worlds."""
    chosen = settings(run)
    key = _penalty(chosen)
    return diagram(gather(run), run.require_family().shows.words.get(key, key))
