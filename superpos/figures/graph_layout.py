"""Places for the nodes of a graph, for drawings beside each other, for labels on an axis.

Pure and deterministic.

Shapes: K nodes, H coordinates of their directions, V views, C boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from superpos.maths.types import Floats

# of a polytope, from which its drawing is chosen: some 2° apart in three dimensions
_VIEWS: Final = 3000
_SPAN_SHARE: Final = 0.05  # singular values below this share of the greatest are noise of training
_ROUNDS: Final = 150  # of the springs
_WIDTHS: Final = 40  # tried for a packing


class Packing(NamedTuple):
    """Where boxes stand."""

    corner: Floats  # [C, 2], lower left
    size: Floats  # [2], width and height of all together


def nearest(place: Floats) -> float:
    """Smallest distance between two of the places [K, 2]; 1 for a single one."""
    from scipy.spatial.distance import pdist  # slow to import

    return float(pdist(place).min()) if len(place) > 1 else 1.0


def project(unit: Floats) -> Floats:
    """Directions [K, H] in the plane, [K, 2]: exact where they span no more, else the fixed view
    that parts them best.

    The best of 3,000 views has the greatest product of the nodes' smallest distance and their
    smallest radius: a tetrahedron becomes a square with its diagonals, a square antiprism an
    octagon.
    """
    left, strength, _ = np.linalg.svd(unit, full_matrices=False)
    spans = max(2, int((strength > _SPAN_SHARE * strength[0]).sum()))
    points = np.zeros((len(unit), spans))
    points[:, : len(strength)] = (left * strength)[:, :spans]
    if spans == 2:
        return points
    views = np.linalg.qr(np.random.default_rng(0).normal(size=(_VIEWS, spans, 2)))[0]
    seen = points @ views  # [V, K, 2]
    first, second = np.triu_indices(len(points), 1)
    apart = np.linalg.norm(seen[:, first] - seen[:, second], axis=-1).min(axis=1)
    radius = np.linalg.norm(seen, axis=-1).min(axis=1)
    best: Floats = seen[(apart * radius).argmax()]
    return best


def unit_spacing(place: Floats) -> Floats:
    """The same drawing [K, 2], scaled so that a node is 1 from the node next to it (the median over
    the nodes).
    """
    from scipy.spatial.distance import pdist, squareform  # slow to import

    if len(place) == 1:
        return place
    distance = squareform(pdist(place)) + np.diag(np.full(len(place), np.inf))
    scaled: Floats = place / np.median(distance.min(axis=1))
    return scaled


def upright(place: Floats) -> Floats:
    """The same drawing [K, 2] about its centre, turned so that the node farthest from there is on
    top.
    """
    centred: Floats = place - place.mean(axis=0)
    x, y = centred[np.linalg.norm(centred, axis=1).argmax()]
    length = np.hypot(x, y)
    if length == 0:
        return centred
    turned: Floats = centred @ np.array([[y, x], [-x, y]]) / length
    return turned


def springs(weight: Floats) -> Floats:
    """Places [K, 2] of nodes that push each other apart and are pulled by weight [K, K]
    (Fruchterman, Reingold 1991).

    They start on a spiral, so the same graph gives the same drawing.
    """
    count = len(weight)
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    place: Floats = np.sqrt(np.arange(count) + 0.5)[:, None] * np.stack(
        (np.cos(turn), np.sin(turn)), axis=-1
    )
    pull = weight / max(float(weight.sum(axis=1).mean()), 1e-12)
    for step in np.geomspace(np.sqrt(count), 0.01, _ROUNDS):
        apart = place[:, None] - place[None]  # [K, K, 2]
        distance = np.linalg.norm(apart, axis=-1) + np.eye(count)
        move = ((1 / distance**2 - pull * distance)[..., None] * apart).sum(axis=1)
        length = np.linalg.norm(move, axis=-1, keepdims=True)
        place = place + move * np.minimum(1, step / np.maximum(length, 1e-12))
    return place


def pack(sizes: Floats) -> Packing:
    """Boxes of these widths and heights [C, 2] in centred rows from the top, as near to a square as
    they can come.

    In the order given; every row is as high as its highest box, on whose middle line the others
    stand.
    """
    widths = np.linspace(sizes[:, 0].max(), sizes[:, 0].sum(), _WIDTHS)
    tried = [_placed(sizes, _rows(sizes[:, 0], width)) for width in widths]
    return min(tried, key=lambda found: float(found.size.max()))


def _rows(widths: Floats, limit: float) -> list[list[int]]:
    """The boxes of every row: as many as fit into `limit`."""
    rows: list[list[int]] = [[]]
    for i, width in enumerate(widths):
        if rows[-1] and widths[rows[-1]].sum() + width > limit * (1 + 1e-9):
            rows.append([])
        rows[-1].append(i)
    return rows


def _placed(sizes: Floats, rows: list[list[int]]) -> Packing:
    corner = np.zeros_like(sizes)
    heights = np.array([sizes[row, 1].max() for row in rows])
    widths = np.array([sizes[row, 0].sum() for row in rows])
    middles = heights[::-1].cumsum()[::-1] - heights / 2
    for row, middle, width in zip(rows, middles, widths, strict=True):
        own = sizes[row]
        corner[row, 0] = (widths.max() - width) / 2 + own[:, 0].cumsum() - own[:, 0]
        corner[row, 1] = middle - own[:, 1] / 2
    return Packing(corner, np.array([widths.max(), heights.sum()]))


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Descending positions moved apart to at least `gap`, each crowded group about its own
    middle.
    """
    groups: list[list[float]] = []
    for position in positions:
        groups.append([position])
        while len(groups) > 1 and _ends(groups[-2], gap)[1] - _ends(groups[-1], gap)[0] < gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_ends(group, gap)[0] - gap * i for group in groups for i in range(len(group))]


def _ends(group: Sequence[float], gap: float) -> tuple[float, float]:
    """Highest and lowest place of a group laid out about its middle."""
    middle = float(np.mean(group))
    half = gap * (len(group) - 1) / 2
    return middle + half, middle - half
