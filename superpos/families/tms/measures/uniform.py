"""Geometry of uniform superposition: dimensions per feature, lines of D_i, polytopes.

Shapes: F features (n), K models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms import geometry, metrics, theory
from superpos.maths.types import Floats
from superpos.store import Run

JITTER: Final = 0.02  # of D_i, which a real line does not survive


def _weights(run: Run, where: Mapping[str, Any] | None) -> Floats:
    """W[K, F, H] of the models that `where` selects."""
    return run.tensor("W", select.where(run, where)["model"]).astype(np.float64)


def distance(run: Run, d_star: float, where: Mapping[str, Any] | None = None) -> Measured:
    """How far D* of each model is from a value."""
    found = metrics.dimensions_per_feature(_weights(run, where))
    return Measured(np.abs(found - d_star))


def off_theory(run: Run, shared: int, where: Mapping[str, Any] | None = None) -> Measured:
    """Relative distance of each model's D* from that of the exactly best polytope
    (`theory.d_star`).

    `shared` of the m dimensions are left to the features that are not represented; together those
    have a length of 1 in each. NaN where no polytope is known to be best.
    """
    rows = select.where(run, where)
    m = rows["model.n_hidden"].to_numpy(dtype=np.float64)
    expected = m / (
        (m - shared) / theory.d_star(rows["data.density"].to_numpy(dtype=np.float64)) + shared
    )
    return Measured(np.abs(rows["d_star"].to_numpy(dtype=np.float64) / expected - 1))


def line(run: Run, fraction: float, where: Mapping[str, Any] | None = None) -> Measured:
    """1 for a seed whose D_i, of all its models, form a line at a fraction that a jitter of 0.02
    destroys, else 0.

    The line is `metrics.stands_out`: at least 10 features within 0.005, twice those of each flank.
    """
    rows = select.where(run, where)
    found = []
    for _, models in rows.groupby("seed", sort=False)["model"]:
        values = metrics.dimensionality(run.tensor("W", models).astype(np.float64))
        jitter = np.random.default_rng(0).normal(scale=JITTER, size=values.shape)
        found.append(
            metrics.stands_out(values, fraction)
            and not metrics.stands_out(values + jitter, fraction)
        )
    return Measured(np.array(found, dtype=np.float64))


def share(run: Run, shapes: list[str], where: Mapping[str, Any] | None = None) -> Measured:
    """Share of each model's represented features that are part of a component with one of the
    names; 0 without any.
    """
    return Measured(np.array([_share(W, shapes) for W in _weights(run, where)]))


def _share(W: Floats, shapes: list[str]) -> float:
    components = geometry.named_components(W)
    inside = sum(len(features) for name, features in components if name in shapes)
    return inside / max(1, sum(len(features) for _, features in components))


def components_ratio(run: Run, where: Mapping[str, Any] | None = None) -> Measured:
    """Greatest over smallest number of components of each model's feature graph for τ of 0.05, 0.1,
    0.2; 1 is stable.

    NaN where no feature is represented.
    """
    counts = np.array(
        [geometry.n_components(_weights(run, where), tau) for tau in geometry.TAUS],
        dtype=np.float64,
    )
    counts[counts == 0] = np.nan
    return Measured(counts.max(axis=0) / counts.min(axis=0))
