"""Feature graphs as the page draws them: places of the features, their shapes, the hull around all.

Shapes: M models, F features (n), H hidden (m).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms import geometry, metrics
from superpos.families.tms.analysis import feature_graph, hulls
from superpos.report.pack import half
from superpos.report.parts import Arrays, Coded

MAX_FEATURES: Final = 400  # more are a blot
_MAX_MODELS: Final = 300  # of a shape
_MAX_PAIRS: Final = 1.5e6  # of features of all models together: springs between all take about 10 s
NO_SHAPE: Final = 255  # of a feature that is not represented


def most(n_features: int) -> int:
    """For how many models of n features a graph is laid out."""
    return int(min(_MAX_MODELS, _MAX_PAIRS / n_features**2))


def graphs(W: NDArray[Any]) -> Arrays:
    """Places [M, F, 2] and shapes [M, F] of the features of W [M, F, H].

    A shape has words and a colour. Where H is 3 the hull [M, F, F] is 1 where an edge joins two
    features.
    """
    drawn = [_graph(w.astype(np.float64)) for w in W]
    shapes = np.array([shape for _, shape in drawn], dtype=np.uint8)
    names = [{"words": words, "colour": colour} for words, colour in feature_graph.kinds()]
    found: Arrays = {
        "place": half(np.array([place for place, _ in drawn])),
        "shape": Coded(shapes, names),
    }
    if W.shape[2] == 3 and W.shape[1] <= hulls.MAX_FEATURES:
        found["hull"] = np.array([_hull(w.astype(np.float64)) for w in W])
    return found


def _graph(W: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Places [F, 2], components in rows and the largest first, and shapes [F] of one model."""
    place = np.full((len(W), 2), np.nan)
    shape = np.full(len(W), NO_SHAPE, dtype=np.uint8)
    components = geometry.named_components(W)
    if not components:
        return place, shape
    rows = feature_graph.in_rows([W[own] for _, own in components])
    kinds = feature_graph.kinds()
    for (name, own), at in zip(components, rows.places, strict=True):
        place[own] = at
        shape[own] = kinds.index(feature_graph.kind(name))
    return place, shape


def _hull(W: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Which features [F, F] are joined by an edge of the hull of the represented ones."""
    joined = np.zeros((len(W), len(W)), dtype=np.uint8)
    alive = np.flatnonzero(metrics.represented(W))
    if len(alive) > 1:
        edges = alive[hulls.hull(W[alive]).edges]
        joined[edges[:, 0], edges[:, 1]] = 1
    return joined
