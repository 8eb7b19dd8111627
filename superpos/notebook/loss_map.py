"""A small map of a sweep: the lowest loss over two of its axes, or every loss along one.

Points of an axis stand side by side, whatever their values: where a sweep spaces them evenly on a
logarithmic scale (or on none) that is how they are meant to be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from superpos.figures import style
from superpos.report import sweep_axes
from superpos.store import Run
from superpos.store.rows import healthy

Cells = NDArray[np.float64]

_HEIGHT: Final = 2.2  # inches
_MAX_TICKS: Final = 5
_WORDS: Final = "lowest loss"


class Picture(NamedTuple):
    """A picture, what it shows in words, and how wide it is shown in pixels."""

    png: bytes
    words: str
    width: int


def draw(run: Run) -> Picture | None:
    """The map of a run; None where no axis but the seed is swept, or no model has a loss."""
    axes = sweep_axes.axes(run.manifest["plan"])
    shape = [len(axis["values"]) for axis in axes]
    swept = [place for place, axis in enumerate(axes) if not axis["seeds"] and shape[place] > 1]
    good = healthy(run.table)
    if not swept or good.empty:
        return None
    chosen = swept[-2:]  # as the explorer begins
    names = [", ".join(axes[place]["keys"]) for place in chosen]
    texts = [axes[place]["texts"] for place in chosen]
    cells = _cells(run.n_models, good, shape, chosen)
    with style.context():
        figure = style.new_figure(style.HALF, _HEIGHT)
        plot = figure.subplots()
        if len(chosen) == 1:
            _line(plot, cells, names[0], texts[0])
        else:
            _heat(plot, np.fmin.reduce(cells, axis=-1), names, texts)
    png, width = style.on_screen(figure)
    return Picture(png, f"{_WORDS} over {' and '.join(names)}", width)


def _cells(n_models: int, good: pd.DataFrame, shape: Sequence[int], chosen: Sequence[int]) -> Cells:
    """Losses [points of each chosen axis, models there]; NaN where there is none."""
    loss = np.full(n_models, np.nan)
    loss[good["model"].to_numpy(dtype=np.intp)] = good["loss"].to_numpy(dtype=np.float64)
    first = np.moveaxis(loss.reshape(shape), chosen, range(len(chosen)))
    return first.reshape(*first.shape[: len(chosen)], -1)


def _line(plot: Axes, cells: Cells, name: str, texts: Sequence[str]) -> None:
    """Every loss as a point, the lowest ones joined."""
    place = np.broadcast_to(np.arange(len(cells))[:, None], cells.shape)
    plot.plot(place.ravel(), cells.ravel(), ".", color=style.GREY, markersize=3)
    plot.plot(np.fmin.reduce(cells, axis=-1), color=style.CYCLE[0])
    plot.set(xlabel=name, ylabel="loss")
    _name_points(plot.xaxis, texts)
    if np.nanmin(cells) > 0:
        plot.set_yscale("log")
        style.plain_log_numbers(plot.yaxis)


def _heat(plot: Axes, lowest: Cells, names: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
    """The first axis goes up, the second to the right."""
    norm = LogNorm() if np.nanmin(lowest) > 0 else None
    image = plot.imshow(lowest, origin="lower", aspect="auto", norm=norm, cmap="viridis")
    plot.set(xlabel=names[1], ylabel=names[0])
    _name_points(plot.xaxis, texts[1])
    _name_points(plot.yaxis, texts[0])
    plot.figure.colorbar(image, ax=plot, label=_WORDS)


def _name_points(axis: Axis, texts: Sequence[str]) -> None:
    """Some points of an axis by their values, evenly over all."""
    places = np.linspace(0, len(texts) - 1, min(_MAX_TICKS, len(texts)))
    chosen = np.unique(places.round().astype(int))
    axis.set_ticks(chosen, [texts[place] for place in chosen])
