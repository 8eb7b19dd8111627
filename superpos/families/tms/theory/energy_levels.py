"""Energy levels: the smallest exact loss of one family of shapes, also where another family is
better.

A family is all models with one label of `geometry.describe`: "pentagon", "2 digons + 1 not
represented". Its branch of local minima is followed from setting to setting until it ends. Two
levels that cross make a first-order transition (TMS, "Non-uniform superposition"; Chen et al. 2023,
*Dynamical versus Bayesian Phase Transitions*).

Shapes: grid [...] of C cells, n features, m hidden, D = n m + n parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superpos.families.tms import geometry
from superpos.families.tms.geometry.shapes import ideal_shapes
from superpos.families.tms.theory.active import ActiveSets
from superpos.families.tms.theory.descent import Cells, Minimum, grid_of_cells, parameters, refine
from superpos.families.tms.theory.exact import expected_loss
from superpos.families.tms.theory.minimise import DISTINCT, GAIN, neighbours_of
from superpos.maths.bfgs import Minima
from superpos.maths.types import Floats

Settings = Callable[[Floats], tuple[ArrayLike, ArrayLike]]

KICK = 1e-3  # size of the noise that makes a descent leave a saddle point
WEAK = 0.3  # length at which a feature that is not represented may still serve
SWEEP = 13  # settings at which `crossing` looks for a change of sign
PRECISION = 1e-9  # of a crossing's logarithm


def family_minimum(
    family: str, density: ArrayLike, importance: ArrayLike, n_hidden: int
) -> Minimum:
    """Smallest exact ReLU loss of the models labelled `family`; `density`, `importance`: broadcast
    to [..., n].

    Descends from every distinguishable placement of the features on the family's ideal shape, also
    with the features that it drops weakly in line with one that it keeps; cells next to each other
    along a leading axis then hand each other their solutions. NaN where every descent leaves the
    family: it has no local minimum there, so far as a search can tell. Near a branch's end a finer
    grid follows it further. The local minimum that is best may change along a branch: the curve
    then has a kink. Raises ValueError for a family that has no shape in `ideal_shapes`.
    """
    lead, cells = grid_of_cells(density, importance, n_hidden, ActiveSets())
    starts = _starts(family, cells)  # [S, C, D]
    found = _follow(family, cells, starts, neighbours_of(lead))
    winner = found.value.argmin(axis=0)
    each = np.arange(starts.shape[1])
    x = np.where(np.isinf(found.value[winner, each])[:, None], np.nan, found.x[winner, each])
    return cells.minimum(x, lead)


def crossing(
    first: str, second: str, settings: Settings, low: float, high: float, n_hidden: int
) -> float:
    """The x in [low, high] at which two families have equal loss, to about 1e-8; NaN where they
    have none there.

    `settings(x)`: density and importance, broadcast to [..., n], of positive x [...]. A crossing is
    a change of sign between neighbours of `SWEEP` settings, evenly spaced in log x, at which both
    branches exist; the lowest counts.
    """
    # slow to import, and training, which needs exact losses, does without
    from scipy.optimize import brentq

    x = np.geomspace(low, high, SWEEP)
    branches = {
        family: family_minimum(family, *settings(x), n_hidden) for family in (first, second)
    }
    gap = branches[first].loss - branches[second].loss
    found = np.flatnonzero(gap[:-1] * gap[1:] <= 0)
    if not len(found):
        return float("nan")
    ends = [found[0], found[0] + 1]

    def level(family: str, log_x: float) -> float:
        near = refine(branches[family].W[ends], branches[family].b[ends], *settings(np.exp(log_x)))
        return float(near.loss[geometry.describe(near.W) == family].min(initial=np.inf))

    bracket = np.log(x[ends])
    root = brentq(
        lambda at: level(first, at) - level(second, at), bracket[0], bracket[1], xtol=PRECISION
    )
    return float(np.exp(root))


def _starts(family: str, cells: Cells) -> Floats:
    """Where to descend from, [S, C, D]; of placements with equal losses in all cells only one."""
    shapes = np.array(list(ideal_shapes(cells.density.shape[1], cells.n_hidden)))
    labels = geometry.describe(shapes)
    if family not in labels:
        raise ValueError(
            f"no ideal shape is {family!r}; there are: {', '.join(sorted(set(labels)))}"
        )
    starts: dict[tuple[float, ...], Floats] = {}
    for ideal in shapes[labels == family]:
        dropped = (ideal == 0).all(axis=-1)
        b = np.where(dropped, cells.mean, 0.0)
        weak = (
            [np.where(dropped[:, None], WEAK * w, ideal) for w in ideal[~dropped]]
            if dropped.any()
            else []
        )
        for W in (ideal, *weak):
            loss = expected_loss(W, b, cells.density, cells.importance)
            starts.setdefault(
                tuple(np.round(np.log(loss), 9)),
                parameters(np.broadcast_to(W, (len(b), *W.shape)), b),
            )
    x = np.stack(list(starts.values()))
    return x + KICK * np.random.default_rng(0).standard_normal(x.shape[-1])


def _follow(family: str, cells: Cells, starts: Floats, neighbours: NDArray[np.intp]) -> Minima:
    """The family's minima downhill from `starts` [S, C, D], or from the same start's minimum in a
    neighbouring cell.

    Returns [S, C, D] and [S, C], infinity where there is none.
    """
    n_starts, count, size = starts.shape
    cell = np.tile(np.arange(count), n_starts)  # of each row
    near = (count * np.arange(n_starts)[:, None, None] + neighbours).reshape(n_starts * count, -1)
    best = Minima(starts.reshape(-1, size).copy(), np.full(n_starts * count, np.inf))
    changed = np.zeros(len(cell), dtype=bool)

    def descend(start: Floats, rows: NDArray[np.intp]) -> None:
        found = cells.solve(start, cell[rows])
        member = geometry.describe(cells.models(found.x)[0]) == family
        better = member & (found.value < best.value[rows] * (1 - GAIN))
        improved = rows[better]
        best.x[improved], best.value[improved], changed[improved] = (
            found.x[better],
            found.value[better],
            True,
        )

    descend(best.x, np.arange(len(cell)))
    while changed.any():
        before = changed.copy()
        changed[:] = False
        for column in near.T:
            other = np.abs(cells.form(best.x[column]) - cells.form(best.x)).max(axis=-1) > DISTINCT
            rows = np.flatnonzero(before[column] & (other | np.isinf(best.value)))
            descend(best.x[column[rows]], rows)
    return Minima(best.x.reshape(starts.shape), best.value.reshape(n_starts, count))
