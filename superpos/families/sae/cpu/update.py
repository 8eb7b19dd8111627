"""Gradients and the optimiser's step: latent by latent, then b_e, theta and b_d.

With q = e D_j, half the derivatives of |e|^2 + lambda sum f are: by z_j, dz = q + lambda / 2 where
active; by D_j, sum f e; by E_j, sum dz (x - b_d) = sum dz x - (sum dz) b_d; by b_d, sum e - E^T
(sum dz). The factor 2 / B is left to the step.
"""

from __future__ import annotations

import numpy as np

from superpos.engines.compiled import steps
from superpos.engines.compiled.scalars import double_at, float_at, long_at, put_float, word_at
from superpos.engines.compiled.vectors import WIDTH
from superpos.families.sae.cpu import cells, rows
from superpos.families.sae.cpu.arrays import (
    BATCHTOPK,
    F64,
    FLOAT,
    JUMPRELU,
    ONE,
    ZERO,
    Crew,
    Models,
    Now,
    Room,
    Shape,
    Trained,
)
from superpos.families.sae.cpu.cache import KERNELS
from superpos.families.sae.cpu.decoding import SHARE, errors_of
from superpos.families.sae.cpu.encoding import list_at, share_of, theta_of, whole
from superpos.family import Adam

Numbers = tuple[np.float32, ...]
"""factor, coupled, keep, rate, bias2, and the constants of Adam: see `steps.step_adam`."""


@KERNELS.inlined
def numbers_of(shape: Shape, now: Now, models: Models, adam: Adam) -> Numbers:
    """The numbers of a step of Adam."""
    rate = models.rate[now.model, now.at]
    decay = models.decay[now.model]
    coupled, keep = (decay, ONE) if shape.coupled else (ZERO, ONE - rate * decay)
    bias1 = 1.0 - adam.beta1 ** (now.step + 1)
    bias2 = np.sqrt(1.0 - adam.beta2 ** (now.step + 1))
    beta1 = np.float32(adam.beta1)
    rest1 = np.float32(1 - adam.beta1)
    beta2 = np.float32(adam.beta2)
    rest2 = np.float32(1 - adam.beta2)
    moments = (beta1, rest1, beta2, rest2, np.float32(adam.eps))
    factor = models.factor / np.float32(now.batch)
    return (factor, coupled, keep, np.float32(rate / bias1), np.float32(bias2), *moments)


@KERNELS.compiled
def step_latents(
    shape: Shape,
    now: Now,
    models: Models,
    adam: Adam,
    room: Room,
    crew: Crew,
) -> None:
    """Gradients and steps of the rows of all latents, and the gradients of b_e and theta."""
    numbers = numbers_of(shape, now, models, adam)
    grad_d = room.grads + crew.thread * 2 * shape.at.row * FLOAT
    grad_e = grad_d + shape.at.row * FLOAT
    put_float(room.check, 1 + crew.thread, ZERO)
    prefix = 0
    first, last = share_of(shape.latents, crew)
    for j in range(first, last):
        while j >= long_at(now.cuts, prefix):
            prefix += 1
        e = errors_of(shape, prefix, room)
        add_cells(shape, now, j, e, grad_d, grad_e, room)
        if now.out:
            put_rows(shape, now, j, grad_d, grad_e, numbers, room)
        else:
            step_rows(shape, now, j, grad_d, grad_e, numbers, room, crew)


@KERNELS.inlined
def add_cells(
    shape: Shape,
    now: Now,
    j: int,
    e: int,
    grad_d: int,
    grad_e: int,
    room: Room,
) -> None:
    """The gradients of a latent."""
    penalty = ZERO if shape.kind == JUMPRELU else now.half
    decoder = now.old + (shape.at.decoder + j * shape.at.row) * FLOAT
    theta = theta_of(shape, now, j)
    groups = whole(word_at(room.cells, j)) // WIDTH
    samples, values = list_at(shape, room, j)
    sums = room.sums + j * cells.SUMS * FLOAT
    which = (decoder, samples, values, grad_d, grad_e, sums)
    size = (groups, shape.parts, shape.pitch)
    cells.latent_gradients((e, now.x, *which, theta, now.reach, penalty, *size))
    sum_dz = float_at(sums, 0)
    put_float(room.grad, j, sum_dz)
    if shape.kind == JUMPRELU:
        near = theta * float_at(sums, 3) + now.half * float_at(sums, 4)
        put_float(room.grad, shape.at.theta - shape.at.b_e + j, -near / (2 * now.reach))
    if shape.tied:
        bias = now.old + shape.at.b_d * FLOAT
        rows.add_scaled((grad_e, grad_d, ONE, shape.parts))
        rows.add_scaled((bias, grad_d, -sum_dz, shape.parts))


@KERNELS.inlined
def step_rows(
    shape: Shape,
    now: Now,
    j: int,
    grad_d: int,
    grad_e: int,
    numbers: Numbers,
    room: Room,
    crew: Crew,
) -> None:
    """The steps of a latent's rows of D and E."""
    row = j * shape.at.row * FLOAT
    pitch = shape.latents * shape.at.row
    check = room.check + (1 + crew.thread) * FLOAT
    end = (check, shape.parts, *numbers)
    if not shape.frozen:
        at = row + shape.at.decoder * FLOAT
        decoder = now.old + at
        rows.step_row((decoder, now.new + at, pitch, grad_d, ZERO, decoder, 1, *end))
    if not shape.tied:
        bias = now.old + shape.at.b_d * FLOAT
        less = float_at(room.grad, j)
        rows.step_row((now.old + row, now.new + row, pitch, grad_e, less, bias, 0, *end))


@KERNELS.inlined
def put_rows(
    shape: Shape,
    now: Now,
    j: int,
    grad_d: int,
    grad_e: int,
    numbers: Numbers,
    room: Room,
) -> None:
    """Leave the gradients of a latent's rows of D and E."""
    row = j * shape.at.row * FLOAT
    end = (numbers[0], shape.parts)
    if not shape.frozen:
        at = row + shape.at.decoder * FLOAT
        rows.put_gradient((grad_d, ZERO, now.old + at, 1, now.out + at, *end))
    if not shape.tied:
        bias = now.old + shape.at.b_d * FLOAT
        less = float_at(room.grad, j)
        rows.put_gradient((grad_e, less, bias, 0, now.out + row, *end))


@KERNELS.compiled
def finish(
    shape: Shape,
    now: Now,
    models: Models,
    adam: Adam,
    state: Trained,
    losses: F64,
    room: Room,
    crew: Crew,
) -> None:
    """What follows the latents: b_e, theta and b_d, the loss, and whether the model goes on."""
    if shape.bias:
        bias_gradient(shape, now, room)
    loss = mean_loss(shape, now, room)
    numbers = numbers_of(shape, now, models, adam)
    if now.out:
        losses[now.model] = loss
        for i in range(shape.at.vectors):
            put_float(now.out, shape.at.b_e + i, numbers[0] * float_at(room.grad, i))
        return
    start = shape.at.b_e * FLOAT
    count = shape.at.vectors
    old = now.old + start
    after = count * FLOAT
    where = (old, old + after, old + 2 * after, room.grad, now.new + start)
    steps.step_adam((*where, room.check, count, count, *numbers))
    if shape.loss_every and now.step % shape.loss_every == 0:
        state.history[now.model, now.step // shape.loss_every] = np.float32(loss)
    check = float_at(room.check, 0)
    for thread in range(crew.threads):
        check += float_at(room.check, 1 + thread)
    if np.isfinite(check) and np.isfinite(np.float32(loss)):
        go_on(shape, now, models, state, room)
    else:
        state.diverged_at[now.model] = now.step


@KERNELS.inlined
def bias_gradient(shape: Shape, now: Now, room: Room) -> None:
    """Complete the gradient of b_d, of which the room holds the sum of the errors."""
    grad = room.grad + (shape.at.b_d - shape.at.b_e) * FLOAT
    for j in range(shape.latents):
        encoder = now.old + j * shape.at.row * FLOAT
        rows.add_scaled((encoder, grad, -float_at(room.grad, j), shape.parts))


@KERNELS.inlined
def mean_loss(shape: Shape, now: Now, room: Room) -> np.float64:
    """The mean loss of a batch, of the errors' squares and the penalty."""
    errors = np.float64(0)
    penalty = np.float64(0)
    for share in range((shape.parts + SHARE - 1) // SHARE):
        errors += double_at(room.losses, share)
    column = 2 if shape.kind == JUMPRELU else 1
    if now.half != ZERO:
        for j in range(shape.latents):
            penalty += float_at(room.sums, j * cells.SUMS + column)
    return (errors + 2 * now.half * penalty) / now.batch


@KERNELS.inlined
def go_on(shape: Shape, now: Now, models: Models, state: Trained, room: Room) -> None:
    """What `upkeep.after_step` does beside unit rows: counts, thresholds."""
    model = now.model
    state.turn[model] = 1 - state.turn[model]
    for j in range(shape.latents):
        fired = float_at(room.sums, j * cells.SUMS + 2) > ZERO
        state.idle[model, j] = 0 if fired else state.idle[model, j] + 1
    if shape.kind == BATCHTOPK:
        smallest = np.float32(np.inf)
        old = state.threshold[model]
        for j in range(shape.latents):
            smallest = min(smallest, float_at(room.lowest, j))
        if not np.isinf(smallest):
            mean = models.memory * old + models.forgotten * smallest
            state.threshold[model] = mean if old > ZERO else smallest
    if shape.kind == JUMPRELU:
        for j in range(shape.at.theta, shape.at.theta + shape.latents):
            put_float(now.new, j, max(float_at(now.new, j), ZERO))
