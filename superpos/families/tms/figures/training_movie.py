"""Training as an animation: the feature directions and the loss, step by step (TMS, "Superposition
and learning dynamics").

Shapes: S snapshots, F features, H hidden, C courses (models side by side).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from PIL import Image

from superpos.families.tms.analysis.courses import Course, course, snapshots_reason
from superpos.families.tms.analysis.points import by_density, points
from superpos.families.tms.figures.directions import DRAWN_IN, Arrows, colours, limit, steady
from superpos.figures import style
from superpos.figures.points import Run, all_equal
from superpos.maths.types import Floats

MAX_PANELS: Final = 15
MAX_FRAMES: Final = 100
_PER_ROW: Final = 5
_DPI: Final = 110
_COLOURS: Final = 64  # of a frame
_FASTEST, _SLOWEST, _LAST = 40, 400, 2000  # milliseconds that a frame is seen, and the last one
_FAR: Final = 0.5  # way of a feature between two frames from which on they are seen longest
# models that agree in these have snapshots at the same steps
_SAME: Final = ("train.steps", "record.snapshots")


class Part(NamedTuple):
    """Artists that move together, and what moves them to a snapshot."""

    artists: Sequence[Artist]
    show: Callable[[int], None]


class Movie(NamedTuple):
    """A figure, its moving parts, and the snapshots [N] that are seen, each with the time in
    milliseconds.
    """

    figure: Figure
    parts: Sequence[Part]
    snapshots: NDArray[np.intp]
    times: NDArray[np.intp]


def movie(courses: Sequence[Course]) -> Movie:
    """A panel for each course over their losses on one axis of steps; all have the same
    snapshots.
    """
    steps = courses[0].steps
    columns = min(_PER_ROW, len(courses))
    rows = -(-len(courses) // columns)
    several = mpl.colormaps["viridis"](np.linspace(0.85, 0, len(courses)))
    inks = list(several) if len(courses) > 1 else [style.INK]
    turned = [steady(shown.W) for shown in courses]
    with style.context():
        width = style.FULL if columns > 2 else 1.3 * style.HALF
        figure = style.new_figure(width, rows * (0.97 * width / max(columns, 2) + 0.2) + 2.1)
        upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[rows, 0.9]).ravel()
        counter = figure.suptitle("step 0", fontfamily="DejaVu Sans Mono")
        parts = [
            *_panels(upper.subplots(rows, columns, squeeze=False).ravel(), courses, turned, inks),
            *_losses(lower.subplots(), courses, inks),
            Part(
                [counter], lambda at: counter.set_text(f"step {steps[at]:{len(f'{steps[-1]:,}')},}")
            ),
        ]
    for part in parts:
        part.show(len(steps) - 1)
    snapshots = np.unique(
        np.linspace(0, len(steps) - 1, min(MAX_FRAMES, len(steps))).round().astype(np.intp)
    )
    return Movie(figure, parts, snapshots, _times(turned, snapshots))


def _times(turned: Sequence[Floats], snapshots: NDArray[np.intp]) -> NDArray[np.intp]:
    """Milliseconds that each snapshot is seen: longer where a feature moves far, so that fast
    learning can be seen.
    """
    # [C][N - 1]
    moves = [np.linalg.norm(np.diff(W[snapshots], axis=0), axis=-1).max(axis=-1) for W in turned]
    furthest = np.max(moves, axis=0)
    times = _FASTEST + (_SLOWEST - _FASTEST) * np.clip(furthest / _FAR, 0, 1)
    # a GIF counts hundredths of a second
    return np.append(10 * (times / 10).round(), _LAST).astype(np.intp)


def _panels(
    panels: Sequence[Axes], courses: Sequence[Course], turned: Sequence[Floats], inks: Sequence[Any]
) -> Iterator[Part]:
    """The directions of every course, titled in the colour of its loss."""
    widest = max(limit(W[-1]) for W in turned)
    for axes, shown, W, ink in zip(panels, courses, turned, inks, strict=False):
        axes.set_title(shown.title, color=ink)
        yield _turning(Arrows(axes, colours(shown.settings, shown.W[-1])[0], widest), W)
    for axes in panels[len(courses) :]:
        axes.set_axis_off()


def _turning(arrows: Arrows, W: Floats) -> Part:
    return Part(arrows.artists, lambda at: arrows.show(W[at]))


def _losses(axes: Axes, courses: Sequence[Course], inks: Sequence[Any]) -> Iterator[Part]:
    """The loss of every course, with a point that moves along it."""
    for shown, ink in zip(courses, inks, strict=True):
        axes.plot(shown.steps, shown.loss, color=ink, linewidth=0.9)
        (point,) = axes.plot([], [], "o", color=ink, markersize=4, mew=0, clip_on=False)
        yield _sliding(point, shown)
    axes.set(
        xlabel="training step",
        ylabel="loss",
        yscale="log",
        xlim=(courses[0].steps[0], courses[0].steps[-1]),
    )
    style.plain_log_numbers(axes.yaxis)


def _sliding(point: Line2D, shown: Course) -> Part:
    return Part([point], lambda at: point.set_data([shown.steps[at]], [shown.loss[at]]))


def gif(shown: Movie) -> bytes:
    """The animation as a file that repeats for ever; the same movie gives the same bytes."""
    canvas: Any = shown.figure.canvas  # Agg; the stubs leave it without types
    moving = [artist for part in shown.parts for artist in part.artists]
    pictures = []
    with style.context():
        shown.figure.set_dpi(_DPI)
        for artist in moving:
            artist.set_animated(True)  # not part of what stays
        canvas.draw()
        still = canvas.copy_from_bbox(shown.figure.bbox)
        for at in shown.snapshots.tolist():
            canvas.restore_region(still)
            for part in shown.parts:
                part.show(at)
            for artist in moving:
                shown.figure.draw_artist(artist)
            picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
            pictures.append(picture.quantize(_COLOURS, dither=Image.Dither.NONE))
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=shown.times.tolist(),
        loop=0,
    )
    return buffer.getvalue()


def applies(run: Run) -> str | None:
    """Why the training cannot be shown as a movie; None when it can."""
    reason = all_equal(run, {"model.tied": True, "model.hidden": "linear"}) or snapshots_reason(
        run, 2
    )
    if reason:
        return reason
    chosen = points(run)
    if any(point.shape[1] not in DRAWN_IN for point in chosen):
        return "needs model.n_hidden=2 or 3 in every model"
    if len({tuple(point.settings[key] for key in _SAME) for point in chosen}) > 1:
        return f"needs one {' and one '.join(_SAME)} for all models"
    return (
        None
        if len(chosen) <= MAX_PANELS
        else f"needs at most {MAX_PANELS} points in the sweep, found {len(chosen)}"
    )


def _movie_of(run: Run) -> Movie:
    return movie([course(run, point, point.best) for point in by_density(points(run))])


def draw(run: Run) -> Figure:
    """The last frame: the best seed of every point of the sweep."""
    return _movie_of(run).figure


def animate(run: Run) -> bytes:
    """The movie as a GIF: the best seed of every point of the sweep."""
    return gif(_movie_of(run))
