"""The compiled loops: one call trains models on the batches of some steps, or scores them.

Of one step only the encoder is dense (`encoding`). From there on work is done over active cells:
the decoder's output, kept as the error (`decoding`), then for each latent its gradients and at once
its optimiser's step (`update`). Every sum over samples or latents has one order, whoever computes
it: the threads of a crew share latents or dimensions, never sums.

Shapes as in `arrays`.
"""

from __future__ import annotations

import numpy as np

from superpos.engines.compiled.barrier import wait
from superpos.engines.compiled.scalars import float_at, put_float, word_at
from superpos.families.sae.cpu.arrays import (
    ABOVE,
    F32,
    F64,
    FLOAT,
    JUMPRELU,
    ONE,
    ZERO,
    Batches,
    Crew,
    Models,
    Now,
    Room,
    Shape,
    Trained,
)
from superpos.families.sae.cpu.cache import KERNELS
from superpos.families.sae.cpu.decoding import decode
from superpos.families.sae.cpu.encoding import list_at, list_cells, theta_of
from superpos.families.sae.cpu.update import finish, step_latents
from superpos.family import Adam


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
    size = state.numbers.shape[2] * FLOAT
    for model in range(first, last):
        place = state.numbers.ctypes.data + model * 2 * size
        out = gradients.ctypes.data + model * size if len(gradients) else 0
        for at in range(len(batches.rows)):
            wait(crew.barrier, crew.threads)
            if state.diverged_at[model] >= 0:
                break
            turn = state.turn[model]
            now = Now(
                model,
                at,
                step + at,
                shape.samples,
                batches.lanes.ctypes.data + at * batches.lanes.strides[0],
                batches.rows.ctypes.data + at * batches.rows.strides[0],
                place + turn * size,
                place + (1 - turn) * size,
                out,
                ZERO,
                models.penalty[model, at],
                models.reach[model],
                models.cuts.ctypes.data,
                models.weights.ctypes.data + model * models.weights.strides[0],
                False,
            )
            threshold = state.threshold[model]
            list_cells(shape, now, models.keep[model, at], threshold, room, crew)
            decode(shape, now, room, crew)
            wait(crew.barrier, crew.threads)
            step_latents(shape, now, models, adam, room, crew)
            wait(crew.barrier, crew.threads)
            if crew.thread == 0:
                finish(shape, now, models, adam, state, losses, room, crew)


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
    """Add the sums of losses and of their squares over `samples` samples to state.moments.

    By the rule of inference.
    """
    size = state.numbers.shape[2] * FLOAT
    for model in range(first, last):
        floor = state.threshold[model] if shape.kind == ABOVE else ZERO
        for at in range(len(batches.rows)):
            batch = min(shape.samples, samples - at * shape.samples)
            now = Now(
                model,
                at,
                0,
                batch,
                batches.lanes.ctypes.data + at * batches.lanes.strides[0],
                batches.rows.ctypes.data + at * batches.rows.strides[0],
                state.numbers.ctypes.data + model * 2 * size,
                0,
                0,
                floor,
                models.penalty[model, 0],
                models.reach[model],
                models.cuts.ctypes.data,
                models.weights.ctypes.data + model * models.weights.strides[0],
                True,
            )
            for sample in range(batch):
                put_float(room.squares, sample, ZERO)
            list_cells(shape, now, models.keep[model, 0], ZERO, room, crew)
            decode(shape, now, room, crew)
            add_penalties(shape, now, room)
            for sample in range(batch):
                loss = np.float64(float_at(room.squares, sample))
                state.moments[model, 0] += loss
                state.moments[model, 1] += loss * loss


@KERNELS.inlined
def add_penalties(shape: Shape, now: Now, room: Room) -> None:
    """Add the penalty of each sample to its loss in room.squares."""
    if now.half != ZERO:
        for j in range(shape.latents):
            theta = theta_of(shape, now, j)
            samples, values = list_at(shape, room, j)
            for cell in range(word_at(room.cells, j)):
                z = float_at(values, cell)
                if not z <= theta:
                    penalty = 2 * now.half * (ONE if shape.kind == JUMPRELU else z)
                    sample = word_at(samples, cell)
                    put_float(room.squares, sample, float_at(room.squares, sample) + penalty)
