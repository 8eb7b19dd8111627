"""Phase maps of the last of n features in n − 1 dimensions: trained models against exact minima and
candidate theory.

Shapes: R relative importances r (ascending), P densities (descending).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.claims.measured import Measured
from superpos.families.tms import geometry, metrics, theory
from superpos.families.tms.analysis import phases
from superpos.families.tms.analysis.phases import Grid
from superpos.maths.types import Floats
from superpos.store import Run

# of a norm between two densities: the exact one is 0.23, smooth changes stay below 0.05
LEAST_JUMP: Final = 0.1
Labels = NDArray[np.int8]
Truths = NDArray[np.bool_]

_NOT_REPRESENTED, _, _SUPERPOSED = range(len(theory.PHASES))


class _Map(NamedTuple):
    """The best models of a run, and the exact minima of the same cells."""

    grid: Grid
    W: Floats  # [R, P, n, m]
    loss: Floats  # [R, P] exact
    minimum: theory.Minimum

    @property
    def n(self) -> int:
        return int(self.W.shape[-2])

    @property
    def phases(self) -> tuple[Labels, Labels]:
        """Labels [R, P] of the trained models and of the minima."""
        return phases.phase_of(self.W).label, phases.phase_of(self.minimum.W).label

    @property
    def triangles(self) -> tuple[Truths, Truths]:
        """Cells [R, P] where the trained model and the minimum are triangles."""
        trained, exact = (
            geometry.describe(W.reshape(-1, self.n, self.n - 1)).reshape(self.loss.shape)
            == "triangle"
            for W in (self.W, self.minimum.W)
        )
        return trained, exact


@lru_cache(maxsize=4)
def _map(run: Run) -> _Map:
    grid, models = phases.trained(run)
    W = models.best()
    loss = np.where(np.isnan(models.loss), np.inf, models.loss).min(axis=-1)
    return _Map(grid, W, loss, _minimum(tuple(grid.importance), tuple(grid.density), W.shape[-2]))


@lru_cache(maxsize=4)
def _minimum(importance: tuple[float, ...], density: tuple[float, ...], n: int) -> theory.Minimum:
    grid = Grid(np.array(importance), np.array(density))
    return theory.minimise_loss(*grid.tables(n), n - 1)


def agreement(run: Run) -> Measured:
    """1 for each cell more than 10% from a boundary whose best model is in the phase of the exact
    minimum, else 0.
    """
    here = _map(run)
    trained, exact = here.phases
    clear = theory.clear_of_boundary(exact, here.grid.importance, here.grid.density)
    return Measured((trained == exact)[clear].astype(np.float64))


def gap(run: Run) -> Measured:
    """Exact loss of the best model of each cell over the exact minimum, minus 1."""
    here = _map(run)
    return Measured((here.loss / here.minimum.loss - 1).ravel())


def below_candidates(run: Run) -> Measured:
    """Exact loss of the best model of each cell over that of the best candidate; expected: the
    least of all cells.
    """
    here = _map(run)
    options = theory.candidate_losses(
        here.grid.density[None, :], here.grid.importance[:, None], here.n
    )
    candidate = np.min([option.loss for option in options], axis=0)
    return Measured((here.loss / candidate).ravel(), float((here.minimum.loss / candidate).min()))


def boundary(run: Run) -> Measured:
    """Relative importance at which the last of two features appears in a digon, over the
    candidates' 2p / (4 − 5p).

    One value for each density where the exact map goes from not represented to superposed;
    expected: its mean there.
    """
    here = _map(run)
    trained, exact = (_appears(label, here.grid) for label in here.phases)
    known = np.isfinite(exact)
    candidate = theory.digon_boundary(here.grid.density)[known]
    return Measured(trained[known] / candidate, float((exact[known] / candidate).mean()))


def _appears(label: Labels, grid: Grid) -> Floats:
    """r [P] midway (log) between the last cell not represented and the first superposed one; NaN
    unless neighbours.
    """
    found = np.full(label.shape[1], np.nan)
    for column, values in enumerate(label.T):
        [at] = np.nonzero((values[:-1] == _NOT_REPRESENTED) & (values[1:] == _SUPERPOSED))
        if len(at) == 1:
            found[column] = np.sqrt(grid.importance[at[0]] * grid.importance[at[0] + 1])
    return found


def digon_end(run: Run) -> Measured:
    """Density at which the digon of two equal features ends: where the shorter one's norm jumps
    down most.

    Midway between two densities of the run; NaN without a jump. Expected: the same of the exact
    minima.
    """
    here = _map(run)
    trained, exact = (_jump(metrics.feature_norms(W), here.grid) for W in (here.W, here.minimum.W))
    return Measured(np.array([trained]), exact)


def _jump(norms: Floats, grid: Grid) -> float:
    """Where the shortest of `norms` [R, P, n], a mean over r, rises most as density falls."""
    rise = np.diff(norms.min(axis=-1).mean(axis=0))
    at = int(rise.argmax())
    return float(grid.density[at : at + 2].mean()) if rise[at] > LEAST_JUMP else np.nan


def triangle(run: Run) -> Measured:
    """1 for each cell where the exact minimum is a triangle and the best model is one too, 0 where
    it is not.
    """
    trained, exact = _map(run).triangles
    return Measured(trained[exact].astype(np.float64))
