"""The paper's candidate solutions of the phase-change experiments, and phases of weights.

Both are defined in docs/science.md, Exact theory.

The last of n = m + 1 features has importance r, the others 1; all have density p. The candidates
are ideal shapes with zero or mean bias, so the exact minimum (`minimise_loss`) lies below each of
them: their phase map is the paper's theory panel, the labels of the minimiser's weights are the
true one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superpos.families.tms.metrics import REPRESENTED_NORM
from superpos.families.tms.theory.exact import variance
from superpos.maths.types import Floats

Labels = NDArray[np.int8]

# what a label counts: the last feature's fate
PHASES = ("not represented", "dedicated", "superposed")
TRIPLE_POINT = (4 / 7, 1.0)  # (p, r) where the three candidates of n = 2 are equal
SUPERPOSED_INTERFERENCE = 0.25


class Candidate(NamedTuple):
    """One ideal solution."""

    name: str
    phase: int  # index into PHASES: what becomes of the last feature
    loss: Floats  # [...]


def candidate_losses(
    density: ArrayLike, relative_importance: ArrayLike, n_features: int
) -> list[Candidate]:
    """Losses of the paper's candidates for n features in n - 1 dimensions; `density` p and r
    broadcast to [...].

    A dropped feature leaves its variance V(p); a digon errs by min(x_1, x_2)^2 in both of its
    outputs when both are active, which is E = 1/6: r V, V, (1+r) p^2/6 and, with a third feature,
    p^2/3. Raises ValueError for n < 2.
    """
    if n_features < 2:
        raise ValueError(f"n_features must be at least 2, got {n_features}")
    p, r = np.broadcast_arrays(
        np.asarray(density, np.float64), np.asarray(relative_importance, np.float64)
    )
    found = [
        Candidate("ignore the last feature", 0, r * variance(p)),
        Candidate("ignore another feature", 1, variance(p)),
        Candidate("last feature in a digon", 2, (1 + r) * p**2 / 6),
    ]
    if n_features > 2:
        found.append(Candidate("digon of two other features", 1, p**2 / 3))
    return found


def candidate_phase(density: ArrayLike, relative_importance: ArrayLike, n_features: int) -> Labels:
    """Phase of the best candidate, an index into `PHASES`, [...]; on a boundary the first one
    listed.
    """
    options = candidate_losses(density, relative_importance, n_features)
    best = np.argmin(np.stack([c.loss for c in options]), axis=0)
    return np.asarray(np.array([c.phase for c in options], dtype=np.int8)[best])


def digon_boundary(density: ArrayLike) -> Floats:
    """r where the digon and ignoring the last feature cost the same: 2p / (4 - 5p), for p < 4/5
    (infinite beyond).

    The boundary to ignoring the other feature is its reciprocal; they meet with r = 1 at
    `TRIPLE_POINT`.
    """
    p = np.asarray(density, dtype=np.float64)
    gap = 4 - 5 * p
    return np.asarray(np.where(gap > 0, 2 * p / np.where(gap > 0, gap, 1.0), np.inf))


def phase_label(W: ArrayLike) -> Labels:
    """Phase of the last feature, an index into `PHASES`, [...], of trained or minimised weights `W`
    [..., n, m].

    Not represented: norm at most 1/2. Else by its interference sum_j (w.W_j)^2 with the unit vector
    w: ideal values are 0 when dedicated, 1 in a digon, 1/2 in a triangle. The threshold 1/4 is
    halfway between the nearest two. Exact minima leave a gap around it (in the maps of n = 2 and 3,
    under 1% of the represented cells lie between 0.15 and 0.4), so the labels hardly depend on it.
    """
    weights = np.asarray(W, dtype=np.float64)
    last = weights[..., -1, :]
    norm = np.linalg.norm(last, axis=-1)
    represented = norm > REPRESENTED_NORM
    unit = last / np.where(represented, norm, 1.0)[..., None]
    interference = ((weights[..., :-1, :] @ unit[..., None])[..., 0] ** 2).sum(axis=-1)
    superposed = represented & (interference > SUPERPOSED_INTERFERENCE)
    return np.asarray(represented.astype(np.int8) + superposed.astype(np.int8))


def clear_of_boundary(
    labels: ArrayLike, rows: ArrayLike, columns: ArrayLike, factor: float = 1.1
) -> NDArray[np.bool_]:
    """Cells of a phase map with no other label within `factor` of them along either axis or both,
    [R, C].

    `labels`: [R, C]; `rows` [R], `columns` [C]: positive, monotonic coordinates of the cell
    centres. Between centres the map is interpolated by nearest label on log axes, which puts a
    boundary at the geometric mean of two neighbouring centres with different labels (in doubt by
    half a cell); the outer cells reach on beyond the map.
    """
    grid = np.asarray(labels)
    starts = _reach(np.asarray(rows, np.float64), factor)
    stops = _reach(np.asarray(columns, np.float64), factor)
    if grid.shape != (len(starts), len(stops)):
        raise ValueError(f"labels have shape {grid.shape}, expected {(len(starts), len(stops))}")
    clear = np.empty(grid.shape, dtype=bool)
    for i, (top, bottom) in enumerate(starts):
        for j, (left, right) in enumerate(stops):
            clear[i, j] = bool((grid[top:bottom, left:right] == grid[i, j]).all())
    return clear


def _reach(centres: Floats, factor: float) -> NDArray[np.intp]:
    """First cell, and one past the last, whose interval comes within `factor` of each centre,
    [cells, 2].
    """
    log = np.log(centres)
    descending = len(log) > 1 and log[0] > log[-1]
    log = -log if descending else log
    edges = (log[1:] + log[:-1]) / 2
    first = np.searchsorted(edges, log - np.log(factor), side="right")
    last = np.searchsorted(edges, log + np.log(factor), side="left")
    return np.stack([first, last + 1], axis=1)
