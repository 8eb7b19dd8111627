"""The compiled loop: one call trains models, or scores them, 16 sequences at a time.

Weights are multiplied in `engines.compiled.products`, over all positions of the sequences;
attention, which has no weights, is `attention`. Gradients are sums over groups of sequences in
their order. Shapes as in `arrays`.
"""

from __future__ import annotations

import numpy as np

from superpos.engines.compiled import products, steps, turning
from superpos.engines.compiled.scalars import float_at, put_float, word_at
from superpos.engines.compiled.vectors import LANES, WIDTH
from superpos.families.transformer.cpu import attention, losses, tokens
from superpos.families.transformer.cpu.arrays import (
    FLOAT,
    ONE,
    POINTER,
    RELATIVE,
    SCORES,
    STREAM,
    ZERO,
    Models,
    Room,
    Shape,
    Trained,
)
from superpos.families.transformer.cpu.attention import OFFSETS_BEFORE, TILE
from superpos.families.transformer.cpu.cache import KERNELS

TRAIN = 0
GRADIENTS = 1
SCORE = 2
ADAM = 0
ADAMW = 1
SGD = 2
IN_BLOCK = LANES // WIDTH  # positions


@KERNELS.inlined
def vectors_of(shape: Shape, block: int) -> int:
    """Positions of a block."""
    return min(IN_BLOCK, shape.positions - block * IN_BLOCK)


@KERNELS.compiled
def multiply(
    shape: Shape,
    weight: int,
    source: int,
    inner: int,
    pitch: int,
    out: int,
    rows: int,
    out_pitch: int,
    room: Room,
) -> None:
    """out = weight[inner, rows] source."""
    for block in range(shape.blocks):
        to = out + block * out_pitch * FLOAT
        of = source + block * pitch * FLOAT
        products.contract((to, weight, of, room.zeros, rows, inner, vectors_of(shape, block)))


@KERNELS.compiled
def multiply_onto(
    shape: Shape,
    weight: int,
    source: int,
    inner: int,
    pitch: int,
    base: int,
    out: int,
    rows: int,
    out_pitch: int,
) -> None:
    """out = base + weight[inner, rows] source."""
    for block in range(shape.blocks):
        at = block * out_pitch * FLOAT
        of = source + block * pitch * FLOAT
        products.contract_onto(
            (out + at, weight, of, base + at, rows, inner, vectors_of(shape, block))
        )


@KERNELS.compiled
def multiply_back(
    shape: Shape,
    weight: int,
    source: int,
    inner: int,
    pitch: int,
    out: int,
    rows: int,
    out_pitch: int,
    room: Room,
) -> None:
    """out = weight[rows, inner] source."""
    for block in range(shape.blocks):
        to = out + block * out_pitch * FLOAT
        of = source + block * pitch * FLOAT
        products.contract_rows(
            (to, weight, of, room.zeros, rows, inner, vectors_of(shape, block), inner)
        )


@KERNELS.compiled
def add_back(
    shape: Shape,
    weight: int,
    source: int,
    inner: int,
    pitch: int,
    out: int,
    rows: int,
    out_pitch: int,
) -> None:
    """out += weight[rows, inner] source."""
    for block in range(shape.blocks):
        to = out + block * out_pitch * FLOAT
        of = source + block * pitch * FLOAT
        products.contract_rows_onto(
            (to, weight, of, to, rows, inner, vectors_of(shape, block), inner)
        )


@KERNELS.compiled
def add_outer(
    shape: Shape, out: int, x: int, rows: int, x_pitch: int, y: int, columns: int, y_pitch: int
) -> None:
    """out[rows, columns] += the sum over sequences and positions of x y."""
    products.outer_blocks((out, x, y, rows, columns, shape.positions, x_pitch, y_pitch))


@KERNELS.inlined
def stream_at(shape: Shape, buffer: int, number: int) -> int:
    """Address of one of several streams."""
    return buffer + number * shape.blocks * shape.stream * FLOAT


@KERNELS.inlined
def layer_at(shape: Shape, buffer: int, layer: int, pitch: int) -> int:
    """Address of a layer in a buffer whose blocks are `pitch` floats apart."""
    return buffer + layer * shape.blocks * pitch * FLOAT


@KERNELS.inlined
def read_at(shape: Shape, layer: int, room: Room) -> int:
    """Address of what queries and keys of a layer read."""
    apart = shape.reads == SCORES or (shape.reads == POINTER and layer == 0)
    address: int = stream_at(shape, room.y if apart else room.x, layer)
    return address


@KERNELS.compiled
def embed(shape: Shape, theta: int, room: Room) -> None:
    """What tokens write, with positions where the stream has them; of pointers also without."""
    if shape.reads == POINTER:
        write_stream(shape, theta, True, False, room.y, room)
    write_stream(shape, theta, True, shape.reads in (STREAM, POINTER), room.x, room)


@KERNELS.compiled
def write_stream(
    shape: Shape, theta: int, of_tokens: bool, of_places: bool, out: int, room: Room
) -> None:
    """What tokens and positions write, 0 behind the last position."""
    row = filled(shape.dims)
    for block in range(shape.blocks):
        steps.clear((room.by_row, LANES * row))
        for t in range(block * IN_BLOCK, min((block + 1) * IN_BLOCK, shape.context)):
            for s in range(WIDTH):
                to = room.by_row + ((t % IN_BLOCK) * WIDTH + s) * row * FLOAT
                if of_tokens:
                    token = word_at(room.tokens, t * WIDTH + s)
                    steps.copy((theta + (shape.at.embed + token * shape.dims) * FLOAT, to, row))
                if of_places:
                    steps.add((theta + (shape.at.places + t * shape.dims) * FLOAT, to, row))
        turning.to_lanes(
            (room.by_row, out + block * shape.stream * FLOAT, shape.dims, IN_BLOCK, row)
        )


@KERNELS.compiled
def add_places(shape: Shape, theta: int, layer: int, room: Room) -> None:
    """What queries and keys of a layer read: the stream, and what positions write."""
    x = stream_at(shape, room.x, layer)
    y = stream_at(shape, room.y, layer)
    write_stream(shape, theta, False, True, y, room)
    steps.add((x, y, shape.blocks * shape.stream))


@KERNELS.inlined
def filled(count: int) -> int:
    """A number of floats, filled up to whole vectors."""
    return (count + WIDTH - 1) // WIDTH * WIDTH


@KERNELS.inlined
def head_of(shape: Shape, layer: int, head: int) -> int:
    """The number of a head."""
    return layer * shape.heads + head


@KERNELS.inlined
def own_share(shape: Shape, theta: int, layer: int, head: int) -> np.float32:
    """How much of a smeared key is its own."""
    return np.float32(
        1 / (1 + np.exp(-np.float64(float_at(theta, shape.at.smear + head_of(shape, layer, head)))))
    )


@KERNELS.inlined
def keys_at(shape: Shape, layer: int, head: int, room: Room) -> tuple[int, int]:
    """Address and pitch of the keys that queries meet."""
    if shape.smear:
        return room.smeared + head_of(
            shape, layer, head
        ) * shape.blocks * shape.keys * FLOAT, shape.keys
    return layer_at(shape, room.qk, layer, shape.queries) + row_of(
        shape, shape.heads + head
    ), shape.queries


@KERNELS.inlined
def row_of(shape: Shape, head: int) -> int:
    """Bytes before the rows of a head in a block."""
    return head * shape.keys * FLOAT


@KERNELS.inlined
def offsets_of(shape: Shape, theta: int, layer: int, head: int, room: Room) -> int:
    """Address of what scores get by offset: zeros where positions are read otherwise."""
    own = shape.at.offsets + head_of(shape, layer, head) * (shape.positions + TILE)
    start: int = theta + own * FLOAT if shape.reads == RELATIVE else room.zeros
    return start + TILE * FLOAT


@KERNELS.compiled
def forward(shape: Shape, theta: int, room: Room) -> None:
    """From tokens to logits, keeping what the way back needs."""
    embed(shape, theta, room)
    wide = 2 * shape.heads * shape.rows
    narrow = shape.heads * shape.rows
    if not shape.direct:
        steps.clear((room.total, shape.blocks * shape.stream))
    for layer in range(shape.layers):
        if shape.reads == SCORES:
            add_places(shape, theta, layer, room)
        x = stream_at(shape, room.x, layer)
        read = read_at(shape, layer, room)
        qk = layer_at(shape, room.qk, layer, shape.queries)
        v = layer_at(shape, room.v, layer, shape.values)
        z = layer_at(shape, room.z, layer, shape.values)
        w_qk, w_v, w_o = weights_of(shape, theta, layer)
        multiply(shape, w_qk, read, shape.dims, shape.stream, qk, wide, shape.queries, room)
        multiply(shape, w_v, x, shape.dims, shape.stream, v, narrow, shape.values, room)
        for head in range(shape.heads):
            attend(shape, theta, layer, head, room)
        after = stream_at(shape, room.x, layer + 1)
        multiply_onto(shape, w_o, z, narrow, shape.values, x, after, shape.dims, shape.stream)
        if not shape.direct:
            total = room.total
            multiply_onto(
                shape, w_o, z, narrow, shape.values, total, total, shape.dims, shape.stream
            )
    unembed = theta + shape.at.unembed * FLOAT
    last = stream_at(shape, room.x, shape.layers)
    heard = last if shape.direct else room.total
    multiply(
        shape,
        unembed,
        heard,
        shape.dims,
        shape.stream,
        room.logits,
        shape.vocabulary,
        shape.logits,
        room,
    )


@KERNELS.inlined
def weights_of(shape: Shape, start: int, layer: int) -> tuple[int, int, int]:
    """Addresses of a layer's weights of queries and keys, of values and of outputs, in numbers or
    gradients.
    """
    size = shape.dims * shape.heads * shape.rows
    qk = start + (shape.at.qk + layer * 2 * size) * FLOAT
    return (
        qk,
        start + (shape.at.v + layer * size) * FLOAT,
        start + (shape.at.o + layer * size) * FLOAT,
    )


@KERNELS.inlined
def attend(shape: Shape, theta: int, layer: int, head: int, room: Room) -> None:
    """What one head mixes."""
    qk = layer_at(shape, room.qk, layer, shape.queries)
    keys, pitch = keys_at(shape, layer, head, room)
    if shape.smear:
        own = own_share(shape, theta, layer, head)
        plain = qk + row_of(shape, shape.heads + head)
        attention.smear(
            (plain, keys, shape.rows, shape.positions, shape.queries, pitch, own, ONE - own)
        )
    rows = row_of(shape, head)
    v = layer_at(shape, room.v, layer, shape.values) + rows
    z = layer_at(shape, room.z, layer, shape.values) + rows
    tiles = room.tiles + head_of(shape, layer, head) * shape.tiles * FLOAT
    by_offset = offsets_of(shape, theta, layer, head, room)
    sizes = (shape.rows, shape.positions // TILE, shape.queries, pitch, shape.values)
    attention.attend((qk + rows, keys, v, z, tiles, by_offset, *sizes, shape.scale))


@KERNELS.compiled
def backward(shape: Shape, theta: int, room: Room) -> None:
    """Add the gradients of the summed losses, from that of the logits."""
    wide = 2 * shape.heads * shape.rows
    narrow = shape.heads * shape.rows
    last = stream_at(shape, room.x, shape.layers)
    heard, dheard = (last, room.dx) if shape.direct else (room.total, room.dtotal)
    unembed = shape.at.unembed * FLOAT
    g = room.logits
    tokens_ = shape.vocabulary
    pitch = shape.logits
    add_outer(shape, room.grad + unembed, heard, shape.dims, shape.stream, g, tokens_, pitch)
    multiply_back(shape, theta + unembed, g, tokens_, pitch, dheard, shape.dims, shape.stream, room)
    size = shape.blocks * shape.stream
    if not shape.direct:
        steps.clear((room.dx, size))
    if shape.reads == SCORES:
        steps.clear((room.dplaces, size))
    for layer in range(shape.layers - 1, -1, -1):
        x = stream_at(shape, room.x, layer)
        read = read_at(shape, layer, room)
        z = layer_at(shape, room.z, layer, shape.values)
        w_qk, w_v, w_o = weights_of(shape, theta, layer)
        g_qk, g_v, g_o = weights_of(shape, room.grad, layer)
        written = room.dx
        if not shape.direct:
            written = room.dwritten
            steps.copy((room.dx, written, size))
            steps.add((room.dtotal, written, size))
        add_outer(shape, g_o, z, narrow, shape.values, written, shape.dims, shape.stream)
        multiply_back(
            shape, w_o, written, shape.dims, shape.stream, room.dz, narrow, shape.values, room
        )
        for head in range(shape.heads):
            attend_backward(shape, theta, layer, head, room)
        add_outer(shape, g_v, x, shape.dims, shape.stream, room.dv, narrow, shape.values)
        add_outer(shape, g_qk, read, shape.dims, shape.stream, room.dqk, wide, shape.queries)
        add_back(shape, w_v, room.dv, narrow, shape.values, room.dx, shape.dims, shape.stream)
        if shape.reads == POINTER and layer == 0:
            steps.copy((room.dx, room.dplaces, size))
        if shape.reads == SCORES:
            add_back(
                shape, w_qk, room.dqk, wide, shape.queries, room.dplaces, shape.dims, shape.stream
            )
        add_back(shape, w_qk, room.dqk, wide, shape.queries, room.dx, shape.dims, shape.stream)
    add_embeddings(shape, room)


@KERNELS.inlined
def attend_backward(shape: Shape, theta: int, layer: int, head: int, room: Room) -> None:
    """Gradients of queries, keys and values of one head, of its offsets and its smearing."""
    qk = layer_at(shape, room.qk, layer, shape.queries)
    rows = row_of(shape, head)
    keys, pitch = keys_at(shape, layer, head, room)
    plain = row_of(shape, shape.heads + head)
    dkeys = room.dsmeared if shape.smear else room.dqk + plain
    v = layer_at(shape, room.v, layer, shape.values) + rows
    number = head_of(shape, layer, head)
    tiles = room.tiles + number * shape.tiles * FLOAT
    by_offset = room.by_offset + number * (shape.positions + TILE) * WIDTH * FLOAT
    grads = (room.dqk + rows, dkeys, room.dv + rows, room.scores, by_offset)
    sizes = (shape.rows, shape.positions // TILE, shape.queries, pitch, shape.values, pitch)
    attention.attend_backward(
        (qk + rows, keys, v, room.dz + rows, tiles, *grads, *sizes, shape.scale)
    )
    if shape.smear:
        own = own_share(shape, theta, layer, head)
        sums = room.by_smear + number * WIDTH * FLOAT
        size = (shape.rows, shape.positions, shape.queries, pitch)
        attention.smear_backward((qk + plain, dkeys, room.dqk + plain, sums, *size, own, ONE - own))


@KERNELS.inlined
def add_embeddings(shape: Shape, room: Room) -> None:
    """Gradients of what tokens and positions write."""
    row = filled(shape.dims)
    for block in range(shape.blocks):
        at = block * shape.stream * FLOAT
        turning.to_rows((room.dx + at, room.by_row, shape.dims, vectors_of(shape, block), row))
        add_rows(shape, True, shape.reads == STREAM, block, row, room)
        if shape.reads in (SCORES, POINTER):
            turning.to_rows(
                (room.dplaces + at, room.by_row, shape.dims, vectors_of(shape, block), row)
            )
            add_rows(shape, False, True, block, row, room)


@KERNELS.inlined
def add_rows(
    shape: Shape, of_tokens: bool, of_places: bool, block: int, row: int, room: Room
) -> None:
    """Add the rows of a block, lane by lane, to the gradients of tokens or positions.

    A row is filled up with zeros, which are added to what comes behind it.
    """
    for t in range(block * IN_BLOCK, min((block + 1) * IN_BLOCK, shape.context)):
        for s in range(WIDTH):
            own = room.by_row + ((t % IN_BLOCK) * WIDTH + s) * row * FLOAT
            if of_tokens:
                token = word_at(room.tokens, t * WIDTH + s)
                steps.add((own, room.grad + (shape.at.embed + token * shape.dims) * FLOAT, row))
            if of_places:
                steps.add((own, room.grad + (shape.at.places + t * shape.dims) * FLOAT, row))


@KERNELS.inlined
def clear_sums(shape: Shape, room: Room) -> None:
    """Let the gradients of a step begin at 0."""
    steps.clear((room.grad, shape.at.size + WIDTH))
    heads = shape.layers * shape.heads
    steps.clear((room.by_offset, heads * (shape.positions + TILE) * WIDTH))
    steps.clear((room.by_smear, heads * WIDTH))


@KERNELS.inlined
def fold_sums(shape: Shape, theta: int, room: Room) -> None:
    """Complete the gradients that were summed lane by lane."""
    for head in range(shape.layers * shape.heads):
        if shape.reads == RELATIVE:
            pitch = shape.positions + TILE
            sums = room.by_offset + (head * pitch + OFFSETS_BEFORE) * WIDTH * FLOAT
            steps.fold(
                (sums, room.grad + (shape.at.offsets + TILE + head * pitch) * FLOAT, shape.context)
            )
        if shape.smear:
            own = own_share(shape, theta, 0, head)
            at = room.grad + (shape.at.smear + head) * FLOAT
            steps.fold((room.by_smear + head * WIDTH * FLOAT, at, 1))
            put_float(at, 0, own * (ONE - own) * float_at(at, 0))


@KERNELS.compiled
def update(
    shape: Shape,
    models: Models,
    model: int,
    step: int,
    at: int,
    loss: np.float64,
    state: Trained,
    room: Room,
) -> None:
    """The optimiser's step; a model whose step is not finite keeps what it was."""
    size = shape.at.size
    turn = state.turn[model]
    place = state.numbers.ctypes.data + model * 6 * size * FLOAT
    old = place + turn * 3 * size * FLOAT
    new = place + (1 - turn) * 3 * size * FLOAT
    factor = np.float32(1 / shape.batch)
    lr = models.rate[model, at]
    decay = models.decay[model]
    where = (
        old,
        old + size * FLOAT,
        old + 2 * size * FLOAT,
        room.grad,
        new,
        room.check,
        size,
        size,
        factor,
    )
    adam = models.adam
    bias1 = 1.0 - adam.beta1 ** (step + 1)
    bias2 = np.sqrt(1.0 - adam.beta2 ** (step + 1))
    constants = (
        np.float32(adam.beta1), np.float32(1 - adam.beta1), np.float32(adam.beta2),
        np.float32(1 - adam.beta2), np.float32(adam.eps),
    )  # fmt: skip
    if shape.optimizer == SGD:
        steps.step_sgd((*where, decay, lr))
    else:
        coupled, keep = (decay, ONE) if shape.optimizer == ADAM else (ZERO, ONE - lr * decay)
        steps.step_adam((*where, coupled, keep, lr / bias1, bias2, *constants))
    mean = np.float32(loss)
    if shape.loss_every and step % shape.loss_every == 0:
        state.history[model, step // shape.loss_every] = mean
    if np.isfinite(float_at(room.check, 0)) and np.isfinite(mean):
        state.turn[model] = 1 - turn
    else:
        state.diverged_at[model] = step


@KERNELS.compiled
def run(
    mode: int,
    shape: Shape,
    models: Models,
    first: int,
    last: int,
    purpose: int,
    start: int,
    stop: int,
    samples: int,
    state: Trained,
    room: Room,
) -> None:
    """Train models first ... last - 1 from step `start` to `stop`, on `samples` sequences a step:
    mode TRAIN.

    GRADIENTS leaves those of one step, and its losses; SCORE adds to state.moments.
    """
    for model in range(first, last):
        low = models.key[model, 0]
        high = models.key[model, 1]
        number = models.language[model]
        place = state.numbers.ctypes.data + model * 6 * shape.at.size * FLOAT
        for step in range(start, stop):
            if state.diverged_at[model] >= 0:
                break
            theta = place + state.turn[model] * 3 * shape.at.size * FLOAT
            loss = np.float64(0)
            if mode != SCORE:
                clear_sums(shape, room)
            for sample in range(0, samples, WIDTH):
                valid = min(WIDTH, samples - sample)
                steps.clear((room.loss, WIDTH))
                tokens.draw(
                    shape, models.tables, number, low, high, purpose, step, sample, valid, room
                )
                forward(shape, theta, room)
                surprise = (room.logits, room.tokens, room.weights, room.loss)
                losses.surprise((*surprise, shape.vocabulary, shape.positions, shape.logits))
                for s in range(valid):
                    own = np.float64(float_at(room.loss, s))
                    loss += own
                    if mode == SCORE:
                        state.moments[model, 0] += own
                        state.moments[model, 1] += own * own
                if mode != SCORE:
                    backward(shape, theta, room)
            if mode != SCORE:
                fold_sums(shape, theta, room)
            if mode == GRADIENTS:
                state.losses[model] = loss / samples
                for i in range(shape.at.size):
                    state.gradients[model, i] = float_at(room.grad, i) / np.float32(samples)
            if mode == TRAIN:
                update(shape, models, model, step, step - start, loss / samples, state, room)
