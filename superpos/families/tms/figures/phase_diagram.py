"""Phase diagrams of the last feature: trained beside theory (TMS, "Superposition as a phase
change").

Shapes: R relative importances, P densities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from superpos.families.tms.analysis import phases
from superpos.families.tms.analysis.phases import Grid, Phase, caption, edges, outline
from superpos.figures import style
from superpos.figures.points import Run

_KEY_CELLS: Final = 64


def _panel(axes: Axes, grid: Grid, phase: Phase, title: str) -> None:
    """The colour of the last feature in every cell, dense at the left, important on top."""
    colours = style.phase_colours(phase.norm, phase.interference)
    axes.pcolormesh(
        edges(grid.density), edges(grid.importance), colours, rasterized=True, shading="flat"
    )
    axes.set(xscale="log", yscale="log", title=title, xlabel="feature density 1 − S")
    axes.set_xlim(*edges(grid.density)[[0, -1]])
    axes.set_ylim(*edges(grid.importance)[[0, -1]])
    axes.set_box_aspect(1)
    axes.spines[:].set_visible(True)
    style.plain_log_numbers(axes.xaxis)
    style.plain_log_numbers(axes.yaxis)


def _key(axes: Axes) -> None:
    """The two-dimensional colour key: norm upwards, interference to the right."""
    ramp = (np.arange(_KEY_CELLS) + 0.5) / _KEY_CELLS
    interference, norm = np.meshgrid(ramp, ramp)
    axes.imshow(
        style.phase_colours(norm, interference), origin="lower", extent=(0, 1, 0, 1), aspect="equal"
    )
    axes.set(xlabel="interference", ylabel=r"norm $\|W_i\|$", xticks=[0, 1], yticks=[0, 1])
    axes.xaxis.labelpad = axes.yaxis.labelpad = -4
    axes.spines[:].set_visible(True)
    for x, y, text, colour in (
        (0.5, 0.09, "not represented", style.INK),
        (0.04, 0.88, "dedicated", "white"),
        (0.96, 0.76, "superposed", "white"),
    ):
        side = "center" if x == 0.5 else "left" if x < 0.5 else "right"
        axes.text(x, y, text, ha=side, va="center", fontsize=7, color=colour)


def phase_diagram(
    grid: Grid,
    panels: Sequence[tuple[str, Phase]],
    exact_label: NDArray[np.int8],
    text: str,
    feature: str,
) -> Figure:
    """Panels (title, phase [R, P]) side by side, the exact boundary as a line on each, a colour
    key, a caption.
    """
    lines = outline(exact_label, grid)
    with style.context():
        figure = style.new_figure(style.FULL, 2.25 + 0.14 * len(text.splitlines()))
        *drawn, key = figure.subplots(1, len(panels) + 1, width_ratios=[1.0] * len(panels) + [0.72])
        for axes, (title, phase) in zip(drawn, panels, strict=True):
            _panel(axes, grid, phase, title)
            axes.add_collection(
                LineCollection(lines, colors=style.INK, linewidths=0.7), autolim=False
            )
        for axes in drawn[1:]:
            axes.tick_params(labelleft=False)
        drawn[0].set_ylabel(f"relative importance r of {feature}")
        _key(key)
        figure.supxlabel(text, fontsize=7, x=0.01, ha="left", linespacing=1.3)
    return figure


def applies(run: Run) -> str | None:
    """Why the run is no phase diagram; None when it is."""
    return phases.map_reason(run)


def draw(run: Run) -> Figure:
    """Trained (best of seeds), the paper's candidate theory, the exact minimum."""
    grid, models = phases.trained(run)
    W = models.best()
    best = phases.phase_of(W)
    minimum, loss = phases.exact(grid, W.shape[-2])
    found = phases.agreement(models, best, minimum, loss, grid)
    panels = [
        (f"trained, best of {found.seeds}" if found.seeds > 1 else "trained", best),
        ("candidate theory", phases.candidate(grid, W.shape[-2])),
        ("exact minimum", minimum),
    ]
    return phase_diagram(grid, panels, minimum.label, caption(found), f"feature {W.shape[-2]}")
