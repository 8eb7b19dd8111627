"""Synthetic worlds: x = Σ_g c_g A_g + noise, with a dictionary A, a law of activity and magnitudes.

Shapes: B samples, G features, d dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.families.sae.law import frequencies
from superpos.families.sae.purposes import Purpose
from superpos.families.sae.structure import Activity
from superpos.families.sae.world.magnitudes import magnitudes, share_above_zero
from superpos.maths import activity
from superpos.maths.streams import RANGE, draws, normals
from superpos.maths.trees import nodes
from superpos.maths.types import Floats

DEFAULT_SIGMA = 0.25
DEFAULT_STRENGTH = {"low_rank": 0.5, "pairs": 0.9}
PAIRS_CORRELATED = 0.7
LEAST_OF_PAIRS = 1 / 3
"""Of correlation=pairs: the share of pairs that are correlated, and their least correlation over
the greatest.
"""


@dataclass(frozen=True, eq=False)
class Synthetic:
    """One synthetic world."""

    seed: int
    features: NDArray[np.float32]  # [G, d]
    law: activity.Law
    magnitude: str
    sigma: float
    noise: float

    @property
    def density(self) -> Floats:
        """How often each feature is active, [G]: by its law, with a magnitude above 0."""
        return np.asarray(self.law.density * share_above_zero(self.magnitude, self.sigma))

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Every feature, [G]."""
        return np.ones(len(self.features), dtype=np.bool_)

    def codes(
        self, evaluation: bool, step: int, samples: range, device: str = "cpu"
    ) -> torch.Tensor:
        """How active each feature is in a contiguous range of samples [B, G], float32."""
        words = self._draws(_stream(evaluation), step, samples, self.law.n_words, device)
        if isinstance(self.law, activity.Independent):  # the same word decides and is the magnitude
            level = self.law.levels(words)
        else:
            purpose = _stream(evaluation) + Purpose.MAGNITUDE
            level = activity.uniforms(
                self._draws(purpose, step, samples, len(self.features), device)
            )
        active = self.law.active(words)
        level = torch.where(active, level, 0.5)  # any number at which the magnitude is finite
        return torch.where(active, magnitudes(self.magnitude, self.sigma, level), 0.0)

    def activations(
        self,
        evaluation: bool,
        step: int,
        samples: range,
        device: str = "cpu",
        codes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The activations x of these samples [B, d], float32; `codes` are theirs, where they are
        drawn already.
        """
        codes = self.codes(evaluation, step, samples, device) if codes is None else codes
        x = codes @ torch.from_numpy(self.features).to(device)
        if self.noise:
            words = self._draws(
                _stream(evaluation) + Purpose.NOISE, step, samples, x.shape[1], device
            )
            x = x + (self.noise * activity.gaussians(words)).float()
        return x

    def _draws(self, purpose: int, step: int, samples: range, n: int, device: str) -> torch.Tensor:
        return draws(np.array([self.seed], dtype=np.uint64), purpose, step, samples, n, device)[0]


def _stream(evaluation: bool) -> Purpose:
    return Purpose.EVALUATE if evaluation else Purpose.TRAIN


def synthetic(values: Mapping[str, Any], features: NDArray[np.float32]) -> Synthetic:
    """The world of the values of the keys world.*, by their last parts, and of its dictionary [G,
    d].
    """
    sigma = DEFAULT_SIGMA if values["sigma"] is None else values["sigma"]
    return Synthetic(
        values["seed"], features, _law(values), values["magnitude"], sigma, values["noise"]
    )


def kind_of(values: Mapping[str, Any]) -> Activity:
    """How the features of such a world become active."""
    if values["exactly"] is not None:
        return "exactly"
    if values["tree"] is not None:
        return "tree"
    return (
        "copula" if values["rho"] is not None or values["correlation"] != "none" else "independent"
    )


def _law(values: Mapping[str, Any]) -> activity.Law:
    n = values["n_features"]
    kind = kind_of(values)
    if kind == "exactly":
        return activity.Exactly(n, values["exactly"])
    if kind == "tree":
        named = nodes(values["tree"])
        return activity.tree(named, _frequencies(values, n - len(named)))
    density = _frequencies(values, n)
    return (
        activity.Independent(density)
        if kind == "independent"
        else activity.Copula(density, _mix(values, n))
    )


def _frequencies(values: Mapping[str, Any], n: int) -> Floats:
    """p [n] of the features that follow world.frequency; a log-uniform law has them in random
    order.
    """
    if n == 0:
        return np.zeros(0)
    shape = [values[name] for name in ("exponent", "decay", "last")]
    p = np.minimum(frequencies(values["frequency"], n, values["active"], *shape), 1.0)
    if values["frequency"] == "loguniform":
        order = np.argsort(_normals(values, 0, n, 1)[:, 0], kind="stable")
        p = p[order]
    return np.asarray(p, dtype=np.float64)


def _mix(values: Mapping[str, Any], n: int) -> Floats:
    """How independent normals make those of the copula: by the correlations that are given, or
    random ones.
    """
    rho = values["rho"]
    if rho is not None:
        return activity.symmetric_root(_matrix(rho))
    kind = values["correlation"]
    strength = DEFAULT_STRENGTH[kind] if values["strength"] is None else values["strength"]
    if kind == "low_rank":
        return activity.low_rank(_normals(values, 1, n, values["rank"] or 1), strength)
    return activity.symmetric_root(activity.nearest_correlations(random_pairs(values, n, strength)))


def _matrix(rho: tuple[Any, ...]) -> Floats:
    """Correlations [G, G]: as they are given, or of the first feature alone with the others."""
    if isinstance(rho[0], tuple):
        return np.array(rho)
    matrix = np.eye(len(rho))
    matrix[0] = matrix[:, 0] = rho
    return matrix


def random_pairs(values: Mapping[str, Any], n: int, strength: float) -> Floats:
    """A symmetric matrix with unit diagonal: some pairs have ± a correlation up to `strength`, the
    others 0.
    """
    seed = np.array([values["seed"]], dtype=np.uint64)
    word = draws(seed, Purpose.LAW, 2, range(n), n)[0].numpy() / RANGE
    size = draws(seed, Purpose.LAW, 3, range(n), n)[0].numpy() / RANGE
    sign = np.where(word < PAIRS_CORRELATED / 2, -1.0, 1.0) * (word < PAIRS_CORRELATED)
    found = np.tril(sign * strength * (LEAST_OF_PAIRS + (1 - LEAST_OF_PAIRS) * size), -1)
    matrix: Floats = found + found.T + np.eye(n)
    return matrix


def _normals(values: Mapping[str, Any], tensor: int, rows: int, columns: int) -> Floats:
    """Standard normals [rows, columns] of the world's law."""
    seed = np.array([values["seed"]], dtype=np.uint64)
    found: Floats = normals(seed, Purpose.LAW, tensor, (rows, columns))[0]
    return found
