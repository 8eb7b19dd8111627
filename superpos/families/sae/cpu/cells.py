"""Passes over active cells: what a decoder and all gradients cost is the number of cells, not of
latents.

The cells of a latent are listed with the sample and the pre-activation z of each, in the order of
the samples, and filled up to whole vectors with `OUTSIDE`. Rows of samples (inputs x, errors e) and
of latents are `parts` whole vectors long; those of samples are `pitch` vectors apart. A latent is
active in a cell whose z is above its threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from superpos.engines.compiled.vectors import (
    F32,
    F64,
    I32,
    I64,
    LANES,
    VF,
    VI,
    WIDTH,
    Doubles,
    Floats,
    Real,
    Value,
    Words,
    first_lane,
    fma,
    integer,
    load,
    mask,
    splat,
    store,
    sum_lanes,
    vector_pass,
)

OUTSIDE: Final = float(np.finfo(np.float32).min)
"""z of what fills a list up: below every threshold."""
SUMS: Final = WIDTH
"""Floats that `latent_gradients` writes."""
_AT_ONCE: Final = 64  # lanes whose comparisons fit into one word
_CHUNK: Final = 4  # vectors of a row that are summed in registers


@vector_pass
def list_above(
    b: Value,
    z: Floats,
    floor: Real,
    sample: Value,
    valid: Value,
    index: Words,
    value: Floats,
    count: Words,
) -> None:
    """Append the first `valid` lanes with z > floor, or NaN, to a list: sample + lane, and z."""
    level = splat(b, floor, VF)
    _list_above(b, z, lambda _: level, sample, valid, (index, value, count))


@vector_pass
def list_above_lanes(
    b: Value,
    z: Floats,
    floors: Floats,
    sample: Value,
    valid: Value,
    index: Words,
    value: Floats,
    count: Words,
) -> None:
    """`list_above` where every lane has a floor of its own."""
    _list_above(b, z, lambda lane: load(b, floors, lane), sample, valid, (index, value, count))


@vector_pass
def list_draws(b: Value, u: Words, low: Value, lane: Words, word: Words, count: Words) -> None:
    """Append the lanes whose draws are at least `low` (unsigned) to a list: lane, and draw."""
    level = splat(b, b.trunc(low, I32), VI)
    number = cgutils.alloca_once_value(b, b.zext(b.load(count), I64))
    for first in _halves(b):
        found = _bits(b, first, lambda at: b.icmp_unsigned(">=", load(b, u, at, VI), level))
        for at, place in _each_bit(b, found, first, number):
            b.store(b.trunc(at, I32), b.gep(lane, [place]))
            b.store(b.load(b.gep(u, [at])), b.gep(word, [place]))
    b.store(b.trunc(b.load(number), I32), count)


def _list_above(
    b: Value,
    z: Value,
    floor: Callable[[Value], Value],
    sample: Value,
    valid: Value,
    out: tuple[Value, Value, Value],
) -> None:
    index, value, count = out
    number = cgutils.alloca_once_value(b, b.zext(b.load(count), I64))
    for first in _halves(b):
        found = _bits(b, first, lambda lane: b.fcmp_unordered(">", load(b, z, lane), floor(lane)))
        found = b.and_(found, _lowest_bits(b, b.sub(valid, first)))
        for lane, place in _each_bit(b, found, first, number):
            b.store(b.trunc(b.add(sample, lane), I32), b.gep(index, [place]))
            b.store(b.load(b.gep(z, [lane])), b.gep(value, [place]))
    b.store(b.trunc(b.load(number), I32), count)


def _halves(b: Value) -> Iterator[Value]:
    """Emit a loop over the lanes of a block that fit into one word: the first of them."""
    with cgutils.for_range(b, integer(LANES // _AT_ONCE)) as word:
        yield b.mul(word.index, integer(_AT_ONCE))


def _bits(b: Value, first: Value, compare: Callable[[Value], Value]) -> Value:
    """A word with a bit for each of the lanes from `first` on: the comparisons of 16 lanes at a
    time.
    """
    found = integer(0)
    for v in range(_AT_ONCE // WIDTH):
        some = b.bitcast(compare(b.add(first, integer(v * WIDTH))), ir.IntType(WIDTH))
        found = b.or_(found, b.shl(b.zext(some, I64), integer(v * WIDTH)))
    return found


def _each_bit(b: Value, found: Value, first: Value, number: Value) -> Iterator[tuple[Value, Value]]:
    """Emit a loop over the bits of a word: the lane of each, and its place in a list.

    `number` is where places are counted on.
    """
    bits = cgutils.alloca_once(b, I64)
    b.store(found, bits)
    with cgutils.for_range(b, b.ctpop(found)):
        left = b.load(bits)
        place = b.load(number)
        yield b.add(first, b.cttz(left, ir.Constant(ir.IntType(1), 1))), place
        b.store(b.and_(left, b.sub(left, integer(1))), bits)
        b.store(b.add(place, integer(1)), number)


def _lowest_bits(b: Value, count: Value) -> Value:
    """A word whose lowest `count` bits are set: none where it is negative, all where it is 64 or
    more.
    """
    some = b.sub(b.shl(integer(1), b.and_(count, integer(63))), integer(1))
    some = b.select(b.icmp_signed(">=", count, integer(64)), integer(-1), some)
    return b.select(b.icmp_signed(">", count, integer(0)), some, integer(0))


@vector_pass
def fill_up(b: Value, index: Words, value: Floats, count: Value) -> None:
    """Fill a list up to a whole vector, with cells of sample 0 that are outside."""
    store(b, ir.Constant(VI, None), index, count)
    store(b, ir.Constant(VF, [OUTSIDE] * WIDTH), value, count)


@vector_pass
def decode_cells(
    b: Value,
    e: Floats,
    decoder: Floats,
    index: Words,
    value: Floats,
    theta: Real,
    cells: Value,
    pitch: Value,
    width: Value,
) -> None:
    """e[sample, :] += code * decoder[:] over the cells of a latent; the code is z, or 0 below the
    threshold.

    Done for the first `width` vectors of each row from `e` and `decoder` on.
    """
    for first, chunk in _chunks(b, width):
        places = [b.add(first, integer(p * WIDTH)) for p in range(chunk)]
        row = [load(b, decoder, place) for place in places]
        with cgutils.for_range(b, cells) as cell:
            z = b.load(b.gep(value, [cell.index]))
            code = b.select(b.fcmp_unordered(">", z, theta), z, ir.Constant(F32, 0.0))
            factor = splat(b, code, VF)
            start = _row_start(b, index, cell.index, pitch)
            for vector, place in zip(row, places, strict=True):
                at = b.add(start, place)
                store(b, fma(b, factor, vector, load(b, e, at)), e, at)


@vector_pass
def latent_gradients(
    b: Value,
    e: Floats,
    x: Floats,
    decoder: Floats,
    index: Words,
    value: Floats,
    grad_d: Floats,
    grad_e: Floats,
    sums: Floats,
    theta: Real,
    reach: Real,
    penalty: Real,
    groups: Value,
    parts: Value,
    pitch: Value,
) -> None:
    """Half the gradients of the rows of a latent, of its cells in groups of 16; z of the cells
    becomes their code.

    With q = e[sample] . decoder and dz = q + penalty where the latent is active, else 0: grad_d is
    the sum of code * e[sample], grad_e that of dz * x[sample]. sums[:5] are the sums of dz, of the
    code and of active cells, then those of q and of 1 over the cells whose z is less than `reach`
    from the threshold.
    """
    level, near, extra = (splat(b, s, VF) for s in (theta, reach, penalty))
    zero = ir.Constant(VF, None)
    one = ir.Constant(VF, [1.0] * WIDTH)
    totals = [cgutils.alloca_once(b, VF) for _ in range(5)]
    for total in totals:
        b.store(zero, total)
    with cgutils.for_range(b, parts) as part:
        for grad in (grad_d, grad_e):
            store(b, zero, grad, b.mul(part.index, integer(WIDTH)))
    with cgutils.for_range(b, groups) as group:
        first = b.mul(group.index, integer(WIDTH))
        starts = [_row_start(b, index, b.add(first, integer(k)), pitch) for k in range(WIDTH)]
        q = _products(b, e, decoder, starts, parts)
        z = load(b, value, first)
        active = b.fcmp_unordered(">", z, level)
        code = b.select(active, z, zero)
        dz = b.select(active, b.fadd(q, extra), zero)
        close = b.fcmp_ordered("<", _absolute(b, b.fsub(z, level)), near)
        store(b, code, value, first)
        terms = [
            dz,
            code,
            b.select(active, one, zero),
            b.select(close, q, zero),
            b.select(close, one, zero),
        ]
        for total, term in zip(totals, terms, strict=True):
            b.store(b.fadd(b.load(total), term), total)
        _add_rows(b, ((e, code, grad_d), (x, dz, grad_e)), starts, parts)
    store(b, sum_lanes(b, [b.load(total) for total in totals]), sums, integer(0))


def _absolute(b: Value, vector: Value) -> Value:
    kind = ir.FunctionType(VF, [VF])
    return b.call(
        cgutils.get_or_insert_function(b.module, kind, f"llvm.fabs.v{WIDTH}f32"),
        [vector],
    )


def _products(b: Value, e: Value, decoder: Value, starts: list[Value], parts: Value) -> Value:
    """The products e[sample] . decoder of 16 cells, whose rows begin at `starts`."""
    chains = [cgutils.alloca_once(b, VF) for _ in range(WIDTH)]
    for chain in chains:
        b.store(ir.Constant(VF, None), chain)
    with cgutils.for_range(b, parts) as part:
        place = b.mul(part.index, integer(WIDTH))
        vector = load(b, decoder, place)
        for start, chain in zip(starts, chains, strict=True):
            b.store(fma(b, load(b, e, b.add(start, place)), vector, b.load(chain)), chain)
    return sum_lanes(b, [b.load(chain) for chain in chains])


def _add_rows(
    b: Value,
    sums: tuple[tuple[Value, Value, Value], ...],
    starts: list[Value],
    parts: Value,
) -> None:
    """For each (rows, weights, out): out += the sum of weights times rows of 16 cells."""
    for first, chunk in _chunks(b, parts):
        places = [b.add(first, integer(p * WIDTH)) for p in range(chunk)]
        for source, weights, out in sums:
            factors = [b.shuffle_vector(weights, weights, mask([k] * WIDTH)) for k in range(WIDTH)]
            for place in places:
                total = load(b, out, place)
                rows = [load(b, source, b.add(start, place)) for start in starts]
                for chain in range(
                    _CHUNK // chunk,
                ):  # side by side: each sum alone would wait for its products
                    terms = list(zip(factors, rows, strict=True))[chain :: _CHUNK // chunk]
                    part = total if chain == 0 else ir.Constant(VF, None)
                    for factor, row in terms:
                        part = fma(b, factor, row, part)
                    total = part if chain == 0 else b.fadd(total, part)
                store(b, total, out, place)


def _row_start(b: Value, index: Value, cell: Value, pitch: Value) -> Value:
    """Where the row of a cell's sample begins, in floats."""
    sample = b.zext(b.load(b.gep(index, [cell])), I64)
    return b.mul(sample, b.mul(pitch, integer(WIDTH)))


def _chunks(b: Value, parts: Value) -> Iterator[tuple[Value, int]]:
    """Emit code for `_CHUNK` vectors of a row at a time, then for the rest: the first float, and
    how many vectors.
    """
    full = b.udiv(parts, integer(_CHUNK))
    with cgutils.for_range(b, full) as chunk:
        yield b.mul(chunk.index, integer(_CHUNK * WIDTH)), _CHUNK
    rest = b.urem(parts, integer(_CHUNK))
    first = b.mul(full, integer(_CHUNK * WIDTH))
    for size in range(1, _CHUNK):
        with b.if_then(b.icmp_unsigned("==", rest, integer(size))):
            yield first, size


@vector_pass
def begin_errors(
    b: Value,
    x: Floats,
    bias: Floats,
    e: Floats,
    rows: Value,
    pitch: Value,
    width: Value,
) -> None:
    """e[sample, :] = bias - x[sample, :]: the errors of an output that is the bias alone; `width`
    as above.
    """
    with cgutils.for_range(b, rows) as row, cgutils.for_range(b, width) as part:
        place = b.mul(part.index, integer(WIDTH))
        at = b.add(b.mul(b.mul(row.index, pitch), integer(WIDTH)), place)
        store(b, b.fsub(load(b, bias, place), load(b, x, at)), e, at)


@vector_pass
def copy_rows(
    b: Value,
    source: Floats,
    out: Floats,
    rows: Value,
    pitch: Value,
    width: Value,
) -> None:
    """out = source; `width` as above."""
    with cgutils.for_range(b, rows) as row, cgutils.for_range(b, width) as part:
        at = b.mul(b.add(b.mul(row.index, pitch), part.index), integer(WIDTH))
        store(b, load(b, source, at), out, at)


@vector_pass
def sum_squares(
    b: Value,
    e: Floats,
    loss: Doubles,
    rows: Value,
    pitch: Value,
    width: Value,
    weight: Real,
) -> None:
    """loss += weight * the sum of e^2; `width` as above."""
    factor = b.fpext(weight, F64)
    for first, chunk in _chunks(b, width):
        squares = [cgutils.alloca_once(b, VF) for _ in range(chunk)]
        for square in squares:
            b.store(ir.Constant(VF, None), square)
        with cgutils.for_range(b, rows) as row:
            start = b.gep(e, [b.mul(row.index, b.mul(pitch, integer(WIDTH)))])
            for p, square in enumerate(squares):
                vector = load(b, start, b.add(first, integer(p * WIDTH)))
                b.store(fma(b, vector, vector, b.load(square)), square)
        for square in squares:
            part = first_lane(b, sum_lanes(b, [b.load(square)]))
            b.store(b.fadd(b.load(loss), b.fmul(factor, b.fpext(part, F64))), loss)


@vector_pass
def weigh_errors(
    b: Value,
    e: Floats,
    behind: Floats,
    weight: Real,
    rows: Value,
    pitch: Value,
    width: Value,
) -> None:
    """e = weight * e + behind; `width` as above."""
    factor = splat(b, weight, VF)
    with cgutils.for_range(b, rows) as row, cgutils.for_range(b, width) as part:
        at = b.mul(b.add(b.mul(row.index, pitch), part.index), integer(WIDTH))
        store(b, fma(b, factor, load(b, e, at), load(b, behind, at)), e, at)


@vector_pass
def sum_errors(b: Value, e: Floats, sums: Floats, rows: Value, pitch: Value, width: Value) -> None:
    """sums[:] = sum of e over the rows; `width` as above."""
    for first, chunk in _chunks(b, width):
        places = [b.add(first, integer(p * WIDTH)) for p in range(chunk)]
        totals = [cgutils.alloca_once(b, VF) for _ in range(chunk)]
        for total in totals:
            b.store(ir.Constant(VF, None), total)
        with cgutils.for_range(b, rows) as row:
            start = b.gep(e, [b.mul(row.index, b.mul(pitch, integer(WIDTH)))])
            for place, total in zip(places, totals, strict=True):
                b.store(b.fadd(b.load(total), load(b, start, place)), total)
        for place, total in zip(places, totals, strict=True):
            store(b, b.load(total), sums, place)


@vector_pass
def row_squares(
    b: Value,
    e: Floats,
    out: Floats,
    rows: Value,
    pitch: Value,
    width: Value,
    weight: Real,
) -> None:
    """out[sample] += weight * the sum of e[sample]^2; `width` as above."""
    total = cgutils.alloca_once(b, VF)
    with cgutils.for_range(b, rows) as row:
        start = b.gep(e, [b.mul(row.index, b.mul(pitch, integer(WIDTH)))])
        b.store(ir.Constant(VF, None), total)
        with cgutils.for_range(b, width) as part:
            vector = load(b, start, b.mul(part.index, integer(WIDTH)))
            b.store(fma(b, vector, vector, b.load(total)), total)
        place = b.gep(out, [row.index])
        square = first_lane(b, sum_lanes(b, [b.load(total)]))
        b.store(b.fadd(b.load(place), b.fmul(weight, square)), place)
