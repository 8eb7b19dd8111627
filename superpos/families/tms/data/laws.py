"""Which features are active together by a law of `maths.activity`: pairs, trees, exactly so many.

A sample has words of its own for the law, so that values are independent of it. Shapes: M models, B
samples, F features, K words of a sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.data.feature_values import cells
from superpos.families.tms.data.feature_values import features as values_of
from superpos.families.tms.structure import Structure
from superpos.maths import activity
from superpos.maths.trees import nodes
from superpos.maths.types import Floats

if TYPE_CHECKING:
    import torch


def law(structure: Structure, density: Floats) -> activity.Law:
    """The law of features of densities [F], of which a tree names the first, whatever they are
    there.
    """
    if structure.correlation == "exactly":
        assert structure.exactly is not None
        return activity.Exactly(structure.n_features, structure.exactly)
    if structure.correlation == "tree":
        assert structure.tree is not None
        named = nodes(structure.tree)
        return activity.tree(named, density[len(named) :])
    return activity.pairs(density[::2], structure.strength)


def n_words(structure: Structure) -> int:
    """Words of a sample: one of each set, or of each feature where a law wants them."""
    by_set = structure.in_sets or structure.correlation == "circle"
    return structure.n_features // (structure.set_size if by_set else 1)


def features(
    structure: Structure, sparsity: NDArray[np.float64], u: torch.Tensor, words: torch.Tensor
) -> torch.Tensor:
    """Feature values [M, B, F] (float32) from their draws u [M, B, F] and the words of the law [M,
    B, K] (int64).
    """
    import torch

    found, index = np.unique(sparsity, axis=0, return_inverse=True)
    active = torch.empty(u.shape, dtype=torch.bool, device=u.device)
    for number, row in enumerate(found):
        models = torch.from_numpy(np.flatnonzero(index.reshape(-1) == number)).to(u.device)
        active[models] = law(structure, 1 - row).active(words[models])
    always = cells(structure, np.zeros_like(sparsity))
    return values_of(always, u, u, structure.values).where(active, 0.0)
