"""Many small smooth minimisations at once: BFGS with backtracking in float64, each row on its own.

Shapes: B rows (independent problems), D parameters of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.maths.types import Floats

Objective = Callable[[Floats, NDArray[np.intp]], tuple[Floats, Floats]]

SUFFICIENT = 1e-4  # Armijo: share of the decrease that the slope promises
HALVINGS = 10  # tries of one line search
FIRST_STEP = 0.3  # length of a step along the bare gradient; weights are of order 1
STALL = 1e-15  # relative decrease that counts as none: a few units in the last place


class Minima(NamedTuple):
    """Best point of each row."""

    x: Floats  # [B, D]
    value: Floats  # [B]


class _Rows(NamedTuple):
    """Rows still moving."""

    problem: NDArray[np.intp]  # [b] in 0 ... B-1
    x: Floats  # [b, D]
    value: Floats  # [b]
    grad: Floats  # [b, D]
    inverse: Floats  # [b, D, D] inverse Hessian
    fresh: NDArray[np.bool_]  # [b] the inverse Hessian is still a multiple of 1
    stalls: NDArray[np.int64]  # [b] steps in a row without a decrease that counts

    def take(self, keep: NDArray[np.bool_]) -> _Rows:
        return _Rows(
            self.problem[keep],
            self.x[keep],
            self.value[keep],
            self.grad[keep],
            self.inverse[keep],
            self.fresh[keep],
            self.stalls[keep],
        )


def bfgs(objective: Objective, start: Floats, max_steps: int, gtol: float = 1e-8) -> Minima:
    """Minimises `objective(x, rows) -> (values [b], gradients [b, D])` from each row of `start` [B,
    D].

    `rows` names the problems that the x belong to. A row stops when no gradient component exceeds
    `gtol`, when two steps in a row decrease it by rounding only, or after `max_steps`. The value
    never rises.
    """
    result = Minima(start.copy(), np.empty(len(start)))
    rows = _begin(objective, start)
    result.value[:] = rows.value
    for _ in range(max_steps):
        rows = rows.take((np.abs(rows.grad).max(axis=1) > gtol) & (rows.stalls < 2))
        if not len(rows.problem):
            break
        rows = _step(objective, rows)
        result.x[rows.problem], result.value[rows.problem] = rows.x, rows.value
    return result


def _begin(objective: Objective, start: Floats) -> _Rows:
    count, size = start.shape
    problem = np.arange(count)
    value, grad = objective(start, problem)
    inverse = np.broadcast_to(np.eye(size), (count, size, size)).copy()
    return _Rows(
        problem, start.copy(), value, grad, inverse, np.ones(count, bool), np.zeros(count, np.int64)
    )


def _step(objective: Objective, rows: _Rows) -> _Rows:
    """One quasi-Newton step of every row; a row without a descent direction or a decrease starts
    afresh.
    """
    direction = -(rows.inverse @ rows.grad[..., None])[..., 0]
    slope = (direction * rows.grad).sum(axis=1)
    steepest = rows.fresh | ~(slope < 0)
    norm = np.sqrt((rows.grad**2).sum(axis=1))
    bare = -rows.grad * np.minimum(1.0, FIRST_STEP / norm)[:, None]
    direction = np.where(steepest[:, None], bare, direction)
    x, value, grad = _search(objective, rows, direction)
    moved = value < rows.value
    stalled = value >= rows.value - STALL * np.abs(rows.value)
    inverse, fresh = _update(rows.inverse, steepest, x - rows.x, grad - rows.grad)
    fresh = np.where(moved, fresh, True)
    return _Rows(
        rows.problem, x, value, grad, inverse, fresh, np.where(stalled, rows.stalls + 1, 0)
    )


def _search(objective: Objective, rows: _Rows, direction: Floats) -> tuple[Floats, Floats, Floats]:
    """Backtracks each row until it decreases enough; a row that never does stays where it was."""
    x = rows.x.copy()
    value = rows.value.copy()
    grad = rows.grad.copy()
    slope = (direction * rows.grad).sum(axis=1)
    length = np.ones(len(x))
    pending = np.arange(len(x))
    for _ in range(HALVINGS):
        trial = rows.x[pending] + length[pending, None] * direction[pending]
        trial_value, trial_grad = objective(trial, rows.problem[pending])
        gain = rows.value[pending] - trial_value
        good = gain >= -SUFFICIENT * length[pending] * slope[pending]
        done = pending[good]
        x[done], value[done], grad[done] = trial[good], trial_value[good], trial_grad[good]
        pending = pending[~good]
        gain = gain[~good]
        if not len(pending):
            break
        length[pending] = _shorter(length[pending], gain, slope[pending])
    return x, value, grad


def _shorter(length: Floats, gain: Floats, slope: Floats) -> Floats:
    """Minimum of the parabola through the failed trial, kept within a tenth and a half of its
    length.
    """
    curvature = -gain - slope * length  # positive, as the trial failed Armijo's test
    best = -slope * length**2 / (2 * np.maximum(curvature, 1e-300))
    return np.asarray(np.clip(best, 0.1 * length, 0.5 * length))


def _update(
    inverse: Floats, steepest: NDArray[np.bool_], s: Floats, y: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """BFGS update of the inverse Hessians by step s and change of gradient y, where the curvature
    is positive.

    The first update of a row replaces the unit matrix by the multiple of it that has the right
    scale.
    """
    sy = (s * y).sum(axis=1)
    yy = (y * y).sum(axis=1)
    curved = sy > 1e-12 * np.sqrt((s * s).sum(axis=1) * yy)
    sy = np.where(curved, sy, 1.0)
    yy = np.where(curved, yy, 1.0)
    unit = np.eye(s.shape[1])
    base = np.where(steepest[:, None, None], (sy / yy)[:, None, None] * unit, inverse)
    hy = (base @ y[..., None])[..., 0]
    yhy = (y * hy).sum(axis=1)
    outer = s[:, :, None] * hy[:, None, :]
    change = ((1 + yhy / sy) / sy)[:, None, None] * s[:, :, None] * s[:, None, :]
    change -= (outer + np.swapaxes(outer, 1, 2)) / sy[:, None, None]
    updated = np.where(curved[:, None, None], base + change, inverse)
    return updated, steepest & ~curved
