"""What random forests credit inputs with that are fitted to noisy outputs, beside what the inputs
do.

Shapes: M models of one shape, n features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np

from superpos import explain
from superpos.explain import truth
from superpos.explain.runs import known_models
from superpos.maths.types import Floats
from superpos.store import Run

Method = Literal["impurity", "permutation", "truth"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
ROWS: Final = 2000
"""Rows of data, of which half are held out."""
NOISE: Final = 1.0
"""Noise that is added to outputs, in their standard deviations."""


def importances(run: Run, models: Sequence[int], method: Method) -> Floats:
    """Importance of every input for every output [M, n, n]; the truth is the total Sobol index."""
    known = known_models(run, models)
    W, b = known.arguments
    x = truth.data(known.density, ROWS, known.set_size)
    match method:
        case "impurity":
            return explain.forest_impurity(W, b, x, noise=NOISE, **known.activations)
        case "permutation":
            return explain.forest_permutation(W, b, x, noise=NOISE, **known.activations)
    return explain.sobol_total(W, b, x, density=known.density, **known.activations)


def shares_of_others(importance: Floats) -> Floats:
    """The share of each input in the importance for an output, the mean over outputs that are not
    its own, [M, n].

    Outputs that nothing is important for are left out.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share = importance / importance.sum(axis=-1, keepdims=True)
    counted = np.isfinite(share) & ~np.eye(share.shape[-1], dtype=bool)
    return np.asarray(np.where(counted, share, 0).sum(axis=1) / counted.sum(axis=1))
