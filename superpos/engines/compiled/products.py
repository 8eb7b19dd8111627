"""Passes that multiply: contractions over features or hidden units, and outer products summed over
samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import TypeAlias

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.compiled.vectors import (
    LANES,
    PAIR,
    VF,
    WIDTH,
    Floats,
    Value,
    each_vector,
    fma,
    integer,
    load,
    mask,
    row_at,
    splat,
    store,
    sum_lanes,
    vector_pass,
)

_MAX_ACCUMULATORS = 16  # of 32 vector registers: the rest hold operands

Start: TypeAlias = Callable[[Value, Value, Value], Value]
"""(builder, row, lane) -> the vector that a sum begins with."""


def _each_row(start: Value) -> Start:
    """One number for each row."""
    return lambda b, row, _: splat(b, b.load(b.gep(start, [row])), VF)


def _each_lane(base: Value) -> Start:
    """What is there."""
    return lambda b, row, lane: load(b, base, row_at(b, row, lane))


def _contract_tile(
    b: Value,
    operands: tuple[Value, Value, Start, Value],
    weights: tuple[Value, Value, Value],
    first_row: Value,
    lane: Value,
    rows: int,
    width: int,
) -> None:
    """`rows` x `width` vectors of `contract`, summed in registers over `inner`.

    `weights` are the weight, and how far the next row and the next inner index are from each other
    in it.
    """
    out, source, start, inner = operands
    weight, to_row, to_inner = weights
    sums = [[cgutils.alloca_once(b, VF) for _ in range(width)] for _ in range(rows)]
    for r in range(rows):
        row = b.add(first_row, integer(r))
        for v in range(width):
            b.store(start(b, row, b.add(lane, integer(v * WIDTH))), sums[r][v])
    own = [b.gep(weight, [b.mul(b.add(first_row, integer(r)), to_row)]) for r in range(rows)]
    with cgutils.for_range(b, inner) as j:
        columns = [
            load(b, source, row_at(b, j.index, b.add(lane, integer(v * WIDTH))))
            for v in range(width)
        ]
        for r in range(rows):
            factor = splat(b, b.load(b.gep(own[r], [b.mul(j.index, to_inner)])), VF)
            for v in range(width):
                b.store(fma(b, factor, columns[v], b.load(sums[r][v])), sums[r][v])
    for r in range(rows):
        for v in range(width):
            at = row_at(b, b.add(first_row, integer(r)), b.add(lane, integer(v * WIDTH)))
            store(b, b.load(sums[r][v]), out, at)


def _remainders(b: Value, count: Value, tile: int) -> Iterator[int]:
    """Emit one branch for each remainder of `count` by `tile`; the body of the loop is the
    branch's.
    """
    rest = b.urem(count, integer(tile))
    for size in range(1, tile):
        with b.if_then(b.icmp_unsigned("==", rest, integer(size))):
            yield size


@vector_pass
def contract(
    b: Value,
    out: Floats,
    weight: Floats,
    source: Floats,
    start: Floats,
    n_rows: Value,
    inner: Value,
    vectors: Value,
) -> None:
    """out[r, :] = start[r] + sum_j weight[j, r] source[j, :], for r < n_rows and j < inner."""
    _contract(
        b, (out, source, _each_row(start), inner), (weight, integer(1), n_rows), n_rows, vectors
    )


@vector_pass
def contract_rows(
    b: Value,
    out: Floats,
    weight: Floats,
    source: Floats,
    start: Floats,
    n_rows: Value,
    inner: Value,
    vectors: Value,
    pitch: Value,
) -> None:
    """`contract` for a weight whose rows are those of the result: weight[r, j] lies at r * pitch +
    j.
    """
    _contract(
        b, (out, source, _each_row(start), inner), (weight, pitch, integer(1)), n_rows, vectors
    )


@vector_pass
def contract_onto(
    b: Value,
    out: Floats,
    weight: Floats,
    source: Floats,
    base: Floats,
    n_rows: Value,
    inner: Value,
    vectors: Value,
) -> None:
    """out[r, :] = base[r, :] + sum_j weight[j, r] source[j, :]; `base` may be `out`."""
    _contract(
        b, (out, source, _each_lane(base), inner), (weight, integer(1), n_rows), n_rows, vectors
    )


@vector_pass
def contract_rows_onto(
    b: Value,
    out: Floats,
    weight: Floats,
    source: Floats,
    base: Floats,
    n_rows: Value,
    inner: Value,
    vectors: Value,
    pitch: Value,
) -> None:
    """`contract_onto` for a weight as that of `contract_rows`."""
    _contract(
        b, (out, source, _each_lane(base), inner), (weight, pitch, integer(1)), n_rows, vectors
    )


def _contract(
    b: Value,
    operands: tuple[Value, Value, Start, Value],
    weights: tuple[Value, Value, Value],
    n_rows: Value,
    vectors: Value,
) -> None:
    def tiles(first_row: Value, lane: Value, rows: int, width: int) -> None:
        _contract_tile(b, operands, weights, first_row, lane, rows, width)

    tile = 8
    full = b.udiv(n_rows, integer(tile))
    with each_vector(b, vectors, PAIR) as v, cgutils.for_range(b, full) as t:
        tiles(b.mul(t.index, integer(tile)), b.mul(v.index, integer(PAIR * WIDTH)), tile, PAIR)
    for size in _remainders(b, n_rows, tile):
        wide = next(w for w in (8, 4, 2) if w * size <= _MAX_ACCUMULATORS)
        first_row = b.mul(full, integer(tile))
        whole = b.udiv(vectors, integer(wide))
        with cgutils.for_range(b, whole) as v:
            tiles(first_row, b.mul(v.index, integer(wide * WIDTH)), size, wide)
        if wide > PAIR:
            pairs = b.udiv(b.urem(vectors, integer(wide)), integer(PAIR))
            with cgutils.for_range(b, pairs) as v:
                pair = b.add(b.mul(whole, integer(wide)), b.mul(v.index, integer(PAIR)))
                tiles(first_row, b.mul(pair, integer(WIDTH)), size, PAIR)


def _outer_tile(
    b: Value,
    out: Value,
    pairs: Sequence[tuple[Value, Value]],
    at: tuple[Value, Value],
    shape: tuple[int, int],
    n_columns: Value,
    vectors: Value,
    pitches: tuple[Value, Value] | None,
) -> None:
    """A tile of `outer`: one chain of sums for each pair, cell and (in tiny tiles) parity of the
    vector.
    """
    rows, columns = shape
    parities = PAIR if rows * columns * len(pairs) <= _MAX_ACCUMULATORS // 4 else 1
    apart = len(pairs) if rows * columns < _MAX_ACCUMULATORS else 1
    cells = list(product(range(rows), range(columns)))
    chains = {
        (p, q, *cell): cgutils.alloca_once(b, VF)
        for p, q, cell in product(range(apart), range(parities), cells)
    }
    for chain in chains.values():
        b.store(ir.Constant(VF, None), chain)
    with each_vector(b, vectors, parities) as v:
        for q in range(parities):
            lane = b.add(b.mul(v.index, integer(parities * WIDTH)), integer(q * WIDTH))
            if pitches is not None:
                block = b.udiv(lane, integer(LANES))
                lane = b.urem(lane, integer(LANES))
            for p, (left, right) in enumerate(pairs):
                if pitches is not None:
                    left, right = (
                        b.gep(x, [b.mul(block, to)])
                        for x, to in zip((left, right), pitches, strict=True)
                    )
                xs = [load(b, left, row_at(b, b.add(at[0], integer(i)), lane)) for i in range(rows)]
                ys = [
                    load(b, right, row_at(b, b.add(at[1], integer(k)), lane))
                    for k in range(columns)
                ]
                for i, k in cells:
                    chain = chains.get((p, q, i, k), chains[0, q, i, k])
                    b.store(fma(b, xs[i], ys[k], b.load(chain)), chain)
    totals = []
    for cell in cells:
        parts = [b.load(chain) for name, chain in chains.items() if name[2:] == cell]
        while len(parts) > 1:
            parts = [b.fadd(x, y) for x, y in zip(parts[::2], parts[1::2], strict=True)]
        totals.append(parts[0])
    sums = sum_lanes(b, totals)
    for i in range(rows):
        part = b.shuffle_vector(sums, sums, mask(range(i * columns, (i + 1) * columns)))
        index = b.add(b.mul(b.add(at[0], integer(i)), n_columns), at[1])
        store(b, b.fadd(part, load(b, out, index, part.type)), out, index)


def _outer(
    b: Value,
    out: Value,
    pairs: Sequence[tuple[Value, Value]],
    n_rows: Value,
    n_columns: Value,
    vectors: Value,
    pitches: tuple[Value, Value] | None = None,
) -> None:
    tile = 4
    full = [b.udiv(n, integer(tile)) for n in (n_rows, n_columns)]
    rest = [b.mul(f, integer(tile)) for f in full]

    def columns(row: Value, rows: int) -> None:
        with cgutils.for_range(b, full[1]) as k:
            place = row, b.mul(k.index, integer(tile))
            _outer_tile(b, out, pairs, place, (rows, tile), n_columns, vectors, pitches)
        for size in _remainders(b, n_columns, tile):
            _outer_tile(b, out, pairs, (row, rest[1]), (rows, size), n_columns, vectors, pitches)

    with cgutils.for_range(b, full[0]) as i:
        columns(b.mul(i.index, integer(tile)), tile)
    for rows in _remainders(b, n_rows, tile):
        columns(rest[0], rows)


@vector_pass
def outer(
    b: Value, out: Floats, x: Floats, y: Floats, n_rows: Value, n_columns: Value, vectors: Value
) -> None:
    """out[i, k] += sum over lanes of x[i] y[k]."""
    _outer(b, out, [(x, y)], n_rows, n_columns, vectors)


@vector_pass
def outer_blocks(
    b: Value,
    out: Floats,
    x: Floats,
    y: Floats,
    n_rows: Value,
    n_columns: Value,
    vectors: Value,
    x_pitch: Value,
    y_pitch: Value,
) -> None:
    """`outer` over more lanes than a block has: blocks follow on each other, so many floats
    apart.
    """
    _outer(b, out, [(x, y)], n_rows, n_columns, vectors, (x_pitch, y_pitch))


@vector_pass
def outer_pair(
    b: Value,
    out: Floats,
    x: Floats,
    y: Floats,
    z: Floats,
    w: Floats,
    n_rows: Value,
    n_columns: Value,
    vectors: Value,
) -> None:
    """out[i, k] += sum over lanes of x[i] y[k] + z[i] w[k]: the gradient of a tied weight, from
    both its uses.
    """
    _outer(b, out, [(x, y), (z, w)], n_rows, n_columns, vectors)
