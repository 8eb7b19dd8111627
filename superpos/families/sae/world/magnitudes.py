"""How strongly active features are active."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def share_above_zero(kind: str, sigma: float) -> float:
    """How often the magnitude of an active feature is not 0: `normal` ones are cut."""
    return NormalDist().cdf(1 / sigma) if kind == "normal" and sigma > 0 else 1.0


def magnitudes(kind: str, sigma: float, level: torch.Tensor) -> torch.Tensor:
    """Magnitudes (float32) of uniform numbers in (0, 1) (float64) of any shape, by the inverse
    distribution function.

    `one`: 1. `uniform`: on [0, 1]. `normal`: 1 + σN, cut at 0. `abs_normal`: |N|. `lognormal`:
    exp(σN).
    """
    import torch

    if kind == "one":
        found = torch.ones_like(level)
    elif kind == "uniform":
        found = level
    elif kind == "normal":
        found = (1 + sigma * torch.special.ndtri(level)).clamp(min=0)
    elif kind == "abs_normal":
        found = torch.special.ndtri((1 + level) / 2)
    else:
        found = (sigma * torch.special.ndtri(level)).exp()
    return found.float()
