"""The compiled loop: one call trains groups of models that share their draws.

Shapes: G models of the group, F features, H hidden, P parameters of a model (flat, in the order of
`Structure.param_shapes`). The derivation of the gradients and the memory layout stand in
`engines/README.md`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from superpos.engines.compiled import activations, inside, philox, products, steps, turning
from superpos.engines.compiled.barrier import wait
from superpos.engines.compiled.scalars import float_at, put_float, put_word, word_at
from superpos.engines.compiled.vectors import LANES, PAIR, QUADS, STRIDE, WIDTH
from superpos.families.tms.cpu import feature_values, gaps, losses, tiny
from superpos.families.tms.cpu.arrays import At, Buffers, Crew, Models, Rates, Shape, Trained, Work
from superpos.families.tms.cpu.cache import KERNELS
from superpos.families.tms.cpu.gaps import CANDIDATES
from superpos.families.tms.data.sparse import SEGMENT
from superpos.families.tms.fused import ABS, ADAM, IDENTITY, RELU, SGD
from superpos.families.tms.purposes import Purpose
from superpos.family import Adam
from superpos.maths.streams import WORD

TRAIN = 0
GRADIENTS = 1
SCORE = 2
SQUARE = 2  # the power of errors that has a pass of its own, and that of every evaluation
SETS = int(Purpose.SETS)
SPARSE = int(Purpose.SPARSE)
# What the scan of a thread holds: the first sample of the block or of the segment; of the sparse
# sampler, candidates of the segment that are taken and drawn, and active cells of the block.
FIRST = 0
TAKEN = 1
DRAWN = 2
ACTIVE = 3
ZERO = np.float32(0)
ONE = np.float32(1)
FLOAT, DOUBLE = 4, 8  # bytes
VECTORS = LANES // WIDTH  # of a block of draws


@KERNELS.inlined
def group_at(models: Models, state: Trained, work: Work, start: int, stop: int) -> At:
    """Addresses of the models start ... stop - 1, in arrays that the caller keeps alive."""
    row = start * models.low.shape[1] * FLOAT
    params = state.theta.shape[1]
    return At(
        start,
        stop - start,
        params,
        models.low.ctypes.data + row,
        models.span.ctypes.data + row,
        models.shift.ctypes.data + row,
        models.scale.ctypes.data + row,
        models.offset.ctypes.data + row,
        models.importance.ctypes.data + row,
        state.theta.ctypes.data + start * params * FLOAT,
        state.moments.ctypes.data + start * 2 * DOUBLE,
        work.transposed.ctypes.data,
        work.grad.ctypes.data,
        work.sums.ctypes.data,
        work.loss.ctypes.data,
        models.key[start, 0],
        models.key[start, 1],
        models.rate.ctypes.data + start * DOUBLE,
        models.uniform[start],
    )


@KERNELS.inlined
def next_dense(
    shape: Shape, s: Buffers, at: At, purpose: int, step: int, scan: NDArray[np.int64], stop: int
) -> int:
    """Draw the next block of a part, shared by all models of the group; its lanes, 0 behind the
    last sample.
    """
    sample = scan[FIRST]
    if sample >= stop:
        return 0
    whole = VECTORS // 4
    philox.draw((s.u, shape.n_features, whole, sample, step, purpose, at.key_low, at.key_high))
    if shape.sets:
        philox.draw(
            (s.switch, shape.sets, whole, sample, step, purpose + SETS, at.key_low, at.key_high)
        )
    inside.mark_quads((s.inside, shape.samples - sample))
    scan[FIRST] += LANES
    return LANES


@KERNELS.compiled
def next_sparse(
    shape: Shape, s: Buffers, at: At, purpose: int, step: int, scan: NDArray[np.int64], stop: int
) -> int:
    """Fill s.x with the next samples of a part that have a candidate; how many there are, at most
    LANES, or 0.

    The active cells are listed in s.cell. A block lies in one segment.
    """
    columns = shape.n_features // shape.members
    cells = 0
    lane = -1
    row = -1
    while scan[FIRST] < stop and lane < 0:
        samples = min(shape.samples - scan[FIRST], SEGMENT)
        stream = purpose + SPARSE + (scan[FIRST] // SEGMENT << 8)
        candidate = scan[TAKEN]
        drawn = scan[DRAWN]
        while True:
            if candidate == drawn:
                next_candidates(shape, s, at, stream, step, drawn, samples * columns)
                drawn += CANDIDATES
            k = candidate & (CANDIDATES - 1)
            sample = word_at(s.sample, k)
            if sample >= samples:
                scan[FIRST] += SEGMENT
                candidate = drawn = 0
                break
            if sample != row:
                if lane == LANES - 1:
                    break
                lane += 1
                row = sample
            if at.uniform:
                cells = put_cell(shape, s, word_at(s.column, k), lane, float_at(s.value, k), cells)
            else:
                cells = put_members(shape, s, at, k, lane, cells)
            candidate += 1
        scan[TAKEN] = candidate
        scan[DRAWN] = drawn
        scan[ACTIVE] = cells
    inside.mark((s.inside, lane + 1))
    return lane + 1


@KERNELS.inlined
def next_candidates(
    shape: Shape, s: Buffers, at: At, purpose: int, step: int, candidate: int, end: int
) -> None:
    """Draw CANDIDATES from `candidate` on; s.sample and s.column hold those before."""
    columns = shape.n_features // shape.members
    last = CANDIDATES - 1
    position = -1
    if candidate:
        position = word_at(s.sample, last) * columns + word_at(s.column, last)
    philox.draw((s.u, shape.words, 1, candidate, step, purpose, at.key_low, at.key_high))
    rules = (at.low, at.span, at.shift, at.scale, at.offset)
    gaps.locate((s.u, s.sample, s.column, s.value, *rules, at.rate, position, end, columns))


@KERNELS.inlined
def put_members(shape: Shape, s: Buffers, at: At, k: int, lane: int, cells: int) -> int:
    """`put_cell` for the active members of the set that is candidate k, or for a feature, by its
    own rule.
    """
    word = (k & 3) * QUADS + (k >> 2)
    switch = word_at(s.u, STRIDE + word)
    u = switch
    for member in range(shape.members):
        feature = word_at(s.column, k) * shape.members + member
        if (switch - word_at(at.low, feature)) & WORD <= word_at(at.span, feature):
            if shape.sets:
                u = word_at(s.u, (2 + member % (shape.words - 2)) * STRIDE + word)
            value = np.float32((u - word_at(at.shift, feature)) & WORD) * float_at(
                at.scale, feature
            )
            cells = put_cell(shape, s, feature, lane, value + float_at(at.offset, feature), cells)
    return cells


@KERNELS.inlined
def put_cell(
    shape: Shape, s: Buffers, feature: int, lane: int, value: np.float32, cells: int
) -> int:
    """Enter an active cell into the block and its list; how many there are then."""
    at = feature * STRIDE + lane
    put_float(s.x, at, value)
    if shape.target == ABS:
        put_float(s.y, at, abs(value))
    elif shape.target == RELU:
        put_float(s.y, at, max(value, ZERO))
    put_word(s.cell, cells, feature * LANES + lane)
    return cells + 1


@KERNELS.inlined
def clear_block(shape: Shape, s: Buffers, cells: int) -> None:
    """Take the cells of a sparse block out again: s.x and s.y are zero between blocks."""
    for number in range(cells):
        cell = word_at(s.cell, number)
        at = (cell // LANES) * STRIDE + cell % LANES
        put_float(s.x, at, ZERO)
        if shape.target != IDENTITY:
            put_float(s.y, at, ZERO)


@KERNELS.inlined
def fill(shape: Shape, s: Buffers, at: At, model: int) -> None:
    """x, and the target where it is another, from the draws of one block."""
    n = shape.n_features
    f = model * shape.n_features * FLOAT
    if shape.plain:
        feature_values.fill_plain((s.u, s.x, at.low + f, at.scale + f, n))
    else:
        rules = (at.low + f, at.span + f, at.shift + f, at.scale + f, at.offset + f)
        feature_values.fill((s.u, s.switch, s.x, *rules, n, shape.members))
    if shape.finite:
        feature_values.unit_length((s.x, n))
    if shape.target == ABS:
        losses.magnitude((s.x, s.y, n))
    elif shape.target == RELU:
        losses.positive_part((s.x, s.y, n))


@KERNELS.inlined
def filled_up(count: int) -> int:
    """A number of floats, filled up to whole vectors."""
    return (count + WIDTH - 1) // WIDTH * WIDTH


@KERNELS.inlined
def forward(shape: Shape, s: Buffers, at: At, model: int, vectors: int, cells: int) -> None:
    """h = W1^T x and o = W2 h + b for one block of one model; o lands in s.g."""
    n = shape.n_features
    m = shape.n_hidden
    w1 = at.theta + model * at.params * FLOAT
    bias = w1 + n * m * FLOAT * (1 if shape.tied else 2)
    if shape.by_cells:
        gaps.encode((s.hidden, w1, s.x, s.cell, cells, m, vectors * WIDTH))
        turning.to_lanes((s.hidden, s.h, m, vectors, filled_up(m)))
    else:
        products.contract((s.h, w1, s.x, s.zeros, m, n, vectors))
    if shape.relu_hidden:
        activations.rectify((s.h, m, vectors))
    products.contract((s.g, at.transposed + model * n * m * FLOAT, s.h, bias, n, m, vectors))


@KERNELS.inlined
def backward(
    shape: Shape, s: Buffers, at: At, model: int, row: int, vectors: int, cells: int
) -> None:
    """Add one block's gradients of the weights, from the outputs' gradient in s.g."""
    n = shape.n_features
    m = shape.n_hidden
    decoder = 0 if shape.tied else n * m * FLOAT
    dw1 = at.grad + row * at.params * FLOAT
    products.contract(
        (s.dh, at.theta + model * at.params * FLOAT + decoder, s.g, s.zeros, m, n, vectors)
    )
    if shape.relu_hidden:
        activations.gate((s.dh, s.h, m, vectors))
    if shape.by_cells:
        turning.to_rows((s.dh, s.hidden, m, vectors, filled_up(m)))
        gaps.encode_backward((dw1, s.hidden, s.x, s.cell, cells, m))
    elif not shape.tied:
        products.outer((dw1, s.x, s.dh, n, m, vectors))
    if shape.tied and not shape.by_cells:
        products.outer_pair((dw1, s.g, s.h, s.x, s.dh, n, m, vectors))
    else:
        products.outer((dw1 + decoder, s.g, s.h, n, m, vectors))


@KERNELS.compiled
def block(
    shape: Shape, s: Buffers, at: At, model: int, row: int, vectors: int, cells: int, scoring: bool
) -> None:
    """Add one block's losses and gradients of one model to their sums' `row`, or its scores to the
    moments.
    """
    n = shape.n_features
    m = shape.n_hidden
    relu = shape.relu_output
    theta = at.theta + model * at.params * FLOAT
    f = model * n * FLOAT
    importance = at.importance + f
    loss = at.loss + row * DOUBLE
    sums = at.sums + row * shape.sum_rows * WIDTH * FLOAT
    if shape.tiny and not scoring:
        if shape.sparse:
            tiny.tiny_filled((s.x, importance, theta, sums, loss, s.inside, relu, n, m, vectors))
        else:
            tiny.tiny(
                (s.u, at.low + f, at.scale + f, importance, theta, sums, loss, s.inside, relu, n, m)
            )
        return
    if not shape.sparse:
        fill(shape, s, at, model)
    forward(shape, s, at, model, vectors, cells)
    if scoring:
        losses.score(
            (s.g, s.y, importance, at.moments + model * 2 * DOUBLE, s.inside, n, relu, vectors)
        )
    else:
        if shape.power == SQUARE:
            losses.residual((s.g, s.y, importance, sums, loss, s.inside, n, relu, vectors))
        else:
            losses.residual_of_power(
                (s.g, s.y, importance, sums, loss, s.inside, n, relu, vectors, shape.power)
            )
        backward(shape, s, at, model, row, vectors, cells)


@KERNELS.inlined
def add_part(
    shape: Shape,
    s: Buffers,
    at: At,
    purpose: int,
    step: int,
    part: int,
    scan: NDArray[np.int64],
    mode: int,
    work: Work,
) -> None:
    """Sum one part of the batch into row `part` of the sums of losses and of the gradient of half
    of them.

    The factor 2 / batch is left to the optimiser's step: it does not belong to every sample.
    """
    rows = part * at.models
    steps.clear((at.grad + rows * at.params * FLOAT, at.models * at.params))
    steps.clear(
        (at.sums + rows * shape.sum_rows * WIDTH * FLOAT, at.models * shape.sum_rows * WIDTH)
    )
    work.loss[part] = 0
    drawn = 0 if shape.finite and mode != SCORE else step
    first = part * shape.part_samples
    stop = min(first + shape.part_samples, shape.samples)
    scan[FIRST] = first
    scan[TAKEN] = 0
    scan[DRAWN] = 0
    scan[ACTIVE] = 0
    found = 0
    while True:
        if shape.sparse:
            lanes = next_sparse(shape, s, at, purpose, drawn, scan, stop)
        else:
            lanes = next_dense(shape, s, at, purpose, drawn, scan, stop)
        if not lanes:
            break
        vectors = (lanes + PAIR * WIDTH - 1) // (PAIR * WIDTH) * PAIR
        for model in range(at.models):
            block(shape, s, at, model, rows + model, vectors, scan[ACTIVE], mode == SCORE)
        if shape.sparse:
            clear_block(shape, s, scan[ACTIVE])
        found += lanes
    work.empty[part] = stop - first - found if shape.sparse else 0


@KERNELS.inlined
def sum_parts(shape: Shape, at: At, mode: int, state: Trained, work: Work) -> None:
    """Add up the parts, one after the other, and the lanes of each sum: row 0 is then the whole
    batch's.

    What is minimised beside the loss is added, too.
    """
    n = shape.n_features
    weights = shape.n_features * shape.n_hidden * (1 if shape.tied else 2)
    empty = work.empty.sum()
    lanes = shape.sum_rows * WIDTH
    for model in range(at.models):
        grad = at.grad + model * at.params * FLOAT
        sums = at.sums + model * lanes * FLOAT
        for part in range(1, shape.parts):
            steps.add((at.grad + (part * at.models + model) * at.params * FLOAT, grad, at.params))
            steps.add((at.sums + (part * at.models + model) * lanes * FLOAT, sums, lanes))
            work.loss[0, model] += work.loss[part, model]
        steps.fold((sums, grad + (0 if shape.tiny else weights) * FLOAT, shape.sum_rows))
        if empty:
            bias = at.theta + (model * at.params + weights) * FLOAT
            importance = at.importance + model * n * FLOAT
            loss = work.empty_loss.ctypes.data
            relu = shape.relu_output
            power = SQUARE if mode == SCORE else shape.power
            losses.empty_samples(
                (bias, importance, grad + weights * FLOAT, loss, np.float32(empty), n, relu, power)
            )
            work.loss[0, model] += empty * work.empty_loss[0]
            if mode == SCORE:
                state.moments[at.start + model, 0] += empty * work.empty_loss[0]
                state.moments[at.start + model, 1] += empty * work.empty_loss[0] ** 2
        if mode != SCORE:
            penalise(shape, at, model, grad, weights)


@KERNELS.inlined
def penalise(shape: Shape, at: At, model: int, grad: int, weights: int) -> None:
    """Add the gradient of the L1 penalty to that of a model; a b that is not learned has none."""
    if shape.l1:
        steps.add_signs((at.theta + model * at.params * FLOAT, grad, weights, np.float32(shape.l1)))
    if not shape.bias:
        for i in range(shape.n_features):
            put_float(grad, weights + i, ZERO)


@KERNELS.inlined
def transpose_decoders(shape: Shape, at: At) -> None:
    """transposed[:, k, i] = W2[:, i, k]."""
    n = shape.n_features
    m = shape.n_hidden
    start = 0 if shape.tied else n * m * FLOAT
    for model in range(at.models):
        weight = at.theta + model * at.params * FLOAT + start
        steps.transpose((weight, at.transposed + model * n * m * FLOAT, n, m))


@KERNELS.inlined
def adam_constants(adam: Adam) -> tuple[np.float32, np.float32, np.float32, np.float32, np.float32]:
    """Both betas, each with what is left of 1, and eps: see `steps.step_adam`."""
    beta1 = np.float32(adam.beta1)
    rest1 = np.float32(1 - adam.beta1)
    beta2 = np.float32(adam.beta2)
    rest2 = np.float32(1 - adam.beta2)
    return beta1, rest1, beta2, rest2, np.float32(adam.eps)


@KERNELS.inlined
def pull_rows(shape: Shape, weights: int, pull: float) -> None:
    """Add pull (1/|W_i| - 1) W_i to each row of the matrices at an address."""
    m = shape.n_hidden
    for i in range(shape.n_features * (1 if shape.tied else 2)):
        square = 0.0
        for k in range(i * m, (i + 1) * m):
            square += float_at(weights, k) ** 2
        if square > 0:
            factor = 1 + pull * (1 / np.sqrt(square) - 1)
            for k in range(i * m, (i + 1) * m):
                put_float(weights, k, np.float32(factor * float_at(weights, k)))


@KERNELS.inlined
def update(
    shape: Shape, at: At, rates: Rates, step: int, start: int, state: Trained, work: Work
) -> None:
    """The optimiser's step for every model that has not diverged; one that does now keeps its last
    finite state.
    """
    count = at.params
    row = at.params * FLOAT
    first = state.first.ctypes.data
    second = state.second.ctypes.data
    theta = state.theta.ctypes.data
    new = work.proposed.ctypes.data
    check = work.check.ctypes.data
    bias1 = 1.0 - rates.adam.beta1 ** (step + 1)
    bias2 = np.sqrt(1.0 - rates.adam.beta2 ** (step + 1))
    constants = adam_constants(rates.adam)
    for g in range(at.start, at.start + at.models):
        if state.diverged_at[g] >= 0:
            continue
        mean = np.float32(work.loss[0, g - at.start] / shape.samples)
        if shape.loss_every and step % shape.loss_every == 0:
            state.history[g, step // shape.loss_every] = mean
        own = g * row
        where = (
            theta + own,
            first + own,
            second + own,
            at.grad + (g - at.start) * row,
            new,
            check,
            count,
            shape.decayed,
            rates.factor,
        )
        lr = rates.lr[g, step - start]
        decay = rates.weight_decay[g]
        if shape.optimizer == SGD:
            steps.step_sgd((*where, decay, lr))
        elif shape.optimizer == ADAM:
            steps.step_adam((*where, decay, ONE, lr / bias1, bias2, *constants))
        else:
            steps.step_adam((*where, ZERO, ONE - lr * decay, lr / bias1, bias2, *constants))
        if shape.pull:
            pull_rows(shape, new, shape.pull * lr)
        if np.isfinite(work.check[0]) and np.isfinite(mean):
            steps.copy((new, theta + own, count))
            steps.copy((new + row, first + own, count))
            steps.copy((new + 2 * row, second + own, count))
        else:
            state.diverged_at[g] = step


@KERNELS.compiled
def run(
    mode: int,
    shape: Shape,
    s: Buffers,
    models: Models,
    edges: NDArray[np.int64],
    purpose: int,
    start: int,
    stop: int,
    rates: Rates,
    state: Trained,
    work: Work,
    crew: Crew,
) -> None:
    """Train groups of models, edges[g] ... edges[g + 1] - 1, from step `start` to `stop`: mode
    TRAIN.

    GRADIENTS leaves the sums of one step in work.loss[0] and work.grad[0]; SCORE adds to
    state.moments. The threads of a crew call this with the same arrays, but for `s` and `crew`.
    """
    if shape.sparse:
        steps.clear((s.x, shape.n_features * STRIDE))
        steps.clear((s.y, shape.n_features * STRIDE))
    for g in range(len(edges) - 1):
        at = group_at(models, state, work, edges[g], edges[g + 1])
        if crew.thread == 0:
            transpose_decoders(shape, at)
        wait(crew.barrier, crew.threads)
        for step in range(start, stop):
            for part in range(crew.thread, shape.parts, crew.threads):
                add_part(shape, s, at, purpose, step, part, crew.scan, mode, work)
            wait(crew.barrier, crew.threads)
            if crew.thread == 0:
                sum_parts(shape, at, mode, state, work)
                if mode == TRAIN:
                    update(shape, at, rates, step, start, state, work)
                    transpose_decoders(shape, at)
            wait(crew.barrier, crew.threads)
