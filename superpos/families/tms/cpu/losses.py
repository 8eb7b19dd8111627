"""Passes over hidden units and outputs: activations, residuals, losses and the sums of
gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.compiled.inside import is_inside
from superpos.engines.compiled.vectors import (
    F32,
    F64,
    LANES,
    VD,
    VF,
    WIDTH,
    Doubles,
    Floats,
    Real,
    Value,
    Words,
    add_total,
    before,
    each_vector,
    fma,
    integer,
    load,
    load_some,
    row_at,
    splat,
    store,
    store_some,
    vector_pass,
)

_VB = ir.VectorType(ir.IntType(1), WIDTH)


def least_output(b: Value, relu: Value) -> Value:
    """The least output: 0 behind a ReLU, else -inf."""
    is_relu = b.icmp_unsigned("!=", relu, integer(0))
    return splat(b, b.select(is_relu, ir.Constant(F32, 0.0), ir.Constant(F32, float("-inf"))), VF)


def is_above(b: Value, o: Value, floor: Value) -> Value:
    """Which outputs their ReLU lets through; NaN too: it stays, and is seen."""
    return b.fcmp_unordered(">", o, floor)


def output_error(
    b: Value, o: Value, above: Value, floor: Value, target: Value, inside: Value
) -> Value:
    """max(o, floor) - target, 0 for samples not inside."""
    return b.select(inside, b.fsub(b.select(above, o, floor), target), ir.Constant(VF, None))


def powered(b: Value, error: Value, power: Value) -> Value:
    """error |error|^(power - 2): the derivative of |error|^power / power, for the powers 2, 3 and
    4.
    """
    size = magnitude_of(b, error)
    linear = splat(b, b.icmp_unsigned("==", power, integer(2)), _VB)
    cubic = splat(b, b.icmp_unsigned("==", power, integer(3)), _VB)
    factor = b.select(
        linear, ir.Constant(VF, [1.0] * WIDTH), b.select(cubic, size, b.fmul(size, size))
    )
    return b.fmul(error, factor)


def magnitude_of(b: Value, x: Value) -> Value:
    """abs(x) of a vector."""
    absolute = cgutils.get_or_insert_function(
        b.module, ir.FunctionType(VF, [VF]), f"llvm.fabs.v{WIDTH}f32"
    )
    return b.call(absolute, [x])


def output_gradient(b: Value, above: Value, scaled_error: Value) -> Value:
    """The gradient of an output before its ReLU."""
    return b.select(above, scaled_error, ir.Constant(VF, None))


@vector_pass
def residual(
    b: Value,
    out: Floats,
    target: Floats,
    importance: Floats,
    bias_sums: Floats,
    loss: Doubles,
    inside: Words,
    rows: Value,
    relu: Value,
    vectors: Value,
) -> None:
    """Turn outputs o into g = I (x' - target) [o > 0]; add g to bias_sums[row, 16], all I (x' -
    target)^2 to loss.

    x' is o, or max(o, 0) where `relu`. Lanes that are not inside add nothing.
    """
    _residual(
        b,
        (out, target, importance, bias_sums, loss, inside),
        rows,
        relu,
        vectors,
        lambda error: error,
    )


@vector_pass
def residual_of_power(
    b: Value,
    out: Floats,
    target: Floats,
    importance: Floats,
    bias_sums: Floats,
    loss: Doubles,
    inside: Words,
    rows: Value,
    relu: Value,
    vectors: Value,
    power: Value,
) -> None:
    """As `residual` for sums of I |x' - target|^power, of which g is the derivative over the
    power.
    """
    pointers = (out, target, importance, bias_sums, loss, inside)
    _residual(b, pointers, rows, relu, vectors, lambda error: powered(b, error, power))


def _residual(
    b: Value,
    pointers: Sequence[Value],
    rows: Value,
    relu: Value,
    vectors: Value,
    derivative: Callable[[Value], Value],
) -> None:
    """Both of them: `derivative` is that of the loss by the error, over the power."""
    out, target, importance, bias_sums, loss, inside = pointers
    zero = ir.Constant(VF, None)
    floor = least_output(b, relu)
    losses = cgutils.alloca_once(b, VF)
    bias = cgutils.alloca_once(b, VF)
    b.store(zero, losses)
    with cgutils.for_range(b, rows) as row:
        weight = splat(b, b.load(b.gep(importance, [row.index])), VF)
        bias_at = b.mul(row.index, integer(WIDTH))
        b.store(load(b, bias_sums, bias_at), bias)
        with each_vector(b, vectors) as v:
            lane = b.mul(v.index, integer(WIDTH))
            at = row_at(b, row.index, lane)
            o = load(b, out, at)
            above = is_above(b, o, floor)
            error = output_error(
                b, o, above, floor, load(b, target, at), is_inside(b, inside, lane)
            )
            scaled = b.fmul(weight, derivative(error))
            g = output_gradient(b, above, scaled)
            store(b, g, out, at)
            b.store(b.fadd(g, b.load(bias)), bias)
            b.store(fma(b, scaled, error, b.load(losses)), losses)
        store(b, b.load(bias), bias_sums, bias_at)
    add_total(b, loss, b.load(losses))


@vector_pass
def score(
    b: Value,
    out: Floats,
    target: Floats,
    importance: Floats,
    moments: Doubles,
    inside: Words,
    rows: Value,
    relu: Value,
    vectors: Value,
) -> None:
    """Add sum l and sum l^2 over the samples to moments[2], l = sum_i I_i (x' - target)^2 of one
    sample.
    """
    floor = least_output(b, relu)
    losses = cgutils.alloca_once(b, VF)
    with each_vector(b, vectors) as v:
        lane = b.mul(v.index, integer(WIDTH))
        b.store(ir.Constant(VF, None), losses)
        with cgutils.for_range(b, rows) as row:
            at = row_at(b, row.index, lane)
            o = load(b, out, at)
            error = output_error(
                b, o, is_above(b, o, floor), floor, load(b, target, at), is_inside(b, inside, lane)
            )
            weight = splat(b, b.load(b.gep(importance, [row.index])), VF)
            b.store(fma(b, b.fmul(weight, error), error, b.load(losses)), losses)
        loss = b.fpext(b.load(losses), VD)
        add_total(b, moments, loss)
        add_total(b, b.gep(moments, [integer(1)]), b.fmul(loss, loss))


@vector_pass
def magnitude(b: Value, x: Floats, y: Floats, rows: Value) -> None:
    """y = abs(x)."""
    _each_cell(b, x, y, rows, lambda value: magnitude_of(b, value))


@vector_pass
def positive_part(b: Value, x: Floats, y: Floats, rows: Value) -> None:
    """y = max(x, 0)."""
    zero = ir.Constant(VF, None)
    _each_cell(b, x, y, rows, lambda value: b.select(b.fcmp_ordered(">", value, zero), value, zero))


def _each_cell(
    b: Value, x: Value, y: Value, rows: Value, changed: Callable[[Value], Value]
) -> None:
    """y = changed(x), in all lanes of a block."""
    with cgutils.for_range(b, rows) as row, each_vector(b, integer(LANES // WIDTH)) as v:
        at = row_at(b, row.index, b.mul(v.index, integer(WIDTH)))
        store(b, changed(load(b, x, at)), y, at)


@vector_pass
def empty_samples(
    b: Value,
    bias: Floats,
    importance: Floats,
    grad: Floats,
    loss: Doubles,
    samples: Real,
    rows: Value,
    relu: Value,
    power: Value,
) -> None:
    """What samples without an active feature add: outputs o = b and targets 0. loss is set to that
    of one of them.

    `power` is that of the errors, as in `residual_of_power`.
    """
    zero = ir.Constant(VF, None)
    floor = least_output(b, relu)
    count = splat(b, samples, VF)
    losses = cgutils.alloca_once(b, VF)
    b.store(zero, losses)
    with cgutils.for_range(b, b.udiv(b.add(rows, integer(WIDTH - 1)), integer(WIDTH))) as v:
        row = b.mul(v.index, integer(WIDTH))
        some = before(b, row, rows)
        o = load_some(b, bias, row, some)
        above = is_above(b, o, floor)
        error = output_error(b, o, above, floor, zero, some)
        scaled = b.fmul(load_some(b, importance, row, some), powered(b, error, power))
        g = output_gradient(b, above, scaled)
        store_some(b, fma(b, count, g, load_some(b, grad, row, some)), grad, row, some)
        b.store(fma(b, scaled, error, b.load(losses)), losses)
    b.store(ir.Constant(F64, 0.0), loss)
    add_total(b, loss, b.load(losses))
