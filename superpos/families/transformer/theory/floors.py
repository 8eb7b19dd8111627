"""What models of a kind can do at best, exactly. All in nats.

Shapes: S sources, n ordinary tokens, T positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from superpos.families.transformer.data.tables import law_of
from superpos.families.transformer.structure import Structure
from superpos.families.transformer.theory.laws import entropy, planted
from superpos.maths.types import Floats

Tables = Mapping[str, NDArray[Any]]


def entropy_rate(made: Tables) -> float:
    """Of a chain: the mean entropy of its rows by how often each is left."""
    return float(law_of(made["first"]) @ entropy(law_of(made["rows"])))


class Occupancy(NamedTuple):
    """How often source a is there with token b now, [S, n], which sum to 1; and what follows then,
    [S, n, n].
    """

    often: Floats
    follows: Floats


def occupancy(structure: Structure, made: Tables) -> Occupancy:
    """Of source and latin, over the positions after the source, by dynamic programming.

    What follows the source is any token; from there on each source has a chain of its own.
    """
    s = structure
    laws = planted(s, made["next"])[..., : s.tokens]
    places = max(s.context // 2, 1)
    now = np.full((s.sources, s.tokens), 1 / s.tokens)
    often = np.zeros_like(now)
    # positions between the first token after the source and this one
    for after in range(s.context - 1):
        # The source stands before the middle, and this is a position of the sequence.
        often += now * min(places, s.context - 1 - after)
        now = np.einsum("ab,abc->ac", now, laws)
    return Occupancy(often / often.sum(), laws)


def bayes(found: Occupancy) -> float:
    """The floor: source and token are both known."""
    return float((found.often * entropy(found.follows)).sum())


def bigrams(found: Occupancy) -> float:
    """The best loss of who knows the token alone."""
    joint = np.einsum("ab,abc->bc", found.often, found.follows)
    there = joint.sum(1)
    return float(there @ entropy(joint / np.maximum(there, np.finfo(np.float64).tiny)[:, None]))


class Additive(NamedTuple):
    """The best model that adds up a table of the token and one of the source."""

    loss: float
    probabilities: Floats  # [S, n, n]


def additive(found: Occupancy) -> Additive:
    """The least loss of logits B_b(c) + O_a(c): convex, so that its probabilities are unique."""
    sources, n = found.often.shape
    joint = found.often[..., None] * found.follows

    def logits(flat: Floats) -> Floats:
        token = flat[: n * n].reshape(n, n)
        source = flat[n * n :].reshape(sources, n)
        return token[None] + source[:, None]

    def loss(flat: Floats) -> tuple[float, Floats]:
        log_p = log_softmax(logits(flat), axis=-1)
        wrong = found.often[..., None] * np.exp(log_p) - joint
        return float(-(joint * log_p).sum()), np.append(wrong.sum(0).ravel(), wrong.sum(1).ravel())

    best = minimize(
        loss,
        np.zeros(n * n + sources * n),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 10_000, "ftol": 1e-15, "gtol": 1e-9},
    )
    return Additive(float(best.fun), np.exp(log_softmax(logits(best.x), axis=-1)))


def switched_bigrams(structure: Structure) -> float:
    """Of conditional: the excess of who knows the token now, and not whether [0] was there.

    Every token is as likely at every position, with [0] and without. No sum of a table of tokens
    and one of [0] does better: what it adds after [0] it adds for all tokens.
    """
    n = structure.tokens
    with_switch = structure.planted_p * np.eye(n)[0] + (1 - structure.planted_p) / n
    anything = np.full(n, 1 / n)
    known = (entropy(with_switch) + entropy(anything)) / 2
    return float(entropy((with_switch + anything) / 2) - known)
