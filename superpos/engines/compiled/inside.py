"""Which lanes of a block hold samples of the batch: its last block is rarely full."""

from __future__ import annotations

from llvmlite import ir

from superpos.engines.compiled.vectors import (
    I32,
    LANES,
    QUADS,
    VI,
    WIDTH,
    Value,
    Words,
    before,
    each_vector,
    integer,
    load,
    splat,
    store,
    vector_pass,
)


@vector_pass
def mark_quads(b: Value, inside: Words, valid: Value) -> None:
    """inside[lane] = -1 for the samples before `valid`, else 0, in the order of a block of
    draws.
    """
    with each_vector(b, integer(LANES // WIDTH)) as v:
        lane = b.mul(v.index, integer(WIDTH))
        word = b.udiv(lane, integer(QUADS))
        quad = b.urem(lane, integer(QUADS))
        first = b.trunc(b.add(b.mul(quad, integer(4)), word), I32)
        sample = b.add(splat(b, first, VI), ir.Constant(VI, [4 * q for q in range(WIDTH)]))
        found = b.icmp_signed("<", sample, splat(b, b.trunc(valid, I32), VI))
        store(b, b.sext(found, VI), inside, lane)


@vector_pass
def mark(b: Value, inside: Words, valid: Value) -> None:
    """inside[lane] = -1 for the lanes before `valid`, else 0."""
    with each_vector(b, integer(LANES // WIDTH)) as v:
        lane = b.mul(v.index, integer(WIDTH))
        store(b, b.sext(before(b, lane, valid), VI), inside, lane)


def is_inside(b: Value, inside: Value, lane: Value) -> Value:
    """Which of 16 lanes hold samples of the batch."""
    return b.icmp_signed("<", load(b, inside, lane, VI), ir.Constant(VI, None))
