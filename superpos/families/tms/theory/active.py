"""Which features are active together: each on its own, in correlated sets, or in anticorrelated
ones.

Neighbouring features form sets that are independent of each other (docs/science.md, Data). With
probability p the set is active: all of its features (correlated), or exactly one of them
(anticorrelated), each as likely as the others. An independent feature is a correlated set of one.
Active values are uniform on [0, 1] and independent.

Shapes: n features; E elements (one per model and output), K features of an element's block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.maths.moments import Monomial
from superpos.maths.types import Floats

Correlation = Literal["none", "correlated", "anticorrelated"]


class ActiveSets(NamedTuple):
    """Sets of `set_size` neighbouring features; `density` arguments are that of its set for every
    feature.
    """

    correlation: Correlation = "none"
    set_size: int = 1

    @property
    def exclusive(self) -> bool:
        """Whether at most one feature of a set is active."""
        return self.correlation == "anticorrelated"

    def check(self, density: Floats) -> None:
        """Raises ValueError where sets do not fit the features of `density` [..., n], or their
        density differs.
        """
        n = density.shape[-1]
        size = self.set_size
        if self.correlation == "none" and size != 1:
            raise ValueError(f"set_size is {size}, but correlation is 'none'")
        if size < 1 or n % size:
            raise ValueError(f"sets of {size} do not divide {n} features")
        sets = density.reshape(*density.shape[:-1], n // size, size)
        if not (sets == sets[..., :1]).all():
            raise ValueError("density must be the same for all features of a set")

    def active(self, density: Floats) -> Floats:
        """Probability that a feature is active, of the shape of `density`."""
        return density / self.set_size if self.exclusive else density

    def mean(self, density: Floats) -> Floats:
        """E x_i, of the shape of `density`."""
        return self.active(density) / 2

    def covariance(self, density: Floats) -> Floats:
        """Cov(x_i, x_j) [..., n, n] for `density` [..., n]: zero between sets."""
        n = density.shape[-1]
        active = self.active(density)[..., None, :]
        mean = self.mean(density)
        # E x_i x_j
        product = np.where(np.eye(n, dtype=bool), active / 3, 0.0 if self.exclusive else active / 4)
        same = np.arange(n)[:, None] // self.set_size == np.arange(n) // self.set_size
        return np.where(same, product - mean[..., :, None] * mean[..., None, :], 0.0)

    def closure(self, features: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """All features of the sets that have one of `features` [..., n]."""
        sets = features.reshape(
            *features.shape[:-1], features.shape[-1] // self.set_size, self.set_size
        )
        return np.repeat(sets.any(axis=-1), self.set_size, axis=-1)

    def chances(self, density: Floats, features: NDArray[np.intp]) -> Callable[[Monomial], Floats]:
        """Function of an active set, indices into K: the probability [E] that just these `features`
        [K, E] are active.

        Features of E elements may differ; those that are not among the K may be active or not.
        """
        label = features // self.set_size
        same = label[:, None] == label  # [K, K, E]
        members = same.sum(axis=1)
        first = np.argmax(same, axis=1) == np.arange(len(label))[:, None]  # each set counts once
        active = self.active(density)
        rest = 1 - active * members if self.exclusive else 1 - density
        allowed = np.ones_like(members) if self.exclusive else members

        def chance(chosen: Monomial) -> Floats:
            count = same[:, list(chosen)].sum(axis=1)  # active features in the set of each
            factors = np.where(count == 0, rest, np.where(count == allowed, active, 0.0))
            total = np.ones(density.shape[1])
            for factor in np.where(first, factors, 1.0):
                total = total * factor
            return total

        return chance
