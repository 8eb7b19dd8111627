"""From inputs to the active cells of every latent.

z = E x + (b_e - E b_d) is computed densely, in blocks of samples side by side. Most kinds list the
cells of a few latents as soon as their z are there; topk and batchtopk choose from all of them.
Threads of a crew share latents, so every list has one order.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from superpos.engines.compiled import products, steps
from superpos.engines.compiled.barrier import wait
from superpos.engines.compiled.scalars import float_at, put_float, put_word, word_at
from superpos.engines.compiled.vectors import LANES, PAIR, STRIDE, WIDTH
from superpos.families.sae.cpu import cells, rows, select
from superpos.families.sae.cpu.arrays import (
    BATCHTOPK,
    FLOAT,
    JUMPRELU,
    ONE,
    TOPK,
    ZERO,
    Crew,
    Now,
    Room,
    Shape,
)
from superpos.families.sae.cpu.cache import KERNELS

# Latents that are encoded at once: their pre-activations stay in the innermost cache.
GROUP: Final = 32
# Of the threshold of batchtopk: all that will be chosen is most often above it.
_GUESS = np.float32(0.7)
# A floor below which rounding puts no cell near a threshold of jumprelu.
_WIDER = np.float32(1.00001)
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
def theta_of(shape: Shape, now: Now, j: int) -> np.float32:
    """Above which z a latent is active."""
    own: np.float32 = float_at(now.old, shape.at.theta + j)
    return own if shape.kind == JUMPRELU else now.floor


@KERNELS.inlined
def list_at(shape: Shape, room: Room, j: int) -> tuple[int, int]:
    """Addresses of samples and values of a latent's cells."""
    at = j * shape.capacity * FLOAT
    return room.sample + at, room.value + at


@KERNELS.compiled
def list_cells(
    shape: Shape,
    now: Now,
    keep: int,
    threshold: np.float32,
    room: Room,
    crew: Crew,
) -> None:
    """List the active cells of every latent, and those near a threshold of jumprelu."""
    if shape.kind in (TOPK, BATCHTOPK):
        encode(shape, now, room, crew)
        wait(crew.barrier, crew.threads)
        if shape.kind == TOPK:
            choose_by_sample(shape, now, keep, room, crew)
        else:
            choose_from_batch(shape, now, keep, _GUESS * threshold, room, crew)
    else:
        encode(shape, now, room, crew)
    wait(crew.barrier, crew.threads)


@KERNELS.compiled
def encode(shape: Shape, now: Now, room: Room, crew: Crew) -> None:
    """Compute z, and list the cells of kinds that do not choose."""
    chooses = shape.kind in (TOPK, BATCHTOPK)
    first_group, last_group = share_of((shape.latents + GROUP - 1) // GROUP, crew)
    for group in range(first_group, last_group):
        first = group * GROUP
        found = min(GROUP, shape.latents - first)
        begin(shape, now, first, first + found, room)
        encoder = now.old + first * shape.at.row * FLOAT
        start = room.start + first * FLOAT
        for sample in range(0, now.batch, LANES):
            valid = min(LANES, now.batch - sample)
            block = sample // LANES
            lanes = (valid + PAIR * WIDTH - 1) // (PAIR * WIDTH) * PAIR
            x = now.lanes + block * shape.at.row * STRIDE * FLOAT
            place = block * shape.latents + first if chooses else crew.thread * GROUP
            z = room.z + place * STRIDE * FLOAT
            size = (found, shape.dims, lanes, shape.at.row)
            products.contract_rows((z, encoder, x, start, *size))
            if not chooses:
                for j in range(first, first + found):
                    floor = theta_of(shape, now, j)
                    if shape.kind == JUMPRELU:
                        floor -= now.reach * _WIDER + _LEAST
                    samples, values = list_at(shape, room, j)
                    listed = (samples, values, room.cells + j * FLOAT)
                    row = z + (j - first) * STRIDE * FLOAT
                    cells.list_above((row, floor, sample, valid, *listed))
        if not chooses:
            close_lists(shape, first, first + found, room)


@KERNELS.inlined
def begin(shape: Shape, now: Now, first: int, last: int, room: Room) -> None:
    """Empty the lists of some latents, and let their z begin at b_e - E b_d."""
    bias = now.old + shape.at.b_d * FLOAT
    start = room.start
    for j in range(first, last):
        put_word(room.cells, j, 0)
        b_e = float_at(now.old, shape.at.b_e + j)
        put_float(start, j, b_e)
        if shape.bias:
            encoder = now.old + j * shape.at.row * FLOAT
            rows.dot_row((encoder, bias, start + j * FLOAT, b_e, -ONE, shape.parts))


@KERNELS.inlined
def close_lists(shape: Shape, first: int, last: int, room: Room) -> None:
    """Fill the lists of some latents up to whole vectors."""
    for j in range(first, last):
        samples, values = list_at(shape, room, j)
        cells.fill_up((samples, values, word_at(room.cells, j)))


@KERNELS.compiled
def list_lanes(shape: Shape, now: Now, first: int, last: int, room: Room) -> None:
    """List the cells of some latents that are above the floors of their samples."""
    for j in range(first, last):
        put_word(room.cells, j, 0)
        samples, values = list_at(shape, room, j)
        listed = (samples, values, room.cells + j * FLOAT)
        for sample in range(0, now.batch, LANES):
            valid = min(LANES, now.batch - sample)
            block = sample // LANES
            z = room.z + (block * shape.latents + j) * STRIDE * FLOAT
            floors = room.floors + sample * FLOAT
            cells.list_above_lanes((z, floors, sample, valid, *listed))
    close_lists(shape, first, last, room)


@KERNELS.inlined
def choose_by_sample(shape: Shape, now: Now, keep: int, room: Room, crew: Crew) -> None:
    """The `keep` largest cells of each sample."""
    first, last = share_of((now.batch + LANES - 1) // LANES, crew)
    for block in range(first, last):
        sample = block * LANES
        z = room.z + block * shape.latents * STRIDE * FLOAT
        vectors = whole(min(LANES, now.batch - sample)) // WIDTH
        floors = room.floors + sample * FLOAT
        select.lane_floors((z, floors, shape.latents, keep, vectors))
    wait(crew.barrier, crew.threads)
    first, last = share_of(shape.latents, crew)
    list_lanes(shape, now, first, last, room)


@KERNELS.inlined
def choose_from_batch(
    shape: Shape,
    now: Now,
    keep: int,
    guess: np.float32,
    room: Room,
    crew: Crew,
) -> None:
    """The `keep` largest cells of the batch.

    A guess of their floor saves work where it is too low by little; it changes nothing else.
    """
    first, last = share_of(shape.latents, crew)
    floor = guess
    while True:
        if crew.thread == 0:
            for sample in range(now.batch):
                put_float(room.floors, sample, floor)
        wait(crew.barrier, crew.threads)
        list_lanes(shape, now, first, last, room)
        wait(crew.barrier, crew.threads)
        found = 0
        for j in range(shape.latents):
            found += word_at(room.cells, j)
        if found >= keep or floor == ZERO:
            break
        floor = ZERO
    if crew.thread == 0:
        put_float(room.floor, 0, floor)
        if found > keep:
            raise_floor(shape, keep, room)
    wait(crew.barrier, crew.threads)
    for j in range(first, last):
        keep_above(shape, j, room)
    close_lists(shape, first, last, room)


@KERNELS.inlined
def raise_floor(shape: Shape, keep: int, room: Room) -> None:
    """Raise the floor until no more than `keep` of the listed cells are above it."""
    at = 0
    for j in range(shape.latents):
        length = whole(word_at(room.cells, j))
        values = list_at(shape, room, j)[1]
        steps.copy((values, room.chosen + at * FLOAT, length))
        at += length
    select.floor_of((room.chosen, at // WIDTH, keep, room.floor))


@KERNELS.inlined
def keep_above(shape: Shape, j: int, room: Room) -> None:
    """Take the cells not above the floor out of a latent's list, and note its smallest code."""
    samples, values = list_at(shape, room, j)
    kept = 0
    lowest = np.float32(np.inf)
    floor = float_at(room.floor, 0)
    for cell in range(word_at(room.cells, j)):
        z = float_at(values, cell)
        if not z <= floor:
            put_word(samples, kept, word_at(samples, cell))
            put_float(values, kept, z)
            lowest = min(lowest, z)
            kept += 1
    put_word(room.cells, j, kept)
    put_float(room.lowest, j, lowest)
