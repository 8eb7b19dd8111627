"""How a component of a feature graph is drawn: places of its features, colour and name of its shape.

Shapes: K features of one component, H hidden (m).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from superpos.families.tms import geometry
from superpos.families.tms.analysis.fractions import FRACTIONS
from superpos.figures import graph_layout
from superpos.figures.colours import CYCLE, GREY, INK
from superpos.maths.types import Floats

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
