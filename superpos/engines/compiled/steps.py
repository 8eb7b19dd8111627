"""Passes over parameters: clearing, copying, adding, folding, transposing, and the steps of the
optimisers.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.compiled.vectors import (
    VF,
    WIDTH,
    Floats,
    Real,
    Value,
    before,
    first_lane,
    integer,
    load,
    load_some,
    splat,
    store,
    store_some,
    sum_lanes,
    vector_pass,
)


@vector_pass
def clear(b: Value, out: Floats, count: Value) -> None:
    """out[:count] = 0; count is a multiple of WIDTH."""
    with cgutils.for_range(b, b.udiv(count, integer(WIDTH))) as v:
        store(b, ir.Constant(VF, None), out, b.mul(v.index, integer(WIDTH)))


@vector_pass
def copy(b: Value, source: Floats, out: Floats, count: Value) -> None:
    """out[:count] = source[:count]; count is a multiple of WIDTH."""
    with cgutils.for_range(b, b.udiv(count, integer(WIDTH))) as v:
        at = b.mul(v.index, integer(WIDTH))
        store(b, load(b, source, at), out, at)


@vector_pass
def add(b: Value, source: Floats, out: Floats, count: Value) -> None:
    """out[:count] += source[:count]; count is a multiple of WIDTH."""
    with cgutils.for_range(b, b.udiv(count, integer(WIDTH))) as v:
        at = b.mul(v.index, integer(WIDTH))
        store(b, b.fadd(load(b, out, at), load(b, source, at)), out, at)


@vector_pass
def fold(b: Value, sums: Floats, out: Floats, rows: Value) -> None:
    """out[row] = sum over the lanes of sums[row, 16]."""
    with cgutils.for_range(b, rows) as row:
        vector = load(b, sums, b.mul(row.index, integer(WIDTH)))
        b.store(first_lane(b, sum_lanes(b, [vector])), b.gep(out, [row.index]))


@vector_pass
def add_signs(b: Value, theta: Floats, grad: Floats, count: Value, size: Real) -> None:
    """grad[:count] += size * sign(theta[:count]), the gradient of size * sum |theta|; the sign of 0
    is 0.
    """
    zero = ir.Constant(VF, None)
    up = splat(b, size, VF)
    down = b.fsub(zero, up)
    with cgutils.for_range(b, b.udiv(b.add(count, integer(WIDTH - 1)), integer(WIDTH))) as v:
        at = b.mul(v.index, integer(WIDTH))
        some = before(b, at, count)
        w = load_some(b, theta, at, some)
        below = b.select(b.fcmp_ordered("<", w, zero), down, zero)
        slope = b.select(b.fcmp_ordered(">", w, zero), up, below)
        store_some(b, b.fadd(load_some(b, grad, at, some), slope), grad, at, some)


@vector_pass
def transpose(b: Value, weight: Floats, out: Floats, rows: Value, columns: Value) -> None:
    """out[k, i] = weight[i, k] for i < rows, k < columns."""
    with cgutils.for_range(b, rows) as i, cgutils.for_range(b, columns) as k:
        value = b.load(b.gep(weight, [b.add(b.mul(i.index, columns), k.index)]))
        b.store(value, b.gep(out, [b.add(b.mul(k.index, rows), i.index)]))


@vector_pass
def step_adam(
    b: Value,
    theta: Floats,
    first: Floats,
    second: Floats,
    grad: Floats,
    new: Floats,
    check: Floats,
    count: Value,
    decayed: Value,
    factor: Real,
    coupled: Real,
    keep: Real,
    rate: Real,
    bias2: Real,
    beta1: Real,
    rest1: Real,
    beta2: Real,
    rest2: Real,
    eps: Real,
) -> None:
    """new[3, count] = parameters and moments after a step of Adam, as `optimisers.update`.

    check = 0, or NaN if the parameters are not finite. The gradient is factor * grad + coupled *
    theta, the step keep * theta - rate * m / (sqrt(v) / bias2 + eps); rest1 is 1 - beta1, rest2 is
    1 - beta2. From parameter `decayed` on, coupled is 0 and keep is 1.
    """
    scalars = (factor, coupled, keep, rate, bias2, beta1, rest1, beta2, rest2, eps)
    factor, coupled, keep, rate, bias2, beta1, rest1, beta2, rest2, eps = (
        splat(b, s, VF) for s in scalars
    )
    root = cgutils.get_or_insert_function(
        b.module, ir.FunctionType(VF, [VF]), f"llvm.sqrt.v{WIDTH}f32"
    )

    nothing = ir.Constant(VF, None)
    whole = ir.Constant(VF, [1.0] * WIDTH)

    def step(at: Value, w: Value, g: Value) -> Value:
        held = before(b, at, decayed)
        g = b.fadd(b.fmul(factor, g), b.fmul(b.select(held, coupled, nothing), w))
        m = b.fadd(b.fmul(beta1, load(b, first, at)), b.fmul(rest1, g))
        v = b.fadd(b.fmul(beta2, load(b, second, at)), b.fmul(rest2, b.fmul(g, g)))
        store(b, m, new, b.add(count, at))
        store(b, v, new, b.add(b.add(count, count), at))
        size = b.fadd(b.fdiv(b.call(root, [v]), bias2), eps)
        return b.fsub(b.fmul(b.select(held, keep, whole), w), b.fmul(rate, b.fdiv(m, size)))

    _step(b, theta, grad, new, check, count, step)


@vector_pass
def step_sgd(
    b: Value,
    theta: Floats,
    first: Floats,
    second: Floats,
    grad: Floats,
    new: Floats,
    check: Floats,
    count: Value,
    decayed: Value,
    factor: Real,
    coupled: Real,
    lr: Real,
) -> None:
    """As `step_adam` for plain gradient descent; the moments stay as they are."""
    factor, coupled, lr = (splat(b, s, VF) for s in (factor, coupled, lr))
    nothing = ir.Constant(VF, None)

    def step(at: Value, w: Value, g: Value) -> Value:
        store(b, load(b, first, at), new, b.add(count, at))
        store(b, load(b, second, at), new, b.add(b.add(count, count), at))
        pull = b.fmul(b.select(before(b, at, decayed), coupled, nothing), w)
        return b.fsub(w, b.fmul(lr, b.fadd(b.fmul(factor, g), pull)))

    _step(b, theta, grad, new, check, count, step)


def _step(
    b: Value,
    theta: Value,
    grad: Value,
    new: Value,
    check: Value,
    count: Value,
    step: Callable[[Value, Value, Value], Value],
) -> None:
    """Apply `step(at, theta, grad)` to every vector; check = sum of x - x over the results: 0, or
    NaN.
    """
    seen = cgutils.alloca_once(b, VF)
    b.store(ir.Constant(VF, None), seen)
    with cgutils.for_range(b, b.udiv(count, integer(WIDTH))) as v:
        at = b.mul(v.index, integer(WIDTH))
        value = step(at, load(b, theta, at), load(b, grad, at))
        store(b, value, new, at)
        b.store(b.fadd(b.load(seen), b.fsub(value, value)), seen)
    b.store(first_lane(b, sum_lanes(b, [b.load(seen)])), check)
