"""Many equal features in few dimensions: which polytope gains most per dimension, and so D*(p).

With n >> m equal features of density p, the m dimensions are divided among blocks: k features that
form a polytope in d dimensions, orthogonal to the others, so that blocks do not interfere. A
feature in no block costs V(p), so a block of loss L gains k V - L, and the smallest loss has the
block of greatest gain per dimension everywhere (TMS, "Uniform superposition": the values at which
D* is sticky).

The polytopes are vertex-transitive: one norm s and one bias b serve all features, and every output
is as good as x'_0 = relu(s^2 g + b), g = sum_j c_j x_j with the cosines c_j. With t = -b/s^2, N = E
x_0 (g - t)+ and D = E ((g - t)+)^2

    L = k (p/3 - N^2/D)    at s^2 = N/D,

so only t is searched. N and D follow from the moments of the other features' share of g
(`_moments`).

Shapes: P densities, B blocks, k features of a block in d dimensions, T values of t.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from math import factorial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superpos.families.tms import geometry
from superpos.families.tms.geometry.shapes import simplex
from superpos.families.tms.theory.exact import variance
from superpos.maths.polygon import polygon
from superpos.maths.types import Floats

GRID = 200  # values of t tried before the best is refined
BISECTIONS = 45  # of two steps of the grid, to rounding
ROUNDING = 1e-12  # smaller cosines are 0


class Blocks(NamedTuple):
    """The best model of each polytope at each density."""

    names: tuple[str, ...]  # [B]
    features: NDArray[np.int64]  # [B] k
    dimensions: NDArray[np.int64]  # [B] d
    loss: Floats  # [..., B] of the k features
    norm: Floats  # [..., B] s
    bias: Floats  # [..., B] b
    gain: Floats  # [..., B] (k V(p) - loss) / d


def polytopes() -> dict[str, Floats]:
    """The blocks that are tried, unit vectors [k, d]: regular shapes of up to 8 features."""
    simplexes = {"digon": 1, "triangle": 2, "tetrahedron": 3, "4-simplex": 4, "5-simplex": 5}
    polygons = {"pentagon": 5, "hexagon": 6, "heptagon": 7, "octagon": 8}
    return {
        "dedicated": np.ones((1, 1)),
        **{name: simplex(d) for name, d in simplexes.items()},
        **{name: polygon(k) for name, k in polygons.items()},
        "square antiprism": geometry.square_antiprism(),
    }


def block_optima(density: ArrayLike) -> Blocks:
    """Smallest exact loss of each of the `polytopes` as a block of its own, `density` [...] in (0,
    1].

    Norm and bias are free, the directions are the ideal ones. Good to about 10 digits.
    """
    p = np.asarray(density, dtype=np.float64)
    if not ((p > 0) & (p <= 1)).all():
        raise ValueError("density must lie in (0, 1]")
    shapes = polytopes()
    k, d = np.array([shape.shape for shape in shapes.values()]).T
    found = [_optimum(tuple((shape @ shape[0])[1:]), p.ravel()) for shape in shapes.values()]
    loss, square, bias = (
        np.stack(part, axis=-1).reshape(*p.shape, -1) for part in zip(*found, strict=True)
    )
    gain = (k * variance(p)[..., None] - k * loss) / d
    return Blocks(tuple(shapes), k, d, k * loss, np.sqrt(square), bias, gain)


def d_star(density: ArrayLike) -> Floats:
    """D* = m / ||W||^2 = d / (k s^2) [...] of the block with the greatest gain per dimension, for n
    >> m features.

    It jumps where another block takes over. NaN below p = 0.19, where one of the largest blocks
    tried (k = 8) gains more than all with fewer features per dimension: from there on still larger
    blocks may be better. Blocks are ideal and alike; a trained model mixes them, and its blocks
    interfere.
    """
    blocks = block_optima(density)
    gain = blocks.gain
    per_dimension = blocks.features / blocks.dimensions
    values = 1 / (per_dimension * blocks.norm**2)
    best = np.take_along_axis(values, gain.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    for block in np.flatnonzero(blocks.features == blocks.features.max()):
        fewer = per_dimension < per_dimension[block]
        best = np.where(gain[..., block] > gain[..., fewer].max(axis=-1), np.nan, best)
    return best


def _optimum(cosines: tuple[float, ...], p: Floats) -> tuple[Floats, Floats, Floats]:
    """Loss of one output, s^2 and b, each [P], of a feature with these `cosines` to the others of
    its block.
    """
    # At t = min g the output is linear: the optimum is not beyond. At t = max g it is 0.
    negative = -sum(min(c, 0.0) for c in cosines)
    grid = np.linspace(-max(negative, 1.0), 1.0, GRID, endpoint=False)
    best = _output(cosines, grid[:, None], p).loss.argmin(axis=0)  # of [T, P]
    low = grid[best] - (grid[1] - grid[0])
    high = grid[best] + (grid[1] - grid[0])
    for _ in range(BISECTIONS):
        t = (low + high) / 2
        falls = _output(cosines, t, p).slope < 0
        low = np.where(falls, t, low)
        high = np.where(falls, high, t)
    found = _output(cosines, t, p)
    return found.loss, found.square, -found.square * t


class _Output(NamedTuple):
    """Best output at given t."""

    loss: Floats  # p/3 - N^2/D
    square: Floats  # s^2 = N/D
    slope: Floats  # derivative of the loss, times D^2/N


def _output(cosines: tuple[float, ...], t: Floats, p: Floats) -> _Output:
    """One output at t [..., P]."""
    first, second, third = _moments(cosines, t, p)
    first_before, second_before, third_before = _moments(cosines, t - 1, p)
    # With x_0 active, moments of g are integrals of the rest's from t - 1 to t; E x_0 (g - t)+
    # follows by parts.
    mean = (second_before - second) / 2
    square = (third_before - third) / 3
    N = p * (second_before - square) / 2
    N_slope = p * (mean - first_before)
    D = (1 - p) * second + p * square
    D_slope = -2 * ((1 - p) * first + p * mean)
    return _Output(p / 3 - N**2 / D, N / D, N * D_slope - 2 * N_slope * D)


def _moments(cosines: tuple[float, ...], t: Floats, p: Floats) -> list[Floats]:
    """E ((g - t)+)^q for q = 1, 2, 3, where g = sum_j c_j x_j without x_0; `t`, `p`: broadcast.

    Sums over the sets of r active features of box integrals (docs/science.md, Exact theory), which
    do not depend on p.
    """
    size, sums, signs = _states(cosines)
    most = int(size.max())
    chances = [p**r * (1 - p) ** (most - r) for r in range(most + 1)]
    # [..., states]
    height = [np.maximum(sums[size == r] - t[..., None], 0.0) for r in range(most + 1)]
    return [
        sum(
            (
                chance * (z ** (q + r) @ signs[size == r]) * (factorial(q) / factorial(q + r))
                for r, (chance, z) in enumerate(zip(chances, height, strict=True))
            ),
            start=np.zeros(()),
        )
        for q in (1, 2, 3)
    ]


@cache
def _states(cosines: tuple[float, ...]) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Every choice of each feature inactive, 0 or 1: number active, their sum c.v, and sign /
    product of their c.
    """
    c = np.array([value for value in cosines if abs(value) > ROUNDING])
    states = np.array(list(product((-1, 0, 1), repeat=len(c))), dtype=np.int64).reshape(
        3 ** len(c), len(c)
    )
    active = states >= 0
    ones = states == 1
    sign = np.where(active, np.where(ones, 1.0, -1.0) / c, 1.0).prod(axis=1)
    return active.sum(axis=1), ones @ c, sign
