"""Means of a column over the models of each setting, and differences of settings.

Claims are about means over seeds and worlds, never the best: nobody can pick it without the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.sae import metrics
from superpos.families.sae.analysis import worlds
from superpos.families.sae.analysis.scores import baseline_mmcs
from superpos.families.sae.results import pw_mcc
from superpos.figures.points import points
from superpos.store import Run

Where = Mapping[str, Any] | None


def _means(run: Run, column: str, by: str | list[str], where: Where) -> pd.Series:
    """Mean of a column for each value of one or several keys, ascending."""
    rows = select.where(run, where)
    return rows.groupby(by, sort=True)[column].mean()


def greatest(run: Run, column: str, by: str, where: Where = None) -> Measured:
    """The greatest of the means of a column over the models of each value of a key."""
    means = _means(run, column, by, where)
    return Measured(np.array([means.max()]) if len(means) else np.array([]))


def place_of_least(run: Run, column: str, by: str, where: Where = None) -> Measured:
    """The value of a key at which the mean of a column is least."""
    means = _means(run, column, by, where)
    return Measured(np.array([means.idxmin()], dtype=np.float64) if len(means) else np.array([]))


def ratio_of_places(run: Run, column: str, by: str, over: str, where: Where = None) -> Measured:
    """Where a column is greatest: the value of `by` for every value of `over`, over the least.

    NaN where a column does not depend on `by`.
    """
    rows = select.where(run, where)
    means = rows.groupby([over, by])[column].mean().unstack(over)
    if (means.nunique() < 2).any():
        return Measured(np.array([np.nan]))
    places = np.array(means.idxmax(), dtype=np.float64)
    return Measured(places / places.min() if len(places) else places)


def above_chance(run: Run, where: Where = None) -> Measured:
    """MMCS minus chance of each model."""
    rows = select.where(run, where)
    return Measured((rows["mmcs"] - rows["chance"]).to_numpy(dtype=np.float64))


def unsigned_excess(run: Run, where: Where = None) -> Measured:
    """By how much the MCC of |cos|, with dead latents, is above the MCC of each model."""
    rows = select.where(run, where)
    excess = [
        float(metrics.unsigned_mcc(worlds.features(run, model), run.weights(model)["D"])) - mcc
        for model, mcc in zip(rows["model"].tolist(), rows["mcc"].tolist(), strict=True)
    ]
    return Measured(np.array(excess, dtype=np.float64))


def over_baseline(run: Run, baseline: str, where: Where = None) -> Measured:
    """MMCS of each model minus that of a baseline, a dictionary of the same world and size."""
    rows = select.where(run, where)
    models = rows["model"].to_numpy(dtype=np.intp)
    return Measured(rows["mmcs"].to_numpy(dtype=np.float64) - baseline_mmcs(run, baseline, models))


def between(run: Run, column: str, high: Where, low: Where) -> Measured:
    """Mean of a column over some models minus that over others."""
    means = [select.where(run, rows)[column].astype(float).mean() for rows in (high, low)]
    return Measured(np.array([means[0] - means[1]]))


def relative(run: Run, column: str, top: Where, bottom: Where) -> Measured:
    """Mean of a column over some models, divided by that over others."""
    means = [select.where(run, rows)[column].astype(float).mean() for rows in (top, bottom)]
    return Measured(np.array([means[0] / means[1]]))


def agreement_error(run: Run, where: Where = None) -> Measured:
    """PW-MCC of the seeds of each setting in each world minus their mean MCC."""
    chosen = select.where(run, where)["model"].to_numpy(dtype=np.intp)
    found = []
    for point in points(run):
        models = point.models[np.isin(point.models, chosen)]
        if len(models) > 1:
            mcc = run.table["mcc"].loc[models.tolist()].astype(float).mean()
            found.append(pw_mcc(run, models) - mcc)
    return Measured(np.array(found))
