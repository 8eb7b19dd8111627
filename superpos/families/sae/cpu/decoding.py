"""From the active cells to the errors e = x' - x, kept row by row.

Threads of a crew share dimensions, so that every sum over latents has one order.
"""

from __future__ import annotations

from typing import Final

from superpos.engines.compiled.scalars import float_at, long_at, put_double, word_at
from superpos.engines.compiled.vectors import WIDTH
from superpos.families.sae.cpu import cells
from superpos.families.sae.cpu.arrays import DOUBLE, FLOAT, ONE, Crew, Now, Room, Shape
from superpos.families.sae.cpu.cache import KERNELS
from superpos.families.sae.cpu.encoding import list_at, share_of, theta_of

SHARE: Final = 4  # vectors of a row that are decoded at once


@KERNELS.compiled
def decode(shape: Shape, now: Now, room: Room, crew: Crew) -> None:
    """The errors of every prefix, and the sums of their squares in room.losses.

    For training, what is left are their weighted sums, over the prefixes that hold a latent; in
    scoring, the squares of each sample in room.squares.
    """
    first, last = share_of((shape.parts + SHARE - 1) // SHARE, crew)
    for share in range(first, last):
        offset = share * SHARE * WIDTH * FLOAT
        width = min(SHARE, shape.parts - share * SHARE)
        put_double(room.losses, share, 0.0)
        done = 0
        for prefix in range(shape.prefixes):
            last_latent = long_at(now.cuts, prefix)
            add_prefix(shape, now, prefix, done, last_latent, offset, width, room)
            done = last_latent
            e = errors_of(shape, prefix, room) + offset
            size = (now.batch, shape.pitch, width, float_at(now.weights, prefix))
            if now.scoring:
                cells.row_squares((e, room.squares, *size))
            else:
                cells.sum_squares((e, room.losses + share * DOUBLE, *size))
        if not now.scoring:
            weigh(shape, now, offset, width, room)


@KERNELS.inlined
def errors_of(shape: Shape, prefix: int, room: Room) -> int:
    """Address of the errors of a prefix."""
    return room.errors + prefix * shape.plane * FLOAT


@KERNELS.inlined
def add_prefix(
    shape: Shape,
    now: Now,
    prefix: int,
    first: int,
    last: int,
    offset: int,
    width: int,
    room: Room,
) -> None:
    """The errors of a prefix: those of the one before, with the latents first ... last - 1."""
    e = errors_of(shape, prefix, room) + offset
    size = (now.batch, shape.pitch, width)
    if prefix:
        cells.copy_rows((errors_of(shape, prefix - 1, room) + offset, e, *size))
    else:
        bias = now.old + shape.at.b_d * FLOAT + offset
        cells.begin_errors((now.x + offset, bias, e, *size))
    for j in range(first, last):
        decoder = now.old + (shape.at.decoder + j * shape.at.row) * FLOAT + offset
        samples, values = list_at(shape, room, j)
        listed = (samples, values, theta_of(shape, now, j), word_at(room.cells, j))
        cells.decode_cells((e, decoder, *listed, shape.pitch, width))


@KERNELS.inlined
def weigh(shape: Shape, now: Now, offset: int, width: int, room: Room) -> None:
    """Let the errors of each prefix be its own and those of all longer ones, weighted.

    Their sum over the samples, for b_d, is that of the first.
    """
    size = (now.batch, shape.pitch, width)
    for prefix in range(shape.prefixes - 1, -1, -1):
        e = errors_of(shape, prefix, room) + offset
        weight = float_at(now.weights, prefix)
        if prefix < shape.prefixes - 1:
            behind = errors_of(shape, prefix + 1, room) + offset
            cells.weigh_errors((e, behind, weight, *size))
        elif weight != ONE:
            cells.weigh_errors((e, e, weight - ONE, *size))
    if shape.bias:
        start = room.grad + (shape.at.b_d - shape.at.b_e) * FLOAT
        cells.sum_errors((errors_of(shape, 0, room) + offset, start + offset, *size))
