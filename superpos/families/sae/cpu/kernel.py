"""The compiled loop: one call trains models on the batches of some steps.

Of one step the encoder is dense, z = E x + (b_e - E b_d), in blocks of samples side by side. From
there on work is done over active cells only, latent by latent: the decoder's output (kept as the
error x' - x), then for each latent its gradients and at once its optimiser's step. Every sum over
samples or latents has one order, whoever computes it: the threads of a crew share latents or
dimensions, never sums.

With e = x' - x and q = e D_j, half the derivatives of |e|^2 + lambda sum f are: by z_j, q + lambda
/ 2 where active; by D_j, sum f e; by E_j, sum dz (x - b_d) = sum dz x - (sum dz) b_d; by b_d, sum e
- E^T (sum dz). Behind a prefix of the latents e is the weighted sum of the errors of all prefixes
that hold latent j. The factor 2 / B is left to the step.

Shapes as in `arrays`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from superpos.engines.compiled import products, steps
from superpos.engines.compiled.barrier import wait
from superpos.engines.compiled.scalars import float_at, put_float, put_word, word_at
from superpos.engines.compiled.vectors import LANES, PAIR, STRIDE, WIDTH
from superpos.families.sae.cpu import cells, rows, select
from superpos.families.sae.cpu.arrays import F32, F64, Batches, Crew, Models, Room, Shape, Trained
from superpos.families.sae.cpu.cache import KERNELS
from superpos.family import Adam

L1, TOPK, BATCHTOPK, JUMPRELU = 0, 1, 2, 3
ABOVE = 4  # z above one floor for all, as batchtopk in evaluation
# Latents that are encoded at once: their pre-activations stay in the innermost cache.
GROUP: Final = 32
SHARE: Final = 4  # vectors of a row that are decoded at once
FLOAT, DOUBLE = 4, 8  # bytes
ZERO, ONE = np.float32(0), np.float32(1)
GUESS = np.float32(0.7)  # of the threshold of batchtopk: all that will be chosen is most often above it
_WIDER = np.float32(1.00001)  # a floor below which rounding puts no cell of the kernel of jumprelu
_LEAST = np.float32(1e-30)


@KERNELS.inlined
def share_of(count: int, crew: Crew) -> tuple[int, int]:
    """The first and the end of a thread's share of `count` things."""
    return count * crew.thread // crew.threads, count * (crew.thread + 1) // crew.threads


@KERNELS.inlined
def whole(count: int) -> int:
    """A number of floats, filled up to whole vectors."""
    return (count + WIDTH - 1) // WIDTH * WIDTH


@KERNELS.inlined
def keeps_all(kind: int) -> bool:
    """Whether the pre-activations of a batch are chosen from together."""
    return kind in (TOPK, BATCHTOPK)


@KERNELS.compiled
def encode(
    shape: Shape,
    x: int,
    batch: int,
    old: int,
    least: np.float32,
    reach: np.float32,
    room: Room,
    crew: Crew,
) -> None:
    """List the cells of every latent that can be active, or compute all z where these are chosen
    from together.
    """
    length, blocks = shape.at.row, (batch + LANES - 1) // LANES
    bias = old + shape.at.b_d * FLOAT
    groups = (shape.latents + GROUP - 1) // GROUP
    start, counts = room.start.ctypes.data, room.cells.ctypes.data
    index, value = room.sample.ctypes.data, room.value.ctypes.data
    first_group, last_group = share_of(groups, crew)
    for group in range(first_group, last_group):
        first = group * GROUP
        found = min(GROUP, shape.latents - first)
        encoder = old + first * length * FLOAT
        for r in range(first, first + found):
            b_e = float_at(old, shape.at.b_e + r)
            put_word(counts, r, 0)
            put_float(start, r, b_e)
            if shape.bias:
                row = old + r * length * FLOAT
                rows.dot_row((row, bias, start + r * FLOAT, b_e, -ONE, shape.parts))
        for block in range(blocks):
            valid = min(LANES, batch - block * LANES)
            lanes = (valid + PAIR * WIDTH - 1) // (PAIR * WIDTH) * PAIR
            source = x + block * shape.at.row * STRIDE * FLOAT
            if keeps_all(shape.kind):
                z = room.z.ctypes.data + (block * shape.latents + first) * STRIDE * FLOAT
            else:
                z = room.z.ctypes.data + crew.thread * GROUP * STRIDE * FLOAT
            begin = start + first * FLOAT
            products.contract_rows((z, encoder, source, begin, found, shape.dims, lanes, length))
            if not keeps_all(shape.kind):
                for r in range(found):
                    j = first + r
                    floor = least
                    if shape.kind == JUMPRELU:
                        floor = float_at(old, shape.at.theta + j) - reach * _WIDER - _LEAST
                    at = j * shape.capacity * FLOAT
                    row = z + r * STRIDE * FLOAT
                    listed = (index + at, value + at, counts + j * FLOAT)
                    cells.list_above((row, floor, block * LANES, valid, *listed))


@KERNELS.inlined
def list_lanes(shape: Shape, batch: int, first: int, last: int, room: Room) -> None:
    """List the cells of some latents that are above the floors of their lanes."""
    index, value, counts = room.sample.ctypes.data, room.value.ctypes.data, room.cells.ctypes.data
    for j in range(first, last):
        put_word(counts, j, 0)
        for block in range((batch + LANES - 1) // LANES):
            z = room.z.ctypes.data + (block * shape.latents + j) * STRIDE * FLOAT
            floors = room.floors.ctypes.data + block * LANES * FLOAT
            at = j * shape.capacity * FLOAT
            listed = (index + at, value + at, counts + j * FLOAT)
            cells.list_above_lanes((z, floors, block * LANES, min(LANES, batch - block * LANES), *listed))


@KERNELS.inlined
def close_lists(shape: Shape, first: int, last: int, room: Room) -> None:
    """Fill the lists of some latents up to whole vectors."""
    for j in range(first, last):
        at = j * shape.capacity * FLOAT
        cells.fill_up((room.sample.ctypes.data + at, room.value.ctypes.data + at, room.cells[j]))


@KERNELS.compiled
def choose(shape: Shape, batch: int, keep: int, guess: np.float32, room: Room, crew: Crew) -> None:
    """List the cells that are chosen from all of a batch.

    A guess of the floor of batchtopk saves work where it is too low by little; it changes nothing
    else.
    """
    first, last = share_of(shape.latents, crew)
    blocks = (batch + LANES - 1) // LANES
    wait(crew.barrier, crew.threads)
    if shape.kind == TOPK:
        first_block, last_block = share_of(blocks, crew)
        for block in range(first_block, last_block):
            z = room.z.ctypes.data + block * shape.latents * STRIDE * FLOAT
            floors = room.floors.ctypes.data + block * LANES * FLOAT
            vectors = (min(LANES, batch - block * LANES) + WIDTH - 1) // WIDTH
            select.lane_floors((z, floors, shape.latents, keep, vectors))
        wait(crew.barrier, crew.threads)
        list_lanes(shape, batch, first, last, room)
        close_lists(shape, first, last, room)
        return
    floor = guess
    while True:
        if crew.thread == 0:
            for lane in range(blocks * LANES):
                put_float(room.floors.ctypes.data, lane, floor)
        wait(crew.barrier, crew.threads)
        list_lanes(shape, batch, first, last, room)
        close_lists(shape, first, last, room)
        wait(crew.barrier, crew.threads)
        found = 0
        for j in range(shape.latents):
            found += room.cells[j]
        if found >= keep or floor == ZERO:
            break
        floor = ZERO
    if crew.thread == 0:
        room.check[crew.threads] = floor
        if found > keep:
            chosen, at = room.chosen.ctypes.data, 0
            for j in range(shape.latents):
                length = whole(room.cells[j])
                source = room.value.ctypes.data + j * shape.capacity * FLOAT
                steps.copy((source, chosen + at * FLOAT, length))
                at += length
            select.floor_of((chosen, at // WIDTH, keep, room.check.ctypes.data + crew.threads * FLOAT))
    wait(crew.barrier, crew.threads)
    floor = room.check[crew.threads]
    for j in range(first, last):
        keep_above(shape, j, floor, room)
    close_lists(shape, first, last, room)


@KERNELS.inlined
def keep_above(shape: Shape, j: int, floor: np.float32, room: Room) -> None:
    """Take the cells that are not above the floor out of a latent's list; its smallest code is left
    in room.lowest.
    """
    at = j * shape.capacity * FLOAT
    index, value = room.sample.ctypes.data + at, room.value.ctypes.data + at
    kept, lowest = 0, np.float32(np.inf)
    for cell in range(room.cells[j]):
        z = float_at(value, cell)
        if not z <= floor:
            put_word(index, kept, word_at(index, cell))
            put_float(value, kept, z)
            lowest = min(lowest, z)
            kept += 1
    room.cells[j] = kept
    room.lowest[j] = lowest


@KERNELS.inlined
def theta_of(shape: Shape, old: int, j: int, floor: np.float32) -> np.float32:
    """Above which z a latent is active."""
    own: np.float32 = float_at(old, shape.at.theta + j)
    return own if shape.kind == JUMPRELU else floor


@KERNELS.compiled
def decode(
    shape: Shape,
    x: int,
    batch: int,
    old: int,
    floor: np.float32,
    models: Models,
    model: int,
    scoring: bool,
    room: Room,
    crew: Crew,
) -> None:
    """Errors of every prefix, weighted and summed for its latents; room.losses holds the sums of
    their squares.

    In scoring the squares are left in room.squares, sample by sample.
    """
    length = shape.at.row
    bias = old + shape.at.b_d * FLOAT
    index, value = room.sample.ctypes.data, room.value.ctypes.data
    plane = room.errors.shape[1] * shape.pitch * WIDTH * FLOAT
    grad = room.grad.ctypes.data + (shape.at.b_d - shape.at.b_e) * FLOAT
    shares = (shape.parts + SHARE - 1) // SHARE
    first_share, last_share = share_of(shares, crew)
    for share in range(first_share, last_share):
        offset, width = share * SHARE * WIDTH * FLOAT, min(SHARE, shape.parts - share * SHARE)
        size = (batch, shape.pitch, width)
        loss = room.losses.ctypes.data + share * DOUBLE
        room.losses[share] = 0
        first = 0
        for prefix in range(shape.prefixes):
            e = room.errors.ctypes.data + prefix * plane + offset
            if prefix:
                cells.copy_rows((e - plane, e, *size))
            else:
                cells.begin_errors((x + offset, bias + offset, e, *size))
            for j in range(first, models.cuts[prefix]):
                at = j * shape.capacity * FLOAT
                decoder = old + (shape.at.decoder + j * length) * FLOAT + offset
                theta = theta_of(shape, old, j, floor)
                listed = (index + at, value + at, theta, room.cells[j])
                cells.decode_cells((e, decoder, *listed, shape.pitch, width))
            if scoring:
                cells.row_squares((e, room.squares.ctypes.data, *size, models.weights[model, prefix]))
            else:
                cells.sum_squares((e, loss, *size, models.weights[model, prefix]))
            first = models.cuts[prefix]
        if scoring:
            continue
        if shape.prefixes > 1 or models.weights[model, 0] != ONE:
            for prefix in range(shape.prefixes - 1, -1, -1):
                e = room.errors.ctypes.data + prefix * plane + offset
                weight = models.weights[model, prefix]
                if prefix < shape.prefixes - 1:
                    cells.weigh_errors((e, e + plane, weight, *size))
                else:
                    cells.weigh_errors((e, e, weight - ONE, *size))
        if shape.bias:
            cells.sum_errors((room.errors.ctypes.data + offset, grad + offset, *size))


@KERNELS.inlined
def adam_constants(adam: Adam) -> tuple[np.float32, np.float32, np.float32, np.float32, np.float32]:
    """Both betas, each with what is left of 1, and eps: see `steps.step_adam`."""
    beta1, rest1 = np.float32(adam.beta1), np.float32(1 - adam.beta1)
    beta2, rest2 = np.float32(adam.beta2), np.float32(1 - adam.beta2)
    return beta1, rest1, beta2, rest2, np.float32(adam.eps)


@KERNELS.compiled
def step_latents(
    shape: Shape,
    x: int,
    batch: int,
    old: int,
    new: int,
    half: np.float32,
    models: Models,
    model: int,
    at: int,
    step: int,
    adam: Adam,
    out: int,
    room: Room,
    crew: Crew,
) -> None:
    """Gradients and steps of the rows of all latents, and the gradients of b_e and theta.

    `half` is half of lambda, `at` the number of the step in the call, `out` where gradients go, or
    0.
    """
    length = shape.at.row
    bias = old + shape.at.b_d * FLOAT
    plane = room.errors.shape[1] * shape.pitch * WIDTH * FLOAT
    grad_d = room.grads.ctypes.data + crew.thread * 2 * length * FLOAT
    grad_e = grad_d + length * FLOAT
    check = room.check.ctypes.data + crew.thread * FLOAT
    put_float(check, 0, ZERO)
    reach, penalty = models.reach[model], ZERO if shape.kind == JUMPRELU else half
    rate, decay = models.rate[model, at], models.decay[model]
    coupled, keep = (decay, ONE) if shape.coupled else (ZERO, ONE - rate * decay)
    unbias1 = np.float32(rate / (1.0 - adam.beta1 ** (step + 1)))
    unbias2 = np.float32(1.0 / np.sqrt(1.0 - adam.beta2 ** (step + 1)))
    factor = models.factor / np.float32(batch)
    constants = (factor, coupled, keep, unbias1, unbias2, *adam_constants(adam))
    prefix = 0
    first, last = share_of(shape.latents, crew)
    for j in range(first, last):
        while j >= models.cuts[prefix]:
            prefix += 1
        e = room.errors.ctypes.data + prefix * plane
        listed = j * shape.capacity * FLOAT
        index, value = room.sample.ctypes.data + listed, room.value.ctypes.data + listed
        sums = room.sums.ctypes.data + j * cells.SUMS * FLOAT
        row = (shape.at.decoder + j * length) * FLOAT
        decoder, theta = old + row, theta_of(shape, old, j, ZERO)
        groups = whole(room.cells[j]) // WIDTH
        listed_at = (decoder, index, value, grad_d, grad_e, sums)
        cells.latent_gradients((e, x, *listed_at, theta, reach, penalty, groups, shape.parts, shape.pitch))
        room.grad[j] = room.sums[j, 0]
        if shape.kind == JUMPRELU:
            near = theta * room.sums[j, 3] + half * room.sums[j, 4]
            room.grad[shape.at.theta - shape.at.b_e + j] = -near / (2 * reach)
        less = room.sums[j, 0]
        if shape.tied:
            rows.add_scaled((grad_e, grad_d, ONE, shape.parts))
            rows.add_scaled((bias, grad_d, -less, shape.parts))
        if out:
            if not shape.frozen:
                rows.put_gradient((grad_d, ZERO, decoder, 1, out + row, factor, shape.parts))
            if not shape.tied:
                rows.put_gradient((grad_e, less, bias, 0, out + j * length * FLOAT, factor, shape.parts))
            continue
        pitch = shape.latents * length
        if not shape.frozen:
            rows.step_row(
                (
                    decoder,
                    new + row,
                    pitch,
                    grad_d,
                    ZERO,
                    decoder,
                    1,
                    check,
                    shape.parts,
                    *constants,
                )
            )
        if not shape.tied:
            own = j * length * FLOAT
            rows.step_row((old + own, new + own, pitch, grad_e, less, bias, 0, check, shape.parts, *constants))


@KERNELS.inlined
def bias_gradient(shape: Shape, old: int, room: Room) -> None:
    """Complete the gradient of b_d, of which room holds the sum of the errors."""
    length = shape.at.row
    grad = room.grad.ctypes.data + (shape.at.b_d - shape.at.b_e) * FLOAT
    for j in range(shape.latents):
        rows.add_scaled((old + j * length * FLOAT, grad, -room.grad[j], shape.parts))


@KERNELS.inlined
def step_vectors(
    shape: Shape,
    old: int,
    new: int,
    models: Models,
    model: int,
    at: int,
    step: int,
    batch: int,
    adam: Adam,
    room: Room,
) -> None:
    """The step of b_e, theta and b_d."""
    start, count = shape.at.b_e * FLOAT, shape.at.vectors
    rate, decay = models.rate[model, at], models.decay[model]
    coupled, keep = (decay, ONE) if shape.coupled else (ZERO, ONE - rate * decay)
    bias1 = 1.0 - adam.beta1 ** (step + 1)
    bias2 = np.sqrt(1.0 - adam.beta2 ** (step + 1))
    where = (old + start, old + start + count * FLOAT, old + start + 2 * count * FLOAT)
    check = room.check.ctypes.data + (len(room.check) - 1) * FLOAT
    constants = (coupled, keep, np.float32(rate / bias1), np.float32(bias2), *adam_constants(adam))
    factor = models.factor / np.float32(batch)
    steps.step_adam((*where, room.grad.ctypes.data, new + start, check, count, factor, *constants))


@KERNELS.inlined
def mean_loss(shape: Shape, batch: int, half: np.float32, room: Room) -> np.float64:
    """The mean loss of a batch, of the errors' squares and the penalty."""
    errors, penalty = np.float64(0), np.float64(0)
    for share in range((shape.parts + SHARE - 1) // SHARE):
        errors += room.losses[share]
    column = 2 if shape.kind == JUMPRELU else 1
    if half != ZERO:
        for j in range(shape.latents):
            penalty += room.sums[j, column]
    return (errors + 2 * half * penalty) / batch


@KERNELS.inlined
def finish(
    shape: Shape,
    batch: int,
    old: int,
    new: int,
    half: np.float32,
    models: Models,
    model: int,
    at: int,
    step: int,
    adam: Adam,
    state: Trained,
    room: Room,
) -> None:
    """What follows the latents: b_e, theta and b_d, the loss, and whether the model goes on."""
    step_vectors(shape, old, new, models, model, at, step, batch, adam, room)
    loss = np.float32(mean_loss(shape, batch, half, room))
    if shape.loss_every and step % shape.loss_every == 0:
        state.history[model, step // shape.loss_every] = loss
    check = ZERO
    for thread in range(len(room.check)):
        check += room.check[thread]
    if not (np.isfinite(check) and np.isfinite(loss)):
        state.diverged_at[model] = step
        return
    state.turn[model] = 1 - state.turn[model]
    for j in range(shape.latents):
        state.idle[model, j] = 0 if room.sums[j, 2] > ZERO else state.idle[model, j] + 1
    if shape.kind == BATCHTOPK:
        state.threshold[model] = moved_threshold(shape, state.threshold[model], models, room)
    if shape.kind == JUMPRELU:
        clamp_theta(shape, new)


@KERNELS.inlined
def moved_threshold(shape: Shape, old: np.float32, models: Models, room: Room) -> np.float32:
    """The moving average of the smallest code, as `upkeep.after_step` has it."""
    smallest = np.float32(np.inf)
    for j in range(shape.latents):
        smallest = min(smallest, room.lowest[j])
    if np.isinf(smallest):
        return old
    return models.memory * old + models.forgotten * smallest if old > ZERO else smallest


@KERNELS.inlined
def clamp_theta(shape: Shape, new: int) -> None:
    """Thresholds are not below 0."""
    first = shape.at.theta
    for j in range(first, first + shape.latents):
        put_float(new, j, max(float_at(new, j), ZERO))


@KERNELS.inlined
def encoded(shape: Shape, crew: Crew) -> tuple[int, int]:
    """The latents that a thread has encoded."""
    first, last = share_of((shape.latents + GROUP - 1) // GROUP, crew)
    return min(first * GROUP, shape.latents), min(last * GROUP, shape.latents)


@KERNELS.compiled
def forward(
    shape: Shape,
    batches: Batches,
    at: int,
    batch: int,
    old: int,
    floor: np.float32,
    keep: int,
    guess: np.float32,
    models: Models,
    model: int,
    scoring: bool,
    room: Room,
    crew: Crew,
) -> None:
    """Cells and errors of a model with the numbers at `old` on one batch."""
    encode(shape, batches.lanes[at].ctypes.data, batch, old, floor, models.reach[model], room, crew)
    if keeps_all(shape.kind):
        choose(shape, batch, keep, guess, room, crew)
    else:
        first, last = encoded(shape, crew)
        close_lists(shape, first, last, room)
    wait(crew.barrier, crew.threads)
    decode(shape, batches.rows[at].ctypes.data, batch, old, floor, models, model, scoring, room, crew)
    wait(crew.barrier, crew.threads)


@KERNELS.compiled
def train(
    shape: Shape,
    batches: Batches,
    models: Models,
    first: int,
    last: int,
    step: int,
    adam: Adam,
    state: Trained,
    gradients: F32,
    losses: F64,
    room: Room,
    crew: Crew,
) -> None:
    """Train the models first ... last - 1 from `step` on, one step on each batch.

    If `gradients` [M, N] are not empty, leave them, and the losses [M], of one step instead. The
    threads of a crew call this with the same arrays, but for `crew`.
    """
    batch = shape.samples
    size = state.numbers.shape[2] * FLOAT
    for model in range(first, last):
        place = state.numbers.ctypes.data + model * 2 * size
        out = gradients.ctypes.data + model * size if len(gradients) else 0
        for at in range(len(batches.rows)):
            wait(crew.barrier, crew.threads)
            if state.diverged_at[model] >= 0:
                break
            turn = state.turn[model]
            old, new = place + turn * size, place + (1 - turn) * size
            x = batches.rows[at].ctypes.data
            half = models.penalty[model, at]
            keep, guess = models.keep[model, at], GUESS * state.threshold[model]
            forward(shape, batches, at, batch, old, ZERO, keep, guess, models, model, False, room, crew)
            step_latents(shape, x, batch, old, new, half, models, model, at, step + at, adam, out, room, crew)
            wait(crew.barrier, crew.threads)
            if crew.thread == 0:
                if shape.bias:
                    bias_gradient(shape, old, room)
                if out:
                    losses[model] = mean_loss(shape, batch, half, room)
                    put_vectors(shape, out, batch, models, room)
                else:
                    finish(
                        shape,
                        batch,
                        old,
                        new,
                        half,
                        models,
                        model,
                        at,
                        step + at,
                        adam,
                        state,
                        room,
                    )


@KERNELS.inlined
def put_vectors(shape: Shape, out: int, batch: int, models: Models, room: Room) -> None:
    """Leave the gradients of b_e, theta and b_d."""
    factor = models.factor / np.float32(batch)
    for i in range(shape.at.vectors):
        put_float(out, shape.at.b_e + i, factor * room.grad[i])


@KERNELS.compiled
def score(
    shape: Shape,
    batches: Batches,
    samples: int,
    models: Models,
    first: int,
    last: int,
    state: Trained,
    room: Room,
    crew: Crew,
) -> None:
    """Add the sums of losses and of their squares over `samples` samples to state.moments, by the
    rule of inference.
    """
    size = state.numbers.shape[2] * FLOAT
    for model in range(first, last):
        numbers = state.numbers.ctypes.data + model * 2 * size
        floor = state.threshold[model] if shape.kind == ABOVE else ZERO
        for at in range(len(batches.rows)):
            batch = min(shape.samples, samples - at * shape.samples)
            room.squares[:batch] = ZERO
            keep = models.keep[model, 0]
            forward(
                shape,
                batches,
                at,
                batch,
                numbers,
                floor,
                keep,
                ZERO,
                models,
                model,
                True,
                room,
                crew,
            )
            add_penalties(shape, numbers, floor, 2 * models.penalty[model, 0], room)
            for sample in range(batch):
                loss = np.float64(room.squares[sample])
                state.moments[model, 0] += loss
                state.moments[model, 1] += loss * loss


@KERNELS.inlined
def add_penalties(shape: Shape, numbers: int, floor: np.float32, penalty: np.float32, room: Room) -> None:
    """Add the penalty of each sample to its loss in room.squares."""
    if penalty != ZERO:
        for j in range(shape.latents):
            theta = theta_of(shape, numbers, j, floor)
            for cell in range(room.cells[j]):
                z = room.value[j, cell]
                if not z <= theta:
                    room.squares[room.sample[j, cell]] += penalty * (ONE if shape.kind == JUMPRELU else z)
