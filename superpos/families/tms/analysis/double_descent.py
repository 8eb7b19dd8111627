"""Finite data sets: what is memorised and what generalises, against the number of points (Henighan
et al. 2023).

Shapes: T data points, F features (n), H hidden (m).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from superpos.families.tms import metrics
from superpos.families.tms.data import inputs
from superpos.figures.points import Run, all_equal
from superpos.maths.types import Floats
from superpos.plan.sweep import Sweep
from superpos.store.rows import healthy

N_POINTS: Final = "data.n_points"
FIVE: Final = 5  # features of the pentagon that two dimensions hold where data are plenty
MIN_SIZES: Final = 3
PLAIN: Final = {
    "model.tied": True,
    "model.output": "relu",
    "model.hidden": "linear",
    "model.target": "identity",
    "data.correlation": "none",
    "importance.decay": 1.0,
    "importance.last": 1.0,
    "importance.values": None,
}


def data_points(run: Run, model: int) -> Floats:
    """The data set X [T, F] of a model."""
    task = Sweep.from_json(run.manifest["plan"]).task(np.array([model]))
    return np.asarray(inputs.batch(task, 0)[0].numpy(), dtype=np.float64)


def point_dimensionality(run: Run, model: int) -> Floats:
    """Dimensionality [T] of the data points of a model."""
    W = run.weights(model)["W"].astype(np.float64)
    return metrics.datapoint_dimensionality(W, data_points(run, model))


def feature_dimensionality(run: Run, model: int) -> Floats:
    """Dimensionality [F] of the features of a model, the greatest first."""
    return np.sort(metrics.dimensionality(run.weights(model)["W"].astype(np.float64)))[::-1]


def norm(run: Run, model: int) -> float:
    """‖W‖ of a model."""
    return float(np.linalg.norm(run.weights(model)["W"].astype(np.float64)))


def reason(run: Run) -> str | None:
    """Why the run is no sweep of sizes of the data set; None when it is."""
    unequal = all_equal(run, PLAIN)
    if unequal:
        return unequal
    table = healthy(run.table)
    if table[N_POINTS].isna().any():
        return f"needs {N_POINTS} in every model"
    sizes = table[N_POINTS].nunique()
    return (
        None
        if sizes >= MIN_SIZES
        else f"needs {MIN_SIZES} sizes of the data set at least, found {sizes}"
    )
