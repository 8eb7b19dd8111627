"""What is launched. Models share nothing, so the bits of one depend on no other."""

from __future__ import annotations

import triton
import triton.language as tl

from superpos.families.tms.gpu import lanes, tiles
from superpos.families.tms.gpu.update import update
from superpos.families.tms.purposes import Purpose

TRAIN = tl.constexpr(int(Purpose.TRAIN))
EVALUATE = tl.constexpr(int(Purpose.EVALUATE))


@triton.jit(do_not_specialize=["start", "stop", "records", "width"])
def train(models, state, rates, work, start, stop, records, width, shape: tl.constexpr):
    """Train small models from step `start` to `stop` in one launch. Grid: models."""
    model = tl.program_id(0).to(tl.int64)
    facts = lanes.load_facts(models, model, shape)
    theta = state.theta + model * shape.params
    grad = work.grad + model * shape.params
    stopped = tl.load(state.diverged_at + model)
    for step in range(start, stop):
        loss, sums = lanes.gradient_sums(
            models, model, facts, theta, work, model, 0, shape.samples, step, TRAIN, shape
        )
        lanes.store_sums(grad, sums, shape)
        tl.debug_barrier()  # the sums are in memory before they are read in another order
        stopped = update(state, rates, model, step, grad, loss, stopped, records, width, shape)
        tl.debug_barrier()  # and so are the weights
    tl.store(state.diverged_at + model, stopped)


@triton.jit
def gradients(models, theta, work, shape: tl.constexpr):
    """Losses, and half the gradients, of the step that each model has come to, summed.

    Grid: models, splits.
    """
    model = tl.program_id(0).to(tl.int64)
    split = tl.program_id(1)
    step = tl.load(work.clock + model)
    own = theta + model * shape.params
    slot = model * shape.splits + split
    first = split * shape.split
    last = tl.minimum((split + 1) * shape.split, shape.samples)
    if shape.lanes:
        facts = lanes.load_facts(models, model, shape)
        loss, sums = lanes.gradient_sums(
            models, model, facts, own, work, slot, first, last, step, TRAIN, shape
        )
        lanes.store_sums(work.grad + slot * shape.params, sums, shape)
        tl.store(work.loss + slot, loss)
    else:
        tiles.gradient_sums(models, model, own, work, slot, first, last, step, TRAIN, shape)


@triton.jit(do_not_specialize=["records", "width"])
def apply(state, rates, work, records, width, shape: tl.constexpr):
    """The optimiser's step of every model with what `gradients` found, in the order of the splits.

    Grid: models.
    """
    model = tl.program_id(0).to(tl.int64)
    step = tl.load(work.clock + model)
    slot = model * shape.splits
    loss = tl.load(work.loss + slot)
    for split in range(1, shape.splits):
        loss += tl.load(work.loss + slot + split)
    stopped = tl.load(state.diverged_at + model)
    stopped = update(
        state,
        rates,
        model,
        step,
        work.grad + slot * shape.params,
        loss,
        stopped,
        records,
        width,
        shape,
    )
    tl.store(state.diverged_at + model, stopped)
    tl.store(work.clock + model, step + 1)


@triton.jit(do_not_specialize=["samples"])
def evaluate(models, theta, work, moments, samples, shape: tl.constexpr):
    """sum l and sum l² of each part of the samples: moments [M, parts, 2] (float64).

    Grid: models, parts.
    """
    model = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    own = theta + model * shape.params
    slot = model * tl.num_programs(1) + part
    first = part * shape.part
    last = tl.minimum((part + 1) * shape.part, samples)
    if shape.lanes:
        facts = lanes.load_facts(models, model, shape)
        total, squares = lanes.loss_sums(
            models, model, facts, own, work, slot, first, last, 0, EVALUATE, shape
        )
    else:
        total, squares = tiles.loss_sums(
            models, model, own, work, slot, first, last, 0, EVALUATE, shape
        )
    tl.store(moments + 2 * slot, total)
    tl.store(moments + 2 * slot + 1, squares)
