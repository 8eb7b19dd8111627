"""Energy levels: the exact loss of each shape over one perturbed feature, and where the best shape changes.

The perturbed feature is the last one; all others are alike (TMS, "The geometry of superposition").
Shapes: M models, P values of the perturbed factor, F features, H hidden dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms import geometry, theory
from superpos.figures.points import Array, Floats, Point, Run

_PERTURBED: Final[Mapping[str, Literal["density", "importance"]]] = {
    "data.last": "density",
    "importance.last": "importance",
}


class Perturbed(NamedTuple):
    """n features in m dimensions, equal but for a factor on the density or the importance of the last one."""

    n_features: int
    n_hidden: int
    density: float
    what: Literal["density", "importance"]

    def settings(self, factor: Floats) -> tuple[Floats, Floats]:
        """Density and importance, each [..., n], for factors [...]."""
        plain, perturbed = np.ones((2, *np.shape(factor), self.n_features))
        perturbed[..., -1] = factor
        by_density = self.what == "density"
        return self.density * (perturbed if by_density else plain), plain if by_density else perturbed


class Models(NamedTuple):
    """Trained models."""

    factor: Floats  # [M] on the last feature
    W: Array  # [M, F, H]
    loss: Floats  # [M] exact
    label: NDArray[np.object_]  # [M]

    def best(self) -> NDArray[np.intp]:
        """The model of lowest loss at every factor [P], ascending."""
        order = np.lexsort((self.loss, self.factor))
        return order[np.unique(self.factor[order], return_index=True)[1]]


class Crossing(NamedTuple):
    """Two shapes are equally good at a factor; below it the first is better."""

    factor: float
    below: str
    above: str


def setting(chosen: Sequence[Point]) -> tuple[str, Perturbed] | None:
    """The swept key and what it perturbs; None where the points are not one sweep of the last feature alone."""
    varied = {key for point in chosen for key in point.varied}
    if len(varied) != 1 or not varied <= set(_PERTURBED) or not np.isfinite(chosen[0].density):
        return None
    (key,) = varied
    others = [float(chosen[0].settings[other]) for other in _PERTURBED if other != key]
    return (key, Perturbed(*chosen[0].shape, chosen[0].density, _PERTURBED[key])) if others == [1.0] else None


def trained(run: Run, chosen: Sequence[Point], key: str, perturbed: Perturbed) -> Models:
    """All models of the points with their exact loss, which has no sampling noise."""
    factor = np.repeat([float(point.varied[key]) for point in chosen], [len(point.models) for point in chosen])
    rows = np.concatenate([point.models for point in chosen])
    W, b = run.tensor("W", rows), run.tensor("b", rows)
    return Models(factor, W, theory.expected_loss(W, b, *perturbed.settings(factor)), geometry.describe(W))


def levels(perturbed: Perturbed, names: Sequence[str], factor: Floats) -> dict[str, Floats]:
    """The exact loss [P] of every named shape that is an ideal one, over factors [P]; NaN where it is no minimum."""
    known = geometry.describe(np.array(list(theory.ideal_shapes(perturbed.n_features, perturbed.n_hidden))))
    settings = perturbed.settings(factor)
    return {name: theory.family_minimum(name, *settings, perturbed.n_hidden).loss for name in names if name in known}


def crossings(perturbed: Perturbed, factor: Floats, curves: Mapping[str, Floats]) -> list[Crossing]:
    """Every change of the best shape along ascending factors [P], where both shapes are minima on either side."""
    names, found = list(curves), list[Crossing]()
    if not names:
        return found
    table = np.array([np.where(np.isnan(curves[name]), np.inf, curves[name]) for name in names])
    best = table.argmin(axis=0)
    for i, j in pairwise(range(len(factor))):
        if best[i] != best[j] and np.isfinite(table[np.ix_(best[[i, j]], [i, j])]).all():
            pair = names[best[i]], names[best[j]]
            at = theory.crossing(*pair, perturbed.settings, factor[i], factor[j], perturbed.n_hidden)
            found.append(Crossing(at, *pair))
    return found
