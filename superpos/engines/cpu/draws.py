"""Passes that make data: Philox draws, and the feature values that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.cpu.vectors import (
    QUADS,
    VF,
    VI,
    VL,
    WIDTH,
    Floats,
    Value,
    Words,
    each_vector,
    integer,
    load,
    mask,
    row_at,
    splat,
    store,
    vector_pass,
)

_PHILOX_M = (0xD2511F53, 0xCD9E8D57)
_PHILOX_W = (0x9E3779B9, 0xBB67AE85)


def _philox(b: Value, counter: list[Value], key: list[Value]) -> list[Value]:
    """Ten rounds on 8 counters in 64-bit lanes, of which the low halves count. Scalars stay scalar while they can."""
    low = integer(0xFFFFFFFF)

    def both(op: Callable[[Value, Value], Value], x: Value, y: Value) -> Value:
        if x.type != y.type:
            x, y = (v if v.type == VL else splat(b, v, VL) for v in (x, y))
        return op(x, y)

    c0, c1, c2, c3 = counter
    for number in range(10):
        k0, k1 = (b.and_(b.add(k, integer(w * number)), low) for k, w in zip(key, _PHILOX_W, strict=True))
        p0 = both(b.mul, both(b.and_, c0, low), integer(_PHILOX_M[0]))
        p1 = both(b.mul, both(b.and_, c2, low), integer(_PHILOX_M[1]))
        c0 = both(b.xor, both(b.xor, both(b.lshr, p1, integer(32)), c1), k0)
        c2 = both(b.xor, both(b.xor, both(b.lshr, p0, integer(32)), c3), k1)
        c1, c3 = p1, p0
    return [c0, c1, c2, c3]


@vector_pass
def draw(
    b: Value, u: Words, rows: Value, sample: Value, step: Value, purpose: Value, key_low: Value, key_high: Value
) -> None:
    """u[row, lane] = 32-bit draw of feature `row` for the block that starts at `sample`, as `streams.draws`."""
    iota = ir.Constant(VL, list(range(WIDTH // 2)))
    first = b.lshr(sample, integer(2))
    even = mask(range(0, 2 * WIDTH, 2))  # the low halves of two vectors of 64-bit lanes
    # features inside: what the first three rounds make of sample, step and purpose alone is then computed once
    with cgutils.for_range(b, integer(QUADS // WIDTH)) as part, cgutils.for_range(b, rows) as row:
        quad = b.mul(part.index, integer(WIDTH))
        halves = []
        for half in range(2):
            start = b.add(b.add(first, quad), integer(half * WIDTH // 2))
            counter = [b.add(splat(b, start, VL), iota), row.index, step, purpose]
            halves.append(_philox(b, counter, [key_low, key_high]))
        for word, (x, y) in enumerate(zip(*halves, strict=True)):
            packed = b.shuffle_vector(b.bitcast(x, VI), b.bitcast(y, VI), even)
            store(b, packed, u, row_at(b, row.index, b.add(quad, integer(word * QUADS))))


@vector_pass
def fill(
    b: Value,
    u: Words,
    switch: Words,
    x: Floats,
    low: Words,
    span: Words,
    shift: Words,
    scale: Floats,
    offset: Floats,
    rows: Value,
    set_size: Value,
) -> None:
    """x[row] = float32(u - shift) * scale + offset where switch - low <= span (unsigned), else 0: see `data.Cells`.

    `switch` has one row a set of `set_size` features.
    """
    with cgutils.for_range(b, rows) as row:
        rule = _rule(b, (low, span, shift, scale, offset), row.index)
        set_index = b.udiv(row.index, set_size)
        with each_vector(b) as v:
            lane = b.mul(v.index, integer(WIDTH))
            at = row_at(b, row.index, lane)
            value = _value(b, rule, load(b, u, at, VI), load(b, switch, row_at(b, set_index, lane), VI))
            store(b, value, x, at)


def _rule(b: Value, fields: Sequence[Value], feature: Value) -> list[Value]:
    """One feature's `data.Cells` as vectors."""
    kinds = (VI, VI, VI, VF, VF)
    return [splat(b, b.load(b.gep(p, [feature])), kind) for p, kind in zip(fields, kinds, strict=True)]


def _value(b: Value, rule: Sequence[Value], u: Value, switch: Value) -> Value:
    low, span, shift, scale, offset = rule
    active = b.icmp_unsigned("<=", b.sub(switch, low), span)
    value = b.fadd(b.fmul(b.uitofp(b.sub(u, shift), VF), scale), offset)
    return b.select(active, value, ir.Constant(VF, None))
