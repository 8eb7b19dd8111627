"""Means of a column over the models of each setting, and what settings make of them.

Claims are about means over seeds and worlds, never the best: nobody can pick the best without the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.sae.analysis.scores import agreement, baseline_mmcs
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
    """Where a column is greatest: for every value of `over` the value of `by`, relative to the least of them."""
    rows = select.where(run, where)
    means = rows.groupby([over, by])[column].mean().unstack(over)
    places = np.array(means.idxmax(), dtype=np.float64)
    return Measured(places / places.min() if len(places) else places)


def above_chance(run: Run, where: Where = None) -> Measured:
    """MMCS minus chance of each model."""
    rows = select.where(run, where)
    return Measured((rows["mmcs"] - rows["chance"]).to_numpy(dtype=np.float64))


def over_baseline(run: Run, baseline: str, where: Where = None) -> Measured:
    """MMCS of each model minus that of a dictionary without an autoencoder, of the same world and size."""
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


def rank_correlation(run: Run, first: str, second: str, by: str, where: Where = None) -> Measured:
    """Spearman's correlation of the means of two columns over the values of a key; NaN where one is constant."""
    firsts = _means(run, first, by, where)
    seconds = _means(run, second, by, where)
    if firsts.nunique() < 2 or seconds.nunique() < 2:
        return Measured(np.array([np.nan]))
    return Measured(np.array([spearmanr(firsts, seconds).statistic]))


def seeds_agree(run: Run, where: Where = None) -> Measured:
    """PW-MCC of the seeds that `where` selects, which are to be of one setting and world."""
    models = select.where(run, where)["model"].to_numpy(dtype=np.intp)
    return Measured(np.array([agreement(run, models)]) if len(models) else np.array([]))
