"""What composes with what: orders of paths, what ablation does not see, and sequences of other
kinds.

Values are one per solved model, or of those with a circuit of a class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from superpos.claims.measured import Measured
from superpos.families.transformer import metrics
from superpos.families.transformer.analysis import paths
from superpos.families.transformer.analysis.models import solved_rows, task
from superpos.families.transformer.counts import SEQUENCES, asked, asked_of
from superpos.families.transformer.data.inputs import sample
from superpos.families.transformer.data.languages import strayed
from superpos.families.transformer.model import forward
from superpos.families.transformer.purposes import Purpose
from superpos.families.transformer.structure import Task
from superpos.maths.streams import draws
from superpos.store import Run

Of = Callable[[Task, metrics.Weights], float]


def order(run: Run, heads: str, circuit: str | None = None) -> Measured:
    """The excess with attention as it is and only the paths through so many heads
    (`analysis.paths.ORDERS`).
    """
    return _each(
        run,
        circuit,
        lambda one, weights: paths.orders(one, weights, asked(one, 0, SEQUENCES))[heads],
    )


def kept(run: Run) -> Measured:
    """What removing the first layer costs with all patterns kept, over what it costs."""

    def of(one: Task, weights: metrics.Weights) -> float:
        cost, with_patterns = paths.first_layer(one, weights, asked(one, 0, SEQUENCES))
        return with_patterns / cost

    return _each(run, None, of)


def strays(run: Run, circuit: str | None = None) -> Measured:
    """The excess at keys that were seen, where a value that says nothing stands after each pair."""

    def of(one: Task, weights: metrics.Weights) -> float:
        shared = replace(one, seed=np.zeros(1, dtype=np.uint64))
        pairs = sample(shared, range(SEQUENCES))
        n_pairs = one.structure.context // 3
        words = draws(shared.seed, Purpose.STRAYS, 0, range(SEQUENCES), n_pairs)
        given = asked_of(shared, strayed(one.structure, pairs, words))
        return given.excess(forward(one, paths.params_of(weights), given.inputs)[0])

    return _each(run, circuit, of)


def other_lengths(run: Run, low: int, high: int) -> Measured:
    """The excess of each model on repeated blocks of other lengths than it was trained on."""

    def of(one: Task, weights: metrics.Weights) -> float:
        other = replace(one, structure=replace(one.structure, period=(low, high)))
        given = asked(other, 0, SEQUENCES)
        return given.excess(forward(other, paths.params_of(weights), given.inputs)[0])

    return _each(run, None, of)


def _each(run: Run, circuit: str | None, of: Of) -> Measured:
    rows = solved_rows(run)
    models = rows if circuit is None else rows[rows["circuit"] == circuit]
    return Measured(
        np.array([of(task(run, model), run.weights(model)) for model in models["model"].tolist()])
    )
