"""Correlated and anticorrelated sets of features, and how they collapse.

A trial is the model of lowest loss among `of` seeds of one density. Shapes: K trials, F features
(n), H hidden (m).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms import geometry, metrics, theory
from superpos.families.tms.theory.active import ActiveSets, Correlation
from superpos.families.tms.theory.strata import stratified_loss
from superpos.maths.types import Floats
from superpos.store import Run

Where = Mapping[str, Any] | None


class _Trials(NamedTuple):
    """The models of the trials."""

    W: Floats  # [K, F, H]
    b: Floats  # [K, F]
    density: float  # of the first one

    def losses(self, correlation: Correlation, set_size: int) -> Floats:
        """Losses [K] on data of that density with such sets, all features equally important."""
        return stratified_loss(
            self.W, self.b, self.density, np.ones(self.W.shape[1]), correlation, set_size
        )


def partners(
    run: Run,
    relation: str,
    set_size: int,
    shape: str | None = None,
    of: int = 1,
    where: Where = None,
) -> Measured:
    """1 for a trial whose sets have a relation (`geometry.partners`) and whose features form a
    shape, else 0.
    """
    W = _trials(run, of, where).W
    found = np.array([geometry.partners(w, set_size) == relation for w in W])
    if shape is not None:
        found &= geometry.describe(W) == shape
    return Measured(found.astype(np.float64))


def overlap(
    run: Run, set_size: int, pairs: Literal["within", "between"], of: int = 1, where: Where = None
) -> Measured:
    """Root mean square of W_i·W_j over the pairs of different features within the sets, or between
    them.

    Expected are those of orthonormal bases of one space, 0 and 1/√m.
    """
    W = _trials(run, of, where).W
    first, second = np.triu_indices(W.shape[1], 1)
    chosen = (first // set_size == second // set_size) == (pairs == "within")
    products = (W @ W.mT)[:, first[chosen], second[chosen]]
    return Measured(
        np.sqrt(np.square(products).mean(axis=1)), 0.0 if pairs == "within" else W.shape[2] ** -0.5
    )


def collapsed(
    run: Run, set_size: int, of: int = 1, exact: bool = False, where: Where = None
) -> Measured:
    """Collapsed sets of each trial; with `exact`, expected is what the exact minimum has
    (correlated, one density).
    """
    trials = _trials(run, of, where)
    counts = metrics.collapsed(trials.W, set_size).sum(axis=-1).astype(np.float64)
    if not exact:
        return Measured(counts)
    minimum = _minimum(*trials.W.shape[1:], trials.density, "correlated", set_size)
    return Measured(counts, float(metrics.collapsed(minimum.W[0], set_size).sum()))


def excess(
    run: Run, correlation: Correlation, set_size: int, of: int = 1, where: Where = None
) -> Measured:
    """Exact loss of each trial on data with such sets over the exact minimum, for up to six
    features (one density).
    """
    W, b, density = _trials(run, of, where)
    loss = theory.expected_loss(W, b, density, 1.0, correlation=correlation, set_size=set_size)
    return Measured(loss / _minimum(*W.shape[1:], density, correlation, set_size).loss, 1.0)


def explained(
    run: Run, correlation: Correlation, set_size: int, of: int = 1, where: Where = None
) -> Measured:
    """Share of the loss of W = 0, b = 0 that is left in each trial, on data with such sets (one
    density).
    """
    trials = _trials(run, of, where)
    second_moment = (
        ActiveSets(correlation, set_size).active(np.full(trials.W.shape[1], trials.density)) / 3
    )
    return Measured(trials.losses(correlation, set_size) / second_moment.sum())


def against_digons(run: Run, set_size: int, of: int = 1, where: Where = None) -> Measured:
    """Loss of each trial on correlated sets over the exact loss of n/2 digons, each of features of
    two sets.
    """
    trials = _trials(run, of, where)
    digon = theory.minimise_loss(np.full((1, 2), trials.density), np.ones(2), n_hidden=1).loss[0]
    return Measured(trials.losses("correlated", set_size) / (trials.W.shape[1] / 2 * digon))


def against_pca(run: Run, set_size: int, of: int = 1, where: Where = None) -> Measured:
    """Loss of each trial on correlated sets over that of PCA: the sum of the n − m smallest
    eigenvalues of Cov(x).
    """
    trials = _trials(run, of, where)
    n, m = trials.W.shape[1:]
    variances = np.linalg.eigvalsh(
        ActiveSets("correlated", set_size).covariance(np.full(n, trials.density))
    )
    return Measured(trials.losses("correlated", set_size) / variances[: n - m].sum())


def _trials(run: Run, of: int, where: Where) -> _Trials:
    """Trials of the rows that `where` selects, densities in order."""
    chosen = []
    for _, rows in select.where(run, where).groupby("data.density"):
        for start in range(0, len(rows), of):
            part = rows.iloc[start : start + of]
            chosen.append(part.iloc[_ranking(run, part).argmin()])
    return _read(run, pd.DataFrame(chosen))


def _read(run: Run, rows: pd.DataFrame) -> _Trials:
    models = rows["model"].to_numpy(dtype=np.intp)
    W, b = (run.tensor(name, models).astype(np.float64) for name in ("W", "b"))
    return _Trials(W, b, float(rows["data.density"].iloc[0]))


def _ranking(run: Run, rows: pd.DataFrame) -> Floats:
    """Losses of models of one density on their own kind of data, on the same inputs where it has
    sets.
    """
    correlation = rows["data.correlation"].iloc[0]
    set_size = int(rows["data.set_size"].iloc[0])
    if correlation == "none":
        return rows["loss"].to_numpy(dtype=np.float64)
    return _read(run, rows).losses(correlation, set_size)


@cache
def _minimum(
    n: int, m: int, density: float, correlation: Correlation, set_size: int
) -> theory.Minimum:
    """Exact minimum; 25 seconds for n = 6."""
    return theory.minimise_loss(
        np.full((1, n), density), np.ones(n), m, correlation=correlation, set_size=set_size
    )
