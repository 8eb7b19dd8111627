"""Sequences of languages, as functions of random words.

A sequence has T + 1 tokens: position t of a model reads token t and predicts token t + 1. It is a
function of a fixed number of 32-bit words, of which each is used once. With n tokens that a word
chooses among, word u means number floor(u n / 2³²); u of a law with thresholds c_i = floor(2³² Σ_{j
≤ i} p_j) means the number of c_i that are at most u.

    chain        x_0 by the stationary law, then by the row of the token before. Rows are Dirichlet.
    source       Any of the n tokens until place τ, uniform in the first half of the positions,
    where source a stands;
                 from then on what is planted for (a, the token before) with probability p, else
                 any.
    latin        The same; (a + b) modulo n follows source a and token b.
    conditional  x_0 is [0] with probability ½, else any token. After [0] what token b has for a
    follower comes with
                 probability p, else any; without [0] any.
    repeats      BOS, then a block of p tokens, any or any distinct ones, again and again; p is
    uniform in the period. pairs        BOS, then key, value, key, value: any keys; each has one
    value in a sequence. markov       Every sequence has a chain of its own, whose rows are
    Dirichlet(1): the gaps between uniform words. triggers     As chain, with any first token, but
    after a trigger (tokens 0 to K - 1) comes the output that it has in
                 this sequence, any token that is no trigger.

Ordinary tokens come first, then sources, [0] or BOS; of pairs keys, values, BOS.

Shapes: M models, B sequences, T positions, n ordinary tokens, V tokens, W words of a sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.families.transformer.structure import Structure
from superpos.maths.streams import RANGE

Tables = Mapping[str, torch.Tensor]
"""What the languages of some models differ in, [M, ...]."""

HALF: Final = RANGE // 2


class Sequences(NamedTuple):
    """Some sequences, and which of their tokens are asked for."""

    tokens: torch.Tensor  # [M, B, T + 1], int64
    trained: torch.Tensor  # [M, B, T]; whether what follows a position is learned
    determined: torch.Tensor  # [M, B, T]; whether it is what the language is about


def n_words(structure: Structure) -> int:
    """Random words that a sequence takes."""
    s = structure
    T = structure.context
    return {
        "chain": T + 1,
        "source": 2 + 2 * (T + 1),
        "latin": 2 + 2 * (T + 1),
        "conditional": 1 + 2 * (T + 1),
        "repeats": 1 + (s.tokens if s.distinct else s.period[1]),
        "pairs": s.keys + (T + 1) // 2,
        "markov": s.states * (s.states - 1) + T + 1,
        "triggers": s.triggers + T + 1,
    }[s.kind]


def sequences(structure: Structure, made: Tables, words: torch.Tensor) -> Sequences:
    """The sequences that words [M, B, W] mean; tables are those of the models, [M, ...]."""
    return _KINDS[structure.kind](structure, made, words)


def strayed(s: Structure, pairs: Sequences, words: torch.Tensor) -> Sequences:
    """Sequences of pairs with a value that says nothing after each pair, cut to as many pairs as
    fit; `words` are [M, B, P], one of each pair.

    The answer after a key that was seen is its value, as before; no model has seen such sequences.
    """
    n_pairs = s.context // 3
    body = pairs.tokens[..., 1 : 1 + 2 * n_pairs]
    strays = s.keys + _below(words[..., :n_pairs], s.values)
    keys = body[..., ::2]
    values = body[..., 1::2]
    stretched = torch.stack([keys, values, strays], -1).flatten(-2)
    tokens = torch.cat([pairs.tokens[..., :1], stretched], -1)
    seen = _seen(tokens) & (tokens[..., :-1] < s.keys)
    return Sequences(tokens, seen, seen)


def _below(words: torch.Tensor, n: int) -> torch.Tensor:
    """Any of n numbers."""
    return (words * n) >> 32


def _by_law(words: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """Numbers [...] by the laws whose thresholds are [..., n]."""
    return (words[..., None] >= thresholds).sum(-1)


def _rows(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Rows of each model's table [M, n, ...] by numbers [M, B]: [M, B, ...]."""
    models = torch.arange(len(table), device=table.device)[:, None]
    return table[models, index]


def _everywhere(tokens: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(tokens[..., 1:], dtype=torch.bool)


def _chain(s: Structure, made: Tables, words: torch.Tensor) -> Sequences:
    found = [_by_law(words[..., 0], made["first"][:, None])]
    for t in range(1, s.context + 1):
        found.append(_by_law(words[..., t], _rows(made["rows"], found[-1])))
    tokens = torch.stack(found, -1)
    return Sequences(tokens, _everywhere(tokens), _everywhere(tokens))


def _source(s: Structure, made: Tables, words: torch.Tensor) -> Sequences:
    place = _below(words[..., 0], max(s.context // 2, 1))
    source = _below(words[..., 1], s.sources)
    planted = words[..., 2 : s.context + 3] < int(s.planted_p * RANGE)
    anything = _below(words[..., s.context + 3 :], s.tokens)
    follows = _rows(made["next"], source)  # [M, B, n]
    found: list[torch.Tensor] = []
    for t in range(s.context + 1):
        token = anything[..., t]
        if t > 1:
            before = found[-1].clamp(max=s.tokens - 1)
            fixed = follows.gather(-1, before[..., None])[..., 0]
            token = torch.where((t > place + 1) & planted[..., t] & (fixed >= 0), fixed, token)
        found.append(torch.where(place == t, s.tokens + source, token))
    tokens = torch.stack(found, -1)
    after = torch.arange(s.context, device=words.device) > place[..., None]
    return Sequences(tokens, after, after)


def _conditional(s: Structure, made: Tables, words: torch.Tensor) -> Sequences:
    present = words[..., 0] < HALF
    planted = words[..., 1 : s.context + 2] < int(s.planted_p * RANGE)
    anything = _below(words[..., s.context + 2 :], s.tokens)
    # Nothing follows [0] more than anything else, so that the second token is any.
    found = [torch.where(present, s.tokens, anything[..., 0]), anything[..., 1]]
    for t in range(2, s.context + 1):
        known = present & planted[..., t]
        found.append(torch.where(known, _rows(made["next"], found[-1]), anything[..., t]))
    tokens = torch.stack(found, -1)
    after = _everywhere(tokens)
    after[..., 0] = False
    return Sequences(tokens, after, after)


def _repeats(s: Structure, made: Tables, words: torch.Tensor) -> Sequences:
    low, high = s.period
    length = low + _below(words[..., 0], high - low + 1)
    drawn = words[..., 1:]
    block = drawn.sort(dim=-1, stable=True).indices if s.distinct else _below(drawn, s.tokens)
    t = torch.arange(s.context, device=words.device)
    body = block.gather(-1, t % length[..., None])
    begin = torch.full_like(body[..., :1], s.tokens)
    tokens = torch.cat([begin, body], -1)
    seen = t > length[..., None]
    return Sequences(tokens, _asked(s, seen), seen)


def _pairs(s: Structure, made: Tables, words: torch.Tensor) -> Sequences:
    values = s.keys + _below(words[..., : s.keys], s.values)
    keys = _below(words[..., s.keys :], s.keys)
    body = torch.stack([keys, values.gather(-1, keys)], -1).flatten(-2)[..., : s.context]
    tokens = torch.cat([torch.full_like(body[..., :1], s.keys + s.values), body], -1)
    seen = _seen(tokens) & (tokens[..., :-1] < s.keys)
    return Sequences(tokens, _asked(s, seen), seen)


def _markov(s: Structure, made: Tables, words: torch.Tensor) -> Sequences:
    n = s.states
    at = s.states * (s.states - 1)
    gaps = words[..., :at].reshape(*words.shape[:-1], n, n - 1).sort(-1).values
    found = [_below(words[..., at], n)]
    for t in range(1, s.context + 1):
        row = gaps.gather(-2, found[-1][..., None, None].expand(*found[-1].shape, 1, n - 1))[
            ..., 0, :
        ]
        found.append(_by_law(words[..., at + t], row))
    tokens = torch.stack(found, -1)
    return Sequences(tokens, _everywhere(tokens), _everywhere(tokens))


def _triggers(s: Structure, made: Tables, words: torch.Tensor) -> Sequences:
    K = s.triggers
    outputs = K + _below(words[..., :K], s.tokens - K)
    found = [_below(words[..., K], s.tokens)]
    for t in range(1, s.context + 1):
        by_chain = _by_law(words[..., K + t], _rows(made["rows"], found[-1]))
        output = outputs.gather(-1, found[-1].clamp(max=K - 1)[..., None])[..., 0]
        found.append(torch.where(found[-1] < K, output, by_chain))
    tokens = torch.stack(found, -1)
    seen = _seen(tokens) & (tokens[..., :-1] < K)
    return Sequences(tokens, _asked(s, seen), seen)


def _asked(s: Structure, determined: torch.Tensor) -> torch.Tensor:
    """Which next tokens are learned."""
    return determined if s.targets == "determined" else torch.ones_like(determined)


def _seen(tokens: torch.Tensor) -> torch.Tensor:
    """Whether the token of a position was there before, [M, B, T]."""
    here = tokens[..., :-1]
    same = here[..., :, None] == here[..., None, :]
    return same.tril(-1).any(-1)


_KINDS: Final[Mapping[str, Callable[[Structure, Tables, torch.Tensor], Sequences]]] = {
    "chain": _chain,
    "source": _source,
    "latin": _source,
    "conditional": _conditional,
    "repeats": _repeats,
    "pairs": _pairs,
    "markov": _markov,
    "triggers": _triggers,
}


def table_tensors(
    made: Mapping[str, NDArray[Any]], language: NDArray[np.intp], device: str
) -> dict[str, torch.Tensor]:
    """The tables of models whose languages have these numbers, [M, ...]."""
    return {
        name: torch.from_numpy(np.ascontiguousarray(value[language])).to(device)
        for name, value in made.items()
    }
