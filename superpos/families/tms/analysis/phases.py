"""The grids behind a phase diagram: trained models, candidate theory, exact minima, and how far they agree.

Shapes: R relative importances (ascending), P densities (descending), K seeds, n features, m hidden dimensions.
The feature that counts is the last one: its importance is what is swept.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms import metrics, theory
from superpos.figures.points import Floats, Run, healthy

UNKNOWN: Final = -1  # label of a cell without a model
FOUND_WITHIN: Final = 0.01  # of the exact minimum: a model this good found the best basin


class Grid(NamedTuple):
    """The two axes of the diagram."""

    importance: Floats  # [R] relative importance r of the last feature
    density: Floats  # [P]

    def tables(self, n: int) -> tuple[Floats, Floats]:
        """Density [R, P, n] and importance [R, P, n] of every feature in every cell."""
        shape = (len(self.importance), len(self.density), n)
        density = np.broadcast_to(self.density[None, :, None], shape)
        importance = np.ones(shape)
        importance[..., -1] = self.importance[:, None]
        return density, importance


class Phase(NamedTuple):
    """The last feature in every cell: NaN, and the label UNKNOWN, where there is no model."""

    norm: Floats  # [R, P]
    interference: Floats  # [R, P]
    label: NDArray[np.int8]  # [R, P] index into theory.PHASES


class Models(NamedTuple):
    """All trained models of a run by cell; NaN where a model is missing."""

    W: Floats  # [R, P, K, n, m]
    loss: Floats  # [R, P, K] exact

    def best(self) -> Floats:
        """W [R, P, n, m] of the seed with the lowest loss."""
        seed = np.where(np.isnan(self.loss), np.inf, self.loss).argmin(axis=2)
        return np.take_along_axis(self.W, seed[..., None, None, None], axis=2)[:, :, 0]


class Agreement(NamedTuple):
    """How the trained models compare with the exact minima; shares of the cells or models that are known."""

    cells: int
    seeds: int
    agree: float  # share of cells whose best seed is in the phase of the minimum
    far: int  # cells more than 10% from a boundary
    agree_far: float  # share of those; NaN where there are none
    seeds_found: float  # share of models within 1% of the minimum
    cells_found: float  # share of cells with such a model


def phase_of(W: Floats) -> Phase:
    """The last feature of W [..., n, m]."""
    norm, interference = metrics.feature_norms(W)[..., -1], metrics.interference(W)[..., -1]
    known = np.isfinite(interference)
    label = np.where(known, theory.phase_label(np.where(known[..., None, None], W, 0.0)), UNKNOWN)
    return Phase(norm, interference, label.astype(np.int8))


def trained(run: Run) -> tuple[Grid, Models]:
    """All models of a run with their exact loss, which has no sampling noise."""
    table = healthy(run)
    importance, row = np.unique(table["importance.last"].to_numpy(dtype=float), return_inverse=True)
    sparse_first, column = np.unique(table["data.density"].to_numpy(dtype=float), return_inverse=True)
    grid, column = Grid(importance, sparse_first[::-1]), len(sparse_first) - 1 - column
    seed = table.groupby(row * len(grid.density) + column).cumcount().to_numpy()
    shape = (len(importance), len(grid.density), int(seed.max()) + 1)
    models = table["model"].to_numpy()

    def spread(tensor: NDArray[Any]) -> Floats:
        out = np.full(shape + tensor.shape[1:], np.nan)
        out[row, column, seed] = tensor
        return out

    W, b = spread(run.tensor("W", models)), spread(run.tensor("b", models))
    density, weight = grid.tables(W.shape[-2])
    return grid, Models(W, theory.expected_loss(W, b, density[:, :, None], weight[:, :, None]))


def candidate(grid: Grid, n_features: int) -> Phase:
    """The paper's theory: the phase of the candidate with the lowest loss, in the pure colour of the key."""
    label = theory.candidate_phase(grid.density[None, :], grid.importance[:, None], n_features)
    return Phase((label > 0).astype(np.float64), (label > 1).astype(np.float64), label)


def exact(grid: Grid, n_features: int) -> tuple[Phase, Floats]:
    """The phase of the exact minimum for n features in n − 1 dimensions, and its loss [R, P]."""
    minimum = theory.minimise_loss(*grid.tables(n_features), n_features - 1)
    return phase_of(minimum.W), minimum.loss


def agreement(models: Models, best: Phase, minimum: Phase, minimum_loss: Floats, grid: Grid) -> Agreement:
    """Trained against exact: phases cell by cell, losses model by model."""
    known = best.label != UNKNOWN
    same = np.asarray(best.label == minimum.label)[known]
    clear = theory.clear_of_boundary(minimum.label, grid.importance, grid.density)[known]
    found = models.loss <= (1 + FOUND_WITHIN) * minimum_loss[..., None]
    reached = np.asarray(found.any(axis=-1))
    return Agreement(
        cells=int(known.sum()),
        seeds=models.loss.shape[-1],
        agree=float(same.mean()),
        far=int(clear.sum()),
        agree_far=float(same[clear].mean()) if clear.any() else float("nan"),
        seeds_found=float(found[np.isfinite(models.loss)].mean()),
        cells_found=float(reached[known].mean()),
    )
