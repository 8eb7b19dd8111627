"""What theory knows of the settings of a run: boundaries over its map, curves beside its models, agreement.

The same runs as in the figures, by the same functions. Shapes: R relative importances, P densities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.analysis import energy_levels as levels
from superpos.families.tms.analysis import phases
from superpos.families.tms.analysis.phases import Grid
from superpos.families.tms.figures import d_star, energy_levels, phase_diagram
from superpos.figures.points import DENSITY, Floats, points
from superpos.report.pack import Pack, half
from superpos.store import Run

_IMPORTANCE: Final = "importance.last"


def layers(run: Run, pack: Pack) -> dict[str, Any]:
    """ "maps" over the settings, "lines" over a map of two axes, "curves" over one axis; empty where none is known."""
    found: dict[str, Any] = {"maps": [], "lines": [], "curves": []}
    if run.own:  # theory knows nothing of a user's functions
        return found
    if phase_diagram.applies(run) is None and _axis(run, _IMPORTANCE) is not None and _axis(run, DENSITY) is not None:
        found |= _phases(run, pack)
    if d_star.applies(run) is None and _axis(run, DENSITY) is not None:
        found["curves"] += _d_star(run)
    if energy_levels.applies(run) is None:
        found["curves"] += _energy(run)
    return found


def _axis(run: Run, key: str) -> int | None:
    """The axis of a key that is swept alone."""
    return next((i for i, axis in enumerate(run.manifest["plan"]["axes"]) if axis["keys"] == [key]), None)


def _phases(run: Run, pack: Pack) -> dict[str, Any]:
    """Phase of the exact minimum in every cell, how far the trained models agree, both theories' boundaries."""
    grid, models = phases.trained(run)
    W = models.best()
    n = W.shape[-2]
    best, candidate = phases.phase_of(W), phases.candidate(grid, n)
    minimum, loss = phases.exact(grid, n)
    known = best.label != phases.UNKNOWN
    excess = np.nanmin(np.where(np.isnan(models.loss), np.inf, models.loss), axis=2) / loss - 1
    text = phase_diagram.caption(phases.agreement(models, best, minimum, loss, grid)).replace("\n", " ")
    place = _Place(run, grid)
    same = np.where(known, best.label == minimum.label, np.nan)
    maps = [
        place.map(pack, "agreement", "agreement with the exact minimum", names=["another phase", "same phase"], z=same),
        place.map(pack, "excess", "loss above the exact minimum, share", z=np.where(known, excess, np.nan)),
        place.map(pack, "exact", "exact minimum: norm × interference", norm=minimum.norm, hue=minimum.interference),
    ]
    lines = [place.line("exact boundary", minimum.label), place.line("candidate theory", candidate.label)]
    return {"maps": maps, "lines": lines, "words": text}


class _Place:
    """Cells of a grid in the order of the run's axes."""

    def __init__(self, run: Run, grid: Grid) -> None:
        self.grid = grid
        self.axes = [_axis(run, _IMPORTANCE), _axis(run, DENSITY)]
        plan = run.manifest["plan"]["axes"]
        importance, density = ([point[0] for point in plan[axis]["values"]] for axis in self.axes)
        self.order = np.ix_(_nearest(grid.importance, importance), _nearest(grid.density, density))

    def map(self, pack: Pack, name: str, label: str, names: Sequence[str] = (), **values: Floats) -> dict[str, Any]:
        """One map: its values [R, P] by name."""
        arrays = {key: pack.add(half(table[self.order])) for key, table in values.items()}
        return {"name": name, "label": label, "names": list(names), "axes": self.axes, "arrays": arrays}

    def line(self, label: str, phase: NDArray[np.int8]) -> dict[str, Any]:
        """Boundary of phases [R, P], coordinates along both axes; None where a stretch ends."""
        stretches = phase_diagram.outline(phase, self.grid)
        density, importance = ([x for stretch in stretches for x in (*stretch[:, k].tolist(), None)] for k in (0, 1))
        return {"label": label, "axes": self.axes, "at": [importance, density]}


def _nearest(values: Floats, wanted: Sequence[float]) -> NDArray[np.intp]:
    """Which of `values` each of `wanted` is; an unfinished run lacks some, and their cells are drawn as unknown."""
    places: NDArray[np.intp] = np.abs(values[None, :] - np.array(wanted)[:, None]).argmin(axis=1)
    return places


def _d_star(run: Run) -> list[dict[str, Any]]:
    """D* of the best polytopes for n ≫ m."""
    chosen = points(run)
    crowded = min(n / m for n, m in (point.shape for point in chosen)) >= d_star.MANY
    if not crowded or d_star.uniform_reason(run) is not None:
        return []
    exact = d_star.exact_curve(np.array([point.density for point in chosen]))
    return [_curve(run, DENSITY, "d_star", "best polytope, exact (n ≫ m)", exact.density, exact.d_star)]


def _energy(run: Run) -> list[dict[str, Any]]:
    """The exact loss of the most frequent shapes over the perturbed factor."""
    chosen = points(run)
    found = levels.setting(chosen)
    assert found is not None
    key, perturbed = found
    names = energy_levels.coloured(run.table["geometry"].tolist())
    values = np.array([float(point.varied[key]) for point in chosen])
    factor = np.geomspace(values.min(), values.max(), energy_levels.CURVE_POINTS)
    curves = levels.levels(perturbed, [name for name in names if name != energy_levels.OTHER], factor)
    return [_curve(run, key, "loss", f"{name}, exact", factor, loss) for name, loss in curves.items()]


def _curve(run: Run, key: str, column: str, label: str, x: Floats, y: Floats) -> dict[str, Any]:
    finite: Mapping[str, list[float | None]] = {
        name: [float(value) if np.isfinite(value) else None for value in values]
        for name, values in (("x", x), ("y", y))
    }
    return {"label": label, "axis": _axis(run, key), "column": column, **finite}
