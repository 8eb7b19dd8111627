"""Values of sets of features, and what is made of them: Shapley values, Banzhaf values.

v(S) is a model's expected output where the features of S are those of the input and the others come
from somewhere else: a baseline, rows of a background, the distribution of the data, or that
distribution given the features of S. All 2ⁿ sets are computed, set number s holding the features
whose bit of s is 1.

    Shapley: φ_j = Σ_{S∌j} |S|! (n−|S|−1)! / n! (v(S∪j) − v(S));    Banzhaf: the plain mean of
    v(S∪j) − v(S).

Over the distribution of the data v_i(S) = E (c + Σ_{j∉S} G_ij X_j)⁺ = c·P + Σ_{j∉S} G_ij E[X_j
1(on)], two moments over a half-space, which `maths.moments` computes without cancellation at a cost
of 3^(n−|S|), 4ⁿ for all sets.

Shapley 1953; Banzhaf 1965; Lundberg & Lee 2017 (SHAP); Janzing et al. 2019 (which value function is
causal). Shapes: M models, B inputs, n features, k outputs, R rows of a background.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from math import factorial
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superpos.explain.layers import Activation, Layers, Weights
from superpos.maths.moments import Monomial, half_space_moments
from superpos.maths.types import Floats

MAX_FEATURES: Final = 12
"""Up to here all 2ⁿ sets are looked at."""
MAX_INTEGRATED: Final = 8
"""Up to here the others are integrated over the data, which takes 4ⁿ states."""
_BLOCK: Final = 2**22
"""Numbers of a table of values that are held at once."""

Numbers: TypeAlias = NDArray[np.integer[Any]]
Truths: TypeAlias = NDArray[np.bool_]
Table: TypeAlias = Callable[[slice, slice], Floats]
"""(models, inputs) -> v [m, b, k, 2ⁿ] of these."""


class Estimate(NamedTuple):
    """Attributions that were sampled."""

    values: Floats  # [M, B, k, n]
    error: Floats  # [M, B, k, n], standard error


def shapley(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    background: ArrayLike | None = None,
    density: ArrayLike | None = None,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """Exact Shapley values [M, B, k, n] of every output for inputs x.

    Features that are not in a set come from a `baseline` ([n], [B, n] or [M, B, n]; 0 without any
    of the three), from the rows of a `background` [R, n] or [M, R, n] in turn, or from the data:
    independent features that are 0 but for the `density` (a number, [M] or [M, n]) with which they
    are uniform on [0, 1], as an exact integral.

    Raises `ValueError` for more than 12 features (8 with a density), which `shapley_sampled` takes.
    """
    model = Layers.of(W, b, hidden, output)
    return _weighted(
        model, model.inputs(x), _table(model, x, baseline, background, density), shapley_weights
    )


def banzhaf(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    background: ArrayLike | None = None,
    density: ArrayLike | None = None,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """Banzhaf values [M, B, k, n]: the coefficients of the best additive fit to v.

    Arguments and errors: `shapley`.
    """
    model = Layers.of(W, b, hidden, output)
    return _weighted(
        model, model.inputs(x), _table(model, x, baseline, background, density), banzhaf_weights
    )


def conditional_shapley(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    density: ArrayLike,
    set_size: int,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """Shapley values [M, B, k, n] where v(S) is the mean over the data given the features of S.

    Features are on together in sets of `set_size`, one after the other: with probability `density`
    of its set each is uniform on [0, 1], else all of the set are 0. So one member that is known
    says whether the others are on. Raises `ValueError` for sets of which an input has a part on,
    which cannot be, for one feature a set, and as `shapley`.
    """
    model = Layers.of(W, b, hidden, output)
    values = model.inputs(x)
    if set_size < 2 or model.n_inputs % set_size:
        raise ValueError(
            f"set_size: got {set_size}; allowed: 2 or more, a divisor of n = {model.n_inputs}; "
            "of independent features the conditional values are those of shapley(density=...)"
        )
    on = (values > 0).reshape(*values.shape[:2], -1, set_size)
    if (on.any(-1) != on.all(-1)).any():
        raise ValueError(
            "x: got sets of which a part is on; allowed: inputs in which all or none of a set are"
        )
    table = _integrated(model, values, model.per_feature(density), set_size)
    return _weighted(model, values, table, shapley_weights)


def shapley_sampled(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    background: ArrayLike | None = None,
    density: ArrayLike | None = None,
    samples: int = 1000,
    seed: int = 0,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Estimate:
    """Shapley values of any number of features from random orders, with their standard errors.

    A sample is one order and its reverse with the same row of the background, or draw of the data.
    All models and inputs share the orders. Arguments as `shapley`.
    """
    if samples < 2:
        raise ValueError(f"samples: got {samples}; allowed: 2 or more")
    model = Layers.of(W, b, hidden, output)
    values = model.inputs(x)
    rng = np.random.default_rng(seed)
    draw = _other_features(model, values, baseline, background, density, rng)
    sums = np.zeros((2, *values.shape[:2], model.n_outputs, model.n_inputs))
    for _ in range(samples):
        order = rng.permutation(model.n_inputs)
        others = draw()
        change = (
            _changes(model, values, others, order) + _changes(model, values, others, order[::-1])
        ) / 2
        sums += change, change**2
    mean = sums[0] / samples
    variance = np.maximum(sums[1] / samples - mean**2, 0)
    return Estimate(mean, np.sqrt(variance / (samples - 1)))


def value_table(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    background: ArrayLike | None = None,
    density: ArrayLike | None = None,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """v [M, B, k, 2ⁿ] of all sets. Arguments and errors: `shapley`."""
    model = Layers.of(W, b, hidden, output)
    return _table(model, x, baseline, background, density)(slice(None), slice(None))


@cache
def members(n: int) -> Floats:
    """1 where a set holds a feature, else 0: [2ⁿ, n]."""
    found: Floats = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.float64)
    found.flags.writeable = False
    return found


@cache
def shapley_weights(n: int) -> Floats:
    """Weights [2ⁿ, n] by which values of sets make Shapley values."""
    weights: Floats = np.array(
        [factorial(size) * factorial(n - size - 1) / factorial(n) for size in range(n)]
    )
    inside = members(n) > 0
    size = inside.sum(axis=1, keepdims=True)
    found: Floats = np.where(
        inside, weights[np.maximum(size - 1, 0)], -weights[np.minimum(size, n - 1)]
    )
    found.flags.writeable = False
    return found


@cache
def banzhaf_weights(n: int) -> Floats:
    """Weights [2ⁿ, n] by which values of sets make Banzhaf values."""
    found: Floats = (2 * members(n) - 1) * 2.0 ** (1 - n)
    found.flags.writeable = False
    return found


def blocks(model: Layers, n_inputs: int, numbers: int) -> Iterator[tuple[slice, slice]]:
    """Slices of the models and of the inputs, so that not many times `numbers` numbers an input are
    held at once.
    """
    inputs = max(1, min(n_inputs, _BLOCK // numbers))
    models = max(1, _BLOCK // (numbers * inputs))
    for first in range(0, len(model), models):
        for start in range(0, n_inputs, inputs):
            yield slice(first, first + models), slice(start, start + inputs)


def _weighted(model: Layers, x: Floats, table: Table, weights: Callable[[int], Floats]) -> Floats:
    """Sums of values of sets [M, B, k, n]."""
    n = model.n_inputs
    found = np.empty((*x.shape[:2], model.n_outputs, n))
    for models, inputs in blocks(model, x.shape[1], model.n_outputs * 2**n):
        found[models, inputs] = table(models, inputs) @ weights(n)
    return found


def _table(
    model: Layers,
    x: ArrayLike,
    baseline: ArrayLike | None,
    background: ArrayLike | None,
    density: ArrayLike | None,
) -> Table:
    """What computes the values of all sets."""
    _one_of(baseline, background, density)
    values = model.inputs(x)
    if density is not None:
        return _integrated(model, values, model.per_feature(density), 1)
    if model.n_inputs > MAX_FEATURES:
        raise ValueError(
            f"got {model.n_inputs} features; allowed: up to {MAX_FEATURES}, shapley_sampled takes "
            "more"
        )
    if background is not None:
        rows = rows_of(model, background)

        def mean(models: slice, inputs: slice) -> Floats:
            part = model[models]
            chosen = values[models, inputs]
            others = rows[models]
            tables = (
                _baseline_values(part, chosen, others[:, [row]]) for row in range(others.shape[1])
            )
            return np.asarray(sum(tables, start=np.zeros(())) / others.shape[1])

        return mean
    fixed = baseline_of(model, values, baseline)
    return lambda models, inputs: _baseline_values(
        model[models], values[models, inputs], fixed[models, inputs]
    )


def _one_of(
    baseline: ArrayLike | None, background: ArrayLike | None, density: ArrayLike | None
) -> None:
    if sum(given is not None for given in (baseline, background, density)) > 1:
        raise ValueError("baseline, background, density: got several; allowed: one of them")


def baseline_of(model: Layers, x: Floats, baseline: ArrayLike | None) -> Floats:
    """The baseline of each input [M, B, n]."""
    given = np.zeros(model.n_inputs) if baseline is None else np.asarray(baseline, dtype=np.float64)
    try:
        return np.broadcast_to(given, x.shape)
    except ValueError as fault:
        raise ValueError(
            f"baseline: got shape {given.shape}; allowed: [n], [B, n] or [M, B, n], {x.shape}"
        ) from fault


def rows_of(model: Layers, background: ArrayLike) -> Floats:
    """The rows of a background [M, R, n]."""
    try:
        rows = model.inputs(background)
    except ValueError as fault:
        raise ValueError(f"background: {str(fault).removeprefix('x: ')}") from fault
    if not rows.shape[1]:
        raise ValueError("background: got no rows; allowed: one or more")
    return rows


def _baseline_values(model: Layers, x: Floats, others: Floats) -> Floats:
    """v [m, b, k, 2ⁿ] where the other features have the values `others` [m, b or 1, n]."""
    steps = x - others
    if model.is_affine:
        z = _sums(model.before(others), model.products[:, None] * steps[:, :, None])
        return model.activate(z)
    before = _sums(others @ model.W1, model.W1.mT[:, None] * steps[:, :, None])  # [m, b, h, 2ⁿ]
    return model.activate(model.W2[:, None] @ np.maximum(before, 0) + model.b[:, None, :, None])


def _sums(start: Floats, steps: Floats) -> Floats:
    """start [..., k] plus the steps [..., k, n] of every set: [..., k, 2ⁿ]."""
    table = np.broadcast_to(start[..., None], (*steps.shape[:-1], 1))
    for j in range(steps.shape[-1]):
        table = np.concatenate([table, table + steps[..., j, None]], axis=-1)
    return table


def _integrated(model: Layers, x: Floats, density: Floats, set_size: int) -> Table:
    """What computes values where the other features come from the data, given the sets of which one
    is known.
    """
    if not model.is_affine:
        raise ValueError(
            "density: got models with a ReLU hidden layer; allowed: a linear one; "
            "background=rows of data and shapley_sampled(density=...) take them"
        )
    n = model.n_inputs
    if n > MAX_INTEGRATED:
        raise ValueError(
            f"density: got {n} features; allowed: up to {MAX_INTEGRATED}, "
            "shapley_sampled(density=...) takes more"
        )

    def table(models: slice, inputs: slice) -> Floats:
        part = model[models]
        chosen = x[models, inputs]
        shape = (*chosen.shape[:2], model.n_outputs)
        found = np.empty((*shape, 2**n))
        for number in range(2**n):
            known = members(n)[number] > 0
            others = np.flatnonzero(~known)
            c = part.before(np.where(known, chosen, 0))
            if model.output == "linear":
                expected = _expected(chosen, density[models], known, set_size)
                found[..., number] = c + (
                    part.products[:, None] * np.where(known, 0, expected)[:, :, None]
                ).sum(-1)
                continue
            a = np.broadcast_to(
                part.products.mT[:, None, others], (*shape[:2], len(others), shape[2])
            )
            chance = _chances(chosen, density[models], known, others, set_size, shape)
            found[..., number] = _mean_relu(np.moveaxis(a, 2, 0), c, chance)
        return found

    return table


def _mean_relu(a: Floats, c: Floats, chance: Callable[[Monomial], Floats]) -> Floats:
    """E (c + a·X)⁺ of coefficients a [K, ...] and constants c [...]."""
    flat = a.reshape(len(a), c.size)
    first = [(), *((j,) for j in range(len(a)))]
    moments, _ = half_space_moments(flat, c.ravel(), chance, first, [()])
    return np.asarray(c.ravel() * moments[0] + (flat * moments[1:]).sum(axis=0)).reshape(c.shape)


def _set_chance(x: Floats, density: Floats, known: Truths, set_size: int) -> Floats:
    """The chance [m, b, sets] that a set is on, given the known features of x."""
    n = x.shape[-1]
    grouped = known.reshape(-1, set_size)
    on = (np.where(known, x, 0) > 0).reshape(*x.shape[:2], n // set_size, set_size).any(-1)
    return np.where(grouped.any(-1), on.astype(np.float64), density[:, None, ::set_size])


def _expected(x: Floats, density: Floats, known: Truths, set_size: int) -> Floats:
    """The mean [m, b, n] of every feature given the known ones, which stand for themselves
    elsewhere.
    """
    return np.repeat(_set_chance(x, density, known, set_size) / 2, set_size, axis=-1)


def _chances(
    x: Floats,
    density: Floats,
    known: Truths,
    others: Numbers,
    set_size: int,
    shape: tuple[int, ...],
) -> Callable[[Monomial], Floats]:
    """(features of `others` by their place there) -> the chance that just these are on, flat [m · b
    · k].
    """
    on = _set_chance(x, density, known, set_size)
    number = others // set_size
    sets = {int(s): np.flatnonzero(number == s) for s in np.unique(number)}

    def chance(active: Monomial) -> Floats:
        found = np.ones(x.shape[:2])
        for s, places in sets.items():
            n_on = np.isin(places, active).sum()
            share = on[..., s] if n_on == len(places) else 1 - on[..., s] if n_on == 0 else 0.0
            found = found * share
        return np.broadcast_to(found[..., None], shape).ravel()

    return chance


def _other_features(
    model: Layers,
    x: Floats,
    baseline: ArrayLike | None,
    background: ArrayLike | None,
    density: ArrayLike | None,
    rng: np.random.Generator,
) -> Callable[[], Floats]:
    """What draws the features that are not in a set: [M, B or 1, n]."""
    _one_of(baseline, background, density)
    if background is not None:
        rows = rows_of(model, background)
        return lambda: rows[:, [rng.integers(rows.shape[1])]]
    if density is not None:
        p = model.per_feature(density)[:, None]
        return lambda: np.maximum(rng.random((1, 1, model.n_inputs)) - (1 - p), 0) / p
    fixed = baseline_of(model, x, baseline)
    return lambda: fixed


def _changes(model: Layers, x: Floats, others: Floats, order: Numbers) -> Floats:
    """What each feature changes [M, B, k, n] when features take the values of x in this order."""
    found = np.empty((*x.shape[:2], model.n_outputs, model.n_inputs))
    point = np.array(np.broadcast_to(others, x.shape))
    before = model(point)
    for j in order:
        point[..., j] = x[..., j]
        after = model(point)
        found[..., j] = after - before
        before = after
    return found
