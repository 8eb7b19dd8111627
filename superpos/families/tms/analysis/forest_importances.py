"""What random forests credit inputs with that are fitted to noisy outputs, beside what the inputs
do.

Shapes: M models of one shape, n features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, get_args

import numpy as np
import torch

from superpos import explain
from superpos.explain import truth
from superpos.explain.forests import permutation_of_forest
from superpos.explain.runs import known_models
from superpos.families.tms.data.inputs import evaluation
from superpos.families.tms.model import forward
from superpos.families.tms.structure import Task
from superpos.maths.types import Floats
from superpos.plan.sweep import Sweep
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


def pair_over_others(run: Run, model: int, of: Literal["forest", "model"]) -> float:
    """Permutation importance of the first two inputs for the sum of a model's outputs, over that of
    all others, on data of its own: of a forest that is fitted to the sum, or of the model itself.

    Of a sum that every input adds to alike it is 1 for the model itself, whatever is correlated.
    """
    task = Sweep.from_json(run.plan).task(np.array([model]))
    x = evaluation(task, range(ROWS)).double()
    params = {
        name: torch.from_numpy(value)[None].double() for name, value in run.weights(model).items()
    }
    y = forward(task, params, x)[0][0].sum(-1).numpy()
    rows = x[0].numpy()
    if of == "forest":
        found = permutation_of_forest(rows, y)
    else:
        found = np.array([_shuffled(task, params, rows, y, j) for j in range(rows.shape[1])])
    return float(found[:2].mean() / found[2:].mean())


def _shuffled(
    task: Task, params: Mapping[str, torch.Tensor], rows: Floats, y: Floats, j: int
) -> float:
    """The mean square that the sum is off by when an input is shuffled."""
    other = rows.copy()
    other[:, j] = np.random.default_rng(j).permutation(other[:, j])
    moved = forward(task, params, torch.from_numpy(other)[None])[0][0].sum(-1).numpy()
    return float(np.square(moved - y).mean())
