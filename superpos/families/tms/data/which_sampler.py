"""Which sampler draws a model's data: every cell (`data.dense`), or only the active ones
(`sparse`).

It follows from what a model is alone, never from those it is trained with or the machine: its draws
depend on it. Shapes: M models, F features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.structure import Structure

LEAST_SPARSITY = 0.96
LEAST_CELLS = 2048
"""From this sparsity of all features (or sets) on, and for this many cells in a batch, only active
cells are drawn.

Measured (engines/README.md): there it pays for models of all sizes, also where models of one seed
would share the draws of every cell.
"""


def prefers_sparse(structure: Structure, sparsity: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which models [M] of sparsities [M, F] are trained faster by the sparse sampler."""
    cells = structure.samples_per_step * structure.n_features // structure.set_size
    large = structure.n_points is None and structure.in_sets and cells >= LEAST_CELLS
    sparse: NDArray[np.bool_] = large & (sparsity.min(axis=-1) >= LEAST_SPARSITY)
    return sparse
