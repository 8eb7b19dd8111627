"""How right an explanation is, question by question.

What is graded is every output, with every input, that moves.

drop, resample: how often the strongest cause is named; of several that are named alike each counts
for its share, and who gives 0 to every input names none. sets: R² over all 2ⁿ sets of inputs at
once. global, structure: the rank correlation of mean absolute attributions with what is true of the
model, over the inputs of an output. A model of which nothing can be graded has the grade NaN, and
the count of what was graded says so.

Shapes: M models, B inputs, n features, k outputs.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.explain.truth import Sets
from superpos.maths.types import Floats

ZERO: Final = 1e-12
"""Effects up to here are rounding."""


class Grade(NamedTuple):
    """Grades of one method on one question, one per model."""

    grade: Floats  # [M]
    # [M], share of the real causes that were given exactly 0; NaN where the question has no causes
    missed: Floats
    signs: Floats  # [M], share of the real causes with the right sign
    graded: Floats  # [M], outputs (with their inputs) that were graded
    still: Floats  # [M], outputs that do not move, whatever is done


def grade_causes(truth: Floats, found: Floats) -> Grade:
    """Grade of attributions [M, B, k, n] against the effects of single inputs."""
    real: NDArray[np.bool_] = np.abs(truth) > ZERO
    moves: NDArray[np.bool_] = np.asarray(real.any(axis=-1))
    strongest = _largest(truth)
    named = _largest(found)
    hit = (strongest & named).sum(axis=-1) / np.maximum(named.sum(axis=-1), 1)
    return Grade(
        _mean(hit, moves),
        _mean(np.abs(found) <= ZERO, real),
        _mean(np.sign(found) == np.sign(truth), real),
        _count(moves),
        _count(~moves),
    )


def _largest(values: Floats) -> NDArray[np.bool_]:
    """Which inputs of an output are as large as any, where there is one that is not 0."""
    size = np.abs(values)
    return np.asarray((size >= size.max(axis=-1, keepdims=True) - ZERO) & (size > ZERO))


def grade_sets(truth: Sets, found: Floats) -> Grade:
    """R² of attributions [M, B, k, n] as predictions of f(x) − v(S) for all sets, over inputs and
    outputs together.

    Over the sets v is its mean, the additive part with Banzhaf values β, and a rest that no
    additive explanation reaches: the error of φ is (f(x) − Σφ/2 − mean)² + Σ(φ − β)²/4 + rest.
    """
    moves = truth.variance > ZERO**2
    rest = truth.variance - (truth.best**2).sum(-1) / 4
    offset = truth.whole - found.sum(-1) / 2 - truth.mean
    error = offset**2 + ((found - truth.best) ** 2).sum(-1) / 4 + np.maximum(rest, 0)
    axes = (1, 2)
    total = np.where(moves, truth.variance, 0).sum(axis=axes)
    with np.errstate(divide="ignore", invalid="ignore"):
        grade = 1 - np.where(moves, error, 0).sum(axis=axes) / np.where(total > 0, total, np.nan)
    unknown = np.full(len(grade), np.nan)
    return Grade(grade, unknown, unknown, _count(moves), _count(~moves))


def grade_model(truth: Floats, found: Floats) -> Grade:
    """Mean rank correlation over outputs of importances [M, k, n] with what is true of each
    model.
    """
    from scipy.stats import rankdata  # commands that only list figures do without it

    ranks = [rankdata(np.abs(values), axis=-1) for values in (truth, found)]
    centred = [values - values.mean(axis=-1, keepdims=True) for values in ranks]
    spread = [(values**2).sum(-1) for values in centred]
    graded = spread[0] > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = (centred[0] * centred[1]).sum(-1) / np.sqrt(spread[0] * spread[1])
    known = np.where(spread[1] > 0, correlation, 0.0)  # one importance for all says nothing
    real = np.abs(truth) > ZERO
    unknown = np.full(len(truth), np.nan)
    return Grade(
        _mean(known, graded),
        _mean(np.abs(found) <= ZERO, real),
        unknown,
        _count(graded),
        _count(~graded),
    )


def _mean(values: NDArray[Any], chosen: NDArray[np.bool_]) -> Floats:
    """The mean [M] of those chosen of each model, NaN where there are none."""
    axes = tuple(range(1, chosen.ndim))
    count = chosen.sum(axis=axes)
    total = np.where(chosen, values, 0).sum(axis=axes)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _count(chosen: NDArray[np.bool_]) -> Floats:
    """How many are chosen of each model [M]."""
    return np.asarray(chosen.sum(axis=tuple(range(1, chosen.ndim))), dtype=np.float64)
