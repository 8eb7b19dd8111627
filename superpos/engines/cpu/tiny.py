"""One pass for tiny models, where loads and loops would cost more than the arithmetic: everything in registers."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.cpu.losses import inside_batch, least_output, output_error, output_gradient
from superpos.engines.cpu.vectors import (
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

TINY_FEATURES, TINY_HIDDEN, TINY_WEIGHTS = 6, 3, 12


def is_tiny(n_features: int, n_hidden: int) -> bool:
    """Whether `tiny` has code for this size: all values of 16 samples, and all sums, about fit into registers."""
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
    valid: Value,
    relu: Value,
    n_features: Value,
    n_hidden: Value,
) -> None:
    """A whole block of a tiny model at once: fill, contract, residual and outer_pair in registers, one branch a size.

    For tied models with a linear hidden layer and independent unsigned features, whose draws u are active from `low`
    on. Adds the lanes of each parameter's gradient to sums[P, 16] and the losses to loss.
    """
    for n in range(1, TINY_FEATURES + 1):
        for m in range(1, TINY_HIDDEN + 1):
            if is_tiny(n, m):
                same = b.and_(
                    b.icmp_unsigned("==", n_features, integer(n)), b.icmp_unsigned("==", n_hidden, integer(m))
                )
                with b.if_then(same):
                    _tiny_block(b, (n, m), u, (low, scale), importance, theta, sums, loss, valid, least_output(b, relu))


def _tiny_block(
    b: Value,
    size: tuple[int, int],
    u: Value,
    rules: Sequence[Value],
    importance: Value,
    theta: Value,
    sums: Value,
    loss: Value,
    valid: Value,
    floor: Value,
) -> None:
    n, m = size
    zero = ir.Constant(VF, None)
    scalars = [splat(b, b.load(b.gep(theta, [integer(j)])), VF) for j in range(n * m + n)]
    w, bias = [scalars[i * m : (i + 1) * m] for i in range(n)], scalars[n * m :]
    weight = [splat(b, b.load(b.gep(importance, [integer(i)])), VF) for i in range(n)]
    low, scale = (
        [splat(b, b.load(b.gep(p, [integer(i)])), kind) for i in range(n)]
        for p, kind in zip(rules, (VI, VF), strict=True)
    )
    totals = [cgutils.alloca_once(b, VF) for _ in range(n * m + n + 1)]
    for j, total in enumerate(totals):
        b.store(load(b, sums, integer(j * WIDTH)) if j < n * m + n else zero, total)

    def add(j: int, x: Value, y: Value) -> None:
        b.store(fma(b, x, y, b.load(totals[j])), totals[j])

    with each_vector(b) as v:
        lane = b.mul(v.index, integer(WIDTH))
        inside = inside_batch(b, lane, valid)
        draws = [load(b, u, row_at(b, integer(i), lane), VI) for i in range(n)]
        values = [b.fmul(b.uitofp(b.sub(u, first), VF), s) for u, first, s in zip(draws, low, scale, strict=True)]
        active = [b.icmp_unsigned(">=", u, first) for u, first in zip(draws, low, strict=True)]
        x = [b.select(on, value, zero) for on, value in zip(active, values, strict=True)]
        h = [zero] * m
        for i in range(n):
            h = [fma(b, w[i][k], x[i], h[k]) for k in range(m)]
        dh = [zero] * m
        for i in range(n):
            o = bias[i]
            for k in range(m):
                o = fma(b, w[i][k], h[k], o)
            error = output_error(b, o, floor, x[i], inside)
            scaled = b.fmul(weight[i], error)
            g = output_gradient(b, o, floor, scaled)
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
