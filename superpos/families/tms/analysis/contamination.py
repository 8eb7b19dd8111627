"""What a patch along the direction of one feature carries of the others (superposition read as
contamination).

A patch copies the part of another input's hidden activation along Ŵ_i: h + Ŵ_i Ŵ_iᵀ(h' − h). What
was meant is h + (x_i' − x_i) W_i; the rest is Σ_{j≠i} (Ŵ_i·W_j)(x_j' − x_j) along Ŵ_i. For
independent features of equal variance its power is (1/D_i − 1) times that of what was meant, with
the paper's dimensionality D_i.

Shapes: K features of all models.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.explain.truth import data
from superpos.families.tms.analysis.points import points
from superpos.figures.points import Run
from superpos.maths import dimensionality
from superpos.maths.types import Floats

PAIRS: Final = 1500
"""Pairs of inputs, drawn as the model's data."""
PRESENT: Final = 0.5
"""Shorter features are not represented: nothing is patched along them."""


class Contamination(NamedTuple):
    """Power of the error of a patch over that of what was meant."""

    models: NDArray[np.intp]  # [K], numbers of the models
    exact: Floats  # [K], 1/D_i − 1
    measured: Floats  # [K]


def contamination(run: Run, models: Collection[int] | None = None) -> Contamination:
    """Every represented feature of some models of a run, or of all healthy ones; their features
    have one density.
    """
    found = []
    for point in points(run):
        chosen = np.array([i for i in point.models if models is None or i in models], dtype=np.intp)
        if len(chosen):
            correlated = point.settings["data.correlation"] == "correlated"
            set_size = int(point.settings["data.set_size"]) if correlated else 1
            W = run.tensor("W" if point.settings["model.tied"] else "W1", chosen).astype(np.float64)
            found.append(_contamination_of(chosen, W, point.density, set_size))
    empty = Contamination(np.zeros(0, dtype=np.intp), np.zeros(0), np.zeros(0))
    return Contamination(*(np.concatenate(values) for values in zip(empty, *found, strict=True)))


def _contamination_of(
    models: NDArray[np.intp], W: Floats, density: float, set_size: int
) -> Contamination:
    """Models [M] of one setting, with weights [M, n, m]."""
    unit = dimensionality.directions(W)
    p = np.full((1, W.shape[1]), density)
    clean, other = (data(p, PAIRS, set_size, seed) for seed in (0, 1))
    change = other - clean  # [1, pairs, n]
    along = change @ (W @ unit.mT)  # of every direction
    length = dimensionality.feature_norms(W)
    meant = change * length[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        measured = ((along - meant) ** 2).mean(axis=1) / (meant**2).mean(axis=1)
        exact = 1 / dimensionality.dimensionality(W) - 1
    there = length > PRESENT
    numbers = np.broadcast_to(models[:, None], there.shape)
    return Contamination(numbers[there], exact[there], measured[there])
