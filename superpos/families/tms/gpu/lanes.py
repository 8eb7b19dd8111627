"""Small models: everything in registers.

Shapes: B quads of samples, S lanes, J pieces, H hidden; feature i = j S + s. A value of each
feature is a tuple of J tensors [B, S], a weight matrix one of J H; values that all lanes of a
sample share are [B, S] as well.
"""

from __future__ import annotations

import triton
import triton.language as tl

from superpos.families.tms.gpu.draws import SETS, cell, draw
from superpos.families.tms.gpu.segments import SEGMENT, draw_segment


@triton.jit
def quad_numbers(shape: tl.constexpr):
    """0 ... B - 1 down the rows [B, S]."""
    return tl.arange(0, shape.quads)[:, None] + tl.full([shape.quads, shape.lanes], 0, tl.int32)


@triton.jit
def lane_numbers(shape: tl.constexpr):
    """0 ... S - 1 along the rows [B, S]."""
    return tl.arange(0, shape.lanes)[None, :] + tl.full([shape.quads, shape.lanes], 0, tl.int32)


@triton.jit
def load_features(pointer, shape: tl.constexpr):
    """A number of each feature; 0 beyond the last."""
    lane = lane_numbers(shape)
    values = ()
    for j in tl.static_range(shape.pieces):
        i = lane + j * shape.lanes
        values = values + (tl.load(pointer + i, mask=i < shape.n_features, other=0),)
    return values


@triton.jit
def load_weights(pointer, shape: tl.constexpr):
    """A weight matrix [F, H]; 0 beyond the last feature."""
    lane = lane_numbers(shape)
    values = ()
    for j in tl.static_range(shape.pieces):
        i = lane + j * shape.lanes
        for k in tl.static_range(shape.n_hidden):
            at = pointer + i * shape.n_hidden + k
            values = values + (tl.load(at, mask=i < shape.n_features, other=0),)
    return values


@triton.jit
def zeros(count: tl.constexpr, shape: tl.constexpr):
    """Sums before the first term."""
    values = ()
    for _ in tl.static_range(count):
        values = values + (tl.full([shape.quads, shape.lanes], 0, tl.float32),)
    return values


@triton.jit
def over_lanes(value, shape: tl.constexpr):
    """The sum over a sample's lanes, for each of them."""
    if shape.lanes > 1:
        total = tl.sum(value, axis=1, keep_dims=True)
        return tl.broadcast_to(total, [shape.quads, shape.lanes])
    return value


@triton.jit
def load_facts(models, model, shape: tl.constexpr):
    """What training does not change: the seed, the importances and `feature_values.Cells`."""
    at = model * shape.n_features
    low = load_features(models.low + at, shape)
    span = load_features(models.span + at, shape)
    shift = load_features(models.shift + at, shape)
    rules = (
        low,
        span,
        shift,
        load_features(models.scale + at, shape),
        load_features(models.offset + at, shape),
    )
    return tl.load(models.seed + model), load_features(models.importance + at, shape), rules


@triton.jit
def draw_features(seed, quad, step, purpose, shape: tl.constexpr):
    """Four words of each feature, and the four that decide."""
    words = ()
    switches = ()
    lane = lane_numbers(shape)
    for j in tl.static_range(shape.pieces):
        i = lane + j * shape.lanes
        words = words + (draw(seed, quad, i, step, purpose),)
        if shape.set_size:
            switches = switches + (draw(seed, quad, i // shape.set_size, step, purpose + SETS),)
    if shape.set_size:
        return words, switches
    return words, words


@triton.jit
def inputs(words, switches, rules, word: tl.constexpr, shape: tl.constexpr):
    """x of one of the four samples."""
    low, span, shift, scale, offset = rules
    x = ()
    for j in tl.static_range(shape.pieces):
        u = words[j][word]
        switch = switches[j][word]
        x = x + (cell(u, switch, low[j], span[j], shift[j], scale[j], offset[j], shape),)
    return x


@triton.jit
def relu(value):
    """max(value, 0), NaN kept."""
    return tl.maximum(value, 0.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def contract(values, weights, shape: tl.constexpr):
    """sum_i values_i weights_ik for every hidden unit k."""
    sums = ()
    for k in tl.static_range(shape.n_hidden):
        total = values[0] * weights[k]
        for j in tl.static_range(1, shape.pieces):
            total = tl.fma(values[j], weights[j * shape.n_hidden + k], total)
        sums = sums + (over_lanes(total, shape),)
    return sums


@triton.jit
def forward(x, encoder, decoder, bias, shape: tl.constexpr):
    """h and o = W2 h + b."""
    h = contract(x, encoder, shape)
    if shape.relu_hidden:
        rectified = ()
        for k in tl.static_range(shape.n_hidden):
            rectified = rectified + (relu(h[k]),)
        h = rectified
    o = ()
    for j in tl.static_range(shape.pieces):
        total = bias[j]
        for k in tl.static_range(shape.n_hidden):
            total = tl.fma(h[k], decoder[j * shape.n_hidden + k], total)
        o = o + (total,)
    return h, o


@triton.jit
def residuals(x, o, importance, valid, loss, shape: tl.constexpr):
    """The loss so far and this sample's, and g: half the derivative by o."""
    g = ()
    for j in tl.static_range(shape.pieces):
        target = tl.abs(x[j]) if shape.absolute else x[j]
        out = relu(o[j]) if shape.relu_output else o[j]
        error = tl.where(valid, out - target, 0.0)
        weighted = importance[j] * error
        loss = tl.fma(weighted, error, loss)
        if shape.relu_output:
            weighted = tl.where(o[j] > 0, weighted, 0.0)
        g = g + (weighted,)
    return loss, g


@triton.jit
def outer(sums, left, right, shape: tl.constexpr):
    """sums_ik + left_i right_k."""
    added = ()
    for j in tl.static_range(shape.pieces):
        for k in tl.static_range(shape.n_hidden):
            added = added + (tl.fma(left[j], right[k], sums[j * shape.n_hidden + k]),)
    return added


@triton.jit
def backward(x, h, g, decoder, sums, shape: tl.constexpr):
    """The sums of the gradients (encoder's, decoder's if untied, bias's) with this sample's
    added.
    """
    dh = contract(g, decoder, shape)
    if shape.relu_hidden:
        gated = ()
        for k in tl.static_range(shape.n_hidden):
            gated = gated + (tl.where(h[k] > 0, dh[k], 0.0),)
        dh = gated
    first, second, biases = sums
    first = outer(first, x, dh, shape)
    if shape.tied:
        first = outer(first, g, h, shape)
    else:
        second = outer(second, g, h, shape)
    added = ()
    for j in tl.static_range(shape.pieces):
        added = added + (biases[j] + g[j],)
    return first, second, added


@triton.jit
def load_params(theta, shape: tl.constexpr):
    """Encoder, decoder and bias of the model whose parameters begin at `theta`."""
    encoder = load_weights(theta, shape)
    decoder = encoder
    if not shape.tied:
        decoder = load_weights(theta + shape.n_features * shape.n_hidden, shape)
    return encoder, decoder, load_features(theta + shape.weights, shape)


@triton.jit
def take_features(grid, row, valid, shape: tl.constexpr):
    """x of a row of the sparse sampler's grid, which holds zeros afterwards; 0 where not
    `valid`.
    """
    lane = lane_numbers(shape)
    x = ()
    for j in tl.static_range(shape.pieces):
        i = lane + j * shape.lanes
        at = grid + row * shape.n_features + i
        known = valid & (i < shape.n_features)
        x = x + (tl.load(at, mask=known, other=0.0),)
        tl.store(at, tl.full([shape.quads, shape.lanes], 0, tl.float32), mask=known)
    return x


@triton.jit
def empty_sample(bias, importance, shape: tl.constexpr):
    """Loss and g of a sample without active features, where h = 0 and o = b; each thread's share,
    in the first row.
    """
    nothing = zeros(shape.pieces, shape)
    return residuals(nothing, bias, importance, quad_numbers(shape) == 0, nothing[0], shape)


@triton.jit
def gradient_sums(
    models, model, facts, theta, work, slot, first, last, step, purpose, shape: tl.constexpr
):
    """Loss and half its gradient, summed over the samples first ... last - 1; `first` is a multiple
    of four.
    """
    seed, importance, rules = facts
    encoder, decoder, bias = load_params(theta, shape)
    loss = tl.full([shape.quads, shape.lanes], 0, tl.float32)
    dw1 = zeros(shape.pieces * shape.n_hidden, shape)
    dw2 = zeros(0 if shape.tied else shape.pieces * shape.n_hidden, shape)
    db = zeros(shape.pieces, shape)
    if shape.sparse:
        filled = 0
        for begin in range(first, last, SEGMENT):
            count = draw_segment(models, model, work, slot, begin, last, step, purpose, shape)
            filled += count
            for at in range(0, count, shape.quads):
                number = at + quad_numbers(shape)
                valid = number < count
                row = tl.load(work.rows + slot * SEGMENT + number, mask=valid, other=0)
                x = take_features(work.grid + slot * SEGMENT * shape.n_features, row, valid, shape)
                h, o = forward(x, encoder, decoder, bias, shape)
                loss, g = residuals(x, o, importance, valid, loss, shape)
                dw1, dw2, db = backward(x, h, g, decoder, (dw1, dw2, db), shape)
            tl.debug_barrier()  # the grid is empty before the next segment
        empty = (last - first - filled).to(tl.float32)
        own, g = empty_sample(bias, importance, shape)
        loss = tl.fma(own, empty, loss)
        added = ()
        for j in tl.static_range(shape.pieces):
            added = added + (tl.fma(g[j], empty, db[j]),)
        db = added
    else:
        for at in range(first // 4, tl.cdiv(last, 4), shape.quads):
            quad = at + quad_numbers(shape)
            words, switches = draw_features(seed, quad, step, purpose, shape)
            for word in tl.static_range(4):
                x = inputs(words, switches, rules, word, shape)
                h, o = forward(x, encoder, decoder, bias, shape)
                loss, g = residuals(x, o, importance, 4 * quad + word < last, loss, shape)
                dw1, dw2, db = backward(x, h, g, decoder, (dw1, dw2, db), shape)
    return tl.sum(tl.sum(loss, axis=1), axis=0), dw1 + dw2 + db


@triton.jit
def stack(values, shape: tl.constexpr):
    """A lane's sums, tensors [B, S], as one [B, S, K]; K is a power of two, zeros fill the end."""
    nothing = tl.full([shape.quads, shape.lanes], 0, tl.float32)
    for _ in tl.static_range(shape.padded_sums - shape.sums):
        values = values + (nothing,)
    # each joins the first half's tensors with the second's
    for level in tl.static_range(shape.levels):
        joined = ()
        for v in tl.static_range(shape.padded_sums >> (level + 1)):
            joined = joined + (tl.join(values[v], values[v + (shape.padded_sums >> (level + 1))]),)
        values = joined
    return tl.reshape(values[0], [shape.quads, shape.lanes, shape.padded_sums])


@triton.jit
def store_sums(pointer, sums, shape: tl.constexpr):
    """Sum over all quads, at once, and write in the order of the parameters."""
    matrix: tl.constexpr = shape.pieces * shape.n_hidden
    total = tl.sum(stack(sums, shape), axis=0)  # [S, K]
    lane = tl.arange(0, shape.lanes)[:, None]
    v = tl.arange(0, shape.padded_sums)[None, :]
    second = (v >= matrix) & (not shape.tied)
    in_matrix = v - tl.where(second, matrix, 0)
    biases: tl.constexpr = shape.sums - shape.pieces
    is_bias = v >= biases
    i = lane + shape.lanes * tl.where(is_bias, v - biases, in_matrix // shape.n_hidden)
    weight = (
        i * shape.n_hidden
        + in_matrix % shape.n_hidden
        + tl.where(second, shape.n_features * shape.n_hidden, 0)
    )
    tl.store(
        pointer + tl.where(is_bias, shape.weights + i, weight),
        total,
        mask=(i < shape.n_features) & (v < shape.sums),
    )


@triton.jit
def sample_losses(x, valid, encoder, decoder, bias, importance, shape: tl.constexpr):
    """l of each sample, for each of its lanes (float64); 0 where not `valid`."""
    _, o = forward(x, encoder, decoder, bias, shape)
    nothing = tl.full([shape.quads, shape.lanes], 0, tl.float32)
    loss, _ = residuals(x, o, importance, valid, nothing, shape)
    return over_lanes(loss, shape).to(tl.float64)


@triton.jit
def loss_sums(
    models, model, facts, theta, work, slot, first, last, step, purpose, shape: tl.constexpr
):
    """sum l and sum l² (float64) over the samples first ... last - 1."""
    seed, importance, rules = facts
    encoder, decoder, bias = load_params(theta, shape)
    total = tl.full([shape.quads, shape.lanes], 0, tl.float64)
    squares = tl.full([shape.quads, shape.lanes], 0, tl.float64)
    if shape.sparse:
        filled = 0
        for begin in range(first, last, SEGMENT):
            count = draw_segment(models, model, work, slot, begin, last, step, purpose, shape)
            filled += count
            for at in range(0, count, shape.quads):
                number = at + quad_numbers(shape)
                valid = number < count
                row = tl.load(work.rows + slot * SEGMENT + number, mask=valid, other=0)
                x = take_features(work.grid + slot * SEGMENT * shape.n_features, row, valid, shape)
                loss = sample_losses(x, valid, encoder, decoder, bias, importance, shape)
                total += loss
                squares += loss * loss
            tl.debug_barrier()  # the grid is empty before the next segment
        own, _ = empty_sample(bias, importance, shape)
        loss = over_lanes(own, shape).to(tl.float64)
        empty = (last - first - filled).to(tl.float64)
        total += empty * loss
        squares += empty * (loss * loss)
    else:
        for at in range(first // 4, tl.cdiv(last, 4), shape.quads):
            quad = at + quad_numbers(shape)
            words, switches = draw_features(seed, quad, step, purpose, shape)
            for word in tl.static_range(4):
                x = inputs(words, switches, rules, word, shape)
                valid = 4 * quad + word < last
                loss = sample_losses(x, valid, encoder, decoder, bias, importance, shape)
                total += loss
                squares += loss * loss
    first_lane = tl.arange(0, shape.lanes) == 0  # all lanes of a sample hold the same
    total = tl.where(first_lane, tl.sum(total, axis=0), 0.0)
    return tl.sum(total, axis=0), tl.sum(tl.where(first_lane, tl.sum(squares, axis=0), 0.0), axis=0)
