"""The attention of one head, forward and backward, for 16 sequences side by side: explicit vectors,
no weights.

Lanes are sequences, so every product here is elementwise in them. Work goes by tiles of 4 queries
and 4 keys, whose 16 sums stay in registers; of the triangle of tiles below the diagonal nothing
else is computed. Positions are filled up to whole tiles: those behind the end are keys that no
query sees, and queries whose gradient is 0.

Shapes: T positions, a multiple of 4; k rows of a head, a multiple of 4. Queries, keys and values
are blocks of lanes as `arrays` has them: 8 positions a block. Tile (I, J) is [4 queries, 4 keys,
16], the I (I + 1) / 2 + J-th.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from numba.core import cgutils

from superpos.engines.compiled.exponentials import exp, floats
from superpos.engines.compiled.vectors import (
    LANES,
    STRIDE,
    VF,
    WIDTH,
    Floats,
    Real,
    Value,
    fma,
    integer,
    load,
    splat,
    store,
    vector_pass,
)

TILE: Final = 4
TILE_FLOATS: Final = TILE * TILE * WIDTH
OFFSETS_BEFORE: Final = TILE - 1
"""Rows of the sums by offset that stand for keys ahead of their query, which add 0."""
_CELLS: Final = [(a, c) for a in range(TILE) for c in range(TILE)]


class _Rows(NamedTuple):
    """Queries, keys, values or outputs of a head, and how far apart their blocks are, in floats."""

    address: Value
    pitch: Value

    def at(self, b: Value, tile: Value) -> Value:
        """Address of the first position of a tile, in row 0."""
        tiles = LANES // WIDTH // TILE  # of a block
        block = b.udiv(tile, integer(tiles))
        inside = b.urem(tile, integer(tiles))
        return b.gep(
            self.address, [b.add(b.mul(block, self.pitch), b.mul(inside, integer(TILE * WIDTH)))]
        )


def _loads(b: Value, address: Value, first: int, step: int) -> list[Value]:
    return [load(b, address, integer(first + step * i)) for i in range(TILE)]


def _cell(a: int, c: int) -> int:
    """Where a cell of a tile lies."""
    return (TILE * a + c) * WIDTH


def _tile(b: Value, tiles: Value, query: Value, key: Value) -> Value:
    number = b.add(b.udiv(b.mul(query, b.add(query, integer(1))), integer(2)), key)
    return b.gep(tiles, [b.mul(number, integer(TILE_FLOATS))])


def _zeros(b: Value, count: int) -> list[Value]:
    """Vectors that begin at 0."""
    found = [cgutils.alloca_once(b, VF) for _ in range(count)]
    for vector in found:
        b.store(floats(0.0), vector)
    return found


@contextmanager
def _each_row(b: Value, rows: Value) -> Iterator[Value]:
    """A loop over rows; yields where in a block a row begins."""
    with cgutils.for_range(b, rows) as row:
        yield b.mul(row.index, integer(STRIDE))


@contextmanager
def _keys_of(b: Value, query: Value) -> Iterator[Value]:
    """A loop over the tiles of keys that a tile of queries sees."""
    with cgutils.for_range(b, b.add(query, integer(1))) as key:
        yield key.index


def _dots(b: Value, queries: Value, keys: Value, rows: Value) -> list[Value]:
    """Products of 4 positions with 4 others over the rows, one for each cell."""
    sums = _zeros(b, len(_CELLS))
    with _each_row(b, rows) as at:
        xs = _loads(b, b.gep(queries, [at]), 0, WIDTH)
        ys = _loads(b, b.gep(keys, [at]), 0, WIDTH)
        for (a, c), total in zip(_CELLS, sums, strict=True):
            b.store(fma(b, xs[a], ys[c], b.load(total)), total)
    return [b.load(total) for total in sums]


def _mix(b: Value, tiles: Value, query: Value, source: _Rows, out: _Rows, rows: Value) -> None:
    """out[r, i] = sum_j tile[i, j] source[r, j] for a tile of queries i."""
    with cgutils.for_range(b, b.udiv(rows, integer(TILE))) as group:
        at = b.mul(group.index, integer(TILE * STRIDE))
        sums = _zeros(b, len(_CELLS))
        with _keys_of(b, query) as key:
            weights = _tile(b, tiles, query, key)
            values = b.gep(source.at(b, key), [at])
            for c in range(TILE):
                ps = _loads(b, weights, _cell(0, c), _cell(1, 0))
                xs = _loads(b, values, c * WIDTH, STRIDE)
                for (r, a), total in zip(_CELLS, sums, strict=True):
                    b.store(fma(b, ps[a], xs[r], b.load(total)), total)
        _put(b, sums, b.gep(out.at(b, query), [at]))


def _mix_back(
    b: Value, tiles: Value, key: Value, last: Value, source: _Rows, out: _Rows, rows: Value
) -> None:
    """out[r, j] = sum_i tile[i, j] source[r, i] for a tile of keys j, over tiles of queries before
    `last`.
    """
    with cgutils.for_range(b, b.udiv(rows, integer(TILE))) as group:
        at = b.mul(group.index, integer(TILE * STRIDE))
        sums = _zeros(b, len(_CELLS))
        with cgutils.for_range(b, last, start=key) as query:
            weights = _tile(b, tiles, query.index, key)
            values = b.gep(source.at(b, query.index), [at])
            for a in range(TILE):
                ps = _loads(b, weights, _cell(a, 0), WIDTH)
                xs = _loads(b, values, a * WIDTH, STRIDE)
                for (r, c), total in zip(_CELLS, sums, strict=True):
                    b.store(fma(b, ps[c], xs[r], b.load(total)), total)
        _put(b, sums, b.gep(out.at(b, key), [at]))


def _put(b: Value, sums: list[Value], address: Value) -> None:
    """Store the sums of 4 rows at 4 positions."""
    for (r, a), total in zip(_CELLS, sums, strict=True):
        store(b, b.load(total), address, integer(r * STRIDE + a * WIDTH))


def _change(b: Value, tile: Value, change: Callable[[int, Value], Value]) -> None:
    """Replace every cell of a tile by `change(query, cell)`."""
    for a, c in _CELLS:
        at = integer(_cell(a, c))
        store(b, change(a, load(b, tile, at)), tile, at)


@vector_pass
def attend(
    b: Value,
    q: Floats,
    k: Floats,
    v: Floats,
    z: Floats,
    tiles: Floats,
    by_offset: Floats,
    rows: Value,
    query_tiles: Value,
    q_pitch: Value,
    k_pitch: Value,
    v_pitch: Value,
    scale: Real,
) -> None:
    """tiles = softmax(scale q k + by_offset[i - j]) over keys j <= i, z = tiles v; by_offset is [T]
    floats.

    What lies in the 3 floats before by_offset is read and not used.
    """
    queries = _Rows(q, q_pitch)
    keys = _Rows(k, k_pitch)
    values = _Rows(v, v_pitch)
    out = _Rows(z, v_pitch)
    factor = splat(b, scale, VF)
    with cgutils.for_range(b, query_tiles) as loop:
        query = loop.index
        most = _zeros(b, TILE)
        for vector in most:
            b.store(floats(float("-inf")), vector)
        with _keys_of(b, query) as key:
            tile = _tile(b, tiles, query, key)
            products = _dots(b, queries.at(b, query), keys.at(b, key), rows)
            apart = b.mul(b.sub(query, key), integer(TILE))
            extra = {
                offset: splat(b, b.load(b.gep(by_offset, [b.add(apart, integer(offset))])), VF)
                for offset in range(1 - TILE, TILE)
            }
            on_diagonal = b.icmp_signed("==", query, key)
            for (a, c), product in zip(_CELLS, products, strict=True):
                score = fma(b, product, factor, extra[a - c])
                if c > a:
                    score = b.select(on_diagonal, floats(float("-inf")), score)
                highest = b.load(most[a])
                b.store(b.select(b.fcmp_ordered(">", score, highest), score, highest), most[a])
                store(b, score, tile, integer(_cell(a, c)))
        highest = [b.load(vector) for vector in most]
        sums = _zeros(b, TILE)

        def exponential(a: int, score: Value) -> Value:
            found = exp(b, b.fsub(score, highest[a]))
            b.store(b.fadd(b.load(sums[a]), found), sums[a])
            return found

        with _keys_of(b, query) as key:
            _change(b, _tile(b, tiles, query, key), exponential)
        shares = [b.fdiv(floats(1.0), b.load(total)) for total in sums]
        with _keys_of(b, query) as key:
            _change(b, _tile(b, tiles, query, key), lambda a, found: b.fmul(found, shares[a]))
        _mix(b, tiles, query, values, out, rows)


@vector_pass
def attend_backward(
    b: Value,
    q: Floats,
    k: Floats,
    v: Floats,
    dz: Floats,
    tiles: Floats,
    dq: Floats,
    dk: Floats,
    dv: Floats,
    scores: Floats,
    sums_by_offset: Floats,
    rows: Value,
    query_tiles: Value,
    q_pitch: Value,
    k_pitch: Value,
    v_pitch: Value,
    dk_pitch: Value,
    scale: Real,
) -> None:
    """Gradients of q, k and v from that of z: with p the tiles and dp = dz v, ds = p (dp - sum_j p
    dp).

    sums_by_offset[3 + i - j] += ds, a vector for each offset; `scores` is room for tiles.
    """
    factor = splat(b, scale, VF)
    queries = _Rows(q, q_pitch)
    keys = _Rows(k, k_pitch)
    values = _Rows(v, v_pitch)
    given = _Rows(dz, v_pitch)
    with cgutils.for_range(b, query_tiles) as loop:
        query = loop.index
        means = _zeros(b, TILE)
        with _keys_of(b, query) as key:
            weights = _tile(b, tiles, query, key)
            tile = _tile(b, scores, query, key)
            found = _dots(b, given.at(b, query), values.at(b, key), rows)
            for (a, c), product in zip(_CELLS, found, strict=True):
                p = load(b, weights, integer(_cell(a, c)))
                b.store(fma(b, p, product, b.load(means[a])), means[a])
                store(b, product, tile, integer(_cell(a, c)))
        mean = [b.load(vector) for vector in means]
        with _keys_of(b, query) as key:
            weights = _tile(b, tiles, query, key)
            tile = _tile(b, scores, query, key)
            offsets: dict[int, Value] = {}
            for a, c in _CELLS:
                at = integer(_cell(a, c))
                ds = b.fmul(load(b, weights, at), b.fsub(load(b, tile, at), mean[a]))
                store(b, b.fmul(ds, factor), tile, at)
                offsets[a - c] = b.fadd(offsets[a - c], ds) if a - c in offsets else ds
            apart = b.mul(b.sub(query, key), integer(TILE * WIDTH))
            place = b.gep(sums_by_offset, [apart])
            for offset, total in offsets.items():
                at = integer((offset + OFFSETS_BEFORE) * WIDTH)
                store(b, b.fadd(load(b, place, at), total), place, at)
        _mix(b, scores, query, keys, _Rows(dq, q_pitch), rows)
    with cgutils.for_range(b, query_tiles) as loop:
        _mix_back(b, scores, loop.index, query_tiles, queries, _Rows(dk, dk_pitch), rows)
        _mix_back(b, tiles, loop.index, query_tiles, given, _Rows(dv, v_pitch), rows)


@vector_pass
def smear(
    b: Value,
    k: Floats,
    out: Floats,
    rows: Value,
    positions: Value,
    pitch: Value,
    out_pitch: Value,
    own: Real,
    rest: Real,
) -> None:
    """out[:, t] = own k[:, t] + rest k[:, t - 1]; the first position is its own predecessor."""
    share = splat(b, own, VF)
    other = splat(b, rest, VF)
    with _positions(b, positions) as (now, before), _each_row(b, rows) as at:
        here, there = (load(b, k, b.add(_place(b, t, pitch), at)) for t in (now, before))
        value = b.fadd(b.fmul(here, share), b.fmul(there, other))
        store(b, value, out, b.add(_place(b, now, out_pitch), at))


@vector_pass
def smear_backward(
    b: Value,
    k: Floats,
    grad: Floats,
    dk: Floats,
    sums: Floats,
    rows: Value,
    positions: Value,
    pitch: Value,
    grad_pitch: Value,
    own: Real,
    rest: Real,
) -> None:
    """dk from the gradient of smeared keys; sums[16] += grad (k[:, t] - k[:, t - 1])."""
    share = splat(b, own, VF)
    other = splat(b, rest, VF)
    total = cgutils.alloca_once_value(b, load(b, sums, integer(0)))
    with _positions(b, positions) as (now, before), _each_row(b, rows) as at:
        g = load(b, grad, b.add(_place(b, now, grad_pitch), at))
        where, earlier = (b.add(_place(b, t, pitch), at) for t in (now, before))
        step = b.fsub(load(b, k, where), load(b, k, earlier))
        b.store(fma(b, g, step, b.load(total)), total)
        store(b, b.fmul(g, share), dk, where)
        store(b, fma(b, g, other, load(b, dk, earlier)), dk, earlier)
    store(b, b.load(total), sums, integer(0))


def _place(b: Value, position: Value, pitch: Value) -> Value:
    """Where a position lies in row 0 of blocks that are `pitch` floats apart."""
    in_block = LANES // WIDTH
    block = b.udiv(position, integer(in_block))
    inside = b.urem(position, integer(in_block))
    return b.add(b.mul(block, pitch), b.mul(inside, integer(WIDTH)))


@contextmanager
def _positions(b: Value, positions: Value) -> Iterator[tuple[Value, Value]]:
    """A loop over positions, each with the one before it; the first is its own."""
    with cgutils.for_range(b, positions) as loop:
        first = b.icmp_signed("==", loop.index, integer(0))
        yield loop.index, b.select(first, loop.index, b.sub(loop.index, integer(1)))
