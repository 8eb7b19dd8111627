"""The convex hull of the represented features of a model with three hidden dimensions.

Shapes: K represented features, E edges, T triangles of a hull.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.maths.types import Floats

MAX_FEATURES: Final = 16  # of a model whose hull is drawn
# two triangles of a hull that bend less than that are one face
_FLAT: Final = np.cos(np.deg2rad(15.0))
_THIN: Final = 0.1  # share of the widest extent below which points span no further dimension


class Hull(NamedTuple):
    """Convex hull of points [K, 3], as indices of the points."""

    edges: NDArray[np.intp]  # [E, 2]
    hidden: NDArray[np.bool_]  # [E] behind the hull, seen from +z
    faces: NDArray[np.intp]  # [T, 3] triangles that are seen
    slope: Floats  # [T] of each, 0 where it faces the eye and 1 where it is seen edge on


def _wire(joined: NDArray[np.intp]) -> Hull:
    return Hull(
        joined, np.zeros(len(joined), dtype=np.bool_), np.zeros((0, 3), dtype=np.intp), np.zeros(0)
    )


def hull(place: Floats) -> Hull:
    """The hull of points [K, 3]: edges that are not inside a flat face; a polygon or a line where
    all is flat.
    """
    from scipy.spatial import ConvexHull  # slow to import

    centred = place - place.mean(axis=0)
    _, extent, axes = np.linalg.svd(centred, full_matrices=False)
    spans = int((extent > max(_THIN * extent[0], 1e-6)).sum())
    if spans < 2:
        along = centred @ axes[0]
        return _wire(np.array([[along.argmin(), along.argmax()]])[: int(spans)])
    if spans == 2:
        ring = ConvexHull(centred @ axes[:2].T).vertices
        return _wire(np.stack([ring, np.roll(ring, -1)], axis=1))
    solid = ConvexHull(place)
    normal = solid.equations[:, :3]
    triangles = solid.simplices.astype(np.intp)
    pairs = [(t, other) for t, row in enumerate(solid.neighbors) for other in row if t < other]
    edges = []
    hidden = []
    for t, other in pairs:
        if normal[t] @ normal[other] < _FLAT:
            edges.append(np.intersect1d(triangles[t], triangles[other]))
            hidden.append(normal[t, 2] <= 0 and normal[other, 2] <= 0)
    seen = normal[:, 2] > 0
    return Hull(np.array(edges), np.array(hidden), triangles[seen], 1 - normal[seen, 2])
