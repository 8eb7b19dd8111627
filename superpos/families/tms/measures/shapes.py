"""One feature perturbed: which shape is best, exact energy levels and their crossing, labels that
hold.

All for a sweep of `data.last` or `importance.last`, with the exact loss. Models of one seed share
their draws across the sweep, so that a trial is a group of seeds, not a model. Shapes: K models, F
features (n), H hidden (m).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms import geometry, theory
from superpos.families.tms.analysis import energy_levels
from superpos.families.tms.analysis.energy_levels import Perturbed, perturbation
from superpos.maths.types import Floats
from superpos.store import Run
from superpos.store.rows import best

Where = Mapping[str, Any] | None


def _swept(run: Run, where: Where) -> tuple[Perturbed, pd.DataFrame, Floats]:
    """What is perturbed, the rows of the selected models and their factors [K]."""
    key, perturbed = perturbation(run)
    rows = select.where(run, where)
    return perturbed, rows, rows[key].to_numpy(dtype=np.float64)


def _models(run: Run, where: Where, restarts: int = 1) -> tuple[Perturbed, pd.DataFrame]:
    """What is perturbed, and the selected models: "model", "factor", "loss" (exact), "label",
    "group" of seeds.
    """
    perturbed, rows, factor = _swept(run, where)
    W = _weights(run, rows, "W")
    b = _weights(run, rows, "b")
    table = pd.DataFrame(
        {"model": rows["model"].to_numpy(), "factor": factor, "label": geometry.describe(W)}
    )
    table["loss"] = theory.expected_loss(W, b, *perturbed.settings(factor))
    table["group"] = pd.factorize(rows["seed"], sort=True)[0] // restarts
    return perturbed, table


def _weights(run: Run, rows: pd.DataFrame, name: str) -> Floats:
    return run.tensor(name, rows["model"]).astype(np.float64)


@cache
def _minimum(perturbed: Perturbed, label: str, factor: float) -> theory.Minimum:
    """The exact minimum of a shape at one factor; NaN where there is none."""
    return theory.family_minimum(label, *perturbed.settings(np.array(factor)), perturbed.n_hidden)


@cache
def _crossing(perturbed: Perturbed, below: str, above: str, low: float, high: float) -> float:
    return theory.crossing(below, above, perturbed.settings, low, high, perturbed.n_hidden)


def _best(table: pd.DataFrame) -> pd.DataFrame:
    """The model of lowest loss in every group of seeds at every factor."""
    return best(table, ["factor", "group"])


def named(run: Run, label: str, where: Where = None, restarts: int = 10) -> Measured:
    """1 where the best of some restarts has this label, else 0; one value per factor and group of
    seeds.
    """
    _, table = _models(run, where, restarts)
    return Measured(np.array(_best(table)["label"] == label, dtype=np.float64))


def gap(run: Run, label: str, where: Where = None) -> Measured:
    """Lowest loss of the models with a label over the exact minimum of that shape, minus 1; one
    value per factor.

    NaN where no model has the label, or where the shape is no minimum.
    """
    perturbed, table = _models(run, where)
    own = table[table["label"] == label].groupby("factor")["loss"].min()
    factors = np.unique(table["factor"])
    exact = np.array([float(_minimum(perturbed, label, float(factor)).loss) for factor in factors])
    return Measured(own.reindex(factors).to_numpy() / exact - 1)


def crossing(run: Run, below: str, above: str, where: Where = None, restarts: int = 10) -> Measured:
    """Factor at which the losses of two shapes cross, among the best of each in a group of seeds;
    one value per group.

    Between the factors at which both were found the logarithm of the ratio of the losses is
    interpolated over log factor. NaN for a group in which they do not cross. Expected: the exact
    crossing.
    """
    perturbed, table = _models(run, where, restarts)
    values = [_crossed(rows, below, above) for _, rows in table.groupby("group")]
    ends = float(table["factor"].min()), float(table["factor"].max())
    return Measured(np.array(values), _crossing(perturbed, below, above, *ends))


def _crossed(rows: pd.DataFrame, below: str, above: str) -> float:
    lowest = (
        rows.groupby(["label", "factor"])["loss"]
        .min()
        .unstack("label")
        .reindex(columns=[below, above])
        .dropna()
    )
    x = np.log(lowest.index.to_numpy(dtype=np.float64))
    ahead = np.log(np.asarray(lowest[below] / lowest[above]))
    change = np.flatnonzero((ahead[:-1] < 0) & (ahead[1:] >= 0))
    if len(change) != 1:
        return float("nan")
    i = change[0]
    return float(np.exp(x[i] - ahead[i] * (x[i + 1] - x[i]) / (ahead[i + 1] - ahead[i])))


def coexist(run: Run, labels: list[str], where: Where = None) -> Measured:
    """Share of the models that have the rarest of some labels; one value per factor."""
    _, table = _models(run, where)
    share = pd.crosstab(table["factor"], table["label"], normalize="index").reindex(
        columns=labels, fill_value=0.0
    )
    return Measured(share.min(axis=1).to_numpy(dtype=np.float64))


def stable(run: Run, where: Where = None) -> Measured:
    """1 for each model whose label names its shapes and is the same for τ of 0.05, 0.1 and 0.2,
    else 0.
    """
    W = _weights(run, select.where(run, where), "W")
    named = np.array(["/" not in label for label in geometry.describe(W)])
    return Measured((geometry.stable(W) & named).astype(np.float64))


def settled(run: Run, where: Where = None) -> Measured:
    """1 for each model whose label is still the same after descent on the exact loss from where it
    ended, else 0.
    """
    perturbed, rows, factor = _swept(run, where)
    W = _weights(run, rows, "W")
    refined = theory.refine(W, _weights(run, rows, "b"), *perturbed.settings(factor))
    return Measured((geometry.describe(W) == geometry.describe(refined.W)).astype(np.float64))


def room(run: Run, label: str, where: Where = None, restarts: int = 10) -> Measured:
    """Angle in degrees from the perturbed feature to its neighbours in the plane, the mean of both
    sides.

    Of the best of some restarts; one value per group of seeds and factor. Expected: that of the
    exact minimum of the shape at the first factor that is selected.
    """
    perturbed, table = _models(run, where, restarts)
    W = run.tensor("W", _best(table)["model"]).astype(np.float64)
    exact = _minimum(perturbed, label, float(table["factor"].min())).W
    return Measured(energy_levels.room(W), float(energy_levels.room(exact[None])[0]))
