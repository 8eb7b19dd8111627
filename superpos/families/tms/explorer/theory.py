"""What theory knows of the settings of a run: boundaries over its map, curves beside its models,
agreement.

The same runs as in the figures, by the same functions. Shapes: R relative importances, P densities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.analysis import d_star, energy_levels, phases
from superpos.families.tms.analysis.phases import IMPORTANCE, Grid
from superpos.families.tms.analysis.points import DENSITY
from superpos.maths.types import Floats
from superpos.report.layers import Curve, Layers, Line, Map
from superpos.store import Run


def layers(run: Run) -> Layers:
    """The layers of a run; empty where theory knows none."""
    density = _axis(run, DENSITY)
    importance = _axis(run, IMPORTANCE)
    curves: list[Curve] = []
    if d_star.density_reason(run) is None and density is not None:
        curves += _d_star(run, density)
    if energy_levels.levels_reason(run) is None:
        curves += _energy(run)
    if phases.map_reason(run) is None and importance is not None and density is not None:
        return replace(_phases(run, (importance, density)), curves=curves)
    return Layers(curves=curves)


def _axis(run: Run, key: str) -> int | None:
    """The axis of a key that is swept alone."""
    axes = run.manifest["plan"]["axes"]
    return next((i for i, axis in enumerate(axes) if axis["keys"] == [key]), None)


def _phases(run: Run, axes: tuple[int, int]) -> Layers:
    """Phase of the exact minimum in every cell, how far the models agree, both theories'
    boundaries.
    """
    grid, models = phases.trained(run)
    W = models.best()
    n = W.shape[-2]
    best = phases.phase_of(W)
    candidate = phases.candidate(grid, n)
    minimum, loss = phases.exact(grid, n)
    known = best.label != phases.UNKNOWN
    lowest = np.nanmin(np.where(np.isnan(models.loss), np.inf, models.loss), axis=2)
    excess = np.where(known, lowest / loss - 1, np.nan)
    same = np.where(known, best.label == minimum.label, np.nan)
    caption = phases.caption(phases.agreement(models, best, minimum, loss, grid))
    _, agreement = caption.split(". ", 1)  # the first sentence says what the figure's line is
    order = _order(run, grid, axes)
    names = ("another phase", "same phase")
    return Layers(
        maps=(
            Map("agreement", "agreement with the exact minimum", axes, same[order], names=names),
            Map("excess", "loss above the exact minimum, share", axes, excess[order]),
            Map(
                "exact",
                "exact minimum: norm × interference",
                axes,
                minimum.norm[order],
                hue=minimum.interference[order],
            ),
        ),
        lines=(
            _line("exact boundary", minimum.label, grid, axes),
            _line("candidate theory", candidate.label, grid, axes),
        ),
        words=agreement.replace("\n", " "),
    )


def _order(run: Run, grid: Grid, axes: tuple[int, int]) -> tuple[NDArray[np.intp], ...]:
    """Cells of a grid [R, P] in the order of the run's axes, as an index."""
    plan = run.manifest["plan"]["axes"]
    importance, density = ([point[0] for point in plan[axis]["values"]] for axis in axes)
    return np.ix_(_nearest(grid.importance, importance), _nearest(grid.density, density))


def _nearest(values: Floats, wanted: Sequence[float]) -> NDArray[np.intp]:
    """Which of `values` each of `wanted` is; an unfinished run lacks some, whose cells are
    unknown.
    """
    places: NDArray[np.intp] = np.abs(values[None, :] - np.array(wanted)[:, None]).argmin(axis=1)
    return places


def _line(label: str, phase: NDArray[np.int8], grid: Grid, axes: tuple[int, int]) -> Line:
    """Boundary of phases [R, P], coordinates along both axes."""
    density: list[float | None] = []
    importance: list[float | None] = []
    for stretch in phases.outline(phase, grid):
        density += [*stretch[:, 0].tolist(), None]
        importance += [*stretch[:, 1].tolist(), None]
    return Line(label, axes, (importance, density))


def _d_star(run: Run, axis: int) -> list[Curve]:
    """D* of the best polytopes for n ≫ m."""
    exact = d_star.best_polytopes(run)
    if exact is None:
        return []
    return [Curve("best polytope, exact (n ≫ m)", axis, "d_star", exact.density, exact.d_star)]


def _energy(run: Run) -> list[Curve]:
    """The exact loss of the most frequent shapes over the perturbed factor."""
    key, _, factor, curves = energy_levels.exact_levels(run)
    axis = _axis(run, key)
    if axis is None:
        return []
    return [Curve(f"{name}, exact", axis, "loss", factor, loss) for name, loss in curves.items()]
