"""The loss of 16 sequences side by side, and its gradient by the logits."""

from __future__ import annotations

from numba.core import cgutils

from superpos.engines.compiled.exponentials import exp, floats, log
from superpos.engines.compiled.vectors import (
    I32,
    LANES,
    STRIDE,
    VF,
    VI,
    WIDTH,
    Floats,
    Value,
    Words,
    integer,
    load,
    splat,
    store,
    vector_pass,
)


@vector_pass
def surprise(
    b: Value,
    logits: Floats,
    tokens: Words,
    weights: Floats,
    loss: Floats,
    vocabulary: Value,
    positions: Value,
    pitch: Value,
) -> None:
    """loss[16] += sum_t weights[t] (-log p(token t + 1)), and logits = the gradient of it by them.

    Logits [V] of 8 positions a block, blocks `pitch` floats apart; tokens are [T + 1, 16], weights
    [T, 16].
    """
    total = cgutils.alloca_once_value(b, load(b, loss, integer(0)))
    most, scale, chosen = (cgutils.alloca_once(b, VF) for _ in range(3))
    with cgutils.for_range(b, positions) as loop:
        in_block = LANES // WIDTH
        block = b.udiv(loop.index, integer(in_block))
        inside = b.urem(loop.index, integer(in_block))
        row = b.gep(logits, [b.add(b.mul(block, pitch), b.mul(inside, integer(WIDTH)))])
        at = b.mul(loop.index, integer(WIDTH))
        answer = load(b, tokens, b.add(at, integer(WIDTH)), VI)
        weight = load(b, weights, at)
        b.store(floats(float("-inf")), most)
        with cgutils.for_range(b, vocabulary) as token:
            found = load(b, row, b.mul(token.index, integer(STRIDE)))
            highest = b.load(most)
            b.store(b.select(b.fcmp_ordered(">", found, highest), found, highest), most)
        highest = b.load(most)
        b.store(floats(0.0), scale)
        b.store(floats(0.0), chosen)
        with cgutils.for_range(b, vocabulary) as token:
            place = b.mul(token.index, integer(STRIDE))
            less = b.fsub(load(b, row, place), highest)
            share = exp(b, less)
            b.store(b.fadd(b.load(scale), share), scale)
            b.store(b.select(_is(b, answer, token.index), less, b.load(chosen)), chosen)
            store(b, share, row, place)
        own = b.fsub(log(b, b.load(scale)), b.load(chosen))
        b.store(b.fadd(b.load(total), b.fmul(weight, own)), total)
        each = b.fdiv(weight, b.load(scale))
        with cgutils.for_range(b, vocabulary) as token:
            place = b.mul(token.index, integer(STRIDE))
            grad = b.fmul(load(b, row, place), each)
            own_token = b.select(_is(b, answer, token.index), weight, floats(0.0))
            store(b, b.fsub(grad, own_token), row, place)
    store(b, b.load(total), loss, integer(0))


def _is(b: Value, answer: Value, token: Value) -> Value:
    return b.icmp_signed("==", answer, splat(b, b.trunc(token, I32), VI))
