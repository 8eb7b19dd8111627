"""Feature directions of one model through its training, so that two times can be compared by eye (m
= 2 or 3).

Shapes: S snapshots, F features, H hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba_array
from matplotlib.patches import Circle
from numpy.typing import NDArray

from superpos.families.tms import geometry, metrics
from superpos.figures import style
from superpos.maths.types import Floats

DRAWN_IN: Final = (2, 3)  # hidden dimensions
# of the viewer: no axis hides another, nor its opposite
_AZIMUTH, _ELEVATION = np.deg2rad((28, 22))
_SCREEN: Final = np.array(  # across, up, towards the viewer [3, H]
    [
        [-np.sin(_AZIMUTH), np.cos(_AZIMUTH), 0],
        [
            -np.sin(_ELEVATION) * np.cos(_AZIMUTH),
            -np.sin(_ELEVATION) * np.sin(_AZIMUTH),
            np.cos(_ELEVATION),
        ],
        [
            np.cos(_ELEVATION) * np.cos(_AZIMUTH),
            np.cos(_ELEVATION) * np.sin(_AZIMUTH),
            np.sin(_ELEVATION),
        ],
    ]
)
_NAMED: Final = len(style.CYCLE)


def steady(W: NDArray[np.floating[Any]]) -> Floats:
    """W[S, F, H], each turned or mirrored as near to the next as it can be, the last one into the
    fixed gauge.

    No length or angle changes: what is left of the motion is not the rotation that the loss does
    not see.
    """
    turned = np.empty(W.shape)
    turned[-1] = geometry.align(W[-1:])[0]
    for s in range(len(W) - 2, -1, -1):
        turned[s] = geometry.align(W[s : s + 1], turned[s + 1])[0]
    return turned


def colours(
    settings: Mapping[str, Any], W: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.float64], str]:
    """RGBA [F, 4] of the features of W[F, H], and their meaning in words.

    One colour per set, else one per feature, else one for the represented features and grey.
    """
    features = np.arange(len(W))
    size = int(settings.get("data.set_size", 1))
    if size > 1:
        sets = features // size
        return to_rgba_array(
            [style.CYCLE[i % _NAMED] for i in sets]
        ), f"Colours: {settings['data.correlation']} sets."
    if len(W) <= _NAMED:
        return to_rgba_array([style.CYCLE[i] for i in features]), ""
    kept = np.where(metrics.represented(W), style.CYCLE[0], style.GREY)
    return to_rgba_array(kept.tolist()), "Blue: features represented in the end."


class Arrows:
    """The features as lines from the middle, each with a dot at its end; `show` moves them."""

    def __init__(self, axes: Axes, colour: NDArray[np.float64], limit: float) -> None:
        """Into empty axes, for lengths up to `limit`, over a faint unit circle (sphere); colour:
        RGBA [F, 4].
        """
        axes.add_patch(
            Circle((0, 0), 1, fill=False, edgecolor=style.FAINT, linewidth=0.7, zorder=0)
        )
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        self._colour = colour
        self._lines = LineCollection([], linewidths=1.3, capstyle="round", zorder=2)
        axes.add_collection(self._lines)
        self._dots = axes.scatter(
            np.zeros(len(colour)), np.zeros(len(colour)), linewidths=0, zorder=3
        )
        # in the order in which they are drawn
        self.artists: tuple[Artist, ...] = (self._lines, self._dots)

    def show(self, W: Floats) -> None:
        """W[F, 2], or W[F, 3] seen from a fixed direction: what is nearer lies on top, darker and
        larger.
        """
        seen = W @ _SCREEN.T if W.shape[1] == 3 else np.pad(W, ((0, 0), (0, 1)))
        order = np.argsort(seen[:, 2], kind="stable")
        near = np.clip(seen[order, 2], -1, 1)
        colour: Any = self._colour[order]  # a copy; the stubs know no arrays of colours
        colour[:, 3] = 0.8 + 0.2 * near
        self._lines.set_segments([[(0, 0), (x, y)] for x, y in seen[order, :2]])
        self._lines.set_color(colour)
        self._dots.set_offsets(seen[order, :2])
        self._dots.set_sizes((3.6 + 0.8 * near) ** 2)
        self._dots.set_facecolor(colour)


def limit(W: NDArray[np.floating[Any]]) -> float:
    """Half the width of a panel that holds all of W[..., F, H], and the unit circle."""
    return 1.15 * max(1.0, float(metrics.feature_norms(W).max(initial=0)))
