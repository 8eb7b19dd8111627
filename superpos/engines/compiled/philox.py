"""The pass that draws: the numbers of `maths.streams`, bit for bit, for a lane block at a time."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.compiled.vectors import (
    QUADS,
    VI,
    VL,
    WIDTH,
    Value,
    Words,
    integer,
    mask,
    row_at,
    splat,
    store,
    vector_pass,
)
from superpos.maths.streams import MULTIPLIERS, WEYL, WORD


def _philox(b: Value, counters: list[list[Value]], key: list[Value]) -> list[list[Value]]:
    """Ten rounds on vectors of 8 counters in 64-bit lanes, of which the low halves count.

    Scalars stay scalar while they can. The vectors take turns: each of them alone would wait for
    its products.
    """
    low = integer(WORD)

    def both(op: Callable[[Value, Value], Value], x: Value, y: Value) -> Value:
        if x.type != y.type:
            x, y = (v if v.type == VL else splat(b, v, VL) for v in (x, y))
        return op(x, y)

    for number in range(10):
        k0, k1 = (
            b.and_(b.add(k, integer(w * number)), low) for k, w in zip(key, WEYL, strict=True)
        )
        for counter in counters:
            c0, c1, c2, c3 = counter
            p0 = both(b.mul, both(b.and_, c0, low), integer(MULTIPLIERS[0]))
            p1 = both(b.mul, both(b.and_, c2, low), integer(MULTIPLIERS[1]))
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
    """u[row, lane] = 32-bit draw of feature `row` for the block that starts at `sample`, as
    `streams.draws`.

    A part is 64 samples: the first or second half of every quarter row.
    """
    iota = ir.Constant(VL, list(range(WIDTH // 2)))
    first = b.lshr(sample, integer(2))
    even = mask(range(0, 2 * WIDTH, 2))  # the low halves of two vectors of 64-bit lanes
    # features inside: what the first three rounds make of sample, step and purpose alone is then
    # computed once
    with cgutils.for_range(b, parts) as part, cgutils.for_range(b, rows) as row:
        quad = b.mul(part.index, integer(WIDTH))
        starts = [b.add(b.add(first, quad), integer(half * WIDTH // 2)) for half in range(2)]
        counters = [
            [b.add(splat(b, start, VL), iota), row.index, step, purpose] for start in starts
        ]
        halves = _philox(b, counters, [key_low, key_high])
        for word, (x, y) in enumerate(zip(*halves, strict=True)):
            packed = b.shuffle_vector(b.bitcast(x, VI), b.bitcast(y, VI), even)
            store(b, packed, u, row_at(b, row.index, b.add(quad, integer(word * QUADS))))
