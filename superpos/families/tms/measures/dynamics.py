"""How features and loss move during training, and where they come to rest.

Shapes: M models (seeds), S snapshots, F features, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms import geometry, metrics, theory
from superpos.families.tms.analysis import trajectory
from superpos.families.tms.analysis.courses import Course, course
from superpos.families.tms.analysis.points import points
from superpos.families.tms.theory.active import Correlation
from superpos.maths.types import Floats
from superpos.store import Run


def octahedra(run: Run, set_size: int | None = None) -> Measured:
    """Whether the six features of each model are an octahedron, 1 or 0; with a set size, antipodes
    in different sets.

    The octahedron's angles hold to 20°, whether or not small inner products join its digons into
    one component.
    """
    return Measured(
        np.array([_is_octahedron(W, set_size) for W in _weights(run)], dtype=np.float64)
    )


def _is_octahedron(W: Floats, set_size: int | None) -> bool:
    if not metrics.represented(W).all() or geometry.polytope(W) != "octahedron":
        return False
    antipode = (W @ W.T).argmin(axis=1)
    sets = np.arange(len(W)) // (set_size or 1)
    return bool((sets != sets[antipode]).all())


def at_fraction(run: Run, fraction: float, within: float = 0.02) -> Measured:
    """Share of each model's represented features whose D_i is near a fraction; 0 for a model
    without any.
    """
    shares = []
    for W in _weights(run):
        near = np.abs(metrics.dimensionality(W) - fraction)[metrics.represented(W)] <= within
        shares.append(near.mean() if len(near) else 0.0)
    return Measured(np.array(shares))


def plateaus(run: Run) -> Measured:
    """Number of plateaus of the loss of each model, the last one included."""
    return Measured(_each(run, lambda found: len(trajectory.plateaus(found.loss))))


def first_plateau(run: Run, set_size: int) -> Measured:
    """Loss of each model on its first plateau; exact: every set is one direction, and each feature
    its set's mean.

    With values of variance 1/12 that costs n p (1 - 1/k) / 12 for sets of k features and density p.
    """
    row = run.table.iloc[0]
    expected = row["model.n_features"] * row["data.density"] * (1 - 1 / set_size) / 12
    return Measured(_each(run, _first_level), float(expected))


def _first_level(found: Course) -> float:
    rests = trajectory.plateaus(found.loss)
    return float(found.loss[rests[0].mean().astype(int)]) if len(rests) else np.nan


def excess(run: Run, correlation: Correlation, set_size: int) -> Measured:
    """Exact loss of each model above the exact minimum, as a share of it."""
    rows = select.where(run)
    n, m, p = (rows.iloc[0][key] for key in ("model.n_features", "model.n_hidden", "data.density"))
    density = np.full(n, p)
    importance = np.ones(n)
    least = theory.minimise_loss(
        density, importance, int(m), n_random=2, correlation=correlation, set_size=set_size
    ).loss
    W = run.tensor("W", rows["model"])
    b = run.tensor("b", rows["model"])
    loss = theory.expected_loss(
        W, b, density, importance, correlation=correlation, set_size=set_size
    )
    return Measured(loss / least - 1)


def fall_at_jumps(run: Run) -> Measured:
    """Chance that the loss of a model falls faster at a jump of a feature than at another time; 1/2
    without relation.

    NaN for a model without jumps.
    """
    return Measured(_each(run, lambda found: trajectory.coincidence(_jumps(found), found.loss)))


def fall_at_own_jumps(run: Run) -> Measured:
    """Chance that the loss falls faster in a model where a feature jumps than in another seed at
    the same time.

    1/2 if jumps and falls only have their times in common: both come early in training. NaN for a
    model without jumps.
    """
    found = list(_courses(run))
    fall = np.array([-trajectory.window_change(shown.loss) for shown in found])  # [M, S]
    chances = []
    for model, shown in enumerate(found):
        at = _jumps(shown)
        others = np.delete(fall, model, axis=0)[:, at]
        chances.append((others < fall[model, at]).mean() if others.size else np.nan)
    return Measured(np.array(chances))


def _jumps(shown: Course) -> NDArray[np.intp]:
    return trajectory.jumps(trajectory.dimensionality(shown.W)).at


def _weights(run: Run) -> Floats:
    """W [M, F, H] of all models that did not diverge."""
    return run.tensor("W", select.where(run)["model"]).astype(np.float64)


def _courses(run: Run) -> list[Course]:
    return [
        course(run, point, int(model)) for point in points(run) for model in np.sort(point.models)
    ]


def _each(run: Run, value: Callable[[Course], float]) -> Floats:
    """One value per model."""
    return np.array([value(found) for found in _courses(run)], dtype=np.float64)
