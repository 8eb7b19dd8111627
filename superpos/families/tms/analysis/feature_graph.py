"""How a component of a feature graph is drawn: places of its features, colour and name of its
shape.

Shapes: K features of one component, H hidden (m).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from superpos.families.tms import geometry
from superpos.families.tms.analysis.fractions import FRACTIONS
from superpos.figures import graph_layout
from superpos.figures.colours import CYCLE, GREY, INK
from superpos.maths.types import Floats

_MARGIN: Final = 0.9  # between components, in distances of neighbours
_PROJECTED: Final = 12  # features; a larger component is a tangle from every side
_NEAREST: Final = 0.2  # of two unit vectors in a projection; any nearer, one hides the other
_COLOURS: Final[Mapping[str, str]] = {
    geometry.DEDICATED: INK,
    "tetrahedron": CYCLE[4],
    "triangle": CYCLE[2],
    "digon": CYCLE[0],
    "pentagon": CYCLE[1],
    "square antiprism": CYCLE[3],
}
_OTHER: Final = ("another named shape", CYCLE[5])
_NAMELESS: Final = ("no named shape", GREY)


class Rows(NamedTuple):
    """Where the components of one model are drawn."""

    places: list[Floats]
    """[K, 2] of each"""
    size: Floats
    """[2] width and height of all together, from the origin"""


def in_rows(components: Sequence[Floats]) -> Rows:
    """Components W[K, H], at least one, in rows in the order given, with room between them."""
    drawn = [places(W) for W in components]
    low = np.array([place.min(axis=0) for place in drawn]) - _MARGIN / 2
    high = np.array([place.max(axis=0) for place in drawn]) + _MARGIN / 2
    packing = graph_layout.pack(high - low)
    shifts = packing.corner - low
    return Rows([place + shift for place, shift in zip(drawn, shifts, strict=True)], packing.size)


def places(W: Floats) -> Floats:
    """Where the features W[K, H] of a component are drawn, [K, 2], neighbours about 1 apart."""
    place = _projected(W)
    if place is None:
        place = graph_layout.springs(geometry.strengths(W))
    return graph_layout.upright(graph_layout.unit_spacing(place))


def _projected(W: Floats) -> Floats | None:
    """The features as their directions project to the plane; None where some hide others."""
    if len(W) > _PROJECTED:
        return None
    place = graph_layout.project(W / np.linalg.norm(W, axis=1, keepdims=True))
    return place if graph_layout.nearest(place) >= _NEAREST else None


def kind(name: str) -> tuple[str, str]:
    """What the key says of a shape, and its colour."""
    if name in _COLOURS:
        return f"{name} (D = {FRACTIONS[name][1]})", _COLOURS[name]
    return _NAMELESS if "/" in name else _OTHER


def kinds() -> list[tuple[str, str]]:
    """Everything that `kind` may say, in the order of a key."""
    return [*(kind(name) for name in _COLOURS), _OTHER, _NAMELESS]
