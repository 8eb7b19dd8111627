"""Larger models: matrix products of tiles, a block of samples at a time.

Shapes: R samples of a block, C features of a tile, H hidden (padded to a power of two). x and g of
a block are kept in memory that stays in cache. Products are "tf32x3": three products of 11-bit
halves, nearly float32; sums are float32.
"""

from __future__ import annotations

import triton
import triton.language as tl

from superpos.families.tms.gpu.draws import SETS, cell, draw
from superpos.families.tms.gpu.segments import SEGMENT, draw_segment

PRECISION = tl.constexpr("tf32x3")


@triton.jit
def product(left, right):
    """A matrix product, nearly as exact as in float32."""
    return tl.dot(left, right, input_precision=PRECISION)


@triton.jit
def load_weight(pointer, first, shape: tl.constexpr):
    """The tile [C, H] of a weight matrix that begins at feature `first`; 0 beyond the end."""
    i = first + tl.arange(0, shape.columns)[:, None]
    k = tl.arange(0, shape.padded_hidden)[None, :]
    return tl.load(
        pointer + i * shape.n_hidden + k,
        mask=(i < shape.n_features) & (k < shape.n_hidden),
        other=0.0,
    )


@triton.jit
def load_block(pointer, first, shape: tl.constexpr):
    """x or g of a block, at the features that begin at `first` [R, C]; 0 beyond the end."""
    row = tl.arange(0, shape.rows)[:, None]
    i = first + tl.arange(0, shape.columns)[None, :]
    return tl.load(pointer + row * shape.n_features + i, mask=i < shape.n_features, other=0.0)


@triton.jit
def load_column(pointer, first, shape: tl.constexpr):
    """Numbers of the features of a tile [1, C]; 0 beyond the end."""
    i = first + tl.arange(0, shape.columns)[None, :]
    return tl.load(pointer + i, mask=i < shape.n_features, other=0)


@triton.jit
def draw_block(models, model, x, at, step, purpose, shape: tl.constexpr):
    """Write the inputs of the samples at ... at + R - 1; `at` is a multiple of four."""
    seed = tl.load(models.seed + model)
    own = model * shape.n_features
    row = tl.arange(0, shape.rows // 4)[:, None] + tl.full(
        [shape.rows // 4, shape.columns], 0, tl.int32
    )
    for first in range(0, shape.n_features, shape.columns):
        i = (
            first
            + tl.arange(0, shape.columns)[None, :]
            + tl.full([shape.rows // 4, shape.columns], 0, tl.int32)
        )
        low = load_column(models.low + own, first, shape)
        span = load_column(models.span + own, first, shape)
        shift = load_column(models.shift + own, first, shape)
        scale = load_column(models.scale + own, first, shape)
        offset = load_column(models.offset + own, first, shape)
        words = draw(seed, at // 4 + row, i, step, purpose)
        switches = words
        if shape.set_size:
            switches = draw(seed, at // 4 + row, i // shape.set_size, step, purpose + SETS)
        for word in tl.static_range(4):
            value = cell(words[word], switches[word], low, span, shift, scale, offset, shape)
            tl.store(x + (4 * row + word) * shape.n_features + i, value, mask=i < shape.n_features)
    tl.debug_barrier()


@triton.jit
def encode(theta, x, shape: tl.constexpr):
    """h = W1^T x [R, H]."""
    h = tl.full([shape.rows, shape.padded_hidden], 0, tl.float32)
    for first in range(0, shape.n_features, shape.columns):
        h += product(load_block(x, first, shape), load_weight(theta, first, shape))
    if shape.relu_hidden:
        h = tl.maximum(h, 0.0, propagate_nan=tl.PropagateNan.ALL)
    return h


@triton.jit
def residual(models, model, theta, x, h, weight, first, left, shape: tl.constexpr):
    """Loss of each cell of a tile, and g: half the derivative by the outputs; each [R, C].

    `left` samples are left.
    """
    o = product(h, tl.trans(weight)) + load_column(theta + shape.weights, first, shape)
    target = load_block(x, first, shape)
    if shape.absolute:
        target = tl.abs(target)
    out = o
    if shape.relu_output:
        out = tl.maximum(o, 0.0, propagate_nan=tl.PropagateNan.ALL)
    error = tl.where(tl.arange(0, shape.rows)[:, None] < left, out - target, 0.0)
    g = load_column(models.importance + model * shape.n_features, first, shape) * error
    loss = g * error
    if shape.relu_output:
        g = tl.where(o > 0, g, 0.0)
    return loss, g


@triton.jit
def decode(models, model, theta, x, g, h, left, shape: tl.constexpr):
    """Write g of a block; its losses [R, C] summed over tiles, and dh = W2^T g [R, H]."""
    decoder = theta + (shape.weights - shape.n_features * shape.n_hidden)
    row = tl.arange(0, shape.rows)[:, None]
    losses = tl.full([shape.rows, shape.columns], 0, tl.float32)
    dh = tl.full([shape.rows, shape.padded_hidden], 0, tl.float32)
    for first in range(0, shape.n_features, shape.columns):
        weight = load_weight(decoder, first, shape)
        loss, own = residual(models, model, theta, x, h, weight, first, left, shape)
        losses += loss
        dh += product(own, weight)
        i = first + tl.arange(0, shape.columns)[None, :]
        tl.store(g + row * shape.n_features + i, own, mask=i < shape.n_features)
    tl.debug_barrier()
    if shape.relu_hidden:
        dh = tl.where(h > 0, dh, 0.0)
    return losses, dh


@triton.jit
def add_weight(pointer, first, value, fresh, shape: tl.constexpr):
    """Add a tile [C, H] to sums in memory; what is there counts for nothing where they are
    `fresh`.
    """
    i = first + tl.arange(0, shape.columns)[:, None]
    k = tl.arange(0, shape.padded_hidden)[None, :]
    at = pointer + i * shape.n_hidden + k
    known = (i < shape.n_features) & (k < shape.n_hidden)
    before = tl.load(at, mask=known, other=0.0)
    tl.store(at, tl.where(fresh, 0.0, before) + value, mask=known)


@triton.jit
def add_gradients(grad, x, g, h, dh, fresh, shape: tl.constexpr):
    """Add a block's gradients of all parameters to their sums in memory."""
    for first in range(0, shape.n_features, shape.columns):
        from_x = product(tl.trans(load_block(x, first, shape)), dh)
        own = load_block(g, first, shape)
        from_g = product(tl.trans(own), h)
        if shape.tied:
            add_weight(grad, first, from_x + from_g, fresh, shape)
        else:
            add_weight(grad, first, from_x, fresh, shape)
            add_weight(grad + shape.n_features * shape.n_hidden, first, from_g, fresh, shape)
        i = first + tl.arange(0, shape.columns)
        at = grad + shape.weights + i
        known = i < shape.n_features
        before = tl.load(at, mask=known, other=0.0)
        tl.store(at, tl.where(fresh, 0.0, before) + tl.sum(own, axis=0), mask=known)
    tl.debug_barrier()  # nothing of this block is read when the next is written


@triton.jit
def take_rows(work, slot, at, left, shape: tl.constexpr):
    """Move rows of the sparse sampler's grid, which holds zeros afterwards, into a block; zeros
    beyond `left`.
    """
    x = work.x + slot * shape.rows * shape.n_features
    grid = work.grid + slot * SEGMENT * shape.n_features
    number = tl.arange(0, shape.rows)[:, None]
    row = tl.load(work.rows + slot * SEGMENT + at + number, mask=number < left, other=0)
    for first in range(0, shape.n_features, shape.columns):
        i = first + tl.arange(0, shape.columns)[None, :]
        from_grid = grid + row * shape.n_features + i
        known = i < shape.n_features
        value = tl.load(from_grid, mask=known & (number < left), other=0.0)
        tl.store(x + number * shape.n_features + i, value, mask=known)
        tl.store(
            from_grid,
            tl.full([shape.rows, shape.columns], 0, tl.float32),
            mask=known & (number < left),
        )
    tl.debug_barrier()


@triton.jit
def segment_samples(models, model, work, slot, begin, last, step, purpose, shape: tl.constexpr):
    """Samples of a segment that are gone through: all, or those the sparse sampler has built."""
    if shape.sparse:
        return draw_segment(models, model, work, slot, begin, last, step, purpose, shape)
    return tl.minimum(last - begin, SEGMENT)


@triton.jit
def make_block(models, model, work, slot, begin, at, count, step, purpose, shape: tl.constexpr):
    """The inputs of R of a segment's samples, in work.x."""
    if shape.sparse:
        take_rows(work, slot, at, count - at, shape)
    else:
        draw_block(
            models,
            model,
            work.x + slot * shape.rows * shape.n_features,
            begin + at,
            step,
            purpose,
            shape,
        )


@triton.jit
def empty_cells(models, model, theta, first, shape: tl.constexpr):
    """Losses and g of a tile's features [C] in a sample without active features, where h = 0 and o
    = b.

    Where a ReLU is flat, x' is the target, so that g is 0.
    """
    i = first + tl.arange(0, shape.columns)
    o = tl.load(theta + shape.weights + i, mask=i < shape.n_features, other=0.0)
    out = o
    if shape.relu_output:
        out = tl.maximum(o, 0.0, propagate_nan=tl.PropagateNan.ALL)
    g = (
        tl.load(
            models.importance + model * shape.n_features + i, mask=i < shape.n_features, other=0.0
        )
        * out
    )
    return g * out, g


@triton.jit
def add_empty(models, model, theta, bias, empty, shape: tl.constexpr):
    """Add what `empty` samples without active features have to the sums for the bias; their
    loss.
    """
    losses = tl.full([shape.columns], 0, tl.float32)
    for first in range(0, shape.n_features, shape.columns):
        loss, g = empty_cells(models, model, theta, first, shape)
        losses += loss
        i = first + tl.arange(0, shape.columns)
        before = tl.load(bias + i, mask=i < shape.n_features, other=0.0)
        tl.store(bias + i, tl.fma(g, empty, before), mask=i < shape.n_features)
    return tl.sum(losses, axis=0) * empty


@triton.jit
def gradient_sums(
    models, model, theta, work, slot, first, last, step, purpose, shape: tl.constexpr
):
    """Sum the loss of the samples first ... last - 1, and half its gradient, into slot `slot` of
    `work`.
    """
    x = work.x + slot * shape.rows * shape.n_features
    g = work.g + slot * shape.rows * shape.n_features
    grad = work.grad + slot * shape.params
    losses = tl.full([shape.rows, shape.columns], 0, tl.float32)
    gone = 0
    for begin in range(first, last, SEGMENT):
        count = segment_samples(models, model, work, slot, begin, last, step, purpose, shape)
        gone += count
        # at least once: the sums must be written
        for at in range(0, tl.maximum(count, 1), shape.rows):
            make_block(models, model, work, slot, begin, at, count, step, purpose, shape)
            h = encode(theta, x, shape)
            own, dh = decode(models, model, theta, x, g, h, count - at, shape)
            losses += own
            add_gradients(grad, x, g, h, dh, begin + at == first, shape)
    loss = tl.sum(tl.sum(losses, axis=1), axis=0)
    if shape.sparse:
        empty = (last - first - gone).to(tl.float32)
        loss += add_empty(models, model, theta, grad + shape.weights, empty, shape)
    tl.store(work.loss + slot, loss)


@triton.jit
def loss_sums(models, model, theta, work, slot, first, last, step, purpose, shape: tl.constexpr):
    """sum l and sum l² (float64) over the samples first ... last - 1."""
    x = work.x + slot * shape.rows * shape.n_features
    decoder = theta + (shape.weights - shape.n_features * shape.n_hidden)
    total = tl.full([shape.rows], 0, tl.float64)
    squares = tl.full([shape.rows], 0, tl.float64)
    gone = 0
    for begin in range(first, last, SEGMENT):
        count = segment_samples(models, model, work, slot, begin, last, step, purpose, shape)
        gone += count
        for at in range(0, count, shape.rows):
            make_block(models, model, work, slot, begin, at, count, step, purpose, shape)
            h = encode(theta, x, shape)
            losses = tl.full([shape.rows, shape.columns], 0, tl.float32)
            for feature in range(0, shape.n_features, shape.columns):
                weight = load_weight(decoder, feature, shape)
                own, _ = residual(models, model, theta, x, h, weight, feature, count - at, shape)
                losses += own
            tl.debug_barrier()  # nothing of this block is read when the next is written
            loss = tl.sum(losses, axis=1).to(tl.float64)
            total += loss
            squares += loss * loss
    empty = (last - first - gone).to(tl.float64)
    losses = tl.full([shape.columns], 0, tl.float32)
    for feature in range(0, shape.n_features, shape.columns):
        own, _ = empty_cells(models, model, theta, feature, shape)
        losses += own
    loss = tl.sum(losses, axis=0).to(tl.float64)
    return tl.sum(total, axis=0) + empty * loss, tl.sum(squares, axis=0) + empty * (loss * loss)
