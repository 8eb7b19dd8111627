"""Which shapes the features of a model form: feature graph, its components, their polytopes, a rotation to draw them.

Shapes: M models, F features (n), H hidden (m), C components of one size k. The represented features are nodes; two are
joined where abs(W_i·W_j) > τ. Components span orthogonal spaces, so a model is the tegum product of their polytopes
(Elhage et al. 2022, *Toy Models of Superposition*, "The geometry of superposition").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from superpos.metrics import Floats, Weights, feature_norms, represented
from superpos.theory.shapes import polygon, simplex

TAU: Final = 0.1
NOT_FINITE: Final = "not finite"
DEDICATED: Final = "dedicated"

# Trained shapes are never exact. Two unit vectors at an angle of 2a have singular values in the ratio tan a, so this
# share makes those within the tolerance of one line (cos > 0.94, or < −0.94) span one dimension.
_ANGLE_TOLERANCE: Final = np.deg2rad(20.0)
_SPAN_SHARE: Final = np.tan(_ANGLE_TOLERANCE / 2)
_GRAM_ENTRIES: Final = 2**22  # inner products held at once; 32 MiB

_POLYGONS: Final = {3: "triangle", 4: "square", 5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon"}
_PLURALS: Final = {"tetrahedron": "tetrahedra", "octahedron": "octahedra"}


# --- the feature graph ---------------------------------------------------------------------------------------------


def _edges(W: Floats, nodes: NDArray[np.bool_], tau: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Both ends of every edge, as indices into the M·F features of all models."""
    models, features, _ = W.shape
    step = max(1, _GRAM_ENTRIES // features**2)
    found = []
    for start in range(0, models, step):
        block, alive = W[start : start + step], nodes[start : start + step]
        joined = (np.abs(block @ block.mT) > tau) & alive[:, :, None] & alive[:, None, :]
        model, i, j = np.nonzero(joined)
        found.append(np.stack(((model + start) * features + i, (model + start) * features + j)))
    ends = np.concatenate(found, axis=1) if found else np.zeros((2, 0), dtype=np.intp)
    return ends[0], ends[1]


def components(W: Weights, tau: float = TAU) -> NDArray[np.int64]:
    """Component of every feature [M, F], numbered from 0 in each model; −1 for a feature that is not represented.

    One graph of all models at once: the graphs of the models are its diagonal blocks.
    """
    W64, nodes = np.where(np.isfinite(W), W, 0.0).astype(np.float64), represented(W)
    size = nodes.size
    i, j = _edges(W64, nodes, tau)
    graph = coo_array((np.ones(len(i), dtype=np.int8), (i, j)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    return _renumbered(np.where(nodes, labels.reshape(nodes.shape), -1), nodes)


def _renumbered(labels: NDArray[np.integer[Any]], nodes: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Numbers [M, F] counted from 0 in each model, in the order of each component's first feature."""
    models, features = labels.shape
    _, first_at, inverse = np.unique(labels.ravel(), return_index=True, return_inverse=True)
    is_first = np.zeros(labels.size, dtype=bool)
    is_first[first_at] = True
    is_first &= nodes.ravel()
    number = (np.cumsum(is_first.reshape(models, features), axis=1) - 1).ravel()
    return np.where(nodes, number[first_at][inverse].reshape(labels.shape), -1)


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


def _candidates(k: int, d: int) -> Iterator[tuple[str, Floats]]:
    """Named shapes of k vectors that span d dimensions, with their ideal vectors."""
    if k == d + 1:
        yield {1: "digon", 2: "triangle", 3: "tetrahedron"}.get(d, f"{d}-simplex"), simplex(d)
    elif d == 2:
        yield _POLYGONS.get(k, f"{k}-gon"), polygon(k)
    elif (k, d) == (6, 3):
        yield "octahedron", octahedron()
    elif (k, d) == (8, 3):
        yield "square antiprism", square_antiprism()


def _angles(unit: Floats) -> Floats:
    """Sorted angles [..., k(k−1)/2] between all pairs of unit vectors [..., k, d]."""
    upper = np.triu_indices(unit.shape[-2], 1)
    angles: Floats = np.sort(np.arccos(np.clip((unit @ unit.mT)[..., upper[0], upper[1]], -1, 1)), axis=-1)
    return angles


def _names(W: Floats) -> list[str]:
    """Names of C components of one size, W[C, k, H]."""
    k = W.shape[1]
    if k == 1:
        return [DEDICATED] * len(W)
    unit = W / feature_norms(W)[..., None]
    strength = np.linalg.svd(unit, compute_uv=False)
    spans = (strength > _SPAN_SHARE * strength[:, :1]).sum(axis=1)
    names = np.array([f"{k}/{d}" for d in spans], dtype=object)
    for d in np.unique(spans):
        chosen = spans == d
        for name, ideal in _candidates(k, int(d)):
            off = np.abs(_angles(unit[chosen]) - _angles(ideal)).max(axis=1)
            names[np.flatnonzero(chosen)[off <= _ANGLE_TOLERANCE]] = name
    return [str(name) for name in names]


def polytope(W: Weights) -> str:
    """Name of the shape of one component W[k, H], from its size k, span d and angles.

    "dedicated" (k = 1), "digon", "triangle", "tetrahedron", "square" … "octagon", "9-gon", "octahedron",
    "square antiprism", "4-simplex", otherwise "k/d". The length of a vector has no part in it; a name stands for
    shapes whose sorted angles are all within 20° of the ideal ones.

    Raises:
        ValueError: a vector of length 0 or one that is not finite.
    """
    norms = feature_norms(W)
    if not (norms > 0).all():
        raise ValueError(f"every vector of a component needs a finite length above 0, got {norms}")
    return _names(np.asarray(W, dtype=np.float64)[None])[0]


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


def _label(shapes: list[tuple[int, str]], n_missing: int) -> str:
    """One model's label from the (size, name) of its components, the largest first."""
    counts = Counter(sorted(shapes, key=lambda shape: (-shape[0], shape[1])))
    parts = [_phrase(name, count) for (_, name), count in counts.items()]
    return " + ".join(parts + [f"{n_missing} not represented"] * (n_missing > 0))


def describe(W: Weights, tau: float = TAU) -> NDArray[np.object_]:
    """A label [M] for the shapes that the features of each model W[M, F, H] form.

    "pentagon", "2 digons + 1 dedicated", "digon + 3 not represented"; the largest component first. Weights that are
    not finite give "not finite".
    """
    finite = np.asarray(np.isfinite(W).all(axis=(-2, -1)))
    W64 = np.where(finite[:, None, None], W, 0.0).astype(np.float64)
    labels = components(W64, tau)
    shapes: list[list[tuple[int, str]]] = [[] for _ in range(len(W))]
    for model, feature in _by_size(labels):
        for i, name in zip(model, _names(W64[model[:, None], feature]), strict=True):
            shapes[i].append((feature.shape[1], name))
    n_missing = (labels < 0).sum(axis=1)
    named = [_label(own, int(missing)) for own, missing in zip(shapes, n_missing, strict=True)]
    return np.where(finite, np.array(named, dtype=object), NOT_FINITE)


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
