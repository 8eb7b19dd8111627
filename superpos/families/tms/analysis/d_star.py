"""Hidden dimensions per feature D* over a sweep of the density (TMS, "Uniform superposition").

Shapes: P densities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from superpos.families.tms import theory
from superpos.families.tms.analysis.points import DENSITY, Point, by_density, points
from superpos.figures.colours import CYCLE
from superpos.figures.points import Run, all_equal
from superpos.maths.types import Floats

MIN_DENSITIES: Final = 3
EXACT_POINTS: Final = 60
MANY: Final = 5  # features per dimension from which on the exact curve for n >> m is drawn
MAX_LINES: Final = len(CYCLE)  # settings beside the density
_UNIFORM: Final = {"model.output": "relu", "model.hidden": "linear", "data.correlation": "none"}


class Exact(NamedTuple):
    """D* of the best polytopes for many more features than dimensions."""

    density: Floats  # [P]
    d_star: Floats  # [P]; NaN where a shape too large for exact losses is best


def exact_curve(density: Floats) -> Exact:
    """The exact D* from the highest to the lowest of the densities."""
    grid = np.geomspace(density.max(), density.min(), EXACT_POINTS)
    return Exact(grid, theory.d_star(grid))


def by_other_settings(chosen: Sequence[Point]) -> dict[str, list[Point]]:
    """The points by what varies beside the density, in words; in each the densest first."""
    groups: dict[str, list[Point]] = {}
    for point in by_density(chosen):
        others = [key for key in point.varied if key != DENSITY]
        groups.setdefault(point.label(others).replace("\n", ", "), []).append(point)
    return groups


def density_reason(run: Run, min_features: int = 1) -> str | None:
    """Why the run is no sweep of the density of all features of tied models; None when it is."""
    reason = all_equal(run, {"model.tied": True, "model.hidden": "linear", "data.last": 1.0})
    if reason:
        return reason
    chosen = points(run)
    densities = {point.density for point in chosen}
    if not np.isfinite(list(densities)).all():
        return "needs one density for all features"
    if len(densities) < MIN_DENSITIES:
        return f"needs at least {MIN_DENSITIES} densities in the sweep, found {len(densities)}"
    if min(point.shape[0] for point in chosen) < min_features:
        return f"needs at least {min_features} features"
    found = len(by_other_settings(chosen))
    if found > MAX_LINES:
        return f"needs at most {MAX_LINES} settings beside the density, found {found}"
    return None


def uniform_reason(run: Run) -> str | None:
    """Why the models are not those of uniform superposition; None when they are."""
    reason = all_equal(run, _UNIFORM)
    if reason:
        return reason
    if run.require_family().exact_loss is None:
        return "needs models whose loss theory knows"
    equal = all(np.ptp(point.importance) == 0 for point in points(run))
    return None if equal else "needs features of equal importance"


def best_polytopes(run: Run) -> Exact | None:
    """The exact D* over the densities of a run; None unless its models have many equal features."""
    chosen = points(run)
    fewest = min(n / m for n, m in (point.shape for point in chosen))
    if fewest < MANY or uniform_reason(run) is not None:
        return None
    return exact_curve(np.array([point.density for point in chosen]))
