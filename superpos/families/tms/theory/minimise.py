"""Smallest exact loss of tied ReLU models, for a grid of densities and importances at once.

Multi-start: every cell tries the ideal shapes (dedicated features, digons, polygons, simplexes),
then random weights; all starts take some BFGS steps and the best few run to convergence. Then
neighbouring cells of the grid hand each other their solutions, and each tries variants of its own,
until nothing improves.

Shapes: grid [...] of C cells, S starts a cell, n features, m hidden, D = n m + n parameters (W,
then b).
"""

from __future__ import annotations

from itertools import combinations, islice
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superpos.families.tms.geometry.shapes import ideal_shapes
from superpos.families.tms.theory.active import ActiveSets, Correlation
from superpos.families.tms.theory.descent import (
    FINISH_STEPS,
    Cells,
    Minimum,
    grid_of_cells,
    parameters,
)
from superpos.maths.bfgs import Minima
from superpos.maths.types import Floats

SCREEN_STEPS = 12  # BFGS steps of every start before all but the best are dropped
FINALISTS = 4  # starts a cell that run to convergence, or one in FINAL_SHARE where there are many
FINAL_SHARE = 8
ROUNDS = 20  # exchanges between neighbouring cells, at most
MAX_SHAPES = 128  # structured starts a cell, drawn at random where there are more
LISTED_SHAPES = 10_000
GAIN = 1e-10  # relative improvement that counts, when neighbours' solutions are tried
# two starts are the same when no entry of W W^T or b differs by more, after the screening
DISTINCT = 0.15
KICK = 0.1  # size of the noise that frees a start from a saddle point


def minimise_loss(
    density: ArrayLike,
    importance: ArrayLike,
    n_hidden: int,
    *,
    n_random: int = 8,
    seed: int = 0,
    correlation: Correlation = "none",
    set_size: int = 1,
) -> Minimum:
    """Multi-start minimum of the exact ReLU loss in every cell; `density`, `importance`: broadcast
    to [..., n].

    `n_random`: random starts a cell beside the structured ones; `seed` draws them. Neighbours along
    every leading axis exchange solutions, so a fine grid is searched better than one cell. Nothing
    proves a minimum global: runs with five times the starts found nothing better by 1e-9 for n <=
    5; beyond, raise `n_random` and compare seeds (an evaluation costs n 3^n). `correlation`,
    `set_size`: as for `expected_loss`. Raises ValueError for a density or importance that is not
    positive.
    """
    lead, cells = grid_of_cells(density, importance, n_hidden, ActiveSets(correlation, set_size))
    starts = _starts(cells, n_random, np.random.default_rng(seed))
    best = _search(cells, starts, max(FINALISTS, starts.shape[1] // FINAL_SHARE))
    neighbours = neighbours_of(lead)
    changed = np.ones(len(cells.density), dtype=bool)
    for _ in range(ROUNDS):
        if not changed.any():
            break
        changed = _exchange(cells, best, neighbours, changed)
    return cells.minimum(best.x, lead)


def _search(cells: Cells, starts: Floats, finalists: int) -> Minima:
    """Best of `starts` [C, S, D] in each cell: all are screened, the best distinct are finished."""
    screened = _advance(cells, starts, SCREEN_STEPS)
    kept = _distinct(cells, screened, finalists)  # [C, finalists]
    found = _advance(cells, np.take_along_axis(screened.x, kept[..., None], axis=1), FINISH_STEPS)
    each = np.arange(len(starts))
    winner = found.value.argmin(axis=1)
    return Minima(found.x[each, winner], found.value[each, winner])


def _advance(cells: Cells, x: Floats, steps: int) -> Minima:
    """Some BFGS steps from every x [C, S, D]; the result is [C, S, D] and [C, S]."""
    count, n_starts, size = x.shape
    found = cells.solve(x.reshape(-1, size), np.repeat(np.arange(count), n_starts), steps)
    return Minima(found.x.reshape(x.shape), found.value.reshape(count, n_starts))


def _distinct(cells: Cells, found: Minima, count: int) -> NDArray[np.intp]:
    """Indices [C, count] of the best starts of each cell that differ in W W^T or b, best first;
    `found` of `_advance`.

    Families of nearly equal loss (a sign turned, two features swapped) would otherwise lose every
    place to the one that is ahead after the screening.
    """
    form = cells.form(found.x)
    each = np.arange(len(form))
    left = found.value.copy()
    kept = []
    for _ in range(count):
        kept.append(left.argmin(axis=1))
        same = np.abs(form - form[each, kept[-1]][:, None]).max(axis=-1) < DISTINCT
        left[same] = np.inf
    return np.stack(kept, axis=1)


def _exchange(
    cells: Cells, best: Minima, neighbours: NDArray[np.intp], changed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tries in cells near a change the solutions of their neighbours and variants of their own;
    updates `best`.

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


def neighbours_of(lead: tuple[int, ...]) -> NDArray[np.intp]:
    """Neighbours of each cell along every axis of the grid, round its ends, [C, 2 axes]."""
    index = np.arange(prod(lead)).reshape(lead)
    rolled = [np.roll(index, step, axis) for axis in range(len(lead)) for step in (1, -1)]
    return np.array(rolled, dtype=np.intp).reshape(2 * len(lead), index.size).T


def _variants(cells: Cells, x: Floats) -> Floats:
    """x [C, D] with one feature reversed or two swapped, [C, variants, D]: families of minima that
    lie far apart.

    Where features are dense, these families are nearly equal; the bias keeps the mean of each
    output as it was.
    """
    n = cells.density.shape[1]
    W, b = cells.models(x)
    mean = cells.mean[..., None]  # [C, n, 1]
    swaps = np.tile(np.arange(n), (n * (n - 1) // 2, 1))
    for order, (i, j) in zip(swaps, combinations(range(n), 2), strict=True):
        order[[i, j]] = j, i
    signs = 1 - 2 * np.eye(n)  # [reversed feature, n]
    reversed_w = signs[..., None] * W[:, None]  # [C, n, n, m]
    lost = W @ (W.mT @ mean)  # [C, n, 1]
    reversed_b = b[:, None] + (lost[:, None] - reversed_w @ (reversed_w.mT @ mean[:, None]))[..., 0]
    W = np.concatenate([reversed_w, W[:, swaps]], axis=1)
    b = np.concatenate([reversed_b, b[:, swaps]], axis=1)
    return parameters(W, b)


def _starts(cells: Cells, n_random: int, rng: np.random.Generator) -> Floats:
    """[C, S, D]: ideal shapes as they are (so that no candidate beats the result), the same kicked,
    random weights.
    """
    n = cells.density.shape[1]
    m = cells.n_hidden
    shapes = np.array(list(islice(ideal_shapes(n, m), LISTED_SHAPES)))
    shapes = shapes[rng.permutation(len(shapes))[:MAX_SHAPES]]  # [S, n, m]
    count = len(cells.density)
    W = np.broadcast_to(shapes, (count, *shapes.shape))
    dropped = (shapes == 0).all(axis=-1)
    bias = np.where(dropped, cells.mean[:, None], 0.0)  # the mean is all that is left to say of it
    ideal = parameters(W, bias)
    kicked = ideal + KICK * rng.standard_normal(ideal.shape)
    wild = rng.standard_normal((count, n_random, ideal.shape[-1]))
    wild[..., : n * m] *= np.sqrt(1 / m)
    wild[..., n * m :] *= KICK
    return np.concatenate([ideal, kicked, wild], axis=1)
