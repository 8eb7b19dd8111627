"""What the compiled loop is called with: numbers, arrays, and addresses of memory.

A step goes through its sequences 16 at a time, as the lanes of a vector. *Blocks* hold 8 positions
of these: a buffer of R rows is [blocks, R, STRIDE], and position t of row r lies in block t // 8 at
r * STRIDE + (t % 8) * 16.

Shapes: M models, B sequences of a step, T positions, T' these filled up to tiles of 4, V tokens, L
layers, H heads, d dimensions of the stream, d' these filled up to whole vectors, K those of a head
filled up to a multiple of 4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.family import Adam

FLOAT = 4  # bytes
ZERO = np.float32(0)
ONE = np.float32(1)
NONE, STREAM, SCORES, RELATIVE, POINTER = range(5)
CHAIN, SOURCE, CONDITIONAL, REPEATS, PAIRS, MARKOV, TRIGGERS = range(7)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class Layout(NamedTuple):
    """Where the parameters begin in the numbers of a model; those of heads have zeros in rows that
    fill up.
    """

    embed: int  # [V, d]
    places: int  # [T, d]
    qk: int  # [L, d, 2, H, K]
    v: int  # [L, d, H, K]
    o: int  # [L, H, K, d]
    offsets: int  # [L, H, T'], with 4 numbers before them
    smear: int  # [L, H]
    unembed: int  # [d, V]
    size: int  # P, whole vectors


class Language(NamedTuple):
    """What sequences are; plain integers."""

    kind: int
    words: int  # random words of a sequence
    tokens: int
    sources: int
    planted: int  # the threshold of words that take what is planted
    shortest: int  # of the blocks of repeats
    lengths: int
    distinct: int
    keys: int
    values: int
    states: int
    triggers: int
    determined: int  # whether only what the sequence has shown is learned


class Tables(NamedTuple):
    """What languages of a kind differ in; empty where the kind has no such table."""

    first: I64  # [languages, n] thresholds of the first token
    rows: I64  # [languages, n, n] thresholds of what follows a token
    follows: I64  # [languages, sources, n] what is planted


class Shape(NamedTuple):
    """What the compiled loop must know of a structure; plain integers."""

    vocabulary: int  # V
    dims: int  # d
    layers: int  # L
    heads: int  # H
    rows: int  # K
    context: int  # T
    positions: int  # T'
    blocks: int
    stream: int  # floats of a block of the stream
    queries: int  # of queries and keys of all heads
    values: int  # of values of all heads
    keys: int  # of smeared keys of one head
    logits: int
    tiles: int  # floats of the attention of a head
    reads: int  # where positions are read: one of the above
    smear: int
    direct: int
    batch: int  # B
    optimizer: int
    loss_every: int
    scale: np.float32  # 1/√k
    at: Layout
    language: Language


class Models(NamedTuple):
    """What differs between the models and does not change."""

    key: I64  # [M, 2] the seed as two words
    language: I64  # [M]
    rate: F32  # [M, steps of this call]
    decay: F32  # [M]
    tables: Tables
    adam: Adam


class Trained(NamedTuple):
    """What training changes.

    A model's numbers lie in two places, of which `turn` says where the present ones are: a step
    writes the other one, so that a model whose step is not finite keeps what it was.
    """

    numbers: F32  # [M, 2, 3, P] parameters and both moments
    turn: I64  # [M]
    diverged_at: I64  # [M]
    history: F32  # [M, records]
    moments: F64  # [M, 2] sum l and sum l^2 of an evaluation
    gradients: F32  # [M, P], or of no model
    losses: F64  # [M] of the step whose gradients these are


class Room(NamedTuple):
    """Addresses of one thread's intermediate results; all are 0 before the first step."""

    words: int  # [words, STRIDE] random ones of the sequences
    tokens: int  # [T' + 1, 16] int32
    weights: int  # [T', 16] what a position counts in the loss of its sequence
    seen: int  # [V] int32, tokens that a sequence has had
    drawn: int  # int32, what a sequence draws for itself: a block, a chain, outputs
    loss: int  # [16]
    by_row: int  # [LANES, d'] the stream of a block, lane by lane
    x: int  # the stream before each layer, and after the last: [L + 1] of blocks
    y: int  # what queries and keys read where it is not the stream: [L]
    total: int  # what heads have written, where logits read nothing else
    qk: int  # queries and keys [L]
    smeared: int  # keys that are mixed with those before [L, H]
    v: int  # [L]
    z: int  # mixed values [L]
    tiles: int  # attention [L, H]
    logits: int  # and their gradient
    dx: int  # gradient of the stream
    dtotal: int  # of what the logits read, where they do not read the stream
    dwritten: int  # of what the heads of a layer write, there
    dplaces: int  # of what positions write
    dqk: int
    dsmeared: int  # of one head
    dv: int
    dz: int
    scores: int  # tiles of one head
    by_offset: int  # [L, H, T' + 4, 16] gradients of offsets, by lanes
    by_smear: int  # [L, H, 16] of smearing
    zeros: int  # a start of sums, and offsets where there are none
    grad: int  # [P] and a vector
    check: int  # [1] 0 where parameters are finite, else NaN
