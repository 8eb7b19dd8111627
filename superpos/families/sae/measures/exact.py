"""Trained autoencoders beside exact optima, one value for each model unless said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.sae import theory
from superpos.families.sae.analysis import optima, trees
from superpos.families.sae.analysis.points import settings
from superpos.figures.points import Point
from superpos.maths.types import Floats
from superpos.store import Run

Where = Mapping[str, Any] | None
_ZIPF = ("world.active", "world.n_features", "world.exponent")


def _chosen(run: Run, where: Where) -> list[Point]:
    """Settings with the models that `where` selects."""
    models = select.where(run, where)["model"].to_numpy(dtype=np.intp)
    found = []
    for point in settings(run):
        own = point.models[np.isin(point.models, models)]
        if len(own):
            found.append(Point(point.varied, point.settings, own, point.words))
    return found


def _joined(cells: list[Floats]) -> Floats:
    return np.concatenate(cells) if cells else np.zeros(0)


def shrunk_error(run: Run, of: str, where: Where = None) -> Measured:
    """How far the mean of a number is from its exact value, as a share of it, one value a setting.

    `of` is bias (of JumpReLU the threshold), l0, loss or gamma.
    """
    ratios = [getattr(optima.shrunk(run, point), of) for point in _chosen(run, where)]
    return Measured(np.array([abs(of_models.mean() - 1) for of_models in ratios]))


def lean(run: Run, where: Where = None) -> Measured:
    """(1 − MMCS) over that of the exact lean of latents on all others, without a decoder bias."""
    cells = []
    for point in _chosen(run, where):
        n = point.number("world.n_features")
        cosine = theory.l1_mixing(point.number("world.active") / n, point.number("sae.l1"), n)
        mmcs = run.table["mmcs"].loc[point.models.tolist()].to_numpy(dtype=np.float64)
        cells.append((1 - mmcs) / (1 - float(cosine)))
    return Measured(_joined(cells))


def with_first(run: Run, rho: float | None = None, where: Where = None) -> Measured:
    """Mean cosine of feature 0 with the latents of the others, of each model at one correlation.

    Of all models where none is given.
    """
    points = _chosen(run, where)
    if rho is not None:
        points = [point for point in points if optima.first_correlation(point) == rho]
    models = [model for point in points for model in point.models.tolist()]
    return Measured(np.array([optima.first_cosines(run, model).mean() for model in models]))


def hedge(run: Run, where: Where = None) -> Measured:
    """Cosine of the single latent with the child; expected: that of the principal direction.

    Of one setting.
    """
    [point] = _chosen(run, where)
    return Measured(*optima.hedged(run, point))


def of_parents(run: Run, where: Where = None) -> Measured:
    """Mean cosine of parents with their nearest latents; expected: that of one latent a tree.

    Of one setting.
    """
    [point] = _chosen(run, where)
    return Measured(*optima.hedged_parents(run, point))


def leak(run: Run, where: Where = None) -> Measured:
    """Mean cosine of parents with the latents of their children."""
    return Measured(trees.leaks(run, select.where(run, where)["model"].to_numpy(dtype=np.intp)))


def composed_best(run: Run, where: Where = None) -> Measured:
    """Least loss of each setting over that of the exact composed code; it is below the truth's."""
    found = [optima.composed(run, point) for point in _chosen(run, where)]
    return Measured(np.array([each.loss.min() / each.exact for each in found]))


def composed_share(run: Run, where: Where = None) -> Measured:
    """1 for each model with a latent of the sum, else 0."""
    found = [optima.composed(run, point) for point in _chosen(run, where)]
    return Measured(_joined([each.has_sum.astype(np.float64) for each in found]))


def half_found(run: Run, where: Where = None) -> Measured:
    """Density at which a feature is as likely found as not, times m, one value a setting.

    Expected, of one world under Zipf's law with s = 1: its constant.
    """
    chosen = _chosen(run, where)
    halves = np.array([optima.by_frequency(run, point).half for point in chosen])
    laws = {tuple(point.number(key) for key in _ZIPF) for point in chosen}
    exact = [float(theory.zipf_constant(active, int(n))) for active, n, s in laws if s == 1]
    expected = exact[0] if len(laws) == len(exact) == 1 else None
    return Measured(halves * np.array([point.number("sae.latents") for point in chosen]), expected)


def top_found(run: Run, where: Where = None) -> Measured:
    """Share of the m most frequent features that are found, of m latents."""
    cells = []
    for point in _chosen(run, where):
        found = optima.by_frequency(run, point)
        top = np.argsort(-found.density)[: int(point.number("sae.latents"))]
        cells.append(found.found[:, top].mean(axis=1))
    return Measured(_joined(cells))


def scaling(run: Run, where: Where = None) -> Measured:
    """Loss over that of the exact line, where the most frequent features are kept."""
    cells = []
    for point in _chosen(run, where):
        loss = run.table["loss"].loc[point.models.tolist()].to_numpy(dtype=np.float64)
        cells.append(loss / optima.by_frequency(run, point).exact_loss)
    return Measured(_joined(cells))
