"""Passes that make feature values of draws, as `data.feature_values` does, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.compiled.vectors import (
    LANES,
    VF,
    VI,
    WIDTH,
    Floats,
    Value,
    Words,
    each_vector,
    fma,
    integer,
    load,
    row_at,
    splat,
    store,
    vector_pass,
)


@vector_pass
def fill(
    b: Value,
    u: Words,
    switch: Words,
    x: Floats,
    low: Words,
    span: Words,
    shift: Words,
    scale: Floats,
    offset: Floats,
    rows: Value,
    set_size: Value,
) -> None:
    """x[row] = float32(u - shift) * scale + offset where switch - low <= span (unsigned), else 0:
    see `Cells` there.

    `switch` has one row for each set of `set_size` features.
    """
    with cgutils.for_range(b, rows) as row:
        rule = _rule(b, (low, span, shift, scale, offset), (VI, VI, VI, VF, VF), row.index)
        set_index = b.udiv(row.index, set_size)
        with each_vector(b, integer(LANES // WIDTH)) as v:
            lane = b.mul(v.index, integer(WIDTH))
            at = row_at(b, row.index, lane)
            value = feature_values(
                b, rule, load(b, u, at, VI), load(b, switch, row_at(b, set_index, lane), VI)
            )
            store(b, value, x, at)


@vector_pass
def fill_plain(b: Value, u: Words, x: Floats, low: Words, scale: Floats, rows: Value) -> None:
    """`fill` for independent unsigned features, where shift = low and offset = 0."""
    with cgutils.for_range(b, rows) as row:
        first, factor = _rule(b, (low, scale), (VI, VF), row.index)
        with each_vector(b, integer(LANES // WIDTH)) as v:
            at = row_at(b, row.index, b.mul(v.index, integer(WIDTH)))
            store(b, plain_values(b, load(b, u, at, VI), first, factor), x, at)


@vector_pass
def unit_length(b: Value, x: Floats, rows: Value) -> None:
    """Every sample of a block divided by its length; one without an active feature stays 0."""
    zero = ir.Constant(VF, None)
    one = ir.Constant(VF, [1.0] * WIDTH)
    root = cgutils.get_or_insert_function(
        b.module, ir.FunctionType(VF, [VF]), f"llvm.sqrt.v{WIDTH}f32"
    )
    lanes = [integer(lane) for lane in range(0, LANES, WIDTH)]  # side by side: a row is read once
    sums = [cgutils.alloca_once_value(b, zero) for _ in lanes]
    for total in sums:
        b.store(zero, total)
    with cgutils.for_range(b, rows) as row:
        for lane, total in zip(lanes, sums, strict=True):
            value = load(b, x, row_at(b, row.index, lane))
            b.store(fma(b, value, value, b.load(total)), total)
    for total in sums:
        square = b.load(total)
        some = b.fcmp_ordered(">", square, zero)
        b.store(b.select(some, b.fdiv(one, b.call(root, [square])), one), total)
    with cgutils.for_range(b, rows) as row:
        for lane, total in zip(lanes, sums, strict=True):
            at = row_at(b, row.index, lane)
            store(b, b.fmul(load(b, x, at), b.load(total)), x, at)


def plain_values(b: Value, u: Value, low: Value, scale: Value) -> Value:
    """Values of 16 cells of an independent unsigned feature from their draws."""
    value = b.fmul(b.uitofp(b.sub(u, low), VF), scale)
    return b.select(b.icmp_unsigned(">=", u, low), value, ir.Constant(VF, None))


def _rule(b: Value, fields: Sequence[Value], kinds: Sequence[Value], feature: Value) -> list[Value]:
    """One feature's `Cells` as vectors."""
    return [
        splat(b, b.load(b.gep(p, [feature])), kind) for p, kind in zip(fields, kinds, strict=True)
    ]


def feature_values(b: Value, rule: Sequence[Value], u: Value, switch: Value) -> Value:
    """Values of 16 cells from their draws and `Cells`."""
    low, span, shift, scale, offset = rule
    active = b.icmp_unsigned("<=", b.sub(switch, low), span)
    value = b.fadd(b.fmul(b.uitofp(b.sub(u, shift), VF), scale), offset)
    return b.select(active, value, ir.Constant(VF, None))
