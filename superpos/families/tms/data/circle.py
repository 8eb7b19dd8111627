"""Features on a circle: all that are near a place that a sample is about (Prieto et al. 2026).

With probability p a set of k features has a place, each of its members as likely. A member j at the
angle a = 2 pi (j - place) / k from it is then active by itself with probability 1/(1 + exp(-s cos
a)).

Shapes: M models, B samples, F features, k members of a set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.data.feature_values import cells, fields, values
from superpos.families.tms.structure import Structure
from superpos.maths.streams import RANGE, thresholds
from superpos.maths.types import Floats

if TYPE_CHECKING:
    import torch


def chances(members: int, sharpness: float) -> Floats:
    """How likely a member is active by its distance from the place, [k]."""
    angle = 2 * np.pi * np.arange(members) / members
    found: Floats = 1 / (1 + np.exp(-sharpness * np.cos(angle)))
    return found


def covariance(members: int, sharpness: float) -> Floats:
    """Covariance [k, k] of which members are active, of a set that always has a place."""
    distance = (np.arange(members)[:, None] - np.arange(members)) % members
    chance = chances(members, sharpness)[distance]  # [place, member]
    second = chance.T @ chance / members
    mean = chance.mean(axis=0)
    found: Floats = second - np.outer(mean, mean)
    found[np.diag_indices(members)] = mean * (1 - mean)
    return found


def features(
    structure: Structure, sparsity: NDArray[np.float64], u: torch.Tensor, sets: torch.Tensor
) -> torch.Tensor:
    """Feature values [M, B, F] (float32) from the draws u [M, B, F] and those of the sets [M, B, F
    / k] (int64).
    """
    import torch

    size = structure.set_size
    device = str(u.device)
    # [M, 1, F / k]
    first = torch.from_numpy(thresholds(sparsity[:, ::size])).to(device)[:, None, :]
    place = (sets - first) * size // (RANGE - first)
    member = torch.arange(structure.n_features, device=device) % size
    distance = (member - place.repeat_interleave(size, dim=2)) % size
    # Every member has the rule of an independent feature that is as likely as it is there.
    likely = 1 - chances(size, structure.sharpness)[None]
    rules = [field[0][distance] for field in fields(cells(structure, likely), device)]
    found = values(rules, u, u, structure.values)
    return found.where((sets >= first).repeat_interleave(size, dim=2), 0.0)
