"""One pass for tiny models, where loads and loops would cost more than the arithmetic: everything
in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.compiled.inside import is_inside
from superpos.engines.compiled.vectors import (
    LANES,
    VF,
    VI,
    WIDTH,
    Doubles,
    Floats,
    Value,
    Words,
    add_total,
    each_vector,
    fma,
    integer,
    load,
    row_at,
    splat,
    store,
    vector_pass,
)
from superpos.families.tms.cpu.feature_values import plain_values
from superpos.families.tms.cpu.losses import is_above, least_output, output_error, output_gradient

Inputs = Callable[[Value], list[Value]]  # the vectors of all features at a lane

TINY_FEATURES = 6
TINY_HIDDEN = 3
TINY_WEIGHTS = 12


def is_tiny(n_features: int, n_hidden: int) -> bool:
    """Whether `tiny` has code for this size: all values of 16 samples, and all sums, about fit into
    registers.
    """
    small = n_features <= TINY_FEATURES and n_hidden <= TINY_HIDDEN
    return small and n_features * n_hidden <= TINY_WEIGHTS


@vector_pass
def tiny(
    b: Value,
    u: Words,
    low: Words,
    scale: Floats,
    importance: Floats,
    theta: Floats,
    sums: Floats,
    loss: Doubles,
    inside: Words,
    relu: Value,
    n_features: Value,
    n_hidden: Value,
) -> None:
    """A whole block of a tiny model: fill, contract, residual and outer_pair in registers, a branch
    for each size.

    For tied models with a linear hidden layer and independent unsigned features, whose draws u are
    active from `low` on. Adds the lanes of each parameter's gradient to sums[P, 16] and the losses
    to loss.
    """

    def drawn(n: int) -> Inputs:
        return _drawn(b, u, low, scale, n)

    operands = (
        importance,
        theta,
        sums,
        loss,
        inside,
        least_output(b, relu),
        integer(LANES // WIDTH),
    )
    _each_size(b, n_features, n_hidden, drawn, operands)


@vector_pass
def tiny_filled(
    b: Value,
    x: Floats,
    importance: Floats,
    theta: Floats,
    sums: Floats,
    loss: Doubles,
    inside: Words,
    relu: Value,
    n_features: Value,
    n_hidden: Value,
    vectors: Value,
) -> None:
    """`tiny` for inputs x [F, lanes] that are there."""

    def filled(n: int) -> Inputs:
        return lambda lane: [load(b, x, row_at(b, integer(i), lane)) for i in range(n)]

    _each_size(
        b,
        n_features,
        n_hidden,
        filled,
        (importance, theta, sums, loss, inside, least_output(b, relu), vectors),
    )


def _drawn(b: Value, u: Value, low: Value, scale: Value, n: int) -> Inputs:
    first = [splat(b, b.load(b.gep(low, [integer(i)])), VI) for i in range(n)]
    factor = [splat(b, b.load(b.gep(scale, [integer(i)])), VF) for i in range(n)]

    def at(lane: Value) -> list[Value]:
        words = [load(b, u, row_at(b, integer(i), lane), VI) for i in range(n)]
        return [plain_values(b, *cell) for cell in zip(words, first, factor, strict=True)]

    return at


def _each_size(
    b: Value,
    n_features: Value,
    n_hidden: Value,
    inputs: Callable[[int], Inputs],
    operands: Sequence[Value],
) -> None:
    """One branch for every size that `is_tiny`."""
    for n in range(1, TINY_FEATURES + 1):
        for m in range(1, TINY_HIDDEN + 1):
            if is_tiny(n, m):
                same_n, same_m = (
                    b.icmp_unsigned("==", *pair)
                    for pair in ((n_features, integer(n)), (n_hidden, integer(m)))
                )
                with b.if_then(b.and_(same_n, same_m)):
                    _tiny_block(b, (n, m), inputs(n), operands)


def _tiny_block(b: Value, size: tuple[int, int], inputs: Inputs, operands: Sequence[Value]) -> None:
    """Inputs(lane) are the vectors of the n features."""
    importance, theta, sums, loss, inside_at, floor, vectors = operands
    n, m = size
    zero = ir.Constant(VF, None)
    scalars = [splat(b, b.load(b.gep(theta, [integer(j)])), VF) for j in range(n * m + n)]
    w = [scalars[i * m : (i + 1) * m] for i in range(n)]
    bias = scalars[n * m :]
    weight = [splat(b, b.load(b.gep(importance, [integer(i)])), VF) for i in range(n)]
    totals = [cgutils.alloca_once(b, VF) for _ in range(n * m + n + 1)]
    for j, total in enumerate(totals):
        b.store(load(b, sums, integer(j * WIDTH)) if j < n * m + n else zero, total)

    def add(j: int, x: Value, y: Value) -> None:
        b.store(fma(b, x, y, b.load(totals[j])), totals[j])

    with each_vector(b, vectors) as v:
        lane = b.mul(v.index, integer(WIDTH))
        inside = is_inside(b, inside_at, lane)
        x = inputs(lane)
        h = [zero] * m
        for i in range(n):
            h = [fma(b, w[i][k], x[i], h[k]) for k in range(m)]
        dh = [zero] * m
        for i in range(n):
            o = bias[i]
            for k in range(m):
                o = fma(b, w[i][k], h[k], o)
            above = is_above(b, o, floor)
            error = output_error(b, o, above, floor, x[i], inside)
            scaled = b.fmul(weight[i], error)
            g = output_gradient(b, above, scaled)
            add(n * m + n, scaled, error)
            b.store(b.fadd(g, b.load(totals[n * m + i])), totals[n * m + i])
            dh = [fma(b, w[i][k], g, dh[k]) for k in range(m)]
            for k in range(m):
                add(i * m + k, g, h[k])
        for i in range(n):
            for k in range(m):
                add(i * m + k, x[i], dh[k])
    for j in range(n * m + n):
        store(b, b.load(totals[j]), sums, integer(j * WIDTH))
    add_total(b, loss, b.load(totals[n * m + n]))
