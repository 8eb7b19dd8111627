"""Importances of inputs as random forests see them, which are fitted to a model's outputs (Breiman
2001).

Impurity importance is what the splits on an input explain of the rows that the trees were fitted
to: it is above 0 for inputs that say nothing, and the more values an input has, the higher (Strobl
et al. 2007). Permutation importance is how much worse the forest does on other rows when one input
is shuffled. Needs scikit-learn, the extra `forests`.

Shapes: M models, B rows x [B, n] or [M, B, n], n features, k outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from superpos.errors import MissingPackageError
from superpos.explain.layers import Activation, Layers, Weights
from superpos.maths.types import Floats

MISSING: Final = "needs scikit-learn: pip install 'superpos[forests]'"
_REPEATS: Final = 5
"""How often an input is shuffled."""


def forest_impurity(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    noise: float = 0.0,
    trees: int = 50,
    seed: int = 0,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """Impurity importances [M, k, n]; those of an output add up to 1, or are 0 where nothing
    splits.

    A forest is fitted to the first half of the rows for every output, of which `noise` times the
    standard deviation is added to each value. Raises `ValueError` for fewer than four rows,
    `MissingPackageError` without scikit-learn.
    """

    def importance(forest: Any, held_out: Floats, targets: Floats) -> Floats:
        return np.asarray(forest.feature_importances_)

    return _forests(Layers.of(W, b, hidden, output), x, noise, trees, seed, importance)


def forest_permutation(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    noise: float = 0.0,
    trees: int = 50,
    seed: int = 0,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """By how much R² on the second half of the rows falls when an input is shuffled, [M, k, n].

    Forests, arguments and errors: `forest_impurity`.
    """

    def importance(forest: Any, held_out: Floats, targets: Floats) -> Floats:
        return _permutation(forest, held_out, targets, seed)

    return _forests(Layers.of(W, b, hidden, output), x, noise, trees, seed, importance)


def installed() -> bool:
    """Whether scikit-learn is there."""
    return find_spec("sklearn") is not None


def _forests(
    model: Layers,
    x: ArrayLike,
    noise: float,
    trees: int,
    seed: int,
    importance: Callable[[Any, Floats, Floats], Floats],
) -> Floats:
    """What is read off the forest of every output, [M, k, n]."""
    if not installed():
        raise MissingPackageError(f"forests: {MISSING}")
    rows = model.inputs(x)
    fitted = rows.shape[1] // 2
    if fitted < 2:
        raise ValueError(f"x: got {rows.shape[1]} rows; allowed: 4 or more")
    targets = model(rows)
    drawn = np.random.default_rng(seed).standard_normal(targets.shape)
    targets = targets + noise * targets.std(axis=1, keepdims=True) * drawn
    found = np.zeros((len(model), model.n_outputs, model.n_inputs))
    for number, output in np.ndindex(found.shape[:2]):
        here = rows[number]
        y = targets[number, :, output]
        if np.ptp(y) == 0:  # an output that is off for all rows has no R²
            continue
        forest = _fitted(here[:fitted], y[:fitted], trees, seed)
        found[number, output] = importance(forest, here[fitted:], y[fitted:])
    return found


def permutation_of_forest(x: Floats, y: Floats, *, trees: int = 50, seed: int = 0) -> Floats:
    """By how much R² on the second half of rows x [B, n] falls when an input is shuffled, [n], of a
    forest that was fitted to y [B] on the first half.

    Raises `MissingPackageError` without scikit-learn.
    """
    if not installed():
        raise MissingPackageError(f"forests: {MISSING}")
    half = len(x) // 2
    forest = _fitted(x[:half], y[:half], trees, seed)
    return _permutation(forest, x[half:], y[half:], seed)


def _fitted(x: Floats, y: Floats, trees: int, seed: int) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(trees, random_state=seed).fit(x, y)


def _permutation(forest: Any, x: Floats, y: Floats, seed: int) -> Floats:
    from sklearn.inspection import permutation_importance

    found = permutation_importance(forest, x, y, n_repeats=_REPEATS, random_state=seed)
    return np.asarray(found.importances_mean)
