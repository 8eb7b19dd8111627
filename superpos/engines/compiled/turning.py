"""Passes that turn blocks: from a row for each sample to a row for each unit, and back."""

from __future__ import annotations

from collections.abc import Iterator

from numba.core import cgutils

from superpos.engines.compiled.vectors import (
    WIDTH,
    Floats,
    Value,
    integer,
    load,
    mask,
    row_at,
    store,
    vector_pass,
)


@vector_pass
def to_lanes(
    b: Value,
    rows: Floats,
    out: Floats,
    units: Value,
    vectors: Value,
    pitch: Value,
) -> None:
    """out[k, lane] = rows[lane, k]: from rows of whole vectors, `pitch` floats apart, to units."""
    for by_lane, by_unit in _tiles(b, units, vectors, pitch):
        _turn(b, (rows, by_lane), (out, by_unit))


@vector_pass
def to_rows(
    b: Value,
    lanes: Floats,
    out: Floats,
    units: Value,
    vectors: Value,
    pitch: Value,
) -> None:
    """out[lane, k] = lanes[k, lane]: the inverse of `to_lanes`."""
    for by_lane, by_unit in _tiles(b, units, vectors, pitch):
        _turn(b, (lanes, by_unit), (out, by_lane))


def _tiles(
    b: Value,
    units: Value,
    vectors: Value,
    pitch: Value,
) -> Iterator[tuple[list[Value], list[Value]]]:
    """Emit a loop over tiles of 16 lanes x 16 units: where rows begin, by lane and by unit."""
    parts = b.udiv(b.add(units, integer(WIDTH - 1)), integer(WIDTH))
    with cgutils.for_range(b, vectors) as v, cgutils.for_range(b, parts) as part:
        lane, k = (b.mul(i, integer(WIDTH)) for i in (v.index, part.index))
        by_lane = [b.add(b.mul(b.add(lane, integer(r)), pitch), k) for r in range(WIDTH)]
        yield by_lane, [row_at(b, b.add(k, integer(r)), lane) for r in range(WIDTH)]


def _turn(b: Value, source: tuple[Value, list[Value]], out: tuple[Value, list[Value]]) -> None:
    """Store a tile, given by a pointer and where its rows begin, transposed."""
    rows = _transposed(b, [load(b, source[0], at) for at in source[1]])
    for row, at in zip(rows, out[1], strict=True):
        store(b, row, out[0], at)


def _transposed(b: Value, rows: list[Value]) -> list[Value]:
    """16 vectors as the columns of 16 vectors.

    Halves are exchanged between vectors 8, 4, 2 and 1 apart.
    """
    half = WIDTH // 2
    while half:
        low = mask([i if not i & half else WIDTH + i - half for i in range(WIDTH)])
        high = mask([i + half if not i & half else WIDTH + i for i in range(WIDTH)])
        out = list(rows)
        for r in range(WIDTH):
            if not r & half:
                x = rows[r]
                y = rows[r + half]
                out[r], out[r + half] = b.shuffle_vector(x, y, low), b.shuffle_vector(x, y, high)
        rows = out
        half = half // 2
    return rows
