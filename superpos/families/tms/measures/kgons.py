"""Models of one feature at a time and the energy levels of k-gons (Chen et al. 2023).

Levels are the exact ones of density 1, `theory.one_hot_levels`; losses are exact at the density of
the run. Shapes: M models, S snapshots.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms import theory
from superpos.families.tms.analysis import one_hot
from superpos.maths.types import Floats
from superpos.store import Run

Where = Mapping[str, Any] | None


def _rows(run: Run, n_features: int, where: Where) -> pd.DataFrame:
    return select.where(run, {"model.n_features": n_features, **(where or {})})


def _losses(run: Run, rows: pd.DataFrame) -> Floats:
    """Exact loss [M] of the models."""
    if not len(rows):
        return np.zeros(0)
    W = run.tensor("W", rows["model"])
    b = run.tensor("b", rows["model"])
    return theory.one_hot_loss(W, b, float(rows.iloc[0]["data.density"]))


def energy(run: Run, n_features: int, where: Where = None) -> Measured:
    """H = 3n L of each model that represents all n features; the best is the n-gon's own energy
    h_n.
    """
    rows = _rows(run, n_features, where)
    rows = rows[rows["n_represented"] == n_features]
    return Measured(3 * n_features * _losses(run, rows))


def distance(run: Run, n_features: int, where: Where = None) -> Measured:
    """Relative distance of each model's loss from the nearest level."""
    loss = _losses(run, _rows(run, n_features, where))
    return Measured(one_hot.nearest(loss, theory.one_hot_levels(n_features))[1])


def at_level(
    run: Run, n_features: int, names: list[str] | None = None, where: Where = None
) -> Measured:
    """1 for a model within 1% of a level, else 0; with `names`, of one of these."""
    levels = theory.one_hot_levels(n_features)
    level, off = one_hot.nearest(_losses(run, _rows(run, n_features, where)), levels)
    wanted = np.array([names is None or one.name in names for one in levels])
    return Measured(((off <= one_hot.NEAR) & wanted[level]).astype(np.float64))


def above_lowest(run: Run, n_features: int, where: Where = None) -> Measured:
    """Loss of each model above the lowest level, as a share of it."""
    least = theory.one_hot_levels(n_features)[0].loss
    return Measured(_losses(run, _rows(run, n_features, where)) / least - 1)


def resting(run: Run, n_features: int, where: Where = None) -> Measured:
    """1 for a model whose loss rests before its end, at a level or not, else 0."""
    rows = _rows(run, n_features, where)
    found = one_hot.rests(one_hot.losses(run, rows["model"].tolist()))
    return Measured(np.isin(np.arange(len(rows)), found.model).astype(np.float64))


def plateaus_at_levels(run: Run, n_features: int, where: Where = None) -> Measured:
    """Share of the snapshots at which losses rest that are within 1% of a level, less the share
    expected by chance.

    Chance: losses even in their logarithm over the range of those found. NaN where none rests.
    """
    levels = theory.one_hot_levels(n_features)
    found = one_hot.rests(one_hot.losses(run, _rows(run, n_features, where)["model"].tolist()))
    if not len(found.loss):
        return Measured(np.array([np.nan]))
    share = (one_hot.nearest(found.loss, levels)[1] <= one_hot.NEAR).mean()
    return Measured(np.array([share - one_hot.chance(found, levels)]))


def downwards(run: Run, n_features: int, where: Where = None) -> Measured:
    """For each model that passes several levels, 1 where each is lower than the one before, else 0;
    NaN for no such.
    """
    loss = one_hot.losses(run, _rows(run, n_features, where)["model"].tolist())
    passed = [
        path for path in one_hot.paths(loss, theory.one_hot_levels(n_features)) if len(path) > 1
    ]
    # Levels are in ascending order of their loss.
    falls = [float(all(before > after for before, after in pairwise(path))) for path in passed]
    return Measured(np.array(falls or [np.nan]))


def learning_coefficient(
    run: Run, n_features: int, name: str, n: float = 1e6, where: Where = None
) -> Measured:
    """The learning coefficient, for n samples, of the model whose loss is nearest to a level."""
    rows = _rows(run, n_features, where)
    (level,) = (one for one in theory.one_hot_levels(n_features) if one.name == name)
    off = np.abs(_losses(run, rows) / level.loss - 1)
    if not len(off):
        return Measured(np.array([np.nan]))
    model = run.weights(int(rows["model"].iloc[off.argmin()]))
    sets: dict[str, Any] = {"correlation": "anticorrelated", "set_size": n_features}
    density = float(rows.iloc[0]["data.density"])
    found = theory.learning_coefficient(model["W"], model["b"], n, density, **sets)
    return Measured(np.array([found.value]))
