"""What is true of a model whose mechanism is known.

Truth is a question: each has its own answer, all exact here.

drop:      f_i(x) − f_i(x with x_j = 0): which input is a cause, its sign, the strongest.
resample:  the same against the mean over x_j drawn anew from the data.
sets:      f_i(x) − f_i(x with the inputs outside of S at 0) for all sets S, which is what an
           explanation that adds up would have to predict: Σ_{j∉S} φ_ij.
global:    the total Sobol index T_ij = ½ E[(f_i(x) − f_i(x with x_j drawn anew))²].
structure: G_ij itself, the weights from input j to output i.

Shapes: M models, B inputs, n features, k outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from superpos.explain import attributions
from superpos.explain.layers import Activation, Layers, Weights
from superpos.explain.values import MAX_FEATURES, banzhaf_weights, blocks, value_table
from superpos.maths.types import Floats

Question = Literal["drop", "resample", "sets", "global", "structure"]
QUESTIONS: Final[tuple[Question, ...]] = get_args(Question)
ABOUT_INPUTS: Final[tuple[Question, ...]] = ("drop", "resample", "sets")
"""Questions about one input; the others are about a model."""
_ROWS: Final = 1024
"""Inputs over which what is not integrated of a total Sobol index is averaged."""


class Sets(NamedTuple):
    """What all 2ⁿ sets say of an output, and the additive explanation that says most of it."""

    mean: Floats  # [M, B, k], of v(S) over all sets
    variance: Floats  # [M, B, k]
    best: Floats  # [M, B, k, n], Banzhaf values
    whole: Floats  # [M, B, k], f(x)


def sets(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    *,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Sets:
    """v(S) = f(x with the inputs outside of S at 0) in mean, variance and best additive fit.

    At most 12 features.
    """
    model = Layers.of(W, b, hidden, output)
    values = model.inputs(x)
    n = model.n_inputs
    if n > MAX_FEATURES:
        raise ValueError(f"sets: got {n} features; allowed: up to {MAX_FEATURES}")
    shape = (*values.shape[:2], model.n_outputs)
    found = Sets(np.empty(shape), np.empty(shape), np.empty((*shape, n)), np.empty(shape))
    for models, inputs in blocks(model, values.shape[1], model.n_outputs * 2**n):
        part = model[models]
        table = value_table(
            (part.W1, part.W2),
            part.b,
            values[models, inputs],
            hidden=model.hidden,
            output=model.output,
        )
        found.mean[models, inputs] = table.mean(axis=-1)
        found.variance[models, inputs] = table.var(axis=-1)
        found.best[models, inputs] = table @ banzhaf_weights(n)
        found.whole[models, inputs] = table[..., -1]
    return found


def effects(
    W: Weights,
    b: ArrayLike,
    x: ArrayLike,
    question: Question,
    *,
    density: ArrayLike,
    hidden: Activation = "linear",
    output: Activation = "relu",
) -> Floats:
    """The answer to a question other than sets: [M, B, k, n] of drop and resample, [M, k, n] of
    global and structure.

    Total Sobol indices are averaged over the inputs x; only what x_j does is integrated. Raises
    `ValueError`.
    """
    ways: dict[str, Callable[[], Floats]] = {
        "drop": lambda: attributions.occlusion(W, b, x, hidden=hidden, output=output),
        "resample": lambda: attributions.resample_effect(
            W, b, x, density=density, hidden=hidden, output=output
        ),
        "global": lambda: attributions.sobol_total(
            W, b, x, density=density, hidden=hidden, output=output
        ),
        "structure": lambda: _structure(Layers.of(W, b, hidden, output)),
    }
    if question not in ways:
        raise ValueError(f"question: got {question!r}; allowed: {', '.join(ways)}")
    return ways[question]()


def _structure(model: Layers) -> Floats:
    if not model.is_affine:
        raise ValueError(
            "structure: got models with a ReLU hidden layer; allowed: a linear one, which has G = "
            "W2 W1ᵀ"
        )
    return model.products


def data(density: Floats, samples: int = _ROWS, set_size: int = 1, seed: int = 0) -> Floats:
    """Inputs [M, samples, n] of the data: features are 0, or uniform on [0, 1] with their density
    [M, n].

    In sets of more than one feature these are on together. All models share the random numbers.
    """
    rng = np.random.default_rng(seed)
    n = density.shape[1]
    if set_size == 1:
        drawn = rng.random((1, samples, n))
        p = density[:, None]
        return np.asarray(np.maximum(drawn - (1 - p), 0) / p)
    switches = np.repeat(rng.random((1, samples, n // set_size)), set_size, axis=-1)
    return np.where(switches < density[:, None], rng.random((1, samples, n)), 0.0)


def active_inputs(n: int, active: int, samples: int, set_size: int = 1, seed: int = 0) -> Floats:
    """Inputs [samples, n] of which `active` features are on, at values from 0 to 1; whole sets
    where there are some.
    """
    rng = np.random.default_rng(seed)
    n_sets = n // set_size
    on = max(1, active // set_size)
    chosen = rng.random((samples, n_sets)).argsort(axis=1) < on
    return np.where(np.repeat(chosen, set_size, axis=1), 1 - rng.random((samples, n)), 0.0)
