"""The exact ReLU loss of one model, twice, as plainly as it can be written: what `exact` is tested
against.

Both sum L = sum_A P(A) sum_i I_i E[(x_i - relu(a.x + b_i))^2] over the active sets A, with a = G_i
on A (docs/science.md, Exact theory). The closed form loses digits when a coefficient is tiny, the
quadrature never does but is slow.

Shapes: n features, m hidden, K active features with a coefficient, N nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, product
from math import factorial

import numpy as np

from superpos.families.tms.theory.active import Correlation
from superpos.maths.types import Floats

ActiveSet = tuple[tuple[int, ...], float]
OutputLoss = Callable[[Floats, float, int | None], float]

# on [-1/2, 1/2]; exact to degree 7
NODES, WEIGHTS = (v / 2 for v in np.polynomial.legendre.leggauss(4))
# six would take 6e8 nodes; at seven the outermost integrand, of degree K + 1, is no longer exact
MAX_ACTIVE = 5


def closed_form_loss(
    W: Floats,
    b: Floats,
    density: Floats,
    importance: Floats,
    *,
    correlation: Correlation = "none",
    set_size: int = 1,
) -> float:
    """L of one model by the box formula; error about 1e-16 / prod |a_j|.

    `W`: [n, m]; the others: [n].
    """
    return _sum_over(
        _active_sets(density, correlation, set_size), _closed_form_output, W, b, importance
    )


def quadrature_loss(
    W: Floats,
    b: Floats,
    density: Floats,
    importance: Floats,
    *,
    correlation: Correlation = "none",
    set_size: int = 1,
) -> float:
    """L of one model by Gauss-Legendre quadrature between the kinks; `W`: [n, m]; the others: [n].

    Raises ValueError for n > `MAX_ACTIVE`, where the nodes no longer fit into memory.
    """
    if len(W) > MAX_ACTIVE:
        raise ValueError(f"quadrature_loss takes at most {MAX_ACTIVE} features, got {len(W)}")
    return _sum_over(
        _active_sets(density, correlation, set_size), _quadrature_output, W, b, importance
    )


def box_integral(a: Floats, b: float, power: int) -> float:
    """Integral over [0, 1]^K of relu(a.x + b)^power dx, closed form; zero coefficients are dropped.

    `a`: [K].
    """
    a = a[a != 0]
    size = len(a)
    total = sum(
        (-1) ** (size - sum(v)) * max(float(a @ np.array(v)) + b, 0.0) ** (power + size)
        for v in product((0, 1), repeat=size)
    )
    return float(factorial(power) / (factorial(power + size) * np.prod(a)) * total)


def _sum_over(
    active_sets: Iterable[ActiveSet], output: OutputLoss, W: Floats, b: Floats, importance: Floats
) -> float:
    gram = W @ W.T
    total = 0.0
    for active, chance in active_sets:
        for i in range(len(W)):
            own = active.index(i) if i in active else None
            total += chance * importance[i] * output(gram[i, list(active)], float(b[i]), own)
    return float(total)


def _active_sets(density: Floats, correlation: Correlation, set_size: int) -> Iterator[ActiveSet]:
    """The sets of active features that can occur, each with its probability: one outcome of every
    set of features.
    """
    outcomes = []
    for start in range(0, len(density), set_size):
        members = tuple(range(start, start + set_size))
        p = density[start]
        active = [(j,) for j in members] if correlation == "anticorrelated" else [members]
        outcomes.append([((), 1 - p), *((chosen, p / len(active)) for chosen in active)])
    for outcome in product(*outcomes):
        chosen, chances = zip(*outcome, strict=True)
        yield tuple(chain(*chosen)), float(np.prod(chances))


def _closed_form_output(a: Floats, b: float, own: int | None) -> float:
    """E[(x_own - relu(a.x + b))^2] with all features of `a` active; `own` None: the target is 0."""
    square = box_integral(a, b, 2)
    if own is None:
        return square
    if a[own] == 0:
        return 1 / 3 - box_integral(a, b, 1) + square
    rest = np.delete(a, own)
    # E[x_own relu(.)]
    product_mean = (box_integral(rest, b + a[own], 2) - box_integral(a, b, 2)) / (2 * a[own])
    return float(1 / 3 - 2 * product_mean + square)


def _quadrature_output(a: Floats, b: float, own: int | None) -> float:
    """As `_closed_form_output`: each axis in turn is split where z changes sign at a corner of the
    axes after it.
    """
    value = np.array([b])
    weight = np.ones(1)
    target = np.zeros(1)
    for axis in range(len(a)):
        after = a[axis + 1 :]
        corners = np.array([after @ np.array(v) for v in product((0.0, 1.0), repeat=len(after))])
        x, width = _nodes(a[axis], value[:, None] + corners)
        value = (value[:, None] + a[axis] * x).ravel()
        weight = (weight[:, None] * width).ravel()
        target = x.ravel() if axis == own else np.repeat(target, x.shape[1])
    return float(weight @ (target - np.maximum(value, 0)) ** 2)


def _nodes(slope: float, constants: Floats) -> tuple[Floats, Floats]:
    """Nodes and weights on [0, 1], [N, pieces * 4], split where slope * x + constant = 0;
    `constants`: [N, corners].
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        kinks = np.nan_to_num(np.clip(-constants / slope, 0.0, 1.0))
    ends = np.zeros((len(constants), 1)), np.ones((len(constants), 1))
    breaks = np.sort(np.concatenate([ends[0], kinks, ends[1]], axis=1), axis=1)
    width = np.diff(breaks, axis=1)[..., None]
    x = (breaks[:, :-1, None] + breaks[:, 1:, None]) / 2 + width * NODES
    return x.reshape(len(constants), -1), (width * WEIGHTS).reshape(len(constants), -1)
