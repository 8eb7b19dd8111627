"""Energy levels: the exact loss of each shape over one perturbed feature, and where the best shape
changes.

The perturbed feature is the last one; all others are alike (TMS, "The geometry of superposition").
Shapes: M models, P values of the perturbed factor, F features, H hidden dimensions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms import geometry, theory
from superpos.families.tms.analysis.points import Point, points
from superpos.figures.points import Array, Run, all_equal
from superpos.maths.types import Floats

# one more costs seven times as long: minutes for the exact loss of some thousand models
MAX_FEATURES: Final = 5
MIN_VALUES: Final = 5
SHAPES: Final = 3  # labels that have a curve and a colour: the most frequent, unless RARE
RARE: Final = 0.05  # share of the models
CURVE_POINTS: Final = 25
_PLAIN: Final = {
    "model.tied": True,
    "model.n_hidden": 2,
    "model.output": "relu",
    "model.hidden": "linear",
    "model.target": "identity",
    "data.correlation": "none",
    "data.signed": False,
    "data.values": "uniform",
    "data.n_points": None,
    "importance.decay": 1.0,
    "importance.values": None,
}

_PERTURBED: Final[Mapping[str, Literal["density", "importance"]]] = {
    "data.last": "density",
    "importance.last": "importance",
}


class Perturbed(NamedTuple):
    """n features in m dimensions, equal but for a factor on the density or the importance of the
    last one.
    """

    n_features: int
    n_hidden: int
    density: float
    what: Literal["density", "importance"]

    def settings(self, factor: Floats) -> tuple[Floats, Floats]:
        """Density and importance, each [..., n], for factors [...]."""
        plain, perturbed = np.ones((2, *np.shape(factor), self.n_features))
        perturbed[..., -1] = factor
        by_density = self.what == "density"
        return self.density * (
            perturbed if by_density else plain
        ), plain if by_density else perturbed


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


class Levels(NamedTuple):
    """The exact curves beside the models of a run."""

    key: str  # that is swept
    perturbed: Perturbed
    factor: Floats  # [P], ascending
    # the exact loss [P] of the most frequent shapes, NaN where one is no minimum
    curves: Mapping[str, Floats]


class Crossing(NamedTuple):
    """Two shapes are equally good at a factor; below it the first is better."""

    factor: float
    below: str
    above: str


def setting(chosen: Sequence[Point]) -> tuple[str, Perturbed] | None:
    """The swept key and what it perturbs; None where the points are not one sweep of the last
    feature alone.
    """
    varied = {key for point in chosen for key in point.varied}
    if len(varied) != 1 or not varied <= set(_PERTURBED) or not np.isfinite(chosen[0].density):
        return None
    (key,) = varied
    others = [float(chosen[0].settings[other]) for other in _PERTURBED if other != key]
    return (
        (key, Perturbed(*chosen[0].shape, chosen[0].density, _PERTURBED[key]))
        if others == [1.0]
        else None
    )


def perturbation(run: Run) -> tuple[str, Perturbed]:
    """The swept key and what it perturbs.

    Raises `ValueError` for a run that is no sweep of the last feature alone.
    """
    found = setting(points(run))
    if found is None:
        raise ValueError(f"{run.name} is no sweep of data.last or importance.last alone")
    return found


def levels_reason(run: Run) -> str | None:
    """Why the run is no sweep of one perturbed feature; None when it is."""
    reason = all_equal(run, _PLAIN)
    if reason:
        return reason
    chosen = points(run)
    found = setting(chosen)
    if found is None:
        return (
            "needs a sweep of data.last or importance.last, the other 1, and of nothing else but "
            "seeds"
        )
    key, perturbed = found
    if perturbed.n_features > MAX_FEATURES:
        return f"needs at most {MAX_FEATURES} features"
    values = [float(point.varied[key]) for point in chosen]
    return (
        None
        if len(values) >= MIN_VALUES and min(values) > 0
        else f"needs at least {MIN_VALUES} values above 0"
    )


def frequent(label: Sequence[str]) -> list[str]:
    """The labels that have a curve, the most frequent first."""
    counts = Counter(label).most_common(SHAPES)
    return [name for name, count in counts if count >= RARE * len(label)]


def exact_levels(run: Run) -> Levels:
    """The exact curves of the shapes that are most frequent among the healthy models of a run.

    Raises `ValueError` as `perturbation`.
    """
    chosen = points(run)
    key, perturbed = perturbation(run)
    values = [float(point.varied[key]) for point in chosen]
    factor = np.geomspace(min(values), max(values), CURVE_POINTS)
    rows = np.concatenate([point.models for point in chosen])
    label = geometry.describe(run.tensor("W", rows)).tolist()
    return Levels(key, perturbed, factor, levels(perturbed, frequent(label), factor))


def trained(run: Run, chosen: Sequence[Point], key: str, perturbed: Perturbed) -> Models:
    """All models of the points with their exact loss, which has no sampling noise."""
    factor = np.repeat(
        [float(point.varied[key]) for point in chosen], [len(point.models) for point in chosen]
    )
    rows = np.concatenate([point.models for point in chosen])
    W = run.tensor("W", rows)
    b = run.tensor("b", rows)
    return Models(
        factor, W, theory.expected_loss(W, b, *perturbed.settings(factor)), geometry.describe(W)
    )


def levels(perturbed: Perturbed, names: Sequence[str], factor: Floats) -> dict[str, Floats]:
    """The exact loss [P] of every named shape that is an ideal one, over factors [P]; NaN where it
    is no minimum.
    """
    known = geometry.describe(
        np.array(list(theory.ideal_shapes(perturbed.n_features, perturbed.n_hidden)))
    )
    settings = perturbed.settings(factor)
    return {
        name: theory.family_minimum(name, *settings, perturbed.n_hidden).loss
        for name in names
        if name in known
    }


def crossings(perturbed: Perturbed, factor: Floats, curves: Mapping[str, Floats]) -> list[Crossing]:
    """Every change of the best shape along ascending factors [P], where both shapes are minima on
    either side.
    """
    names = list(curves)
    found: list[Crossing] = []
    if not names:
        return found
    table = np.array([np.where(np.isnan(curves[name]), np.inf, curves[name]) for name in names])
    best = table.argmin(axis=0)
    for i, j in pairwise(range(len(factor))):
        if best[i] != best[j] and np.isfinite(table[np.ix_(best[[i, j]], [i, j])]).all():
            pair = names[best[i]], names[best[j]]
            at = theory.crossing(
                *pair, perturbed.settings, factor[i], factor[j], perturbed.n_hidden
            )
            found.append(Crossing(at, *pair))
    return found


def room(W: Floats) -> Floats:
    """Half the angle [M] between the neighbours of the last feature of W[M, F, 2] on either side;
    180 alone.
    """
    angle = np.arctan2(W[..., 1], W[..., 0])
    around = np.mod(angle[:, :-1] - angle[:, -1:], 2 * np.pi)
    return np.asarray(np.rad2deg(around.min(axis=1) + 2 * np.pi - around.max(axis=1)) / 2)
