"""Edges of trees of features, and what the latents of children have of their parents.

Shapes: K models, E edges, G features, m latents.
"""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from superpos.families.sae import metrics
from superpos.families.sae.analysis.worlds import cosines
from superpos.families.sae.law import nodes
from superpos.figures.points import Run
from superpos.maths.types import Floats

Indices = NDArray[np.intp]


def edges(text: object) -> tuple[Indices, Indices]:
    """Parents and children [E] of a cell of world.tree, by the numbers of the features."""
    parents = [node.parent for node in nodes(json.loads(str(text)))]
    children = [child for child, parent in enumerate(parents) if parent >= 0]
    return np.array([parents[child] for child in children], np.intp), np.array(children, np.intp)


def leaks(run: Run, models: Indices) -> Floats:
    """Mean cosine [K] of parents with the latents nearest to their children; NaN without edges."""
    found = []
    for model in models.tolist():
        parents, children = edges(run.table["world.tree"].loc[model])
        own = metrics.leak(cosines(run, model), parents, children)
        found.append(own.mean() if len(own) else np.nan)
    return np.array(found)
