"""Passes that make data: Philox draws, and the feature values that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.compiled.vectors import (
    LANES,
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


def _philox(b: Value, counters: list[list[Value]], key: list[Value]) -> list[list[Value]]:
    """Ten rounds on vectors of 8 counters in 64-bit lanes, of which the low halves count.

    Scalars stay scalar while they can. The vectors take turns: each of them alone would wait for its products.
    """
    low = integer(0xFFFFFFFF)

    def both(op: Callable[[Value, Value], Value], x: Value, y: Value) -> Value:
        if x.type != y.type:
            x, y = (v if v.type == VL else splat(b, v, VL) for v in (x, y))
        return op(x, y)

    for number in range(10):
        k0, k1 = (b.and_(b.add(k, integer(w * number)), low) for k, w in zip(key, _PHILOX_W, strict=True))
        for counter in counters:
            c0, c1, c2, c3 = counter
            p0 = both(b.mul, both(b.and_, c0, low), integer(_PHILOX_M[0]))
            p1 = both(b.mul, both(b.and_, c2, low), integer(_PHILOX_M[1]))
            c0 = both(b.xor, both(b.xor, both(b.lshr, p1, integer(32)), c1), k0)
            c2 = both(b.xor, both(b.xor, both(b.lshr, p0, integer(32)), c3), k1)
            counter[:] = c0, p1, c2, p0
    return counters


@vector_pass
def draw(
    b: Value,
    u: Words,
    rows: Value,
    parts: Value,
    sample: Value,
    step: Value,
    purpose: Value,
    key_low: Value,
    key_high: Value,
) -> None:
    """u[row, lane] = 32-bit draw of feature `row` for the block that starts at `sample`, as `streams.draws`.

    A part is 64 samples: the first or second half of every quarter row.
    """
    iota = ir.Constant(VL, list(range(WIDTH // 2)))
    first = b.lshr(sample, integer(2))
    even = mask(range(0, 2 * WIDTH, 2))  # the low halves of two vectors of 64-bit lanes
    # features inside: what the first three rounds make of sample, step and purpose alone is then computed once
    with cgutils.for_range(b, parts) as part, cgutils.for_range(b, rows) as row:
        quad = b.mul(part.index, integer(WIDTH))
        starts = [b.add(b.add(first, quad), integer(half * WIDTH // 2)) for half in range(2)]
        counters = [[b.add(splat(b, start, VL), iota), row.index, step, purpose] for start in starts]
        halves = _philox(b, counters, [key_low, key_high])
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
    """x[row] = float32(u - shift) * scale + offset where switch - low <= span (unsigned), else 0: see `cells.Cells`.

    `switch` has one row a set of `set_size` features.
    """
    with cgutils.for_range(b, rows) as row:
        rule = _rule(b, (low, span, shift, scale, offset), (VI, VI, VI, VF, VF), row.index)
        set_index = b.udiv(row.index, set_size)
        with each_vector(b, integer(LANES // WIDTH)) as v:
            lane = b.mul(v.index, integer(WIDTH))
            at = row_at(b, row.index, lane)
            value = feature_values(b, rule, load(b, u, at, VI), load(b, switch, row_at(b, set_index, lane), VI))
            store(b, value, x, at)


@vector_pass
def fill_plain(b: Value, u: Words, x: Floats, low: Words, scale: Floats, rows: Value) -> None:
    """`fill` for independent unsigned features, where shift = low and offset = 0."""
    with cgutils.for_range(b, rows) as row:
        first, factor = _rule(b, (low, scale), (VI, VF), row.index)
        with each_vector(b, integer(LANES // WIDTH)) as v:
            at = row_at(b, row.index, b.mul(v.index, integer(WIDTH)))
            store(b, plain_values(b, load(b, u, at, VI), first, factor), x, at)


def plain_values(b: Value, u: Value, low: Value, scale: Value) -> Value:
    """Values of 16 cells of an independent unsigned feature from their draws."""
    value = b.fmul(b.uitofp(b.sub(u, low), VF), scale)
    return b.select(b.icmp_unsigned(">=", u, low), value, ir.Constant(VF, None))


def _rule(b: Value, fields: Sequence[Value], kinds: Sequence[Value], feature: Value) -> list[Value]:
    """One feature's `cells.Cells` as vectors."""
    return [splat(b, b.load(b.gep(p, [feature])), kind) for p, kind in zip(fields, kinds, strict=True)]


def feature_values(b: Value, rule: Sequence[Value], u: Value, switch: Value) -> Value:
    """Values of 16 cells from their draws and `cells.Cells`."""
    low, span, shift, scale, offset = rule
    active = b.icmp_unsigned("<=", b.sub(switch, low), span)
    value = b.fadd(b.fmul(b.uitofp(b.sub(u, shift), VF), scale), offset)
    return b.select(active, value, ir.Constant(VF, None))
