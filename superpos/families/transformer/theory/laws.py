"""The law of the next token, given all tokens so far: what nobody can predict better than.

Shapes: B sequences, T positions, n ordinary tokens, V tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from superpos.families.transformer.data.tables import law_of
from superpos.families.transformer.structure import Structure
from superpos.maths.types import Floats

Tables = Mapping[str, NDArray[Any]]
"""What a language has of its own, without an axis of languages."""
Tokens = NDArray[np.int64]


def law(structure: Structure, made: Tables, tokens: Tokens) -> Floats:
    """The probabilities [B, T, V] of what follows each position of sequences [B, T + 1]."""
    return _LAWS[structure.kind](structure, made, tokens)


def entropy(p: Floats) -> Floats:
    """Entropies [...] in nats of laws [..., V]."""
    return np.asarray(-np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1))


def divergence(p: Floats, log_q: Floats) -> Floats:
    """Σ p log(p / q) [...] in nats, of laws [..., V]; the logarithms of q are given."""
    used = p > 0
    terms = p * (np.log(np.where(used, p, 1.0)) - np.where(used, log_q, 0.0))
    return np.asarray(terms.sum(-1))


def _any(structure: Structure, n: int) -> Floats:
    """Every one of the first n tokens alike, [V]."""
    law = np.zeros(structure.vocabulary)
    law[:n] = 1 / n
    return law


def _chain(s: Structure, made: Tables, tokens: Tokens) -> Floats:
    return law_of(made["rows"])[tokens[:, :-1]]


def planted(s: Structure, follows: NDArray[np.int64]) -> Floats:
    """Laws [..., V] of what follows, where `follows` [...] is planted; -1 is nothing."""
    there = (follows >= 0)[..., None]
    fixed = np.eye(s.vocabulary)[np.maximum(follows, 0)]
    anything = _any(s, s.tokens)
    return np.asarray(np.where(there, s.planted_p * fixed + (1 - s.planted_p) * anything, anything))


def _source(s: Structure, made: Tables, tokens: Tokens) -> Floats:
    """Before the source its own arrival is part of the law; nobody is asked for that."""
    here = tokens[:, :-1]
    place = (here >= s.tokens).argmax(1)
    source = here[np.arange(len(here)), place] - s.tokens
    after = np.arange(s.context) > place[:, None]
    follows = made["next"][source[:, None], np.minimum(here, s.tokens - 1)]
    return planted(s, np.where(after, follows, -1))


def _conditional(s: Structure, made: Tables, tokens: Tokens) -> Floats:
    here = tokens[:, :-1]
    present = tokens[:, :1] == s.tokens
    follows = made["next"][np.minimum(here, s.tokens - 1)]
    return planted(s, np.where(present & (here < s.tokens), follows, -1))


def _repeats(s: Structure, made: Tables, tokens: Tokens) -> Floats:
    """Bayes over the length of the block: what fits so far, by how likely such a block is."""
    low, high = s.period
    lengths = np.arange(low, high + 1)
    body = tokens[:, 1:]
    found = np.zeros((len(tokens), s.context, s.vocabulary))
    eye = np.eye(s.vocabulary)
    fits = np.ones((len(tokens), len(lengths)))
    for t in range(s.context):  # x_1 ... x_t are known, x_{t + 1} is asked for
        fresh = _fresh(s, body[:, :t])
        weight = fits / fits.sum(1, keepdims=True)
        for i, p in enumerate(lengths.tolist()):
            repeated = t >= p
            ahead = eye[body[:, t - p]] if repeated else fresh
            found[:, t] += weight[:, i, None] * ahead
            actual = body[:, t]
            fits[:, i] *= ahead[np.arange(len(tokens)), actual]
    return found


def _fresh(s: Structure, block: Tokens) -> Floats:
    """The law [B, V] of the next token of a first block, of which so much is known."""
    if not s.distinct:
        return np.tile(_any(s, s.tokens), (len(block), 1))
    left = np.zeros((len(block), s.vocabulary))
    left[:, : s.tokens] = 1
    np.put_along_axis(left, block, 0.0, axis=1)
    return np.asarray(left / np.maximum(left.sum(1, keepdims=True), 1))


def _pairs(s: Structure, made: Tables, tokens: Tokens) -> Floats:
    here = tokens[:, :-1]
    ahead = tokens[:, 1:]
    values = np.zeros(s.vocabulary)
    values[s.keys : s.keys + s.values] = 1 / s.values
    is_key = here < s.keys
    found = np.where(is_key[..., None], values, _any(s, s.keys))
    seen = is_key & _seen(here)
    return np.where(seen[..., None], np.eye(s.vocabulary)[ahead], found)


def counts(s: Structure, tokens: Tokens) -> tuple[Floats, Floats]:
    """How often each token followed the one of a position before, and how often each was there, [B,
    T, V] both.
    """
    here = np.eye(s.vocabulary)[tokens[:, :-1]]
    ahead = np.eye(s.vocabulary)[tokens[:, 1:]]
    same = np.tril(here @ here.transpose(0, 2, 1), -1)
    return np.asarray(same @ ahead), np.asarray(np.cumsum(here, axis=1))


def _markov(s: Structure, made: Tables, tokens: Tokens) -> Floats:
    follows, _ = counts(s, tokens)
    return np.asarray((follows + 1) / (follows.sum(-1, keepdims=True) + s.states))


def unigram(s: Structure, tokens: Tokens) -> Floats:
    """Of markov: what is predicted by how often each state was there, whatever the state now, [B,
    T, V].
    """
    _, there = counts(s, tokens)
    return np.asarray((there + 1) / (there.sum(-1, keepdims=True) + s.states))


def _triggers(s: Structure, made: Tables, tokens: Tokens) -> Floats:
    here = tokens[:, :-1]
    ahead = tokens[:, 1:]
    outputs = np.zeros(s.vocabulary)
    outputs[s.triggers :] = 1 / (s.tokens - s.triggers)
    is_trigger = (here < s.triggers)[..., None]
    seen = is_trigger & _seen(here)[..., None]
    found = np.where(is_trigger, outputs, law_of(made["rows"])[here])
    return np.where(seen, np.eye(s.vocabulary)[ahead], found)


def _seen(here: Tokens) -> NDArray[np.bool_]:
    """Whether a token was there before, [B, T]."""
    same = here[:, :, None] == here[:, None, :]
    return np.asarray(np.tril(same, -1).any(-1))


_LAWS: Final[Mapping[str, Callable[[Structure, Tables, Tokens], Floats]]] = {
    "chain": _chain,
    "source": _source,
    "latin": _source,
    "conditional": _conditional,
    "repeats": _repeats,
    "pairs": _pairs,
    "markov": _markov,
    "triggers": _triggers,
}
