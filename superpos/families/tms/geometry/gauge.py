"""A rotation or reflection of each model, so that models can be compared by eye.

Shapes: M models, F features (n), H hidden (m).
"""

from __future__ import annotations

import numpy as np

from superpos.families.tms.metrics import Weights, feature_norms
from superpos.maths.types import Floats


def _gauge(W: Floats) -> Floats:
    """Rotations [M, H, H] that put each model in a fixed gauge: see `align`."""
    models, _, hidden = W.shape
    rest = W.copy()
    picks = []
    for _ in range(hidden):
        norms = feature_norms(rest)
        pick = (norms >= 0.5 * norms.max(axis=1, keepdims=True)).argmax(axis=1)
        row = rest[np.arange(models), pick]
        length = np.linalg.norm(row, axis=1, keepdims=True)
        unit = np.divide(row, length, out=np.zeros_like(row), where=length > 0)
        picks.append(unit)
        rest = rest - (rest @ unit[:, :, None]) * unit[:, None, :]
    rotation, triangle = np.linalg.qr(np.stack(picks, axis=-1))
    diagonal = np.diagonal(triangle, axis1=-2, axis2=-1)
    turned: Floats = rotation * np.where(diagonal < 0, -1.0, 1.0)[:, None, :]
    return turned


def align(W: Weights, target: Weights | None = None) -> Floats:
    """W[M, F, H] turned or mirrored so that models can be compared by eye; no length or inner
    product changes.

    With `target` [F, H] or [M, F, H]: as near to it as an orthogonal map can come (Procrustes).
    Without: the first feature with at least half the greatest length lies along the first axis; of
    what is then left of every feature, the first with at least half the greatest length lies in the
    half-plane of the second axis; and so on.
    """
    W64 = np.asarray(W, dtype=np.float64)
    if target is None:
        return W64 @ _gauge(W64)
    left, _, right = np.linalg.svd(W64.mT @ np.asarray(target, dtype=np.float64))
    turned: Floats = W64 @ (left @ right)
    return turned
