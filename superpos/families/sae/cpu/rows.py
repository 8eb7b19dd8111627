"""The optimiser's step of the rows of one latent, while its gradient is in the innermost cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from llvmlite import ir
from numba.core import cgutils

from superpos.engines.compiled.vectors import (
    F32,
    VF,
    WIDTH,
    Floats,
    Real,
    Value,
    first_lane,
    fma,
    integer,
    load,
    splat,
    store,
    sum_lanes,
    vector_pass,
)


class _Adam(NamedTuple):
    """Numbers of a step, in all lanes of a vector each."""

    factor: Value
    coupled: Value
    keep: Value
    rate: Value
    unbias2: Value  # 1 / bias2
    beta1: Value
    rest1: Value
    beta2: Value
    rest2: Value
    eps: Value


@vector_pass
def step_row(
    b: Value,
    old: Floats,
    new: Floats,
    pitch: Value,
    grad: Floats,
    less: Real,
    direction: Floats,
    unit: Value,
    check: Floats,
    parts: Value,
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
    """A step of Adam of one row: row and moments lie `pitch` floats apart, in `old` and in `new`.

    The gradient is factor * (grad - less * direction) + coupled * row, the step that of
    `optimisers.update` with bias2 = sqrt(1 - beta2^t). A `unit` row has its gradient
    projected on the tangent first (direction is the row itself, less is then their product), and is
    normalised after the step. check += 0, or NaN if the row is not finite.
    """
    unbias2 = b.fdiv(ir.Constant(F32, 1.0), bias2)
    scalars = (factor, coupled, keep, rate, unbias2, beta1, rest1, beta2, rest2, eps)
    adam = _Adam(*(splat(b, s, VF) for s in scalars))
    is_unit = b.icmp_signed("!=", unit, integer(0))
    share = _amount(b, grad, less, direction, unit, parts)
    first = b.gep(old, [pitch])
    second = b.gep(old, [b.add(pitch, pitch)])
    new_first = b.gep(new, [pitch])
    new_second = b.gep(new, [b.add(pitch, pitch)])
    root = _root(b)

    def stepped(place: Value) -> Value:
        w = load(b, old, place)
        g = b.fsub(load(b, grad, place), b.fmul(share, load(b, direction, place)))
        g = b.fadd(b.fmul(adam.factor, g), b.fmul(adam.coupled, w))
        m = b.fadd(b.fmul(adam.beta1, load(b, first, place)), b.fmul(adam.rest1, g))
        v = b.fadd(b.fmul(adam.beta2, load(b, second, place)), b.fmul(adam.rest2, b.fmul(g, g)))
        store(b, m, new_first, place)
        store(b, v, new_second, place)
        size = b.fadd(b.fmul(b.call(root, [v]), adam.unbias2), adam.eps)
        w = b.fsub(b.fmul(adam.keep, w), b.fmul(adam.rate, b.fdiv(m, size)))
        store(b, w, new, place)
        return b.fmul(w, w)

    norm2 = _sum_over(b, parts, stepped)
    b.store(b.fadd(b.load(check), b.fsub(norm2, norm2)), check)
    with b.if_then(is_unit):
        inverse = b.fdiv(ir.Constant(F32, 1.0), b.call(_scalar_root(b), [norm2]))
        scale = splat(b, inverse, VF)
        with cgutils.for_range(b, parts) as part:
            place = b.mul(part.index, integer(WIDTH))
            store(b, b.fmul(load(b, new, place), scale), new, place)
        b.store(b.fadd(b.load(check), b.fsub(inverse, inverse)), check)


def _root(b: Value) -> Value:
    return cgutils.get_or_insert_function(
        b.module,
        ir.FunctionType(VF, [VF]),
        f"llvm.sqrt.v{WIDTH}f32",
    )


def _scalar_root(b: Value) -> Value:
    return cgutils.get_or_insert_function(b.module, ir.FunctionType(F32, [F32]), "llvm.sqrt.f32")


def _sum_over(b: Value, parts: Value, term: Callable[[Value], Value]) -> Value:
    """The sum of the lanes of term(place) over a row."""
    total = cgutils.alloca_once(b, VF)
    b.store(ir.Constant(VF, None), total)
    with cgutils.for_range(b, parts) as part:
        b.store(b.fadd(b.load(total), term(b.mul(part.index, integer(WIDTH)))), total)
    return first_lane(b, sum_lanes(b, [b.load(total)]))


@vector_pass
def dot_row(
    b: Value,
    x: Floats,
    y: Floats,
    out: Floats,
    start: Real,
    sign: Real,
    parts: Value,
) -> None:
    """out = start + sign * x . y."""
    product = _sum_over(b, parts, lambda place: b.fmul(load(b, x, place), load(b, y, place)))
    b.store(b.fadd(start, b.fmul(sign, product)), out)


@vector_pass
def add_scaled(b: Value, x: Floats, out: Floats, scale: Real, parts: Value) -> None:
    """out += scale * x."""
    factor = splat(b, scale, VF)
    with cgutils.for_range(b, parts) as part:
        place = b.mul(part.index, integer(WIDTH))
        store(b, fma(b, factor, load(b, x, place), load(b, out, place)), out, place)


@vector_pass
def put_gradient(
    b: Value,
    grad: Floats,
    less: Real,
    direction: Floats,
    unit: Value,
    out: Floats,
    factor: Real,
    parts: Value,
) -> None:
    """out = the gradient that `step_row` makes of the same, without weight decay."""
    share = _amount(b, grad, less, direction, unit, parts)
    scale = splat(b, factor, VF)
    with cgutils.for_range(b, parts) as part:
        place = b.mul(part.index, integer(WIDTH))
        rest = b.fsub(load(b, grad, place), b.fmul(share, load(b, direction, place)))
        store(b, b.fmul(scale, rest), out, place)


def _amount(
    b: Value,
    grad: Value,
    less: Value,
    direction: Value,
    unit: Value,
    parts: Value,
) -> Value:
    """How much of the direction a gradient loses: `less`, or its product with a unit direction."""
    amount = cgutils.alloca_once_value(b, less)
    with b.if_then(b.icmp_signed("!=", unit, integer(0))):
        b.store(
            _sum_over(
                b,
                parts,
                lambda place: b.fmul(load(b, grad, place), load(b, direction, place)),
            ),
            amount,
        )
    return splat(b, b.load(amount), VF)
