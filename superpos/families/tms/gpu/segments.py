"""The sparse sampler: `data.sparse`, bit for bit, one segment of a batch at a time.

The cells of a segment lie in a grid [SEGMENT, F] in memory that holds zeros elsewhere, and holds
only zeros again when the segment is done. Only samples that a candidate fell into are built; the
others are known: x = 0.
"""

from __future__ import annotations

import math

import triton
import triton.language as tl

from superpos.families.tms.data.sparse import SEGMENT as _SEGMENT
from superpos.families.tms.gpu.draws import cell, draw
from superpos.families.tms.purposes import Purpose

SEGMENT = tl.constexpr(_SEGMENT)
SPARSE = tl.constexpr(int(Purpose.SPARSE))
LN2 = tl.constexpr(math.log(2))
ROOT = tl.constexpr(math.sqrt(0.5))
LONGEST = tl.constexpr(2.0**30)


@triton.jit
def in_order(words):
    """Four tensors [Q], word 0 ... 3 of each quad, as one [4 Q]."""
    pairs = tl.join(tl.join(words[0], words[2]), tl.join(words[1], words[3]))
    return tl.reshape(pairs, [4 * words[0].shape[0]])


@triton.jit
def minus_log(u):
    """-ln((u + 1/2) / 2^32) of 32-bit words, operation by operation as `data.sparse.minus_log`."""
    bits = ((u.to(tl.float64) + 0.5) * (2.0**-32)).to(tl.int64, bitcast=True)
    exponent = (bits >> 52) - 1022
    fraction = ((bits & 0xFFFFFFFFFFFFF) | (1022 << 52)).to(tl.float64, bitcast=True)  # in [1/2, 1)
    low = fraction < ROOT
    fraction = tl.where(low, 2 * fraction, fraction)
    exponent = (exponent - low.to(tl.int64)).to(tl.float64)
    s = (fraction - 1) / (fraction + 1)
    z = s * s
    series = tl.zeros_like(z) + 1 / 11
    series = series * z + 1 / 9
    series = series * z + 1 / 7
    series = series * z + 1 / 5
    series = series * z + 1 / 3
    series = series * z + 1
    return exponent * -LN2 - 2 * s * series


@triton.jit
def scatter(models, model, grid, flags, samples, step, stream, shape: tl.constexpr):
    """Write the candidates of a segment's first `samples` samples into the grid, and flag their
    rows.
    """
    seed = tl.load(models.seed + model)
    rate = tl.load(models.rate + model)
    own = model * shape.n_features
    size: tl.constexpr = shape.set_size if shape.set_size else 1
    columns: tl.constexpr = shape.n_features // size
    quad = tl.arange(0, shape.candidates // 4)
    row = tl.full([shape.candidates // 4], 0, tl.int32)
    before = tl.full([], -1, tl.int64)
    while before < samples * columns:
        gap = tl.minimum(
            minus_log(in_order(draw(seed, quad, row, step, stream))) * rate, LONGEST
        ).to(tl.int64)
        position = before + tl.cumsum(gap + 1, axis=0)
        before = tl.max(position, axis=0)
        known = position < samples * columns
        sample = tl.where(known, position, 0) // columns
        column = tl.where(known, position, 0) % columns
        switch = in_order(draw(seed, quad, row + 1, step, stream))
        tl.store(flags + sample, tl.full([shape.candidates], 1, tl.int32), mask=known)
        for member in tl.static_range(size):
            i = column * size + member
            word = switch
            if shape.set_size:
                word = in_order(
                    draw(seed, quad, row + 2 + (0 if shape.one_of_a_set else member), step, stream)
                )
            low = tl.load(models.low + own + i, mask=known, other=0)
            span = tl.load(models.span + own + i, mask=known, other=0)
            shift = tl.load(models.shift + own + i, mask=known, other=0)
            scale = tl.load(models.scale + own + i, mask=known, other=0.0)
            offset = tl.load(models.offset + own + i, mask=known, other=0.0)
            value = cell(word, switch, low, span, shift, scale, offset, shape)
            tl.store(grid + sample * shape.n_features + i, value, mask=known)
        quad += shape.candidates // 4


@triton.jit
def list_rows(flags, rows):
    """The flagged rows in ascending order, and their number; clears the flags."""
    i = tl.arange(0, SEGMENT)
    flag = tl.load(flags + i)
    tl.store(rows + tl.cumsum(flag, axis=0) - 1, i, mask=flag > 0)
    tl.store(flags + i, tl.full([SEGMENT], 0, tl.int32))
    return tl.sum(flag, axis=0)


@triton.jit
def draw_segment(models, model, work, slot, first, last, step, purpose, shape: tl.constexpr):
    """Build the samples first ... of a segment, `last` at most: how many are not empty.

    Their rows are in work.rows.
    """
    samples = tl.minimum(last - first, SEGMENT)
    stream = purpose + SPARSE + ((first // SEGMENT) << 8)
    flags = work.flags + slot * SEGMENT
    rows = work.rows + slot * SEGMENT
    scatter(
        models,
        model,
        work.grid + slot * SEGMENT * shape.n_features,
        flags,
        samples,
        step,
        stream,
        shape,
    )
    tl.debug_barrier()  # what one thread wrote is read by another, here and below
    count = list_rows(flags, rows)
    tl.debug_barrier()
    return count
