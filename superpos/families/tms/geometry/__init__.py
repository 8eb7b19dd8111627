"""Which shapes the features of a model form: feature graph, its components, their polytopes, a rotation to draw them.

Shapes: M models, F features (n), H hidden (m), C components of one size k. The represented features are nodes; two are
joined where abs(W_i·W_j) > τ. Components span orthogonal spaces, so a model is the tegum product of their polytopes
(Elhage et al. 2022, *Toy Models of Superposition*, "The geometry of superposition"). A square or an octahedron is
itself such a product, of digons: labels say "2 digons" and "3 digons" also where a little noise joins them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.geometry.shapes import simplex
from superpos.families.tms.metrics import (
    Floats,
    Weights,
    collapsed,
    feature_norms,
    represented,
    set_cosines,
    side_by_side,
)

TAU: Final = 0.1
TAUS: Final = (0.05, TAU, 0.2)  # a label that is the same for all of these does not hang on the choice of τ
NOT_FINITE: Final = "not finite"
DEDICATED: Final = "dedicated"
_ORTHOGONAL: Final = 0.2
_ANTIPODAL: Final = -0.9

# Trained shapes are never exact. Two unit vectors at an angle of 2a have singular values in the ratio tan a, so this
# share makes those within the tolerance of one line (cos > 0.94, or < −0.94) span one dimension.
_ANGLE_TOLERANCE: Final = np.deg2rad(20.0)
_SPAN_SHARE: Final = np.tan(_ANGLE_TOLERANCE / 2)
_GRAM_ENTRIES: Final = 2**22  # inner products held at once; 32 MiB

_POLYGONS: Final = {3: "triangle", 4: "square", 5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon"}
_PLURALS: Final = {"tetrahedron": "tetrahedra", "icosahedron": "icosahedra"}
_DIGONS: Final = {"square": 2, "octahedron": 3}  # how many digons these shapes are


# --- the feature graph ---------------------------------------------------------------------------------------------


def components(W: Weights, tau: float = TAU) -> NDArray[np.int64]:
    """Component of every feature [M, F], numbered from 0 in each model; −1 for a feature that is not represented."""
    W64, nodes = np.where(np.isfinite(W), W, 0.0).astype(np.float64), represented(W)
    models, features = nodes.shape
    numbers, step = np.empty(nodes.shape, dtype=np.int64), max(1, _GRAM_ENTRIES // features**2)
    for start in range(0, models, step):
        part = slice(start, start + step)
        joined = (np.abs(W64[part] @ W64[part].mT) > tau) & nodes[part, :, None] & nodes[part, None, :]
        lowest = _lowest(joined | np.eye(features, dtype=bool))
        first = nodes[part] & (lowest == np.arange(features))
        numbers[part] = np.take_along_axis(first.cumsum(axis=1) - 1, lowest, axis=1)
    return np.where(nodes, numbers, -1)


def _lowest(joined: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The lowest feature [M, F] that each one reaches; `joined` [M, F, F] is symmetric, and true on the diagonal."""
    features = joined.shape[-1]
    lowest: NDArray[np.intp] = joined.argmax(axis=-1)
    while True:
        lower = np.where(joined, lowest[:, None, :], features).min(axis=-1)
        lower = np.take_along_axis(lower, lower, axis=1)  # what that one reaches: long chains shrink to half
        if (lower == lowest).all():
            return lowest
        lowest = lower


def n_components(W: Weights, tau: float = TAU) -> NDArray[np.int64]:
    """Number of components of each model [M]; equal for τ in 0.05–0.2 where the shapes are well separated."""
    count: NDArray[np.int64] = components(W, tau).max(axis=-1, initial=-1) + 1
    return count


# --- polytopes -----------------------------------------------------------------------------------------------------


def square_antiprism() -> Floats:
    """Eight unit vectors [8, 3]: two squares turned by 45°, at the height 1/√3 where they are a tight frame."""
    angle = np.pi / 4 * np.arange(8)
    height = np.where(np.arange(8) % 2, -1.0, 1.0) / np.sqrt(3)
    radius = np.sqrt(2 / 3)
    return np.stack((radius * np.cos(angle), radius * np.sin(angle), height), axis=-1)


def octahedron() -> Floats:
    """Six unit vectors [6, 3]: ± each axis. Exact ones are three components, each a digon."""
    return np.concatenate((np.eye(3), -np.eye(3)))


def icosahedron() -> Floats:
    """Twelve unit vectors [12, 3]: cyclic orders of (0, ±1, ±φ) with the golden ratio φ; six digons, not orthogonal."""
    golden = (1 + np.sqrt(5)) / 2
    corners = np.array([[0, x, y * golden] for x in (1, -1) for y in (1, -1)])
    unit: Floats = np.concatenate([np.roll(corners, turn, axis=1) for turn in range(3)]) / np.hypot(1, golden)
    return unit


def _ideal(k: int, d: int) -> tuple[str, Floats] | None:
    """Name and ideal vectors of the shape of k vectors that span d dimensions, where there is one; no polygons."""
    if k == d + 1:
        return {1: "digon", 3: "tetrahedron"}.get(d, f"{d}-simplex"), simplex(d)
    solids = {6: ("octahedron", octahedron()), 8: ("square antiprism", square_antiprism())}
    return (solids | {12: ("icosahedron", icosahedron())}).get(k) if d == 3 else None


def _angles(unit: Floats) -> Floats:
    """Sorted angles [..., k(k−1)/2] between all pairs of unit vectors [..., k, d]."""
    upper = np.triu_indices(unit.shape[-2], 1)
    angles: Floats = np.sort(np.arccos(np.clip((unit @ unit.mT)[..., upper[0], upper[1]], -1, 1)), axis=-1)
    return angles


def _gaps(unit: Floats) -> Floats:
    """Angles [..., k] from each unit vector [..., k, d] to the next one round the plane that they span; sum 2π."""
    plane = np.linalg.svd(unit, full_matrices=False)[2][..., :2, :]
    x, y = np.moveaxis(unit @ plane.mT, -1, 0)
    angles = np.sort(np.arctan2(y, x), axis=-1)
    return np.diff(angles, axis=-1, append=angles[..., :1] + 2 * np.pi)


def _shape(unit: Floats, d: int) -> tuple[str, NDArray[np.bool_]] | None:
    """The shape that unit vectors [C, k, H] of span d may have, and which of them [C] have it."""
    k = unit.shape[1]
    if d == 2:
        side = 2 * np.pi / k
        off, tolerance = np.abs(_gaps(unit) - side), min(_ANGLE_TOLERANCE, side / 3)
        return _POLYGONS.get(k, f"{k}-gon"), off.max(axis=1) <= tolerance
    known = _ideal(k, d)
    if known is None:
        return None
    name, ideal = known
    angles = _angles(ideal)
    # The angles of a large simplex are hardly above 90°, which must not make one of orthogonal vectors.
    tolerance = min(_ANGLE_TOLERANCE, angles[0] - np.pi / 2) if k == d + 1 else _ANGLE_TOLERANCE
    return name, np.abs(_angles(unit) - angles).max(axis=1) <= tolerance


def _names(W: Floats) -> NDArray[np.object_]:
    """Names of C components of one size, W[C, k, H]."""
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


def polytope(W: Weights) -> str:
    """Name of the shape of one component W[k, H], from its size k, span d and angles.

    "dedicated" (k = 1), "digon", "triangle", "tetrahedron", "square" … "octagon", "9-gon", "octahedron",
    "square antiprism", "icosahedron", "4-simplex", otherwise "k/d". The length of a vector has no part in it. A k-gon
    is k vectors of a plane whose neighbours are 360°/k apart, within 20° and a third of that: it may be stretched,
    and random directions of a plane seldom pass (1 in 50 triangles, 1 in 500 pentagons). Other names stand for shapes
    whose sorted angles are all within 20° of the ideal ones; in a simplex none may be 90° or less.

    Raises:
        ValueError: a vector of length 0 or one that is not finite.
    """
    norms = feature_norms(W)
    if not (norms > 0).all():
        raise ValueError(f"every vector of a component needs a finite length above 0, got {norms}")
    return str(_names(np.asarray(W, dtype=np.float64)[None])[0])


# --- labels --------------------------------------------------------------------------------------------------------


def _by_size(labels: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """For every size k: the models [C] and the features [C, k] of the components of that size."""
    model, feature = np.nonzero(labels >= 0)
    order = np.lexsort((feature, labels[model, feature], model))
    model, feature = model[order], feature[order]
    number = labels[model, feature]
    starts = np.flatnonzero(np.diff(model, prepend=-1) | np.diff(number, prepend=-1))
    sizes = np.diff(starts, append=len(model))
    for k in np.unique(sizes):
        at = starts[sizes == k]
        yield model[at], feature[at[:, None] + np.arange(k)]


def _phrase(name: str, count: int) -> str:
    """`count` shapes in words: "digon", "2 digons", "1 dedicated", "2 × 5/3"."""
    if name == DEDICATED:
        return f"{count} {name}"
    if count == 1:
        return name
    if "/" in name:
        return f"{count} × {name}"
    plural = f"{name[:-2]}ices" if name.endswith("simplex") else _PLURALS.get(name, f"{name}s")
    return f"{count} {plural}"


def _label(kinds: Sequence[tuple[int, str]], counts: Sequence[int]) -> str:
    """A label from the number of components of each (size, name), and that of the features in none."""
    *present, n_missing = counts
    parts = [_phrase(name, count) for (_, name), count in zip(kinds, present, strict=True) if count]
    return " + ".join(parts + [f"{n_missing} not represented"] * (n_missing > 0))


def _counts(W: Floats, labels: NDArray[np.int64]) -> dict[tuple[int, str], NDArray[np.intp]]:
    """How many components of each (size, name) each model [M] has, the largest first; a square is two digons."""
    found: dict[tuple[int, str], NDArray[np.intp]] = {}
    for model, feature in _by_size(labels):
        names = _names(W[model[:, None], feature])
        for name in set(names.tolist()):
            digons = _DIGONS.get(name, 0)
            kind = (2, "digon") if digons else (feature.shape[1], name)
            count = np.bincount(model[names == name], minlength=len(W)) * max(digons, 1)
            found[kind] = found.get(kind, 0) + count
    return {kind: found[kind] for kind in sorted(found, key=lambda kind: (-kind[0], kind[1]))}


def describe(W: Weights, tau: float = TAU) -> NDArray[np.object_]:
    """A label [M] for the shapes that the features of each model W[M, F, H] form.

    "pentagon", "2 digons + 1 dedicated", "digon + 3 not represented"; the largest component first. A square counts as
    2 digons, an octahedron as 3. Weights that are not finite give "not finite".
    """
    finite = np.asarray(np.isfinite(W).all(axis=(-2, -1)))
    W64 = np.where(finite[:, None, None], W, 0.0).astype(np.float64)
    labels = components(W64, tau)
    counts = _counts(W64, labels)
    table = np.stack([*counts.values(), (labels < 0).sum(axis=1)], axis=1)  # [M, kinds + 1]
    distinct, which = np.unique(table, axis=0, return_inverse=True)  # of many models few differ
    named = np.array([_label(list(counts), row) for row in distinct.tolist()], dtype=object)
    return np.where(finite, named[which.reshape(-1)], NOT_FINITE)


def stable(W: Weights) -> NDArray[np.bool_]:
    """Whether each model [M] of W[M, F, H] has the same label for every τ of `TAUS` (0.05 to 0.2)."""
    labels = [describe(W, tau) for tau in TAUS]
    return np.array([len(set(own)) == 1 for own in zip(*labels, strict=True)], dtype=np.bool_)


def partners(W: Weights, set_size: int) -> str:
    """How the features of each set of neighbouring features lie to each other in a model W[F, H], in words.

    "2 of 3 sets collapsed", otherwise "partners orthogonal" (all abs cos < 0.2), "partners antipodal" (all
    cos < −0.9), "partners side by side" (in two dimensions, those of a set follow each other in angle) or
    "partners mixed".
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


# --- drawing -------------------------------------------------------------------------------------------------------


def _gauge(W: Floats) -> Floats:
    """Rotations [M, H, H] that put each model in a fixed gauge: see `align`."""
    models, _, hidden = W.shape
    rest, picks = W.copy(), []
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
    """W[M, F, H] turned or mirrored so that models can be compared by eye; no length or inner product changes.

    With `target` [F, H] or [M, F, H]: as near to it as an orthogonal map can come (Procrustes). Without: the first
    feature with at least half the greatest length lies along the first axis; of what is then left of every feature,
    the first with at least half the greatest length lies in the half-plane of the second axis; and so on.
    """
    W64 = np.asarray(W, dtype=np.float64)
    if target is None:
        return W64 @ _gauge(W64)
    left, _, right = np.linalg.svd(W64.mT @ np.asarray(target, dtype=np.float64))
    turned: Floats = W64 @ (left @ right)
    return turned
