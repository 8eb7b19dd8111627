"""What languages of a kind differ in: chains, and what is planted.

Drawn from the seed of the language alone.

Thresholds are those of 32-bit words, so that a law is exactly what is drawn from. Shapes: n
ordinary tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.families.transformer.purposes import Purpose
from superpos.families.transformer.structure import Structure
from superpos.maths.streams import RANGE, key_words, philox4x32
from superpos.maths.types import Floats


def tables(structure: Structure, languages: Sequence[tuple[int, float]]) -> dict[str, NDArray[Any]]:
    """What languages of a kind, each with its seed and its concentration, differ in: {name:
    [languages, ...]}.

    `rows` [n, n] and `first` [n] are the thresholds of a chain; `next` is what is planted,
    [sources, n] or [n], -1 where nothing is. Of kinds whose sequences have their own rules,
    nothing.
    """
    seeds = np.array([seed for seed, _ in languages], dtype=np.uint64)
    if structure.kind in ("chain", "triggers"):
        chains = [chain(structure, seed, concentration) for seed, concentration in languages]
        first = [stationary(P) for P in chains]
        return {"rows": thresholds_of(np.array(chains)), "first": thresholds_of(np.array(first))}
    if structure.kind == "source":
        return {"next": np.stack([_triples(structure, seed) for seed in seeds])}
    if structure.kind == "latin":
        square = (
            np.add.outer(np.arange(structure.sources), np.arange(structure.tokens))
            % structure.tokens
        )
        return {"next": np.broadcast_to(square, (len(seeds), *square.shape)).copy()}
    if structure.kind == "conditional":
        return {"next": np.stack([_order(seed, structure.tokens) for seed in seeds])}
    return {}


def chain(structure: Structure, seed: int, concentration: float) -> Floats:
    """The transition matrix [n, n] of a language."""
    from scipy.special import gammaincinv  # takes long to import, and plans do without

    n = structure.tokens
    uniform = (_words(seed, 0, n * n).reshape(n, n) + 0.5) / RANGE
    gamma = np.maximum(gammaincinv(concentration, uniform), np.finfo(np.float64).tiny)
    return np.asarray(gamma / gamma.sum(1, keepdims=True))


def stationary(P: Floats) -> Floats:
    """The law [n] that a chain keeps."""
    n = len(P)
    equations = np.vstack([P.T - np.eye(n), np.ones(n)])
    law = np.linalg.lstsq(equations, np.append(np.zeros(n), 1.0), rcond=None)[0]
    return np.asarray(np.maximum(law, 0) / np.maximum(law, 0).sum())


def thresholds_of(law: Floats) -> NDArray[np.int64]:
    """Thresholds [..., n] of words for laws [..., n]; the last is never reached."""
    found = np.floor(np.cumsum(law, -1) * RANGE).astype(np.int64)
    found[..., -1] = RANGE
    return found


def law_of(thresholds: NDArray[np.int64]) -> Floats:
    """The laws [..., n] that thresholds mean exactly, as 32-bit words draw from them."""
    return np.asarray(np.diff(thresholds, axis=-1, prepend=0) / RANGE)


def _triples(structure: Structure, seed: int) -> NDArray[np.int64]:
    """What follows source a and token b, [sources, n], -1 where nothing is planted: as many for
    each source.
    """
    n = structure.tokens
    sources = structure.sources
    counts = np.full(sources, structure.planted // sources)
    counts[: structure.planted % sources] += 1
    found = np.full((sources, n), -1)
    for a, count in enumerate(counts.tolist()):
        planted = _order(seed, n, 3 * a)[:count]
        pool = _order(seed, n, 3 * a + 1)[: structure.pool]
        found[a, planted] = pool[(_words(seed, 3 * a + 2, count) * len(pool)) >> 32]
    return found


def _order(seed: int, n: int, number: int = 0) -> NDArray[np.int64]:
    """The numbers below n in random order."""
    return np.argsort(_words(seed, number, n), kind="stable").astype(np.int64)


def _words(seed: int, number: int, count: int) -> NDArray[np.int64]:
    """Random words of a language, of one of its tables."""
    quads = np.arange(-(-count // 4))
    zero = np.zeros(1, dtype=np.int64)
    counter = [quads, zero, zero + number, zero + int(Purpose.LANGUAGE)]
    words = philox4x32(counter, list(key_words(np.array([seed], dtype=np.uint64))))
    return np.stack([np.broadcast_to(word, quads.shape) for word in words], axis=-1).reshape(-1)[
        :count
    ]
