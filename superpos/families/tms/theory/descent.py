"""Downhill on the exact loss: the nearest local minimum of many models at once.

Shapes: C cells (settings), B rows, n features, m hidden, D = n m + n parameters (W, then b).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superpos.families.tms.theory.active import ActiveSets, Correlation
from superpos.families.tms.theory.exact import Gradient, loss_and_gradient
from superpos.maths.bfgs import Minima, bfgs
from superpos.maths.types import Floats

FINISH_STEPS = 500  # BFGS steps at most until a row has converged


class Minimum(NamedTuple):
    """Best model found in each cell."""

    loss: Floats  # [...]
    W: Floats  # [..., n, m]
    b: Floats  # [..., n]


class Cells(NamedTuple):
    """Settings in which the loss is to be minimised."""

    density: Floats  # [C, n]
    importance: Floats  # [C, n]
    n_hidden: int
    sets: ActiveSets = ActiveSets()

    @property
    def mean(self) -> Floats:
        """E x_i, [C, n]."""
        return self.sets.mean(self.density)

    def take(self, cells: NDArray[np.intp]) -> Cells:
        """Some of the cells."""
        return self._replace(density=self.density[cells], importance=self.importance[cells])

    def models(self, x: Floats) -> tuple[Floats, Floats]:
        """W [..., n, m] and b [..., n] of the parameters x [..., D]."""
        n = self.density.shape[1]
        m = self.n_hidden
        return x[..., : n * m].reshape(*x.shape[:-1], n, m), x[..., n * m :]

    def form(self, x: Floats) -> Floats:
        """W W^T and b of the parameters x [..., D], [..., n n + n]: what a rotation leaves
        alone.
        """
        W, b = self.models(x)
        return parameters(W @ np.swapaxes(W, -1, -2), b)

    def loss(self, x: Floats, cells: NDArray[np.intp]) -> Gradient:
        """Exact loss and gradient at x [B, D], row k in cell `cells[k]`."""
        return loss_and_gradient(
            *self.models(x), self.density[cells], self.importance[cells], **self.sets._asdict()
        )

    def solve(
        self, start: Floats, cells: NDArray[np.intp], max_steps: int = FINISH_STEPS
    ) -> Minima:
        """Minimises from `start` [B, D], row k in cell `cells[k]`; values are shares of the zero
        model's loss.
        """
        unit = (self.importance * self.sets.active(self.density)).sum(axis=1) / 3

        def objective(x: Floats, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
            c = cells[rows]
            got = self.loss(x, c)
            return got.loss / unit[c], parameters(got.W, got.b) / unit[c, None]

        return bfgs(objective, start, max_steps)

    def minimum(self, x: Floats, lead: tuple[int, ...]) -> Minimum:
        """The models of x [C, D] with their losses, for a grid `lead` of cells."""
        W, b = self.models(x)
        loss = self.loss(x, np.arange(len(x))).loss
        return Minimum(
            loss.reshape(lead), W.reshape(*lead, *W.shape[1:]), b.reshape(*lead, *b.shape[1:])
        )


def parameters(W: Floats, b: Floats) -> Floats:
    """[..., D] from W [..., n, m] and b [..., n]."""
    return np.concatenate([W.reshape(*W.shape[:-2], W.shape[-2] * W.shape[-1]), b], axis=-1)


def grid_of_cells(
    density: ArrayLike, importance: ArrayLike, n_hidden: int, sets: ActiveSets
) -> tuple[tuple[int, ...], Cells]:
    """The grid's shape and its cells; `density`, `importance`: positive, broadcast to [..., n]."""
    p, scale = np.broadcast_arrays(
        np.asarray(density, np.float64), np.asarray(importance, np.float64)
    )
    if not p.ndim or not (np.all(p > 0) and np.all(p <= 1) and np.all(scale > 0)):
        raise ValueError("density must be [..., n_features] in (0, 1], importance positive")
    n = p.shape[-1]
    return p.shape[:-1], Cells(p.reshape(-1, n), scale.reshape(-1, n), n_hidden, sets)


def refine(
    W: ArrayLike,
    b: ArrayLike,
    density: ArrayLike,
    importance: ArrayLike,
    *,
    correlation: Correlation = "none",
    set_size: int = 1,
) -> Minimum:
    """Nearest local minimum of the exact ReLU loss, downhill from each given model: `W` [..., n,
    m], others [..., n].

    Follows one family of solutions where `minimise_loss` would jump to another; shows whether a
    trained model has settled. `correlation`, `set_size`: as for `expected_loss`.
    """
    weights = np.asarray(W, np.float64)
    bias = np.asarray(b, np.float64)
    lead, (n, m) = weights.shape[:-2], weights.shape[-2:]
    p, scale, bias = (
        np.broadcast_to(np.asarray(v, np.float64), (*lead, n)) for v in (density, importance, bias)
    )
    cells = Cells(p.reshape(-1, n), scale.reshape(-1, n), m, ActiveSets(correlation, set_size))
    start = parameters(weights, bias).reshape(-1, n * m + n)
    return cells.minimum(cells.solve(start, np.arange(len(start))).x, lead)
