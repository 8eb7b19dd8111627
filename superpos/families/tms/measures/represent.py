"""Which features a model represents, at what cost, and in which shape: the best model of each point
of a sweep.

Shapes: K points, F features (n), H hidden (m).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms import metrics, theory
from superpos.families.tms.analysis.points import points
from superpos.families.tms.theory.candidates import SUPERPOSED_INTERFERENCE
from superpos.maths.types import Floats
from superpos.store import Run
from superpos.store.rows import best

Where = Mapping[str, Any] | None

_POINT: Final = ["model.output", "data.density", "importance.last"]


def _best(run: Run, where: Where) -> pd.DataFrame:
    """The row of lowest loss at every point of the sweep that `where` selects, the densest
    first.
    """
    rows = best(select.where(run, where), _POINT)
    return rows.sort_values("data.density", ascending=False, kind="stable")


def _weights(run: Run, models: pd.Series) -> Floats:
    """W [K, F, H] of some models."""
    return run.tensor("W", models).astype(np.float64)


class _Model(NamedTuple):
    """A model and what it was trained on."""

    W: Floats  # [F, H]
    b: Floats  # [F]
    loss: float
    density: Floats  # [F]
    importance: Floats  # [F]


def _best_models(run: Run, where: Where) -> Iterator[_Model]:
    """The models of `_best`."""
    point_of = {model: point for point in points(run) for model in point.models.tolist()}
    for model, loss in _best(run, where)[["model", "loss"]].itertuples(index=False):
        weights = {
            name: value.astype(np.float64) for name, value in run.weights(int(model)).items()
        }
        point = point_of[int(model)]
        density = np.full(len(weights["W"]), point.density)
        yield _Model(weights["W"], weights["b"], float(loss), density, point.importance)


def named(run: Run, geometry: str, where: Where = None) -> Measured:
    """1 for each point whose best model has this geometry in words, else 0."""
    return Measured(np.array(_best(run, where)["geometry"] == geometry, dtype=np.float64))


def share(run: Run, geometry: str, where: Where = None) -> Measured:
    """1 for each model of this geometry, else 0."""
    return Measured(np.array(select.where(run, where)["geometry"] == geometry, dtype=np.float64))


def cosine(run: Run, where: Where = None) -> Measured:
    """Greatest abs cos between represented features of each best model; NaN where fewer than two
    are.
    """
    found = []
    for W in _weights(run, _best(run, where)["model"]):
        unit = W[metrics.represented(W)]
        unit = unit / metrics.feature_norms(unit)[:, None]
        pairs = np.abs(unit @ unit.T)[np.triu_indices(len(unit), 1)]
        found.append(pairs.max() if len(pairs) else np.nan)
    return Measured(np.array(found))


def gap(run: Run, where: Where = None) -> Measured:
    """Exact loss of each best ReLU model over the exact multi-start minimum of its setting, minus
    1. For n up to 6.
    """
    found = []
    for W, b, _, density, importance in _best_models(run, where):
        minimum = _minimum_loss(tuple(density), tuple(importance), W.shape[1])
        found.append(theory.expected_loss(W, b, density, importance) / minimum - 1)
    return Measured(np.array(found))


@lru_cache(maxsize=32)
def _minimum_loss(
    density: tuple[float, ...], importance: tuple[float, ...], n_hidden: int
) -> float:
    """Seconds for n = 5; a run and its control have the same settings."""
    return float(theory.minimise_loss(np.array([density]), np.array(importance), n_hidden).loss[0])


def dimensionality(run: Run, geometry: str, where: Where = None) -> Measured:
    """Mean D_i over the features of each model of this geometry."""
    rows = select.where(run, where)
    chosen = rows.loc[rows["geometry"] == geometry, "model"]
    return Measured(
        metrics.dimensionality(_weights(run, chosen)).mean(axis=1)
        if len(chosen)
        else np.array([np.nan])
    )


def over_floor(run: Run, where: Where = None) -> Measured:
    """Loss of each best model over V(p) Σ_{i≥m} I_i, the smallest loss of a linear model."""
    found = []
    for model in _best_models(run, where):
        n, m = model.W.shape
        lost = np.sort(model.importance)[: n - m]
        found.append(model.loss / (theory.variance(model.density[0]) * lost.sum()))
    return Measured(np.array(found))


def top(run: Run, where: Where = None) -> Measured:
    """Share of the features of each model that are represented just if they are among the m most
    important.
    """
    W = _weights(run, select.where(run, where)["model"])
    expected = np.arange(W.shape[1]) < W.shape[2]
    return Measured((metrics.represented(W) == expected).mean(axis=1))


def dropped_bias(run: Run, where: Where = None) -> Measured:
    """Mean bias of the features beyond the m most important of each model; p/2 is the mean of a
    feature.
    """
    rows = select.where(run, where)
    bias = run.tensor("b", rows["model"]).astype(np.float64)
    return Measured(
        bias[:, int(rows["model.n_hidden"].iloc[0]) :].mean(axis=1),
        float(rows["data.density"].iloc[0]) / 2,
    )


def trend(run: Run, where: Where = None) -> Measured:
    """Spearman correlation of sparsity with the number of features represented by the best models;
    NaN if constant.
    """
    rows = _best(run, where)
    count = rows["n_represented"].to_numpy(dtype=np.float64)
    known = len(np.unique(count)) > 1
    return Measured(
        np.array([spearmanr(-rows["data.density"], count).statistic if known else np.nan])
    )


def shared_last(run: Run, where: Where = None) -> Measured:
    """How often, over pairs, the one in superposition is the less important of a dedicated and a
    superposed feature.

    One value for each best model, NaN where there is no such pair. Importance falls with the number
    of the feature. Superposed is a represented feature with an interference above 1/4, half that of
    a triangle.
    """
    found = []
    for W in _weights(run, _best(run, where)["model"]):
        superposed = metrics.interference(W) > SUPERPOSED_INTERFERENCE
        represented = metrics.represented(W)
        shared = np.flatnonzero(represented & superposed)
        own = np.flatnonzero(represented & ~superposed)
        found.append((shared[:, None] > own).mean() if len(shared) and len(own) else np.nan)
    return Measured(np.array(found))
