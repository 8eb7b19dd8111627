"""Batches of a world for some steps, made once for all models of that world.

Worlds whose features are active independently are drawn here, by the draws of `Synthetic.codes`,
bit for bit; of others, the activations are those that the world itself makes. Shapes: T steps, B
samples, G features, d dimensions, R floats of a row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.engines.compiled import philox
from superpos.engines.compiled.scalars import word_at
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

FLOAT = 4  # bytes
_WHOLE_ROW = 4  # vectors of a row that are always worked on together
_PARTS = LANES // (4 * WIDTH)  # of a block of draws


class Stream(NamedTuple):
    """Which draws; plain integers."""

    key_low: int
    key_high: int
    purpose: int
    step: int
    sample: int  # the first, a multiple of 4
    samples: int


def pitch_of(dims: int) -> int:
    """Vectors from a sample's row to the next: an odd number where parts of rows are worked on, so
    that these do not compete for the same cache sets.
    """
    parts = -(-dims // WIDTH)
    return parts | 1 if parts > _WHOLE_ROW else parts


def empty(steps: int, samples: int, dims: int) -> Batches:
    """Room for so many batches."""
    blocks = -(-samples // LANES)
    return Batches(
        lanes=np.zeros((steps, blocks, dims, STRIDE), np.float32),
        rows=np.zeros((steps, blocks * LANES, pitch_of(dims) * WIDTH), np.float32),
    )


def fill(out: Batches, world: World, evaluation: bool, start: int, samples: int) -> None:
    """Fill `out` with the batches of the steps from `start` on, or (evaluation) the samples from
    `start` on.
    """
    for at in range(len(out.rows)):
        step, first = (0, start + at * samples) if evaluation else (start + at, 0)
        if isinstance(world, Synthetic) and isinstance(world.law, Independent) and not world.noise:
            _draw(world, world.law, evaluation, step, first, samples, out.rows[at])
        else:
            x = world.activations(evaluation, step, range(first, first + samples), "cpu").numpy()
            out.rows[at, :samples, : x.shape[1]] = x
    turn(out.rows, out.lanes)


def _draw(
    world: Synthetic,
    law: Independent,
    evaluation: bool,
    step: int,
    first: int,
    samples: int,
    out: F32,
) -> None:
    """The activations of a world with independent features, [B', R]."""
    low, high = (int(word[0]) for word in key_words(np.array([world.seed], np.uint64)))
    purpose = Purpose.EVALUATE if evaluation else Purpose.TRAIN
    stream = Stream(low, high, int(purpose), step, first, samples)
    level, row, feature = locate(stream, law.thresholds)
    value = magnitudes(world.magnitude, world.sigma, torch.from_numpy(level)).numpy()
    dictionary = np.zeros((len(world.features), -(-world.features.shape[1] // WIDTH) * WIDTH), np.float32)
    dictionary[:, : world.features.shape[1]] = world.features
    add_features(row, feature, value, dictionary, out)


@KERNELS.compiled
def locate(stream: Stream, thresholds: NDArray[np.int64]) -> tuple[F64, I32, I32]:
    """The active cells, by blocks of samples and by features: level [N], sample [N] and feature
    [N].

    A level is the number in (0, 1) that the draw of an active cell leaves open, as
    `Independent.levels`.
    """
    features = len(thresholds)
    u = np.empty((features, STRIDE), np.int32)
    lanes, words, count = (
        np.empty(LANES, np.int32),
        np.empty(LANES, np.int32),
        np.zeros(1, np.int32),
    )
    level, row = np.empty(LANES), np.empty(LANES, np.int32)
    feature = np.empty(LANES, np.int32)
    found = 0
    for block in range((stream.samples + LANES - 1) // LANES):
        start = stream.sample + block * LANES
        keys = (stream.key_low, stream.key_high)
        philox.draw((u.ctypes.data, features, _PARTS, start, stream.step, stream.purpose, *keys))
        for g in range(features):
            low = thresholds[g]
            if low == RANGE:
                continue
            count[0] = 0
            at = u.ctypes.data + g * STRIDE * FLOAT
            cells.list_draws((at, low, lanes.ctypes.data, words.ctypes.data, count.ctypes.data))
            if found + LANES > len(level):
                level, row, feature = doubled(level), doubled(row), doubled(feature)
            for k in range(count[0]):
                sample = block * LANES + 4 * (lanes[k] % QUADS) + lanes[k] // QUADS
                if sample < stream.samples:
                    level[found] = (np.float64(word_at(words.ctypes.data, k) - low) + 0.5) / np.float64(RANGE - low)
                    row[found] = sample
                    feature[found] = g
                    found += 1
    return level[:found], row[:found], feature[:found]


@KERNELS.inlined
def doubled(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """The same with twice as much room."""
    longer = np.empty(2 * len(values) + 2 * LANES, values.dtype)
    longer[: len(values)] = values
    return longer


@KERNELS.compiled
def add_features(row: I32, feature: I32, value: F32, dictionary: F32, out: F32) -> None:
    """out[row] = the sum of value * dictionary[feature] over the cells, in their order."""
    out[:] = np.float32(0)
    length = dictionary.shape[1]
    source, target = dictionary.ctypes.data, out.ctypes.data
    for cell in range(len(row)):
        start, end = (
            source + feature[cell] * length * FLOAT,
            target + row[cell] * out.shape[1] * FLOAT,
        )
        rows.add_scaled((start, end, value[cell], length // WIDTH))


@KERNELS.compiled
def turn(source: F32, out: F32) -> None:
    """out [T, blocks, d, STRIDE] = source [T, B', R] with samples side by side."""
    for t in range(out.shape[0]):
        for block in range(out.shape[1]):
            for lane in range(LANES):
                for i in range(out.shape[2]):
                    out[t, block, i, lane] = source[t, block * LANES + lane, i]
