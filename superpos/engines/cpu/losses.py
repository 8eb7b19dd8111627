"""Passes over hidden units and outputs: activations, residuals, losses and the sums of gradients."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.cpu.vectors import (
    F32,
    I32,
    QUADS,
    VD,
    VF,
    VI,
    WIDTH,
    Doubles,
    Floats,
    Value,
    add_total,
    each_vector,
    first_lane,
    fma,
    integer,
    load,
    row_at,
    splat,
    store,
    sum_lanes,
    vector_pass,
)


def least_output(b: Value, relu: Value) -> Value:
    """The least output: 0 behind a ReLU, else -inf."""
    is_relu = b.icmp_unsigned("!=", relu, integer(0))
    return splat(b, b.select(is_relu, ir.Constant(F32, 0.0), ir.Constant(F32, float("-inf"))), VF)


def inside_batch(b: Value, lane: Value, valid: Value) -> Value:
    """Which of the samples in 16 lanes come before `valid`."""
    word, quad = b.udiv(lane, integer(QUADS)), b.urem(lane, integer(QUADS))
    first = b.trunc(b.add(b.mul(quad, integer(4)), word), I32)
    sample = b.add(splat(b, first, VI), ir.Constant(VI, [4 * q for q in range(WIDTH)]))
    return b.icmp_signed("<", sample, splat(b, b.trunc(valid, I32), VI))


def output_error(b: Value, o: Value, floor: Value, target: Value, inside: Value) -> Value:
    """max(o, floor) - target, 0 for samples not inside. "o < floor" is false for NaN: NaN stays, and is seen."""
    error = b.fsub(b.select(b.fcmp_ordered("<", o, floor), floor, o), target)
    return b.select(inside, error, ir.Constant(VF, None))


def output_gradient(b: Value, o: Value, floor: Value, scaled_error: Value) -> Value:
    """The gradient of an output before its ReLU."""
    return b.select(b.fcmp_ordered(">", o, floor), scaled_error, ir.Constant(VF, None))


@vector_pass
def residual(
    b: Value,
    out: Floats,
    target: Floats,
    importance: Floats,
    bias_sums: Floats,
    loss: Doubles,
    rows: Value,
    valid: Value,
    relu: Value,
) -> None:
    """Turn outputs o into g = I (x' - target) [o > 0]; add g to bias_sums[row, 16], all I (x' - target)^2 to loss.

    x' is o, or max(o, 0) where `relu`. Samples from `valid` on add nothing.
    """
    zero, floor = ir.Constant(VF, None), least_output(b, relu)
    losses, bias = cgutils.alloca_once(b, VF), cgutils.alloca_once(b, VF)
    b.store(zero, losses)
    with cgutils.for_range(b, rows) as row:
        weight = splat(b, b.load(b.gep(importance, [row.index])), VF)
        bias_at = b.mul(row.index, integer(WIDTH))
        b.store(load(b, bias_sums, bias_at), bias)
        with each_vector(b) as v:
            lane = b.mul(v.index, integer(WIDTH))
            at = row_at(b, row.index, lane)
            o = load(b, out, at)
            error = output_error(b, o, floor, load(b, target, at), inside_batch(b, lane, valid))
            scaled = b.fmul(weight, error)
            g = output_gradient(b, o, floor, scaled)
            store(b, g, out, at)
            b.store(b.fadd(g, b.load(bias)), bias)
            b.store(fma(b, scaled, error, b.load(losses)), losses)
        store(b, b.load(bias), bias_sums, bias_at)
    add_total(b, loss, b.load(losses))


@vector_pass
def score(
    b: Value, out: Floats, target: Floats, importance: Floats, moments: Doubles, rows: Value, valid: Value, relu: Value
) -> None:
    """Add sum l and sum l^2 over the samples to moments[2], l = sum_i I_i (x' - target)^2 of one sample."""
    floor = least_output(b, relu)
    losses = cgutils.alloca_once(b, VF)
    with each_vector(b) as v:
        lane = b.mul(v.index, integer(WIDTH))
        b.store(ir.Constant(VF, None), losses)
        with cgutils.for_range(b, rows) as row:
            at = row_at(b, row.index, lane)
            error = output_error(b, load(b, out, at), floor, load(b, target, at), inside_batch(b, lane, valid))
            weight = splat(b, b.load(b.gep(importance, [row.index])), VF)
            b.store(fma(b, b.fmul(weight, error), error, b.load(losses)), losses)
        loss = b.fpext(b.load(losses), VD)
        add_total(b, moments, loss)
        add_total(b, b.gep(moments, [integer(1)]), b.fmul(loss, loss))


@vector_pass
def rectify(b: Value, h: Floats, rows: Value) -> None:
    """h = max(h, 0), keeping NaN."""
    zero = ir.Constant(VF, None)
    with cgutils.for_range(b, rows) as row, each_vector(b) as v:
        at = row_at(b, row.index, b.mul(v.index, integer(WIDTH)))
        value = load(b, h, at)
        store(b, b.select(b.fcmp_ordered("<", value, zero), zero, value), h, at)


@vector_pass
def gate(b: Value, dh: Floats, h: Floats, rows: Value) -> None:
    """dh = dh where h > 0, else 0: backward through a ReLU whose output is h."""
    zero = ir.Constant(VF, None)
    with cgutils.for_range(b, rows) as row, each_vector(b) as v:
        at = row_at(b, row.index, b.mul(v.index, integer(WIDTH)))
        store(b, b.select(b.fcmp_ordered(">", load(b, h, at), zero), load(b, dh, at), zero), dh, at)


@vector_pass
def magnitude(b: Value, x: Floats, y: Floats, rows: Value) -> None:
    """y = abs(x)."""
    absolute = cgutils.get_or_insert_function(b.module, ir.FunctionType(VF, [VF]), f"llvm.fabs.v{WIDTH}f32")
    with cgutils.for_range(b, rows) as row, each_vector(b) as v:
        at = row_at(b, row.index, b.mul(v.index, integer(WIDTH)))
        store(b, b.call(absolute, [load(b, x, at)]), y, at)


@vector_pass
def fold(b: Value, sums: Floats, out: Floats, rows: Value) -> None:
    """out[row] = sum over the lanes of sums[row, 16]."""
    with cgutils.for_range(b, rows) as row:
        vector = load(b, sums, b.mul(row.index, integer(WIDTH)))
        b.store(first_lane(b, sum_lanes(b, [vector])), b.gep(out, [row.index]))
