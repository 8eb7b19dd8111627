"""What the latents of children have of their parents.

Shapes: K models, E edges, G features, m latents.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from superpos.families.sae import metrics
from superpos.families.sae.analysis.worlds import cosines, world
from superpos.families.sae.counts import edges_of
from superpos.figures.points import Run
from superpos.maths.types import Floats

Indices = NDArray[np.intp]


def leaks(run: Run, models: Indices) -> Floats:
    """Mean cosine [K] of parents with the latents nearest to their children; NaN without edges."""
    found = []
    for model in models.tolist():
        parents, children = edges_of(world(run, model))
        own = metrics.leak(cosines(run, model), parents, children)
        found.append(own.mean() if len(own) else np.nan)
    return np.array(found)
