"""Neurons that features share by chance, where there are more neurons than features (Lecomte et al.
2023).

With an L1 penalty each feature ends on the one neuron that it happened to begin best on, with
either sign. Features of one sign push each other away, those of opposite signs stay: a neuron is
shared where both signs begin on it. Shapes: F features (n), H neurons (m).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superpos.figures.points import Run, all_equal
from superpos.maths.types import Floats
from superpos.store.rows import healthy

# of a weight: one that carries its feature alone is near 1 (Lecomte et al. 2023)
LARGE: Final = 0.8
MIN_WIDTHS: Final = 2
PLAIN: Final = {
    "model.tied": True,
    "model.output": "relu",
    "model.hidden": "linear",
    "model.target": "identity",
    "model.bias": "none",
    "data.values": "one",
    "data.correlation": "anticorrelated",
    "data.density": 1.0,
    "data.n_points": None,
}


def large(W: Floats) -> NDArray[np.bool_]:
    """Which weights [..., F, H] are large."""
    mask: NDArray[np.bool_] = np.abs(W) > LARGE
    return mask


def shared(W: Floats) -> NDArray[np.bool_]:
    """Which neurons [..., H] have large weights of two features or more."""
    mask: NDArray[np.bool_] = large(W).sum(axis=-2) > 1
    return mask


def by_chance(n_features: int, n_hidden: ArrayLike) -> Floats:
    """The number of neurons on which both signs begin, m (1 - (1 - 1/(2m))^n)^2; features choose by
    themselves.

    Its limit for many neurons is `in_the_limit`. How many features of either sign a neuron has is
    taken as independent.
    """
    m = np.asarray(n_hidden, dtype=np.float64)
    return np.asarray(m * (1 - (1 - 1 / (2 * m)) ** n_features) ** 2)


def in_the_limit(n_features: int, n_hidden: ArrayLike) -> Floats:
    """n²/(4m), of which chance falls short where neurons are not many more than features."""
    return np.asarray(n_features**2 / (4 * np.asarray(n_hidden, dtype=np.float64)))


def reason(run: Run) -> str | None:
    """Why the run is none of one feature at a time on many neurons; None when it is."""
    unequal = all_equal(run, PLAIN)
    if unequal:
        return unequal
    table = healthy(run.table)
    if (table["model.n_features"] != table["data.set_size"]).any():
        return "needs one set of all features"
    widths = table["model.n_hidden"].nunique()
    return (
        None
        if widths >= MIN_WIDTHS
        else f"needs {MIN_WIDTHS} widths (model.n_hidden) at least, found {widths}"
    )
