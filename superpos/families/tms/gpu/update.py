"""The optimiser's step of one model, operation by operation as `optimisers.update`, and the test
for divergence.
"""

from __future__ import annotations

import triton
import triton.language as tl

from superpos.families.tms import FAMILY, fused

ADAMW = tl.constexpr(fused.ADAMW)
SGD = tl.constexpr(fused.SGD)
BETA1 = tl.constexpr(FAMILY.adam.beta1)
BETA2 = tl.constexpr(FAMILY.adam.beta2)
EPS = tl.constexpr(FAMILY.adam.eps)


@triton.jit
def propose(param, first, second, grad, lr, decay, unbias1, unbias2, shape: tl.constexpr):
    """Parameters and moments after a step."""
    if shape.optimizer != ADAMW:
        grad = grad + decay * param
    if shape.optimizer == SGD:
        return param - lr * grad, first, second
    first = first * BETA1 + grad * (1 - BETA1)
    second = second * BETA2 + (grad * grad) * (1 - BETA2)
    rate = (lr.to(tl.float64) / unbias1).to(tl.float32)
    direction = tl.div_rn(first, tl.div_rn(tl.sqrt_rn(second), unbias2) + EPS)
    if shape.optimizer == ADAMW:
        param = (1.0 - lr * decay) * param
    return param - rate * direction, first, second


@triton.jit
def is_finite(value):
    """Neither infinite nor NaN."""
    return tl.abs(value) < float("inf")


@triton.jit
def summed(grad, at, shape: tl.constexpr):
    """The gradient's sum over the programs that share a batch, in their order; 0 beyond the last
    parameter.
    """
    known = at < shape.params
    total = tl.load(grad + at, mask=known, other=0.0)
    for split in range(1, shape.splits):
        total += tl.load(grad + split * shape.params + at, mask=known, other=0.0)
    return total


@triton.jit
def propose_block(state, rates, model, step, grad, first, shape: tl.constexpr):
    """Parameters and moments of a block that begins at parameter `first`: as they are, and after a
    step.
    """
    at = first + tl.arange(0, shape.block)
    where = model * shape.params + at
    known = at < shape.params
    old_param = tl.load(state.theta + where, mask=known, other=0.0)
    old_first = tl.load(state.first + where, mask=known, other=0.0)
    old_second = tl.load(state.second + where, mask=known, other=0.0)
    lr = (tl.load(rates.lr + model) * tl.load(rates.factor + step)).to(tl.float32)
    decay = tl.load(rates.weight_decay + model)
    unbias1 = tl.load(rates.unbias1 + step)
    unbias2 = tl.load(rates.unbias2 + step)
    gradient = summed(grad, at, shape) * shape.factor
    new = propose(old_param, old_first, old_second, gradient, lr, decay, unbias1, unbias2, shape)
    return (old_param, old_first, old_second), new


@triton.jit
def count_broken(new, first, shape: tl.constexpr):
    """Parameters of a block that are not finite."""
    known = first + tl.arange(0, shape.block) < shape.params
    return tl.sum((known & (is_finite(new[0]) == 0)).to(tl.int32), axis=0)


@triton.jit
def keep_block(state, model, old, new, fine, first, shape: tl.constexpr):
    """Write a block after a step, or as it was where the model has diverged."""
    at = first + tl.arange(0, shape.block)
    where = model * shape.params + at
    known = at < shape.params
    tl.store(state.theta + where, tl.where(fine, new[0], old[0]), mask=known)
    if shape.optimizer != SGD:
        tl.store(state.first + where, tl.where(fine, new[1], old[1]), mask=known)
        tl.store(state.second + where, tl.where(fine, new[2], old[2]), mask=known)


@triton.jit
def update(state, rates, model, step, grad, loss, stopped, records, width, shape: tl.constexpr):
    """One step of one model from half its gradient's sum and the summed loss.

    Returns when it diverged, or -1.

    A model that diverges keeps its last finite state. The history has `width` columns, the first is
    record number `records`. Models of several blocks are gone through twice: to see whether all is
    finite, and to write.
    """
    mean = loss / shape.samples
    if shape.loss_every:
        column = step // shape.loss_every - records
        due = (stopped < 0) & (step % shape.loss_every == 0)
        tl.store(state.history + model * width + column, mean, mask=due)
    if shape.params <= shape.block:
        old, new = propose_block(state, rates, model, step, grad, 0, shape)
        fine = (stopped < 0) & (count_broken(new, 0, shape) == 0) & is_finite(mean)
        keep_block(state, model, old, new, fine, 0, shape)
    else:
        broken = 0
        for first in range(0, shape.params, shape.block):
            _, new = propose_block(state, rates, model, step, grad, first, shape)
            broken += count_broken(new, first, shape)
        fine = (stopped < 0) & (broken == 0) & is_finite(mean)
        for first in range(0, shape.params, shape.block):
            old, new = propose_block(state, rates, model, step, grad, first, shape)
            keep_block(state, model, old, new, fine, first, shape)
    return tl.where((stopped < 0) & (fine == 0), step, stopped)
