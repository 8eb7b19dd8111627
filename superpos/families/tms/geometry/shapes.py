"""Ideal shapes as unit vectors, and the weight matrices that they make in orthogonal subspaces.

Shapes: k vectors in d dimensions; n features, m hidden dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations

import numpy as np

from superpos.maths.polygon import polygon
from superpos.maths.types import Floats


def simplex(n_hidden: int) -> Floats:
    """Unit vectors of a regular simplex, [n_hidden + 1, n_hidden]: a digon, a triangle, a
    tetrahedron ...
    """
    corners = np.eye(n_hidden + 1) - 1 / (n_hidden + 1)
    flat = corners @ np.linalg.qr(corners[:, :n_hidden])[0]
    return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True))


def square_antiprism() -> Floats:
    """Eight unit vectors [8, 3]: two squares turned by 45°, at the height 1/√3 where they are a
    tight frame.
    """
    angle = np.pi / 4 * np.arange(8)
    height = np.where(np.arange(8) % 2, -1.0, 1.0) / np.sqrt(3)
    radius = np.sqrt(2 / 3)
    return np.stack((radius * np.cos(angle), radius * np.sin(angle), height), axis=-1)


def octahedron() -> Floats:
    """Six unit vectors [6, 3]: ± each axis. Exact ones are three components, each a digon."""
    return np.concatenate((np.eye(3), -np.eye(3)))


def icosahedron() -> Floats:
    """Twelve unit vectors [12, 3]: cyclic orders of (0, ±1, ±φ) with the golden ratio φ; six
    digons, not orthogonal.
    """
    golden = (1 + np.sqrt(5)) / 2
    corners = np.array([[0, x, y * golden] for x in (1, -1) for y in (1, -1)])
    unit: Floats = np.concatenate([np.roll(corners, turn, axis=1) for turn in range(3)]) / np.hypot(
        1, golden
    )
    return unit


def ideal_shapes(n_features: int, n_hidden: int) -> Iterator[Floats]:
    """W [n, m] of every way to fill m dimensions with blocks in orthogonal subspaces.

    Features left over are 0; dimensions are left over only once every feature has its place.
    Blocks: a dedicated feature or a digon (1 dimension), polygons in every order of their members
    (2), simplexes (k features in k - 1).
    """
    yield from _place(np.zeros((n_features, n_hidden)), tuple(range(n_features)), 0)


def _place(W: Floats, free: tuple[int, ...], used: int) -> Iterator[Floats]:
    """Fills the dimensions from `used` on with blocks of the features `free`."""
    n_hidden = W.shape[1]
    if used == n_hidden or (W != 0).any(axis=1).all():
        yield W
        return
    for block in _blocks(len(free), n_hidden - used):
        size, span = block.shape
        for members in _orders(free, size, cyclic=size > span + 1):
            filled = W.copy()
            filled[np.array(members)[:, None], used + np.arange(span)] = block
            # The order of the blocks is free: list them by their first features, so that none comes
            # twice.
            later = tuple(j for j in free if j > members[0] and j not in members)
            yield from _place(filled, later, used + span)


def _orders(free: tuple[int, ...], size: int, *, cyclic: bool) -> Iterator[tuple[int, ...]]:
    """Choices of `size` features; with `cyclic` also their orders on a circle, up to rotation and
    reflection.
    """
    for members in combinations(free, size):
        if not cyclic:
            yield members
            continue
        first, *others = members
        yield from ((first, *order) for order in permutations(others) if order[0] < order[-1])


def _blocks(n_features: int, n_hidden: int) -> list[Floats]:
    """Shapes of at most so many features and dimensions."""
    dedicated = [np.ones((1, 1))] if n_features and n_hidden else []
    simplexes = [simplex(k) for k in range(1, min(n_features - 1, n_hidden) + 1)]
    polygons = [polygon(k) for k in range(4, n_features + 1)] if n_hidden >= 2 else []
    return [*dedicated, *simplexes, *polygons]
