"""Phase diagrams of the last feature: trained beside theory (TMS, "Superposition as a phase change").

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
from superpos.families.tms.analysis.phases import Agreement, Grid, Phase
from superpos.figures import style
from superpos.figures.points import DENSITY, Floats, Run, all_equal, points

SIZES: Final = ((2, 1), (3, 2))  # (n, m) with candidate theory
MIN_SIDE: Final = 3  # cells along each axis
_KEY_CELLS: Final = 64
_PLAIN: Final = {
    "model.tied": True,
    "model.output": "relu",
    "model.hidden": "linear",
    "model.target": "identity",
    "data.correlation": "none",
    "data.last": 1.0,
    "data.signed": False,
    "data.n_points": None,
    "importance.decay": 1.0,
    "importance.values": None,
}


def edges(centres: Floats) -> Floats:
    """Edges [N + 1] of cells on a logarithmic axis, midway between their centres [N]."""
    logs = np.log(centres)
    middle = (logs[1:] + logs[:-1]) / 2
    ends = np.concatenate(([2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]))
    return np.asarray(np.exp(ends))


def outline(label: NDArray[np.int8], grid: Grid) -> list[Floats]:
    """Segments [2, 2] of (p, r) along the cell edges where the phase changes."""
    x, y = edges(grid.density), edges(grid.importance)
    level = [np.array([[x[j], y[i + 1]], [x[j + 1], y[i + 1]]]) for i, j in np.argwhere(label[1:] != label[:-1])]
    upright = np.argwhere(label[:, 1:] != label[:, :-1])
    return level + [np.array([[x[j + 1], y[i]], [x[j + 1], y[i + 1]]]) for i, j in upright]


def _panel(axes: Axes, grid: Grid, phase: Phase, title: str) -> None:
    """The colour of the last feature in every cell, dense at the left, important on top."""
    colours = style.phase_colours(phase.norm, phase.interference)
    axes.pcolormesh(edges(grid.density), edges(grid.importance), colours, rasterized=True, shading="flat")
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
    axes.imshow(style.phase_colours(norm, interference), origin="lower", extent=(0, 1, 0, 1), aspect="equal")
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


def caption(found: Agreement) -> str:
    """The comparison in words, with the share of agreeing cells and how often the best basin was found."""
    best = f"best of {found.seeds} seeds" if found.seeds > 1 else "one seed"
    lines = [
        f"Line: boundary of the exact minimum. Trained ({best}) is in the same phase in {_percent(found.agree)} of "
        f"{found.cells:,} cells" + _far(found) + ".",
        f"{_percent(found.seeds_found)} of the models reach a loss within 1% of the exact minimum",
    ]
    if found.seeds > 1:
        lines[1] += f"; in {_percent(found.cells_found)} of the cells the best one does"
    return "\n".join(lines) + "."


def _percent(share: float) -> str:
    """Rounded down: what is called 100.0% has no exception."""
    return f"{np.floor(1000 * share + 1e-9) / 10:.1f}%"


def _far(found: Agreement) -> str:
    """The share away from the boundary, where that is another one."""
    if found.far in (0, found.cells):
        return ""
    return f",\nand in {_percent(found.agree_far)} of the {found.far:,} cells more than 10% from that boundary"


def phase_diagram(
    grid: Grid, panels: Sequence[tuple[str, Phase]], exact_label: NDArray[np.int8], text: str, feature: str
) -> Figure:
    """Panels (title, phase [R, P]) side by side, the exact boundary as a line on each, a colour key, a caption."""
    lines = outline(exact_label, grid)
    with style.context():
        figure = style.new_figure(style.FULL, 2.25 + 0.14 * len(text.splitlines()))
        *drawn, key = figure.subplots(1, len(panels) + 1, width_ratios=[1.0] * len(panels) + [0.72])
        for axes, (title, phase) in zip(drawn, panels, strict=True):
            _panel(axes, grid, phase, title)
            axes.add_collection(LineCollection(lines, colors=style.INK, linewidths=0.7), autolim=False)
        for axes in drawn[1:]:
            axes.tick_params(labelleft=False)
        drawn[0].set_ylabel(f"relative importance r of {feature}")
        _key(key)
        figure.supxlabel(text, fontsize=7, x=0.01, ha="left", linespacing=1.3)
    return figure


def applies(run: Run) -> str | None:
    """Why the run is no phase diagram; None when it is."""
    reason = all_equal(run, _PLAIN)
    if reason:
        return reason
    chosen = points(run)
    sizes = {point.shape for point in chosen}
    if len(sizes) != 1 or not sizes <= set(SIZES):
        return "needs models of one size, n=2 with m=1 or n=3 with m=2"
    if set(chosen[0].varied) != {"importance.last", DENSITY}:
        return "needs a sweep of importance.last and the density, and of nothing else but seeds"
    sides = [len({point.varied[key] for point in chosen}) for key in ("importance.last", DENSITY)]
    return None if min(sides) >= MIN_SIDE else f"needs at least {MIN_SIDE} values of importance.last and of the density"


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
