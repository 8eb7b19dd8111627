"""Dictionaries of synthetic worlds: the directions of the true features.

Shapes: G features, d dimensions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from superpos.families.sae.purposes import Purpose
from superpos.maths.activity import symmetric_root
from superpos.maths.streams import normals
from superpos.maths.types import Floats

_SPREADING_STEPS = 300


def dictionary(
    kind: str, cosine: float, n_features: int, n_dims: int, seed: int
) -> NDArray[np.float32]:
    """Unit rows [G, d], a function of the world's seed.

    `orthonormal` (G ≤ d): rows of a random rotation. `sphere`: uniform on the sphere, independent.
    `cosine`: any two rows have the cosine c. More than d rows cannot all have it: theirs are spread
    about c as narrowly as gradient descent on Σ (cos − c)² makes them, as SAELens'
    `orthogonalize_embeddings` does.
    """
    random = normals(
        np.array([seed], dtype=np.uint64), Purpose.DICTIONARY, 0, (n_features, n_dims)
    )[0]
    if kind == "orthonormal":
        rows = _rotation(random)
    elif kind == "sphere":
        rows = unit(random)
    elif n_features <= n_dims:
        rows = symmetric_root(_gram(n_features, cosine)) @ _rotation(random)
    else:
        rows = _spread(unit(random), cosine)
    return unit(rows).astype(np.float32)


def unit(rows: Floats) -> Floats:
    """The rows at length 1."""
    scaled: Floats = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return scaled


def _rotation(random: Floats) -> Floats:
    """Orthonormal rows [G, d] of normal ones, uniformly distributed: signs of the triangular factor
    are fixed.
    """
    columns, triangle = np.linalg.qr(random.T)
    rows: Floats = (columns * np.sign(np.diag(triangle))).T
    return rows


def _gram(n: int, cosine: float) -> Floats:
    return (1 - cosine) * np.eye(n) + cosine


def _spread(rows: Floats, cosine: float) -> Floats:
    """Unit rows whose cosines are nearer to one number, by steps against the gradient."""
    target = _gram(len(rows), cosine)
    for _ in range(_SPREADING_STEPS):
        gram = rows @ rows.T
        largest = np.abs(gram).sum(axis=1).max()  # an upper bound of the largest eigenvalue
        rows = unit(rows - (gram - target) @ rows / largest)
    return rows
