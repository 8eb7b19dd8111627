"""Moments of the cube over a half-space: E[x^w 1(a.x + b > 0)] for sparse, uniform x.

Everything that the expected ReLU loss needs is a moment of degree 0, 1 or 2; explanations need some
of degree 3. For a set Y of active features and a constant c, let

    F_Y[w](c) = integral over [0,1]^Y of prod_j x_j^{w_j} 1(c + sum_{j in Y} a_j x_j > 0) dx.

Euler's relation for functions that are homogeneous in (c, a) gives, for any point t with c + a.t =
0,

    (|Y| + |w|) F_Y[w](c) = sum_{j in Y}  t_j    * (F_{Y-j}[w](c) if w_j = 0 else w_j F_Y[w -
    e_j](c))
                                       + (1-t_j) *  F_{Y-j}[w without j](c + a_j).

With t inside the cube every weight is positive: nothing cancels, however small a coefficient is,
where the closed form, a signed sum over the corners of the cube, loses a digit for each factor 10
in 1 / prod |a_j|. Where the plane misses the cube, t is clipped to its nearest corner and the
relation still holds, since the density of a.x at -c is 0.
It is the recurrence of box splines (de Boor, Höllig, Riemenschneider 1993, *Box Splines*, chapter
I).

Shapes: K features of a block, E elements (one for each model and output).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, combinations_with_replacement

import numpy as np

from superpos.maths.types import Floats

# the features multiplied: () is 1, (0,) is x_0, (0, 2) is x_0 x_2, (1, 1) is x_1^2
Monomial = tuple[int, ...]
Monomials = Sequence[Monomial]
Table = dict[Monomial, Floats]


def second_order(n_features: int) -> Monomials:
    """All monomials of degree 0, 1 and 2, lowest first."""
    return [
        w for degree in range(3) for w in combinations_with_replacement(range(n_features), degree)
    ]


def half_space_moments(
    a: Floats, b: Floats, chance: Callable[[Monomial], Floats], above: Monomials, below: Monomials
) -> tuple[Floats, Floats]:
    """E[x^w 1(a.x + b > 0)] for w in `above`, and E[x^w 1(a.x + b <= 0)] for w in `below`.

    With probability `chance(Y)` [E] exactly the features of Y are active, uniform on [0, 1]; the
    others are 0. `a`: [K, E]; `b`: [E]; monomials come with all their divisors, lowest degree
    first. Returns [len(above), E], [len(below), E]. Cost: 3^K states each.
    """
    corners = _corners(a, b)
    origin = (0,) * len(a)
    sums = np.zeros((len(above), len(b))), np.zeros((len(below), len(b)))
    rows = [{w: i for i, w in enumerate(side)} for side in (above, below)]
    for active, tables in _tables(a, corners, (above, below)):
        weight = chance(active)
        for total, row, table in zip(sums, rows, tables, strict=True):
            for w, values in table.items():
                total[row[w]] += weight * values[origin]
    return sums


def _corners(a: Floats, b: Floats) -> Floats:
    """a.v + b at every corner v of the cube: [2] * K + [E]; index 1 of axis j means v_j = 1."""
    n_features = len(a)
    corners = b.reshape((1,) * n_features + (-1,))
    for j in range(n_features):
        shape = [2 if axis == j else 1 for axis in range(n_features)]
        corners = corners + np.stack([np.zeros_like(a[j]), a[j]]).reshape(*shape, -1)
    return corners


def _tables(
    a: Floats, corners: Floats, sides: Sequence[Monomials]
) -> Iterator[tuple[Monomial, list[Table]]]:
    """(Y, [{w: F_Y[w]} above and below the plane]) of every set Y, small ones first.

    F_Y[w] has length 1 in the axes of Y and 2 in the others.
    """
    above = corners > 0
    smaller: dict[Monomial, list[Table]] = {
        (): [{(): above.astype(np.float64)}, {(): (~above).astype(np.float64)}]
    }
    yield (), smaller[()]
    for size in range(1, len(a) + 1):
        larger: dict[Monomial, list[Table]] = {}
        for active in combinations(range(len(a)), size):
            point = _point(a, corners, active)
            faces = {j: smaller[_without(active, j)] for j in active}
            larger[active] = [
                _integrate(_within(sides[k], active), {j: f[k] for j, f in faces.items()}, point)
                for k in range(len(sides))
            ]
            yield active, larger[active]
        smaller = larger


def _point(a: Floats, corners: Floats, active: Monomial) -> dict[int, tuple[Floats, Floats]]:
    """(t_j, 1 - t_j) by feature: t is where the plane crosses the diagonal from the lowest to the
    highest corner.
    """
    constant = corners[tuple(slice(0, 1) if j in active else slice(None) for j in range(len(a)))]
    rows = a[list(active)]
    spread = np.abs(rows).sum(axis=0)
    lowest = constant + np.minimum(rows, 0).sum(axis=0)
    # Where all coefficients are 0 the integrand is constant, and any point of the cube serves.
    with np.errstate(over="ignore"):
        along = np.clip(-lowest / np.where(spread > 0, spread, 1.0), 0.0, 1.0)
    back = 1 - along
    points = {}
    for j in active:
        rises = a[j] > 0
        points[j] = np.where(rises, along, back), np.where(rises, back, along)
    return points


def _integrate(
    allowed: Monomials, faces: Mapping[int, Table], point: Mapping[int, tuple[Floats, Floats]]
) -> Table:
    """F_Y[w] for w in `allowed`, from the `faces` Y - j; `point` holds t_j and 1 - t_j."""
    table: Table = {}
    for w in allowed:
        terms = []
        for j, (t, rest) in point.items():
            term = t * (table[_divide(w, j)] if j in w else _face(faces[j][w], j, 0))
            if w.count(j) > 1:
                term *= w.count(j)
            term += rest * _face(faces[j][_without(w, j)], j, 1)
            terms.append(term)
        table[w] = sum(terms[1:], start=terms[0]) / (len(point) + len(w))
    return table


def _face(values: Floats, axis: int, end: int) -> Floats:
    """The values where feature `axis` is 0 or 1; the axis stays, with length 1."""
    return values[(slice(None),) * axis + (slice(end, end + 1),)]


def _divide(w: Monomial, j: int) -> Monomial:
    """x^w / x_j."""
    at = w.index(j)
    return w[:at] + w[at + 1 :]


def _within(monomials: Sequence[Monomial], active: Monomial) -> list[Monomial]:
    """Those of features that are all active."""
    return [w for w in monomials if set(w) <= set(active)]


def _without(w: Monomial, j: int) -> Monomial:
    """x^w at x_j = 1; for a set, the set without j."""
    return tuple(k for k in w if k != j)
