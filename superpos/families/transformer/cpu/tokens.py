"""Sequences as `data.languages` has them, token by token the same: 16 of them, drawn where they are
used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from superpos.engines.compiled import philox
from superpos.engines.compiled.scalars import float_at, put_float, put_word, word_at
from superpos.engines.compiled.vectors import QUADS, STRIDE, WIDTH
from superpos.families.transformer.cpu.arrays import (
    CHAIN,
    CONDITIONAL,
    MARKOV,
    ONE,
    PAIRS,
    REPEATS,
    SOURCE,
    ZERO,
    Language,
    Room,
    Shape,
    Tables,
)
from superpos.families.transformer.cpu.cache import KERNELS
from superpos.families.transformer.data.languages import HALF


@KERNELS.compiled
def draw(
    shape: Shape,
    tables: Tables,
    number: int,
    low: int,
    high: int,
    purpose: int,
    step: int,
    sample: int,
    valid: int,
    room: Room,
) -> None:
    """Tokens of the sequences from `sample` on, and what their positions count in their losses.

    Lanes behind the first `valid` repeat the first sequence and count nothing.
    """
    philox.draw((room.words, shape.language.words, 1, sample, step, purpose, low, high))
    for s in range(valid):
        write(shape, tables, number, s, room)
        learned = ZERO
        for t in range(shape.context):
            learned += float_at(room.weights, t * WIDTH + s)
        for t in range(shape.context):
            at = t * WIDTH + s
            put_float(room.weights, at, float_at(room.weights, at) / max(learned, ONE))
    for s in range(valid, WIDTH):
        for t in range(shape.context + 1):
            put_word(room.tokens, t * WIDTH + s, word_at(room.tokens, t * WIDTH))
        for t in range(shape.context):
            put_float(room.weights, t * WIDTH + s, ZERO)


@KERNELS.inlined
def word_of(room: Room, word: int, s: int) -> int:
    """A random word of a sequence; `philox.draw` says where it lies."""
    found: int = word_at(room.words, word * STRIDE + (s % 4) * QUADS + s // 4)
    return found


@KERNELS.inlined
def below(word: int, n: int) -> int:
    """Any of n numbers."""
    return (word * n) >> 32


@KERNELS.inlined
def by_law(word: int, thresholds: NDArray[np.int64]) -> int:
    """A number by the law of these thresholds."""
    found = 0
    for threshold in thresholds:
        found += 1 if word >= threshold else 0
    return found


@KERNELS.inlined
def put(room: Room, t: int, s: int, token: int) -> None:
    """Token t of a sequence."""
    put_word(room.tokens, t * WIDTH + s, token)


@KERNELS.inlined
def count(room: Room, t: int, s: int, counts: bool) -> None:
    """Whether what follows a position is learned."""
    put_float(room.weights, t * WIDTH + s, ONE if counts else ZERO)


@KERNELS.compiled
def write(shape: Shape, tables: Tables, number: int, s: int, room: Room) -> None:
    """The tokens of one sequence, and 1 or 0 for each position."""
    kind = shape.language.kind
    for t in range(shape.context):
        count(room, t, s, True)
    if kind == CHAIN:
        chain(shape, tables, number, s, room)
    elif kind == SOURCE:
        source(shape, shape.language, tables, number, s, room)
    elif kind == CONDITIONAL:
        conditional(shape, shape.language, tables, number, s, room)
    elif kind == REPEATS:
        repeats(shape, shape.language, s, room)
    elif kind == PAIRS:
        pairs(shape, shape.language, s, room)
    elif kind == MARKOV:
        markov(shape, shape.language, s, room)
    else:
        triggers(shape, shape.language, tables, number, s, room)


@KERNELS.inlined
def chain(shape: Shape, tables: Tables, number: int, s: int, room: Room) -> None:
    """A fixed Markov chain."""
    token = by_law(word_of(room, 0, s), tables.first[number])
    put(room, 0, s, token)
    for t in range(1, shape.context + 1):
        token = by_law(word_of(room, t, s), tables.rows[number, token])
        put(room, t, s, token)


@KERNELS.inlined
def source(
    shape: Shape, language: Language, tables: Tables, number: int, s: int, room: Room
) -> None:
    """A source token that decides what follows."""
    place = below(word_of(room, 0, s), max(shape.context // 2, 1))
    decides = below(word_of(room, 1, s), language.sources)
    token = 0
    for t in range(shape.context + 1):
        before = min(token, language.tokens - 1)
        token = below(word_of(room, shape.context + 3 + t, s), language.tokens)
        if t > place + 1 and word_of(room, 2 + t, s) < language.planted:
            fixed = tables.follows[number, decides, before]
            if fixed >= 0:
                token = fixed
        if t == place:
            token = language.tokens + decides
        put(room, t, s, token)
        if t < shape.context:
            count(room, t, s, t > place)


@KERNELS.inlined
def conditional(
    shape: Shape, language: Language, tables: Tables, number: int, s: int, room: Room
) -> None:
    """Bigrams, but only after [0]."""
    present = word_of(room, 0, s) < HALF
    token = 0
    for t in range(shape.context + 1):
        before = token
        token = below(word_of(room, shape.context + 2 + t, s), language.tokens)
        if present and t == 0:
            token = language.tokens
        if present and t > 1 and word_of(room, 1 + t, s) < language.planted:
            token = tables.follows[number, 0, before]
        put(room, t, s, token)
    count(room, 0, s, False)


@KERNELS.inlined
def repeats(shape: Shape, language: Language, s: int, room: Room) -> None:
    """A block, again and again."""
    length = language.shortest + below(word_of(room, 0, s), language.lengths)
    if language.distinct:
        for i in range(language.tokens):
            put_word(room.drawn, i, i)
        for i in range(1, language.tokens):  # by insertion: equal words keep their order
            word = word_of(room, 1 + i, s)
            at = i
            while at > 0 and word_of(room, 1 + word_at(room.drawn, at - 1), s) > word:
                put_word(room.drawn, at, word_at(room.drawn, at - 1))
                at -= 1
            put_word(room.drawn, at, i)
    else:
        for i in range(length):
            put_word(room.drawn, i, below(word_of(room, 1 + i, s), language.tokens))
    put(room, 0, s, language.tokens)
    for t in range(shape.context):
        put(room, t + 1, s, word_at(room.drawn, t % length))
        count(room, t, s, t > length or not language.determined)


@KERNELS.inlined
def pairs(shape: Shape, language: Language, s: int, room: Room) -> None:
    """Keys, each with the value that it has in this sequence."""
    put(room, 0, s, language.keys + language.values)
    for t in range(shape.context):
        key = below(word_of(room, language.keys + t // 2, s), language.keys)
        value = language.keys + below(word_of(room, key, s), language.values)
        put(room, t + 1, s, value if t % 2 else key)
    if language.determined:
        count_seen(shape, language.keys, s, room)


@KERNELS.inlined
def markov(shape: Shape, language: Language, s: int, room: Room) -> None:
    """A chain of this sequence alone: gaps between sorted words."""
    states = language.states
    rest = language.states - 1
    for i in range(states):
        for j in range(rest):
            word = word_of(room, i * rest + j, s)
            at = i * rest + j
            while at > i * rest and word_at(room.drawn, at - 1) > word:
                put_word(room.drawn, at, word_at(room.drawn, at - 1))
                at -= 1
            put_word(room.drawn, at, word)
    token = below(word_of(room, states * rest, s), states)
    put(room, 0, s, token)
    for t in range(1, shape.context + 1):
        word = word_of(room, states * rest + t, s)
        row = token * rest
        token = 0
        for j in range(rest):
            token += 1 if word >= word_at(room.drawn, row + j) else 0
        put(room, t, s, token)


@KERNELS.inlined
def triggers(
    shape: Shape, language: Language, tables: Tables, number: int, s: int, room: Room
) -> None:
    """A fixed chain, but triggers are followed by what they have for an output in this sequence."""
    own = language.triggers
    token = below(word_of(room, own, s), language.tokens)
    put(room, 0, s, token)
    for t in range(1, shape.context + 1):
        if token < own:
            token = own + below(word_of(room, token, s), language.tokens - own)
        else:
            token = by_law(word_of(room, own + t, s), tables.rows[number, token])
        put(room, t, s, token)
    if language.determined:
        count_seen(shape, own, s, room)


@KERNELS.inlined
def count_seen(shape: Shape, end: int, s: int, room: Room) -> None:
    """Only positions count whose token is below `end` and was there before."""
    for token in range(shape.vocabulary):
        put_word(room.seen, token, 0)
    for t in range(shape.context):
        token = word_at(room.tokens, t * WIDTH + s)
        count(room, t, s, token < end and word_at(room.seen, token) == 1)
        put_word(room.seen, token, 1)
