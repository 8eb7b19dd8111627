"""Passes that find the k largest positive numbers: the floor that they are above.

By bisection: of the numbers at first, and then, to come to an end, of the bits of floats, whose
order is that of positive numbers. More than k numbers are above `low`, and k at most above `high`,
which is the floor where exactly k are above it, or where no float lies between the two: of equal
numbers, either all are above the floor or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.compiled.vectors import (
    F32,
    I32,
    VF,
    VI,
    WIDTH,
    Floats,
    Value,
    integer,
    load,
    row_at,
    splat,
    store,
    vector_pass,
)

_BIT = ir.IntType(1)
_BY_VALUE = 16  # turns; numbers that are about evenly spread need fewer
_NONE = ir.Constant(VI, None)
_ONE = ir.Constant(VI, [1] * WIDTH)


@vector_pass
def lane_floors(
    b: Value,
    z: Floats,
    floors: Floats,
    latents: Value,
    k: Value,
    vectors: Value,
) -> None:
    """floors[lane]: above it are the k largest of the latents' positive z."""
    wanted = splat(b, b.trunc(k, I32), VI)
    low, high, count = (cgutils.alloca_once(b, VI) for _ in range(3))
    top = cgutils.alloca_once(b, VF)
    going = cgutils.alloca_once(b, _BIT)
    turn = cgutils.alloca_once(b, I32)
    with cgutils.for_range(b, vectors) as v:
        lane = b.mul(v.index, integer(WIDTH))
        b.store(ir.Constant(VF, None), top)
        b.store(_NONE, count)
        with cgutils.for_range(b, latents) as j:
            value = load(b, z, row_at(b, j.index, lane))
            positive = b.fcmp_ordered(">", value, ir.Constant(VF, None))
            b.store(b.select(b.fcmp_ordered(">", value, b.load(top)), value, b.load(top)), top)
            b.store(b.add(b.load(count), b.zext(positive, VI)), count)
        many = b.icmp_signed(">", b.load(count), wanted)
        b.store(_NONE, low)
        b.store(b.select(many, b.bitcast(b.load(top), VI), _NONE), high)
        b.store(_any(b, many), going)
        b.store(ir.Constant(I32, 0), turn)
        with _while(b, going):
            below = b.load(low)
            above = b.load(high)
            middle = _between(b, below, above, turn)
            level = b.bitcast(middle, VF)
            b.store(_NONE, count)
            with cgutils.for_range(b, latents) as j:
                found = b.fcmp_ordered(">", load(b, z, row_at(b, j.index, lane)), level)
                b.store(b.add(b.load(count), b.zext(found, VI)), count)
            many = b.icmp_signed(">", b.load(count), wanted)
            exact = b.icmp_signed("==", b.load(count), wanted)
            b.store(b.select(many, above, middle), high)
            b.store(b.select(many, middle, b.select(exact, middle, below)), low)
            b.store(_any(b, b.icmp_signed(">", b.sub(b.load(high), b.load(low)), _ONE)), going)
        store(b, b.bitcast(b.load(high), VF), floors, lane)


@vector_pass
def floor_of(b: Value, values: Floats, groups: Value, k: Value, floor: Floats) -> None:
    """floor[0]: above it are the k largest of the values, of which more than k are above the number
    it held before.
    """
    low, high, turn = (cgutils.alloca_once(b, I32) for _ in range(3))
    going = cgutils.alloca_once(b, _BIT)
    count = cgutils.alloca_once(b, VI)
    top = cgutils.alloca_once(b, VF)
    one = ir.Constant(I32, 1)
    wanted = b.trunc(k, I32)
    b.store(ir.Constant(VF, None), top)
    with cgutils.for_range(b, groups) as group:
        value = load(b, values, b.mul(group.index, integer(WIDTH)))
        b.store(b.select(b.fcmp_ordered(">", value, b.load(top)), value, b.load(top)), top)
    b.store(b.bitcast(b.load(floor), I32), low)
    b.store(_greatest(b, b.bitcast(b.load(top), VI)), high)
    b.store(ir.Constant(_BIT, 1), going)
    b.store(ir.Constant(I32, 0), turn)
    with _while(b, going):
        below = b.load(low)
        above = b.load(high)
        middle = _between(b, below, above, turn)
        level = splat(b, b.bitcast(middle, F32), VF)
        b.store(_NONE, count)
        with cgutils.for_range(b, groups) as group:
            found = b.fcmp_ordered(">", load(b, values, b.mul(group.index, integer(WIDTH))), level)
            b.store(b.add(b.load(count), b.zext(found, VI)), count)
        total = _sum(b, b.load(count))
        many = b.icmp_signed(">", total, wanted)
        exact = b.icmp_signed("==", total, wanted)
        b.store(b.select(many, above, middle), high)
        b.store(b.select(many, middle, b.select(exact, middle, below)), low)
        b.store(b.icmp_signed(">", b.sub(b.load(high), b.load(low)), one), going)
    b.store(b.bitcast(b.load(high), F32), floor)


def _between(b: Value, low: Value, high: Value, turn: Value) -> Value:
    """The bits of a number between two, given by theirs: half-way in value for the first turns."""
    floats = VF if low.type == VI else F32
    half = ir.Constant(floats, 0.5)
    one = ir.Constant(low.type, 1)
    if floats == VF:
        half = ir.Constant(VF, [0.5] * WIDTH)
        one = _ONE
    done = b.load(turn)
    b.store(b.add(done, ir.Constant(I32, 1)), turn)
    below = b.bitcast(low, floats)
    above = b.bitcast(high, floats)
    by_value = b.bitcast(b.fadd(below, b.fmul(half, b.fsub(above, below))), low.type)
    by_bits = b.add(low, b.lshr(b.sub(high, low), one))
    return b.select(b.icmp_signed("<", done, ir.Constant(I32, _BY_VALUE)), by_value, by_bits)


def _any(b: Value, lanes: Value) -> Value:
    return b.icmp_unsigned(
        "!=",
        b.bitcast(lanes, ir.IntType(WIDTH)),
        ir.Constant(ir.IntType(WIDTH), 0),
    )


def _lanes(b: Value, vector: Value) -> list[Value]:
    return [b.extract_element(vector, ir.Constant(I32, lane)) for lane in range(WIDTH)]


def _sum(b: Value, vector: Value) -> Value:
    lanes = _lanes(b, vector)
    total = lanes[0]
    for lane in lanes[1:]:
        total = b.add(total, lane)
    return total


def _greatest(b: Value, vector: Value) -> Value:
    lanes = _lanes(b, vector)
    best = lanes[0]
    for lane in lanes[1:]:
        best = b.select(b.icmp_signed(">", lane, best), lane, best)
    return best


@contextmanager
def _while(b: Value, going: Value) -> Iterator[None]:
    """Emit a loop that runs as long as the bit at `going` is set."""
    head, body, end = (b.append_basic_block(name) for name in ("while", "body", "end"))
    b.branch(head)
    b.position_at_end(head)
    b.cbranch(b.load(going), body, end)
    b.position_at_end(body)
    yield
    b.branch(head)
    b.position_at_end(end)
