"""How the features of correlated or anticorrelated sets lie to each other, in words.

Shapes: F features (n), H hidden (m); a set is `set_size` neighbouring features.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from superpos.families.tms.metrics import Weights, collapsed, set_cosines, side_by_side

_ORTHOGONAL: Final = 0.2
_ANTIPODAL: Final = -0.9


def partners(W: Weights, set_size: int) -> str:
    """How the features of each set of neighbouring features lie to each other in a model W[F, H],
    in words.

    "2 of 3 sets collapsed", otherwise "partners orthogonal" (all abs cos < 0.2), "partners
    antipodal" (all cos < −0.9), "partners side by side" (in two dimensions, those of a set follow
    each other in angle) or "partners mixed".
    """
    cosines = set_cosines(W, set_size)
    n_collapsed = int(collapsed(W, set_size).sum())
    if n_collapsed:
        return f"{n_collapsed} of {len(cosines)} sets collapsed"
    if (np.abs(cosines) < _ORTHOGONAL).all():
        return "partners orthogonal"
    if (cosines < _ANTIPODAL).all():
        return "partners antipodal"
    if W.shape[1] == 2 and side_by_side(W, set_size).all():
        return "partners side by side"
    return "partners mixed"
