"""The grids behind a phase diagram: trained models, candidate theory, exact minima, and how far
they agree.

Shapes: R relative importances (ascending), P densities (descending), K seeds, n features, m hidden
dimensions. The feature that counts is the last one: its importance is what is swept.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms import metrics, theory
from superpos.families.tms.analysis.points import DENSITY, points
from superpos.figures.points import Run, all_equal
from superpos.maths.types import Floats
from superpos.store.rows import healthy

IMPORTANCE: Final = "importance.last"
SIZES: Final = ((2, 1), (3, 2))  # (n, m) with candidate theory
MIN_SIDE: Final = 3  # cells along each axis
_PLAIN: Final = {
    "model.tied": True,
    "model.output": "relu",
    "model.hidden": "linear",
    "model.target": "identity",
    "data.correlation": "none",
    "data.last": 1.0,
    "data.signed": False,
    "data.values": "uniform",
    "data.n_points": None,
    "importance.decay": 1.0,
    "importance.values": None,
}

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
    """How the trained models compare with the exact minima; shares of the cells or models that are
    known.
    """

    cells: int
    seeds: int
    agree: float  # share of cells whose best seed is in the phase of the minimum
    far: int  # cells more than 10% from a boundary
    agree_far: float  # share of those; NaN where there are none
    seeds_found: float  # share of models within 1% of the minimum
    cells_found: float  # share of cells with such a model


def phase_of(W: Floats) -> Phase:
    """The last feature of W [..., n, m]."""
    norm = metrics.feature_norms(W)[..., -1]
    interference = metrics.interference(W)[..., -1]
    known = np.isfinite(interference)
    label = np.where(known, theory.phase_label(np.where(known[..., None, None], W, 0.0)), UNKNOWN)
    return Phase(norm, interference, label.astype(np.int8))


def trained(run: Run) -> tuple[Grid, Models]:
    """All models of a run with their exact loss, which has no sampling noise."""
    table = healthy(run.table)
    importance, row = np.unique(table[IMPORTANCE].to_numpy(dtype=float), return_inverse=True)
    sparse_first, column = np.unique(table[DENSITY].to_numpy(dtype=float), return_inverse=True)
    grid = Grid(importance, sparse_first[::-1])
    column = len(sparse_first) - 1 - column
    seed = table.groupby(row * len(grid.density) + column).cumcount().to_numpy()
    shape = (len(importance), len(grid.density), int(seed.max()) + 1)
    models = table["model"].to_numpy()

    def spread(tensor: NDArray[Any]) -> Floats:
        out = np.full(shape + tensor.shape[1:], np.nan)
        out[row, column, seed] = tensor
        return out

    W = spread(run.tensor("W", models))
    b = spread(run.tensor("b", models))
    density, weight = grid.tables(W.shape[-2])
    return grid, Models(W, theory.expected_loss(W, b, density[:, :, None], weight[:, :, None]))


def candidate(grid: Grid, n_features: int) -> Phase:
    """The paper's theory: the phase of the candidate with the lowest loss, in the pure colour of
    the key.
    """
    label = theory.candidate_phase(grid.density[None, :], grid.importance[:, None], n_features)
    return Phase((label > 0).astype(np.float64), (label > 1).astype(np.float64), label)


def exact(grid: Grid, n_features: int) -> tuple[Phase, Floats]:
    """The phase of the exact minimum for n features in n − 1 dimensions, and its loss [R, P]."""
    minimum = theory.minimise_loss(*grid.tables(n_features), n_features - 1)
    return phase_of(minimum.W), minimum.loss


def agreement(
    models: Models, best: Phase, minimum: Phase, minimum_loss: Floats, grid: Grid
) -> Agreement:
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


def map_reason(run: Run) -> str | None:
    """Why the run is no phase diagram; None when it is."""
    reason = all_equal(run, _PLAIN)
    if reason:
        return reason
    chosen = points(run)
    sizes = {point.shape for point in chosen}
    if len(sizes) != 1 or not sizes <= set(SIZES):
        return "needs models of one size, n=2 with m=1 or n=3 with m=2"
    if set(chosen[0].varied) != {IMPORTANCE, DENSITY}:
        return "needs a sweep of importance.last and the density, and of nothing else but seeds"
    sides = [len({point.varied[key] for point in chosen}) for key in (IMPORTANCE, DENSITY)]
    return (
        None
        if min(sides) >= MIN_SIDE
        else f"needs at least {MIN_SIDE} values of importance.last and of the density"
    )


# --- as it is shown -------------------------------------------------------------------------------


def edges(centres: Floats) -> Floats:
    """Edges [N + 1] of cells on a logarithmic axis, midway between their centres [N]."""
    logs = np.log(centres)
    middle = (logs[1:] + logs[:-1]) / 2
    ends = np.concatenate(([2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]))
    return np.asarray(np.exp(ends))


def outline(label: NDArray[np.int8], grid: Grid) -> list[Floats]:
    """Segments [2, 2] of (p, r) along the cell edges where the phase changes."""
    x = edges(grid.density)
    y = edges(grid.importance)
    level = [
        np.array([[x[j], y[i + 1]], [x[j + 1], y[i + 1]]])
        for i, j in np.argwhere(label[1:] != label[:-1])
    ]
    upright = np.argwhere(label[:, 1:] != label[:, :-1])
    return level + [np.array([[x[j + 1], y[i]], [x[j + 1], y[i + 1]]]) for i, j in upright]


def caption(found: Agreement) -> str:
    """The comparison in words, with the share of agreeing cells and how often the best basin was
    found.
    """
    best = f"best of {found.seeds} seeds" if found.seeds > 1 else "one seed"
    lines = [
        f"Line: boundary of the exact minimum. Trained ({best}) is in the same phase in "
        f"{percent(found.agree)} of "
        f"{found.cells:,} cells" + _far(found) + ".",
        f"{percent(found.seeds_found)} of the models reach a loss within 1% of the exact minimum",
    ]
    if found.seeds > 1:
        lines[1] += f"; in {percent(found.cells_found)} of the cells the best one does"
    return "\n".join(lines) + "."


def percent(share: float) -> str:
    """Rounded down: what is called 100.0% has no exception."""
    return f"{np.floor(1000 * share + 1e-9) / 10:.1f}%"


def _far(found: Agreement) -> str:
    """The share away from the boundary, where that is another one."""
    if found.far in (0, found.cells):
        return ""
    return (
        f",\nand in {percent(found.agree_far)} of the {found.far:,} cells more than 10% from that "
        "boundary"
    )
