"""Smallest exact loss of tied ReLU models, for a grid of densities and importances at once.

Multi-start: every cell tries the ideal shapes (dedicated features, digons, polygons, simplexes), then random
weights; all starts take some BFGS steps and the best few run to convergence. Then neighbouring cells of the grid hand
each other their solutions, and each tries variants of its own, until nothing improves.

Shapes: grid [...] of C cells, S starts a cell, n features, m hidden, D = n m + n parameters (W, then b).
"""

from __future__ import annotations

from itertools import combinations, islice
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superpos.theory.bfgs import Minima, bfgs
from superpos.theory.exact import loss_and_gradient
from superpos.theory.shapes import Floats, ideal_shapes

SCREEN_STEPS = 12  # BFGS steps of every start before all but the best are dropped
FINISH_STEPS = 500  # BFGS steps at most of those that are kept
FINALISTS = 4  # starts a cell that run to convergence, or one in FINAL_SHARE where there are many
FINAL_SHARE = 8
ROUNDS = 20  # exchanges between neighbouring cells, at most
MAX_SHAPES = 128  # structured starts a cell, drawn at random where there are more
LISTED_SHAPES = 10_000
GAIN = 1e-10  # relative improvement that counts, when neighbours' solutions are tried
DISTINCT = 0.15  # two starts are the same when no entry of W W^T or b differs by more, after the screening
KICK = 0.1  # size of the noise that frees a start from a saddle point


class Minimum(NamedTuple):
    """Best model found in each cell."""

    loss: Floats  # [...]
    W: Floats  # [..., n, m]
    b: Floats  # [..., n]


class _Cells(NamedTuple):
    density: Floats  # [C, n]
    importance: Floats  # [C, n]
    n_hidden: int

    def take(self, cells: NDArray[np.intp]) -> _Cells:
        return _Cells(self.density[cells], self.importance[cells], self.n_hidden)

    def solve(self, start: Floats, cells: NDArray[np.intp], max_steps: int) -> Minima:
        """Minimises from `start` [B, D], row k in cell `cells[k]`; values are shares of the zero model's loss."""
        n, m = self.density.shape[1], self.n_hidden
        unit = (self.importance * self.density).sum(axis=1) / 3

        def objective(x: Floats, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
            c = cells[rows]
            got = loss_and_gradient(x[:, : n * m].reshape(-1, n, m), x[:, n * m :], self.density[c], self.importance[c])
            grad = np.concatenate([got.W.reshape(len(x), n * m), got.b], axis=1)
            return got.loss / unit[c], grad / unit[c, None]

        return bfgs(objective, start, max_steps)


def minimise_loss(
    density: ArrayLike, importance: ArrayLike, n_hidden: int, *, n_random: int = 8, seed: int = 0
) -> Minimum:
    """Multi-start minimum of the exact ReLU loss in every cell; `density`, `importance`: broadcast to [..., n].

    `n_random`: random starts a cell beside the structured ones; `seed` draws them. Neighbours along every leading
    axis exchange solutions, so a fine grid is searched better than one cell. Nothing proves a minimum global: runs
    with five times the starts found nothing better by 1e-9 for n <= 5; beyond, raise `n_random` and compare seeds
    (an evaluation costs n 3^n). Raises ValueError for a density or importance that is not positive.
    """
    p, scale = np.broadcast_arrays(np.asarray(density, np.float64), np.asarray(importance, np.float64))
    if not p.ndim or not (np.all(p > 0) and np.all(p <= 1) and np.all(scale > 0)):
        raise ValueError("density must be [..., n_features] in (0, 1], importance positive")
    lead, n = p.shape[:-1], p.shape[-1]
    cells = _Cells(p.reshape(-1, n), scale.reshape(-1, n), n_hidden)
    starts = _starts(cells, n_random, np.random.default_rng(seed))
    best = _search(cells, starts, max(FINALISTS, starts.shape[1] // FINAL_SHARE))
    neighbours, changed = _neighbours(lead), np.ones(len(cells.density), dtype=bool)
    for _ in range(ROUNDS):
        if not changed.any():
            break
        changed = _exchange(cells, best, neighbours, changed)
    return _result(cells, best, lead)


def refine(W: ArrayLike, b: ArrayLike, density: ArrayLike, importance: ArrayLike) -> Minimum:
    """Nearest local minimum of the exact ReLU loss, downhill from each given model: `W` [..., n, m], others [..., n].

    Follows one family of solutions where `minimise_loss` would jump to another; shows whether a trained model has
    settled.
    """
    weights, bias = np.asarray(W, np.float64), np.asarray(b, np.float64)
    lead, (n, m) = weights.shape[:-2], weights.shape[-2:]
    p, scale = (np.broadcast_to(np.asarray(v, np.float64), (*lead, n)).reshape(-1, n) for v in (density, importance))
    cells = _Cells(p, scale, m)
    start = np.concatenate([weights.reshape(-1, n * m), np.broadcast_to(bias, (*lead, n)).reshape(-1, n)], axis=1)
    return _result(cells, cells.solve(start, np.arange(len(start)), FINISH_STEPS), lead)


def _result(cells: _Cells, best: Minima, lead: tuple[int, ...]) -> Minimum:
    n, m = cells.density.shape[1], cells.n_hidden
    W, b = best.x[:, : n * m].reshape(-1, n, m), best.x[:, n * m :]
    loss = loss_and_gradient(W, b, cells.density, cells.importance).loss
    return Minimum(loss.reshape(lead), W.reshape(*lead, n, m), b.reshape(*lead, n))


def _search(cells: _Cells, starts: Floats, finalists: int) -> Minima:
    """Best of `starts` [C, S, D] in each cell: all are screened, the best distinct are finished."""
    screened = _advance(cells, starts, SCREEN_STEPS)
    kept = _distinct(cells, screened, finalists)  # [C, finalists]
    found = _advance(cells, np.take_along_axis(screened.x, kept[..., None], axis=1), FINISH_STEPS)
    each, winner = np.arange(len(starts)), found.value.argmin(axis=1)
    return Minima(found.x[each, winner], found.value[each, winner])


def _advance(cells: _Cells, x: Floats, steps: int) -> Minima:
    """Some BFGS steps from every x [C, S, D]; the result is [C, S, D] and [C, S]."""
    count, n_starts, size = x.shape
    found = cells.solve(x.reshape(-1, size), np.repeat(np.arange(count), n_starts), steps)
    return Minima(found.x.reshape(x.shape), found.value.reshape(count, n_starts))


def _distinct(cells: _Cells, found: Minima, count: int) -> NDArray[np.intp]:
    """Indices [C, count] of the best starts of each cell that differ in W W^T or b, best first; `found` of `_advance`.

    Families of nearly equal loss (a sign turned, two features swapped) would otherwise lose every place to the one
    that is ahead after the screening.
    """
    n, m = cells.density.shape[1], cells.n_hidden
    lead = found.value.shape
    W, b = found.x[..., : n * m].reshape(*lead, n, m), found.x[..., n * m :]
    form = np.concatenate([(W @ np.swapaxes(W, -1, -2)).reshape(*lead, n * n), b], axis=-1)
    each, left, kept = np.arange(len(form)), found.value.copy(), []
    for _ in range(count):
        kept.append(left.argmin(axis=1))
        same = np.abs(form - form[each, kept[-1]][:, None]).max(axis=-1) < DISTINCT
        left[same] = np.inf
    return np.stack(kept, axis=1)


def _exchange(
    cells: _Cells, best: Minima, neighbours: NDArray[np.intp], changed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tries in cells near a change the solutions of their neighbours and variants of their own; updates `best`.

    Returns the cells that improved.
    """
    near = np.flatnonzero(changed | changed[neighbours].any(axis=1))
    part = cells.take(near)
    starts = np.concatenate([best.x[neighbours[near]], _variants(part, best.x[near])], axis=1)
    found = _search(part, starts, finalists=2)
    better = found.value < best.value[near] * (1 - GAIN)
    best.x[near[better]], best.value[near[better]] = found.x[better], found.value[better]
    improved = np.zeros_like(changed)
    improved[near[better]] = True
    return improved


def _neighbours(lead: tuple[int, ...]) -> NDArray[np.intp]:
    """Neighbours of each cell along every axis of the grid, round its ends, [C, 2 axes]."""
    index = np.arange(prod(lead)).reshape(lead)
    rolled = [np.roll(index, step, axis) for axis in range(len(lead)) for step in (1, -1)]
    return np.array(rolled, dtype=np.intp).reshape(2 * len(lead), index.size).T


def _variants(cells: _Cells, x: Floats) -> Floats:
    """x [C, D] with one feature reversed or two swapped, [C, variants, D]: families of minima that lie far apart.

    Where features are dense, these families are nearly equal; the bias keeps the mean of each output as it was.
    """
    n, m = cells.density.shape[1], cells.n_hidden
    W, b = x[:, : n * m].reshape(-1, n, m), x[:, n * m :]
    mean = cells.density[..., None] / 2  # [C, n, 1]
    swaps = np.tile(np.arange(n), (n * (n - 1) // 2, 1))
    for order, (i, j) in zip(swaps, combinations(range(n), 2), strict=True):
        order[[i, j]] = j, i
    signs = 1 - 2 * np.eye(n)  # [reversed feature, n]
    reversed_w = signs[..., None] * W[:, None]  # [C, n, n, m]
    lost = W @ (W.mT @ mean)  # [C, n, 1]
    reversed_b = b[:, None] + (lost[:, None] - reversed_w @ (reversed_w.mT @ mean[:, None]))[..., 0]
    W = np.concatenate([reversed_w, W[:, swaps]], axis=1)
    b = np.concatenate([reversed_b, b[:, swaps]], axis=1)
    return np.concatenate([W.reshape(*W.shape[:2], n * m), b], axis=-1)


def _starts(cells: _Cells, n_random: int, rng: np.random.Generator) -> Floats:
    """[C, S, D]: ideal shapes as they are (so that no candidate beats the result), the same kicked, random weights."""
    n, m = cells.density.shape[1], cells.n_hidden
    shapes = np.array(list(islice(ideal_shapes(n, m), LISTED_SHAPES)))
    shapes = shapes[rng.permutation(len(shapes))[:MAX_SHAPES]]  # [S, n, m]
    count = len(cells.density)
    W = np.broadcast_to(shapes, (count, *shapes.shape))
    dropped = (shapes == 0).all(axis=-1)
    bias = np.where(dropped, cells.density[:, None] / 2, 0.0)  # the mean is all that is left to say of it
    ideal = np.concatenate([W.reshape(count, len(shapes), n * m), bias], axis=-1)
    kicked = ideal + KICK * rng.standard_normal(ideal.shape)
    wild = rng.standard_normal((count, n_random, ideal.shape[-1]))
    wild[..., : n * m] *= np.sqrt(1 / m)
    wild[..., n * m :] *= KICK
    return np.concatenate([ideal, kicked, wild], axis=1)
