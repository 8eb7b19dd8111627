"""How a model came to look back: excess, prefix matching and attention to the token before, along
training.

Shapes: C snapshots, B sequences, T positions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.families.transformer import metrics
from superpos.families.transformer.analysis.models import task
from superpos.families.transformer.counts import AT_SNAPSHOTS, Asked, asked
from superpos.families.transformer.model import forward
from superpos.families.transformer.structure import Task
from superpos.figures.points import Run
from superpos.maths import attention
from superpos.maths.types import Floats


class Formation(NamedTuple):
    """Numbers of a model at its snapshots, [C] each; scores are the greatest of all heads."""

    steps: NDArray[np.int64]
    excess: Floats
    prefix: Floats
    previous: Floats


def formation(run: Run, model: int) -> Formation:
    """Of a model with snapshots; NaN where weights are not finite, and scores of no heads."""
    steps, snapshots = run.snapshots(model)
    one = task(run, model)
    given = asked(one, 0, AT_SNAPSHOTS)
    found = np.full((len(steps), 3), np.nan)
    for step in range(len(steps)):
        weights = {name: value[step] for name, value in snapshots.items()}
        if all(np.isfinite(value).all() for value in weights.values()):
            found[step] = _at(one, weights, given)
    return Formation(np.asarray(steps), *found.T)


def _at(one: Task, weights: metrics.Weights, given: Asked) -> tuple[float, float, float]:
    params = {name: torch.from_numpy(value)[None] for name, value in weights.items()}
    with torch.no_grad():
        logits, parts = forward(one, params, given.inputs)
    heads = attention.heads(one.structure.n_layers, one.structure.n_heads)
    patterns = [parts[f"{head}:pattern"][0].double().numpy() for head in heads]
    tokens = given.tokens[:, :-1]
    prefix = [metrics.prefix_matching(pattern, tokens, given.where) for pattern in patterns]
    previous = [metrics.previous_token(pattern) for pattern in patterns]
    known = [value for value in prefix if np.isfinite(value)]
    return given.excess(logits), max(known, default=np.nan), max(previous, default=np.nan)
