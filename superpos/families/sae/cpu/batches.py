"""Batches of a world for some steps, made once for all models of that world.

Worlds whose features are active independently are drawn here, by the draws of `Synthetic.codes`,
bit for bit; of others, the activations are those that the world itself makes.

Shapes: T batches, B samples, G features, d dimensions, N active cells; B' is B filled up to blocks,
d' is d filled up to whole vectors. Rows of samples are R floats apart.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.engines.compiled import philox, turning
from superpos.engines.compiled.scalars import float_at, put_float, word_at
from superpos.engines.compiled.vectors import LANES, QUADS, STRIDE, WIDTH
from superpos.families.sae.cpu import cells, rows
from superpos.families.sae.cpu.arrays import F32, F64, I32, Batches
from superpos.families.sae.cpu.cache import KERNELS
from superpos.families.sae.purposes import Purpose
from superpos.families.sae.structure import World
from superpos.families.sae.world.magnitudes import magnitudes
from superpos.families.sae.world.synthetic import Synthetic
from superpos.maths.activity import Independent
from superpos.maths.streams import RANGE, key_words

FLOAT: Final = 4  # bytes
WHOLE_ROW: Final = 4  # vectors of a row that are always worked on together
_FEW: Final = 4  # dimensions that are turned one by one
_PARTS = LANES // (4 * WIDTH)  # of a block of draws


class Stream(NamedTuple):
    """Which draws; plain integers."""

    key_low: int
    key_high: int
    purpose: int
    step: int  # of the first batch
    sample: int  # the first of the first batch, a multiple of 4
    steps: int  # from one batch to the next
    samples: int  # from one batch to the next
    batch: int  # B


def pitch_of(dims: int) -> int:
    """Vectors from a sample's row to the next.

    An odd number where parts of rows are worked on: these then do not compete for the same cache
    sets.
    """
    parts = -(-dims // WIDTH)
    return parts | 1 if parts > WHOLE_ROW else parts


def empty(count: int, samples: int, dims: int) -> Batches:
    """Room for so many batches."""
    blocks = -(-samples // LANES)
    whole = -(-dims // WIDTH) * WIDTH
    return Batches(
        lanes=np.zeros((count, blocks, whole, STRIDE), np.float32),
        rows=np.zeros((count, blocks * LANES, pitch_of(dims) * WIDTH), np.float32),
    )


def fill(out: Batches, world: World, evaluation: bool, start: int, batch: int, dims: int) -> None:
    """Fill `out` with the batches of the steps from `start` on.

    In evaluation these are the batches of consecutive samples, of which `start` is the first.
    """
    count = len(out.rows)
    if isinstance(world, Synthetic) and isinstance(world.law, Independent) and not world.noise:
        _draw(world, world.law, evaluation, start, batch, out.rows)
    else:
        for at in range(count):
            step, first = (0, start + at * batch) if evaluation else (start + at, 0)
            x = world.activations(evaluation, step, range(first, first + batch), "cpu").numpy()
            out.rows[at, :batch, : x.shape[1]] = x
    turn(out.rows, out.lanes, dims)


def _draw(
    world: Synthetic,
    law: Independent,
    evaluation: bool,
    start: int,
    batch: int,
    out: F32,
) -> None:
    """The activations of a world with independent features, [T, B', R]."""
    low, high = (int(word[0]) for word in key_words(np.array([world.seed], np.uint64)))
    moves = (0, start, 0, batch) if evaluation else (start, 0, 1, 0)
    purpose = Purpose.EVALUATE if evaluation else Purpose.TRAIN
    stream = Stream(low, high, int(purpose), *moves, batch)
    level, row, feature = locate(stream, len(out), out.shape[1], law.thresholds)
    value = magnitudes(world.magnitude, world.sigma, torch.from_numpy(level)).numpy()
    features, dims = world.features.shape
    dictionary = np.zeros((features, -(-dims // WIDTH) * WIDTH), np.float32)
    dictionary[:, :dims] = world.features
    add_features(row, feature, value, dictionary, out.reshape(-1, out.shape[2]))


@KERNELS.compiled
def locate(
    stream: Stream,
    count: int,
    rows_of_batch: int,
    thresholds: NDArray[np.int64],
) -> tuple[F64, I32, I32]:
    """The active cells of some batches, by batches, blocks of samples and features.

    Level [N], row [N] and feature [N]. A level is the number in (0, 1) that the draw of an active
    cell leaves open, as `Independent.levels`.
    """
    features = len(thresholds)
    u = np.empty((features, STRIDE), np.int32)
    lanes = np.empty(LANES, np.int32)
    words = np.empty(LANES, np.int32)
    listed = np.zeros(1, np.int32)
    level = np.empty(LANES)
    row = np.empty(LANES, np.int32)
    feature = np.empty(LANES, np.int32)
    found = 0
    for at in range(count):
        step = stream.step + at * stream.steps
        for first in range(0, stream.batch, LANES):
            sample = stream.sample + at * stream.samples + first
            counter = (sample, step, stream.purpose, stream.key_low, stream.key_high)
            philox.draw((u.ctypes.data, features, _PARTS, *counter))
            for g in range(features):
                low = thresholds[g]
                if low == RANGE:
                    continue
                listed[0] = 0
                draws = u.ctypes.data + g * STRIDE * FLOAT
                where = (lanes.ctypes.data, words.ctypes.data, listed.ctypes.data)
                cells.list_draws((draws, low, *where))
                if found + LANES > len(level):
                    level = doubled(level)
                    row = doubled(row)
                    feature = doubled(feature)
                for k in range(listed[0]):
                    lane = first + 4 * (lanes[k] % QUADS) + lanes[k] // QUADS
                    if lane < stream.batch:
                        above = np.float64(word_at(words.ctypes.data, k) - low)
                        level[found] = (above + 0.5) / np.float64(RANGE - low)
                        row[found] = at * rows_of_batch + lane
                        feature[found] = g
                        found += 1
    return level[:found], row[:found], feature[:found]


@KERNELS.inlined
def doubled(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """The same with twice as much room."""
    longer = np.empty(2 * len(values) + LANES, values.dtype)
    for i in range(len(values)):  # a slice would take 2 s to compile, for the message of an error
        longer[i] = values[i]
    return longer


@KERNELS.compiled
def add_features(row: I32, feature: I32, value: F32, dictionary: F32, out: F32) -> None:
    """out[row] = the sum of value * dictionary[feature] over the cells, in their order."""
    out[:] = np.float32(0)
    length = dictionary.shape[1]
    pitch = out.shape[1]
    source = dictionary.ctypes.data
    target = out.ctypes.data
    for cell in range(len(row)):
        start = source + feature[cell] * length * FLOAT
        end = target + row[cell] * pitch * FLOAT
        rows.add_scaled((start, end, value[cell], length // WIDTH))


@KERNELS.compiled
def turn(source: F32, out: F32, dims: int) -> None:
    """out [T, blocks, d', STRIDE] = source [T, B', R] with samples side by side."""
    pitch = source.shape[2]
    blocks = out.shape[1]
    for at in range(out.shape[0]):
        for block in range(blocks):
            start = source.ctypes.data + at * source.strides[0] + block * LANES * pitch * FLOAT
            end = out.ctypes.data + at * out.strides[0] + block * out.strides[1]
            if dims > _FEW:
                turning.to_lanes((start, end, dims, LANES // WIDTH, pitch))
            else:
                for i in range(dims):
                    for lane in range(LANES):
                        put_float(end, i * STRIDE + lane, float_at(start, lane * pitch + i))
