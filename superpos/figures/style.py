"""One look for every figure: sizes in inches, fonts, colours that stay apart for colour-blind
readers.

Nothing here touches matplotlib's global state: figures are built on the Agg canvas without pyplot,
and the settings hold inside `context()` only.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from superpos.figures.colours import CYCLE as CYCLE
from superpos.figures.colours import FAINT as FAINT
from superpos.figures.colours import GREY as GREY
from superpos.figures.colours import INK as INK
from superpos.figures.library import without

HALF: Final = 3.3  # inches: one column of a page
FULL: Final = 6.9  # inches: the whole width
SCREEN_DPI: Final = 96  # pixels an inch in a notebook, as browsers have it
# pixels of a picture for each of them: sharp screens have up to 2, files of notebooks grow with it
_SHARP: Final = 1.5

SETTINGS: Final[Mapping[str, Any]] = {
    "font.size": 7.5,
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same picture on every machine
    "axes.titlesize": 7.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "figure.titlesize": 8.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "superpos",  # ids in an SVG follow from its content
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}

_OF_WINDOWS: Final = frozenset({"backend", "backend_fallback", "interactive", "toolbar"})
"""Settings that no file shows, and that are chosen once for a program."""

# Importance: dark for the most important; the pale end of viridis is cut off, it vanishes on white.
IMPORTANCE: Final = LinearSegmentedColormap.from_list(
    "importance", mpl.colormaps["viridis"](np.linspace(0.85, 0, 256))
)
# Entries of WᵀW and b from −1 (red) over 0 (white) to 1 (blue).
SIGNED: Final = mpl.colormaps["RdBu"]
# From a dedicated dimension (blue) to superposition (red).
SUPERPOSED: Final = LinearSegmentedColormap.from_list(
    "superposed", ["#1a5fb4", "#9367a5", "#e0433a"]
)


def context() -> AbstractContextManager[None]:
    """The settings, for as long as the `with` block lasts: those above on top of matplotlib's own.

    What a user sets in a file matplotlibrc, by a style or in code is not for these figures.
    """
    own = {name: value for name, value in mpl.rcParamsDefault.items() if name not in _OF_WINDOWS}
    # the stubs list every setting as a literal
    return mpl.rc_context(cast("Any", own | dict(SETTINGS)))


class Drawing(Figure):
    """A figure that notebooks show, also where matplotlib has not been told of them."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        png, width = on_screen(self)
        return png, {"width": width}


def on_screen(figure: Figure) -> tuple[bytes, int]:
    """A PNG, and how wide a notebook shows it, in its pixels: sharp screens have more of their own
    for each of them.
    """
    return render(figure, "png", dpi=_SHARP * SCREEN_DPI), round(figure.get_figwidth() * SCREEN_DPI)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, on its own Agg canvas."""
    figure = Drawing(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def phase_colours(
    norm: NDArray[np.float64], interference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """RGB [..., 3] of features: white is not represented, blue a dedicated dimension, red
    superposed.

    `norm` sets how far the colour is from white, `interference` the hue; both are clipped to [0,
    1]. What is not finite is grey.
    """
    known = np.isfinite(norm) & np.isfinite(interference)
    hue = np.asarray(SUPERPOSED(np.clip(np.where(known, interference, 0.0), 0, 1)))[..., :3]
    strength = np.clip(np.where(known, norm, 0.0), 0, 1)[..., None]
    colours: NDArray[np.float64] = np.where(known[..., None], 1 - strength * (1 - hue), 0.6)
    return colours


def plain_log_numbers(axis: Axis) -> None:
    """Labels "0.05" instead of powers of ten, where that is short; also between the powers on a
    short axis.
    """
    low, high = axis.get_view_interval()
    span = abs(np.log10(high / low))
    steps = (1.0,) if span > 2.2 else (1.0, 3.0) if span > 1.2 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _log_number(value)))
    axis.set_minor_formatter(NullFormatter())


def _log_number(value: float) -> str:
    """ "0.01", and a power where that would be long."""
    power = round(np.log10(value)) if value > 0 else 0
    is_power = np.isclose(value, 10.0**power)
    return rf"$10^{{{power}}}$" if is_power and not -3 <= power <= 4 else f"{value:g}"


def render(
    figure: Figure, file_format: Literal["png", "svg", "pdf"], dpi: float | None = None
) -> bytes:
    """The file of a figure; the same figure gives the same bytes, so no date is written.

    `dpi` is for PNG.
    """
    metadata = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[file_format]
    buffer = io.BytesIO()
    # a date of which nothing is written, and which may be none
    with context(), without("SOURCE_DATE_EPOCH"):
        figure.savefig(
            buffer, format=file_format, metadata=metadata, dpi=dpi or SETTINGS["savefig.dpi"]
        )
    return buffer.getvalue()
