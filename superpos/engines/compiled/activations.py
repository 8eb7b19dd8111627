"""Passes over hidden units or outputs: a ReLU and its backward."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.compiled.vectors import (
    VF,
    WIDTH,
    Floats,
    Value,
    each_vector,
    integer,
    load,
    row_at,
    store,
    vector_pass,
)


@vector_pass
def rectify(b: Value, h: Floats, rows: Value, vectors: Value) -> None:
    """h = max(h, 0), keeping NaN."""
    zero = ir.Constant(VF, None)
    with cgutils.for_range(b, rows) as row, each_vector(b, vectors) as v:
        at = row_at(b, row.index, b.mul(v.index, integer(WIDTH)))
        value = load(b, h, at)
        store(b, b.select(b.fcmp_ordered("<", value, zero), zero, value), h, at)


@vector_pass
def gate(b: Value, dh: Floats, h: Floats, rows: Value, vectors: Value) -> None:
    """dh = dh where h > 0, else 0: backward through a ReLU whose output is h."""
    zero = ir.Constant(VF, None)
    with cgutils.for_range(b, rows) as row, each_vector(b, vectors) as v:
        at = row_at(b, row.index, b.mul(v.index, integer(WIDTH)))
        store(b, b.select(b.fcmp_ordered(">", load(b, h, at), zero), load(b, dh, at), zero), dh, at)
