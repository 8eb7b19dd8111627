"""Finite data sets: memorised points, features that generalise, norms (Henighan et al. 2023).

Shapes: T data points, F features, K models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms import theory
from superpos.families.tms.analysis import double_descent
from superpos.store import Run

Where = Mapping[str, Any] | None


def point_share(run: Run, where: Where = None) -> Measured:
    """Median dimensionality of each model's data points over m/T; expected to be 1 where they are a
    T-gon.
    """
    rows = select.where(run, where)
    shares = rows["model.n_hidden"].to_numpy(np.float64) / rows[double_descent.N_POINTS].to_numpy(
        np.float64
    )
    medians = [
        np.median(double_descent.point_dimensionality(run, int(model))) for model in rows["model"]
    ]
    return Measured(np.array(medians) / shares, 1.0)


def five_features(run: Run, where: Where = None) -> Measured:
    """Mean dimensionality of the five features of each model that have the greatest."""
    features = [
        double_descent.feature_dimensionality(run, int(model))
        for model in select.where(run, where)["model"]
    ]
    return Measured(np.array([each[: double_descent.FIVE].mean() for each in features]))


def sixth_over_five(run: Run, where: Where = None) -> Measured:
    """Dimensionality of each model's sixth feature over the mean of the first five."""
    features = [
        double_descent.feature_dimensionality(run, int(model))
        for model in select.where(run, where)["model"]
    ]
    found = [each[double_descent.FIVE] / each[: double_descent.FIVE].mean() for each in features]
    return Measured(np.array(found))


def norm(run: Run, where: Where = None) -> Measured:
    """‖W‖ of each model; expected is that of five rows of length 1."""
    found = [double_descent.norm(run, int(model)) for model in select.where(run, where)["model"]]
    return Measured(np.array(found), float(np.sqrt(double_descent.FIVE)))


def norm_over_polygon(run: Run, where: Where = None) -> Measured:
    """‖W‖ of each model over that of the T-gon which memorises its points; expected to be 1."""
    rows = select.where(run, where)
    known = theory.data_polygon_norms(rows[double_descent.N_POINTS].to_numpy(np.float64)).W
    return Measured(norm(run, where).values / known, 1.0)
