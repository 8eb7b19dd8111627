"""Circuits as tables of tokens, and what they predict through the softmax.

Row vectors: x W; rows are what is read.

Direct E U and OV^h = E W_OV^h U say how tokens (columns) are raised by a token (row); QK^h = E
W_QK^h Eᵀ / √k is the score of a query (row) and a key (column). OV and direct mean the same with
any constant added to a row, and QK too.

Which skip-trigrams a model has learned cannot be read off QK × OV: attention is a competition. Of a
source a, the token b now and m others at their frequencies f, head h attends to a by e^{QK(b,a)}
over
e^{QK(b,a)} + e^{QK(b,b)} + m Σ_x f_x e^{QK(b,x)}, and what it writes is that share of OV(a, ·), and
of the others.

Shapes: H heads, S sources, n ordinary tokens, V tokens.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from superpos.families.transformer import metrics
from superpos.families.transformer.structure import Structure
from superpos.families.transformer.theory.floors import (
    Occupancy,
    Tables,
    additive,
    bayes,
    bigrams,
    occupancy,
    switched_bigrams,
)
from superpos.maths.types import Floats


class Circuits(NamedTuple):
    """The tables of one model, in float64; row constants are taken off, as they mean nothing."""

    direct: Floats  # [V, V]
    ov: Floats  # [L, H, V, V]
    qk: Floats  # [L, H, V, V]
    """Of tokens alone: what layer 0 attends to; in later layers the path past all earlier heads."""


def circuits(weights: metrics.Weights) -> Circuits:
    """The tables of a model's weights, without an axis of models."""
    E, U = (weights[name].astype(np.float64) for name in ("W_E", "W_U"))
    layers, heads, _, k = weights["W_Q"].shape if "W_Q" in weights else (0, 0, 0, 1)
    empty = np.zeros((layers, heads, len(E), len(E)))
    found = Circuits(_centred(E @ U), empty, empty.copy())
    for layer in range(layers):
        for head in range(heads):
            found.ov[layer, head] = _centred(E @ metrics.ov(weights, layer, head) @ U)
            found.qk[layer, head] = _centred(
                E @ metrics.qk(weights, layer, head) @ E.T / np.sqrt(k)
            )
    return found


def _centred(table: Floats) -> Floats:
    return np.asarray(table - table.mean(-1, keepdims=True))


def reads_triples(structure: Structure) -> bool:
    """Whether skip-trigrams can be read off such models: one layer without positions on source or
    latin.
    """
    s = structure
    return (
        s.kind in ("source", "latin") and s.n_layers == 1 and s.positions == "none" and not s.smear
    )


def through_softmax(structure: Structure, made: Tables, weights: metrics.Weights) -> Floats:
    """log p(c) after source a and token b, [S, n, n], as the tables predict it in a sequence of
    mean length.
    """
    s = structure
    found = circuits(weights)
    others, often = _others(s, occupancy(s, made))
    sources = np.arange(s.tokens, s.tokens + s.sources)
    logits = np.zeros((s.sources, s.tokens, s.vocabulary))
    if s.direct:
        logits += found.direct[: s.tokens]
    for head in range(s.n_heads):
        scores = found.qk[0, head]
        written = found.ov[0, head]
        # one constant for all: shares stay as they are
        scores = scores - scores[: s.tokens].max(1).max()
        rest = others * often[:, None] * np.exp(scores[: s.tokens, : s.tokens])  # [S, n, n]
        of_source = np.exp(scores[: s.tokens, sources]).T  # [S, n]
        of_self = np.exp(np.diagonal(scores)[: s.tokens])
        total = of_source + of_self + rest.sum(-1)
        logits += (of_source / total)[..., None] * written[sources][:, None]
        logits += (of_self / total)[..., None] * written[: s.tokens]
        logits += (rest / total[..., None]) @ written[: s.tokens]
    return np.asarray(log_softmax(logits, axis=-1)[..., : s.tokens])


def _others(s: Structure, found: Occupancy) -> tuple[float, Floats]:
    """How many tokens there are beside source and token now, on average; and how often each is one
    of them, [S, n].
    """
    places = np.arange(max(s.context // 2, 1))
    lengths = [np.arange(place + 1, s.context) - 1 for place in places]
    before = np.concatenate(
        [np.full(len(own), place) for place, own in zip(places, lengths, strict=True)]
    )
    share = before.sum() / np.concatenate(lengths).sum()
    after = found.often / found.often.sum(1, keepdims=True)
    return float(np.concatenate(lengths).mean()), np.asarray(share / s.tokens + (1 - share) * after)


def precision(scores: Floats, planted: NDArray[np.int64]) -> float:
    """Share of planted triples among as many of the greatest scores [S, n, n]; `planted` is [S, n],
    -1 nothing.
    """
    if not np.isfinite(scores).all():
        return np.nan
    is_planted = planted[..., None] == np.arange(scores.shape[-1])
    count = int(is_planted.sum())
    chosen = np.argsort(-scores, axis=None, kind="stable")[:count]
    return float(is_planted.ravel()[chosen].mean())


def bugs(planted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Triples a, b, c that are raised for what others share: c is planted after a and another
    token, not after b, for which something else is. [S, n, n].
    """
    n = planted.shape[1]
    ends = np.array([np.isin(np.arange(n), row[row >= 0]) for row in planted])  # [S, n]
    is_planted = planted[..., None] == np.arange(n)
    return np.asarray((planted >= 0)[..., None] & ends[:, None] & ~is_planted)


def bug_ratio(structure: Structure, made: Tables, probabilities: Floats) -> float:
    """Mean p(c) [S, n, n] over bug trigrams, over its true value, by how often the pair is there.

    NaN of none.
    """
    found = occupancy(structure, made)
    where = bugs(made["next"])
    weight = found.often[..., None] * where
    weight = np.where(np.isfinite(probabilities), weight, 0.0)
    if not weight.any():
        return np.nan
    return float((weight * np.nan_to_num(probabilities)).sum() / (weight * found.follows).sum())


def running(
    tokens: NDArray[np.int64], where: NDArray[np.bool_], logits: Floats, structure: Structure
) -> Floats:
    """Mean p(c) after source a and token b, [S, n, n], of a model on sequences [B, T + 1]; NaN of
    pairs not seen.
    """
    s = structure
    source = np.broadcast_to(tokens.max(1)[:, None] - s.tokens, where.shape)[where]
    now = tokens[:, :-1][where]
    total = np.zeros((s.sources, s.tokens, s.tokens))
    count = np.zeros((s.sources, s.tokens, 1))
    np.add.at(total, (source, now), softmax(logits[where], axis=-1)[:, : s.tokens])
    np.add.at(count, (source, now), 1.0)
    return np.asarray(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))


def naive(structure: Structure, weights: metrics.Weights) -> Floats:
    """The greatest product of positive QK(b, a) and OV(a, c) of all heads, [S, n, n]: the reading
    without softmax.
    """
    s = structure
    found = circuits(weights)
    qk = np.maximum(found.qk[0, :, : s.tokens, s.tokens :], 0)  # [H, n, S]
    ov = np.maximum(found.ov[0, :, s.tokens :, : s.tokens], 0)  # [H, S, n]
    return np.asarray(np.einsum("hba,hac->habc", qk, ov).max(0))


def measured(weights: metrics.Weights, structure: Structure, made: Tables) -> dict[str, Any]:
    """What is read off weights: the precision of planted triples through the softmax and by the
    naive product, and how much too likely bug trigrams must be.
    """
    log_p = through_softmax(structure, made, weights)
    return {
        "precision": precision(log_p, made["next"]),
        "naive": precision(naive(structure, weights), made["next"]),
        "bugs": bug_ratio(structure, made, np.exp(log_p)),
    }


class Added(NamedTuple):
    """What the best table of tokens and sources that are added up does, and that of tokens
    alone.
    """

    excess: float
    bug_ratio: float
    bigrams: float
    """Excess of who knows the token alone."""


def added(structure: Structure, made: Tables) -> Added:
    """Exact, by descent on a convex loss; of conditional what the token alone tells, which no sum
    of tables betters.
    """
    if structure.kind == "conditional":
        alone = switched_bigrams(structure)
        return Added(alone, np.nan, alone)
    there = occupancy(structure, made)
    best = additive(there)
    floor = bayes(there)
    return Added(
        best.loss - floor, bug_ratio(structure, made, best.probabilities), bigrams(there) - floor
    )
