"""Polytopes: the names of the shapes that components of a feature graph form.

Shapes: M models, F features (n), H hidden (m), C components of one size k that span d dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.geometry.graph import TAU, components
from superpos.families.tms.geometry.shapes import icosahedron, octahedron, simplex, square_antiprism
from superpos.families.tms.metrics import Weights, feature_norms
from superpos.maths.types import Floats

DEDICATED: Final = "dedicated"
"""The name of the shape of one feature alone."""

# Trained shapes are never exact. Two unit vectors at an angle of 2a have singular values in the
# ratio tan a, so this share makes those within the tolerance of one line (cos > 0.94, or < −0.94)
# span one dimension.
_ANGLE_TOLERANCE: Final = np.deg2rad(20.0)
_SPAN_SHARE: Final = np.tan(_ANGLE_TOLERANCE / 2)
_POLYGONS: Final = {
    3: "triangle",
    4: "square",
    5: "pentagon",
    6: "hexagon",
    7: "heptagon",
    8: "octagon",
}


def _ideal(k: int, d: int) -> tuple[str, Floats] | None:
    """Name and ideal vectors of the shape of k vectors that span d dimensions, where there is one;
    no polygons.
    """
    if k == d + 1:
        return {1: "digon", 3: "tetrahedron"}.get(d, f"{d}-simplex"), simplex(d)
    solids = {6: ("octahedron", octahedron()), 8: ("square antiprism", square_antiprism())}
    return (solids | {12: ("icosahedron", icosahedron())}).get(k) if d == 3 else None


def _angles(unit: Floats) -> Floats:
    """Sorted angles [..., k(k−1)/2] between all pairs of unit vectors [..., k, d]."""
    upper = np.triu_indices(unit.shape[-2], 1)
    angles: Floats = np.sort(
        np.arccos(np.clip((unit @ unit.mT)[..., upper[0], upper[1]], -1, 1)), axis=-1
    )
    return angles


def _gaps(unit: Floats) -> Floats:
    """Angles [..., k] from each unit vector [..., k, d] to the next one round the plane that they
    span; sum 2π.
    """
    plane = np.linalg.svd(unit, full_matrices=False)[2][..., :2, :]
    x, y = np.moveaxis(unit @ plane.mT, -1, 0)
    angles = np.sort(np.arctan2(y, x), axis=-1)
    return np.diff(angles, axis=-1, append=angles[..., :1] + 2 * np.pi)


def _shape(unit: Floats, d: int) -> tuple[str, NDArray[np.bool_]] | None:
    """The shape that unit vectors [C, k, H] of span d may have, and which of them [C] have it."""
    if d == 2:
        return _polygon(unit)
    k = unit.shape[1]
    known = _ideal(k, d)
    if known is None:
        return None
    name, ideal = known
    angles = _angles(ideal)
    tolerance = _ANGLE_TOLERANCE
    if k == d + 1:
        # The angles of a large simplex are hardly above 90°, which must not make one of orthogonal
        # vectors.
        tolerance = min(tolerance, angles[0] - np.pi / 2)
    return name, np.abs(_angles(unit) - angles).max(axis=1) <= tolerance


def _polygon(unit: Floats) -> tuple[str, NDArray[np.bool_]]:
    """The polygon of k vectors of a plane, and which of the unit vectors [C, k, H] form it."""
    k = unit.shape[1]
    side = 2 * np.pi / k
    tolerance = min(_ANGLE_TOLERANCE, side / 3)
    off = np.abs(_gaps(unit) - side)
    return _POLYGONS.get(k, f"{k}-gon"), off.max(axis=1) <= tolerance


def polytope(W: Weights) -> str:
    """Name of the shape of one component W[k, H], from its size k, span d and angles.

    "dedicated" (k = 1), "digon", "triangle", "tetrahedron", "square" … "octagon", "9-gon",
    "octahedron", "square antiprism", "icosahedron", "4-simplex", otherwise "k/d". The length of a
    vector has no part in it. A k-gon is k vectors of a plane whose neighbours are 360°/k apart,
    within 20° and a third of that: it may be stretched, and random directions of a plane seldom
    pass (1 in 50 triangles, 1 in 500 pentagons). Other names stand for shapes whose sorted angles
    are all within 20° of the ideal ones; in a simplex none may be 90° or less.

    Raises:
        ValueError: a vector of length 0 or one that is not finite.
    """
    norms = feature_norms(W)
    if not (norms > 0).all():
        raise ValueError(f"every vector of a component needs a finite length above 0, got {norms}")
    return str(polytope_names(np.asarray(W, dtype=np.float64)[None])[0])


def polytope_names(W: Floats) -> NDArray[np.object_]:
    """Names [C] of components of one size W[C, k, H], as `polytope`; every vector has a finite
    length above 0.
    """
    k = W.shape[1]
    names = np.full(len(W), DEDICATED, dtype=object)
    if k == 1:
        return names
    unit = W / feature_norms(W)[..., None]
    strength = np.linalg.svd(unit, compute_uv=False)
    spans = (strength > _SPAN_SHARE * strength[:, :1]).sum(axis=1)
    for d in np.unique(spans).tolist():
        rows = np.flatnonzero(spans == d)
        names[rows] = f"{k}/{d}"
        shape = _shape(unit[rows], d)
        if shape:
            names[rows[shape[1]]] = shape[0]
    return names


class Component(NamedTuple):
    """One component of the feature graph of a model."""

    name: str
    features: NDArray[np.intp]
    """[k] their numbers, ascending."""


class SameSize(NamedTuple):
    """The components of k features in the graphs of several models."""

    model: NDArray[np.intp]
    """[C]"""
    features: NDArray[np.intp]
    """[C, k]"""
    name: NDArray[np.object_]
    """[C]"""


def named_components(W: Weights, tau: float = TAU) -> list[Component]:
    """The components of one model W[F, H] with the names of their shapes: the largest first, then
    by name.
    """
    W64 = np.asarray(W, dtype=np.float64)[None]
    found = [
        Component(str(name), features)
        for same in by_size(W64, components(W64, tau))
        for name, features in zip(same.name, same.features, strict=True)
    ]
    return sorted(found, key=lambda component: (-len(component.features), component.name))


def by_size(W: Floats, labels: NDArray[np.int64]) -> Iterator[SameSize]:
    """The components of models W[M, F, H] by their size, from `components`' labels [M, F]; small
    ones first.
    """
    model, feature = np.nonzero(labels >= 0)
    order = np.lexsort((feature, labels[model, feature], model))
    model = model[order]
    feature = feature[order]
    number = labels[model, feature]
    starts = np.flatnonzero(np.diff(model, prepend=-1) | np.diff(number, prepend=-1))
    sizes = np.diff(starts, append=len(model))
    for k in np.unique(sizes):
        at = starts[sizes == k]
        members = feature[at[:, None] + np.arange(k)]
        yield SameSize(model[at], members, polytope_names(W[model[at, None], members]))
