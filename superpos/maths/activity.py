"""Which features are active: laws that several kinds of models draw from, as functions of 32-bit
draws.

A law takes words [..., B, K], K = `n_words` draws of a sample, and says which features are active,
[..., B, G]; the caller draws them (`maths.streams`), so that a law has no state. `density` [G] is
how often each feature is active, exactly but for the resolution of the draws.

Shapes: B samples, G features, K words of a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from superpos.maths.streams import RANGE
from superpos.maths.trees import Node
from superpos.maths.types import Floats

if TYPE_CHECKING:
    import torch

Words = NDArray[np.int64]


class Law(Protocol):
    """How features become active."""

    @property
    def n_words(self) -> int:
        """Draws of a sample."""
        ...

    @property
    def density(self) -> Floats:
        """How often each feature is active, [G]."""
        ...

    def active(self, words: torch.Tensor) -> torch.Tensor:
        """Which features are active, [..., B, G] (bool), for words [..., B, K] (int64)."""
        ...


def uniforms(words: torch.Tensor) -> torch.Tensor:
    """Words as numbers in (0, 1), float64: (u + ½) / 2³²."""
    return (words.double() + 0.5) / RANGE


def gaussians(words: torch.Tensor) -> torch.Tensor:
    """Words as standard normal numbers, float64."""
    import torch

    normal: torch.Tensor = torch.special.ndtri(uniforms(words))
    return normal


@dataclass(frozen=True, eq=False)
class Independent:
    """Every feature by itself: active iff its word is at least ⌊(1 − p) 2³²⌋."""

    density: Floats

    @property
    def n_words(self) -> int:
        """One for each feature."""
        return len(self.density)

    @property
    def thresholds(self) -> Words:
        """The least word of an active feature, [G]."""
        return np.floor((1 - self.density) * float(RANGE)).astype(np.int64)

    def active(self, words: torch.Tensor) -> torch.Tensor:
        """See `Law`."""
        return words >= words.new_tensor(self.thresholds)

    def levels(self, words: torch.Tensor) -> torch.Tensor:
        """Numbers in (0, 1), float64, that the words of active features leave open: uniform and
        independent.
        """
        first = words.new_tensor(self.thresholds)
        return ((words - first).double() + 0.5) / (RANGE - first)


@dataclass(frozen=True, eq=False)
class Copula:
    """A Gaussian copula with exact marginals: a_g = [z_g > Φ⁻¹(1 − p_g)] of normal z with unit
    variances.

    z = ε `mix` of independent standard normal ε, so that `mix`ᵀ `mix` [G, G] are the correlations
    of z.
    """

    density: Floats
    mix: Floats  # [K, G]

    @property
    def n_words(self) -> int:
        """One for each normal number."""
        return len(self.mix)

    @property
    def thresholds(self) -> Floats:
        """Φ⁻¹(1 − p) [G]."""
        from scipy.special import ndtri

        found: Floats = -ndtri(self.density)
        return found

    def active(self, words: torch.Tensor) -> torch.Tensor:
        """See `Law`."""
        import torch

        z = gaussians(words) @ torch.from_numpy(self.mix).to(words.device)
        return z > torch.from_numpy(self.thresholds).to(words.device)


@dataclass(frozen=True, eq=False)
class Tree:
    """Features that need another one: each is active for words in one interval where its parent is
    active, in another where it is not; a feature without a parent (-1) has one that is always
    active. Parents stand before their children.

    Exclusive children have intervals that do not meet, of the word of the first of them.
    """

    parent: NDArray[np.intp]  # [G]
    word: NDArray[np.intp]  # [G]; whose word decides
    on: Words  # [G, 2]; from, and up to but not including
    off: Words  # [G, 2]

    @property
    def n_words(self) -> int:
        """One for each feature."""
        return len(self.parent)

    @property
    def density(self) -> Floats:
        """See `Law`; from the parents down."""
        found = np.zeros(self.n_words)
        for g, parent in enumerate(self.parent.tolist()):
            above = 1.0 if parent < 0 else found[parent]
            found[g] = (
                above * np.diff(self.on[g])[0] + (1 - above) * np.diff(self.off[g])[0]
            ) / RANGE
        return found

    def active(self, words: torch.Tensor) -> torch.Tensor:
        """See `Law`."""
        import torch

        found: list[torch.Tensor] = []
        for g in range(self.n_words):
            u = words[..., self.word[g]]
            parent = int(self.parent[g])
            on, off = (
                (low <= u) & (u < high) for low, high in (self.on[g].tolist(), self.off[g].tolist())
            )
            found.append(on if parent < 0 else torch.where(found[parent], on, off))
        return torch.stack(found, dim=-1)


def tree(named: Sequence[Node], others: Floats) -> Tree:
    """The law of the features of a tree, then of others, which are active by themselves with
    probabilities [K].
    """
    alone = [
        Node(-1, len(named) + g, (1 - p, 1.0), (1.0, 1.0)) for g, p in enumerate(others.tolist())
    ]
    every = [*named, *alone]
    return Tree(
        np.array([node.parent for node in every], dtype=np.intp),
        np.array([node.word for node in every], dtype=np.intp),
        _words([node.on for node in every]),
        _words([node.off for node in every]),
    )


def _words(intervals: Sequence[tuple[float, float]]) -> Words:
    return np.floor(np.minimum(intervals, 1.0) * float(RANGE)).astype(np.int64)


def pairs(density: Floats, strength: float) -> Tree:
    """Neighbours 2i and 2i + 1 of one density p, [G / 2], whose activities have the correlation
    `strength`: the second is active with probability p + s (1 - p) where the first is, with p (1 -
    s) where it is not. Other features are independent.
    """
    named: list[Node] = []
    for p in density.tolist():
        first = len(named)
        beside = p + strength * (1 - p)
        alone = p * (1 - strength)
        named.append(Node(-1, first, (1 - p, 1.0), (1.0, 1.0)))
        named.append(Node(first, first + 1, (1 - beside, 1.0), (1 - alone, 1.0)))
    return tree(named, np.zeros(0))


@dataclass(frozen=True)
class Exactly:
    """Exactly k of n features, all sets equally likely: those of the k largest words, the later one
    of equal words.
    """

    n: int
    k: int

    @property
    def n_words(self) -> int:
        """One for each feature."""
        return self.n

    @property
    def density(self) -> Floats:
        """See `Law`: k / n."""
        return np.full(self.n, self.k / self.n)

    def active(self, words: torch.Tensor) -> torch.Tensor:
        """See `Law`."""
        import torch

        order = words * self.n + torch.arange(self.n, device=words.device)
        least = order.topk(self.k, dim=-1).values[..., -1:]
        return order >= least


def low_rank(factors: Floats, strength: float) -> Floats:
    """The `mix` [r + G, G] of z_g = √s f_g η + √(1 − s) ε_g, with unit rows f_g [G, r]:
    correlations s f_g f_h.
    """
    unit = factors / np.linalg.norm(factors, axis=1, keepdims=True)
    return np.concatenate([np.sqrt(strength) * unit.T, np.sqrt(1 - strength) * np.eye(len(unit))])


def symmetric_root(correlations: Floats) -> Floats:
    """The `mix` [G, G] of given correlations: their symmetric root, which is unique and exists for
    singular ones.
    """
    values, vectors = np.linalg.eigh(correlations)
    root: Floats = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


def nearest_correlations(symmetric: Floats) -> Floats:
    """Correlations near a symmetric matrix [G, G] that may not be positive: its negative part taken
    out, then scaled to a unit diagonal.
    """
    values, vectors = np.linalg.eigh(symmetric)
    positive = (vectors * np.maximum(values, 0)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(positive))
    found: Floats = scale[:, None] * positive * scale
    return found
