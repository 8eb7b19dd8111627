"""Passes of the sparse sampler: from draws to gaps, and products over the active cells only."""

from __future__ import annotations

import math

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.compiled.vectors import (
    F64,
    I32,
    I64,
    LANES,
    QUADS,
    STRIDE,
    VD,
    VF,
    VI,
    WIDTH,
    Doubles,
    Floats,
    Value,
    Words,
    before,
    fma,
    integer,
    load,
    load_some,
    mask,
    row_at,
    splat,
    store,
    store_some,
    vector_pass,
)
from superpos.families.tms.cpu.feature_values import feature_values

CANDIDATES = 4 * WIDTH  # drawn at once: one part of `philox.draw`
_VQ = ir.VectorType(I64, WIDTH)


def _doubles(value: float) -> Value:
    return ir.Constant(VD, [value] * WIDTH)


def _words(value: int) -> Value:
    return ir.Constant(_VQ, [value] * WIDTH)


def _minus_log(b: Value, u: Value) -> Value:
    """-ln((u + 1/2) / 2^32) for 16 words, operation by operation as `sparse.minus_log`."""
    one = _doubles(1.0)
    bits = b.bitcast(b.fmul(b.fadd(b.uitofp(u, VD), _doubles(0.5)), _doubles(2.0**-32)), _VQ)
    exponent = b.trunc(b.sub(b.lshr(bits, _words(52)), _words(1022)), VI)
    fraction = b.bitcast(b.or_(b.and_(bits, _words(2**52 - 1)), _words(1022 << 52)), VD)
    low = b.fcmp_ordered("<", fraction, _doubles(math.sqrt(0.5)))
    fraction = b.select(low, b.fadd(fraction, fraction), fraction)
    exponent = b.sitofp(b.sub(exponent, b.zext(low, VI)), VD)
    s = b.fdiv(b.fsub(fraction, one), b.fadd(fraction, one))
    z = b.fmul(s, s)
    series = _doubles(1 / 11)
    for k in (9, 7, 5, 3, 1):
        series = b.fadd(b.fmul(series, z), _doubles(1 / k))
    return b.fsub(b.fmul(exponent, _doubles(-math.log(2))), b.fmul(b.fadd(s, s), series))


@vector_pass
def locate(
    b: Value,
    u: Words,
    sample: Words,
    column: Words,
    value: Floats,
    low: Words,
    span: Words,
    shift: Words,
    scale: Floats,
    offset: Floats,
    rate: Doubles,
    position: Value,
    end: Value,
    columns: Value,
) -> None:
    """Where the next CANDIDATES are, in their order, from their gap and switch draws u[2, STRIDE]:
    `sparse.sample`.

    `position` is that of the candidate before. A sample behind the last one means that there are no
    more in these `end` cells. The values are those of independent features that all have the rule
    of the first.
    """
    fields = (low, span, shift, scale, offset)
    kinds = (VI, VI, VI, VF, VF)
    rule = [splat(b, b.load(field), kind) for field, kind in zip(fields, kinds, strict=True)]
    rate_all = _splat_double(b, b.load(rate))
    width = _splat_word(b, columns)
    last = _splat_word(b, end)
    inverse = _splat_double(b, b.fdiv(ir.Constant(F64, 1.0), b.sitofp(columns, F64)))
    one = ir.Constant(VI, [1] * WIDTH)
    behind = cgutils.alloca_once_value(b, _splat_word(b, position))
    # side by side: each alone would wait for results
    parts = [integer(part) for part in range(CANDIDATES // WIDTH)]
    counts = [
        b.add(_gap(b, _in_order(b, u, integer(0), part), rate_all, last), one) for part in parts
    ]
    for part, count in zip(parts, [_running_sum(b, count) for count in counts], strict=True):
        here = b.add(b.load(behind), count)
        furthest = b.shuffle_vector(here, here, mask([WIDTH - 1] * WIDTH))
        b.store(b.select(b.icmp_signed("<", furthest, last), furthest, last), behind)
        row = b.fptosi(b.fmul(b.fadd(b.sitofp(here, VD), _doubles(0.5)), inverse), VI)
        at = b.mul(part, integer(WIDTH))
        switch = _in_order(b, u, integer(STRIDE), part)
        store(b, row, sample, at)
        store(b, b.sub(here, b.mul(row, width)), column, at)
        store(b, feature_values(b, rule, switch, switch), value, at)


def _in_order(b: Value, u: Value, row: Value, part: Value) -> Value:
    """The draws of 16 candidates in their order: candidate 4 q + j is word j of Philox call q."""
    quad = b.add(row, b.mul(part, integer(4)))
    kind = ir.VectorType(I32, 4)
    a, c, d, e = (load(b, u, b.add(quad, integer(word * QUADS)), kind) for word in range(4))
    pairs = [b.shuffle_vector(x, y, mask(range(8))) for x, y in ((a, c), (d, e))]
    return b.shuffle_vector(*pairs, mask([4 * (i % 4) + i // 4 for i in range(WIDTH)]))


def _running_sum(b: Value, counts: Value) -> Value:
    for distance in (1, 2, 4, 8):
        moved = mask([i - distance if i >= distance else WIDTH for i in range(WIDTH)])
        counts = b.add(counts, b.shuffle_vector(counts, ir.Constant(VI, None), moved))
    return counts


def _gap(b: Value, u: Value, rate: Value, end: Value) -> Value:
    """Cells before the candidates whose words are u, `end` at most: `sparse.gaps`."""
    length = b.fmul(_minus_log(b, u), rate)
    longest = _doubles(2.0**30)
    cells = b.fptosi(b.select(b.fcmp_ordered("<", length, longest), length, longest), VI)
    return b.select(b.icmp_signed("<", cells, end), cells, end)


def _splat_word(b: Value, number: Value) -> Value:
    return splat(b, b.trunc(number, I32), VI)


def _splat_double(b: Value, scalar: Value) -> Value:
    first = b.insert_element(ir.Constant(VD, ir.Undefined), scalar, ir.Constant(I32, 0))
    return b.shuffle_vector(first, ir.Constant(VD, ir.Undefined), mask([0] * WIDTH))


@vector_pass
def encode(
    b: Value,
    h: Floats,
    weight: Floats,
    x: Floats,
    cell: Words,
    cells: Value,
    n_hidden: Value,
    lanes: Value,
) -> None:
    """h[lane, :] = sum over the active cells of weight[feature, :] value; rows of h are whole
    vectors long.
    """
    parts = _parts(b, n_hidden)
    with cgutils.for_range(b, b.mul(lanes, parts)) as v:
        store(b, ir.Constant(VF, None), h, b.mul(v.index, integer(WIDTH)))
    with cgutils.for_range(b, cells) as number:
        row, i, value = _cell(b, x, cell, number.index)
        with cgutils.for_range(b, parts) as part:
            k = b.mul(part.index, integer(WIDTH))
            at = b.add(b.mul(b.mul(row, parts), integer(WIDTH)), k)
            w = load_some(b, weight, b.add(b.mul(i, n_hidden), k), before(b, k, n_hidden))
            store(b, fma(b, w, value, load(b, h, at)), h, at)


@vector_pass
def encode_backward(
    b: Value,
    dweight: Floats,
    dh: Floats,
    x: Floats,
    cell: Words,
    cells: Value,
    n_hidden: Value,
) -> None:
    """dweight[feature, :] += value dh[lane, :] over the active cells."""
    parts = _parts(b, n_hidden)
    with cgutils.for_range(b, cells) as number:
        row, i, value = _cell(b, x, cell, number.index)
        with cgutils.for_range(b, parts) as part:
            k = b.mul(part.index, integer(WIDTH))
            source = b.add(b.mul(b.mul(row, parts), integer(WIDTH)), k)
            at = b.add(b.mul(i, n_hidden), k)
            some = before(b, k, n_hidden)
            store_some(
                b,
                fma(b, load(b, dh, source), value, load_some(b, dweight, at, some)),
                dweight,
                at,
                some,
            )


def _parts(b: Value, n_hidden: Value) -> Value:
    return b.udiv(b.add(n_hidden, integer(WIDTH - 1)), integer(WIDTH))


def _cell(b: Value, x: Value, cell: Value, number: Value) -> tuple[Value, Value, Value]:
    """Lane, feature and value (in all lanes of a vector) of an active cell: see `Buffers.cell`."""
    packed = b.zext(b.load(b.gep(cell, [number])), I64)
    lane = b.urem(packed, integer(LANES))
    feature = b.udiv(packed, integer(LANES))
    return lane, feature, splat(b, b.load(b.gep(x, [row_at(b, feature, lane)])), VF)
