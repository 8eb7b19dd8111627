"""Thresholds of JumpReLU and BatchTopK for orthonormal features, uniform on [0, 1] when active."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from superpos.maths.types import Floats


def jumprelu_threshold(penalty: ArrayLike, bandwidth: ArrayLike = 0.0) -> Floats:
    """Where training ends, θ = ε/8 + √(ε²/64 + λ) [...]; √λ is the optimum under λ on L0.

    The rectangle kernel of width ε is centred on θ, but only inputs below θ are in error, and by
    less than θ: training stops where θ² − θε/4 = λ. Holds while the kernel lies within (0, 1).
    """
    eighth = np.asarray(bandwidth, np.float64) / 8
    return np.asarray(eighth + np.sqrt(eighth**2 + np.asarray(penalty, np.float64)))


def jumprelu_loss(density: ArrayLike, penalty: ArrayLike, threshold: ArrayLike) -> Floats:
    """Objective [...] of a feature of density p at a threshold θ: p [θ³/3 + λ(1 − θ)]."""
    p, penalty_, theta = (np.asarray(value, np.float64) for value in (density, penalty, threshold))
    return np.asarray(p * (theta**3 / 3 + penalty_ * (1 - theta)))


def batchtopk_threshold(active: ArrayLike, k: ArrayLike) -> tuple[Floats, Floats]:
    """Threshold θ = 1 − k/K of a large batch on the truth, and its error K θ³/3, [...] each.

    K features are active in the mean; for k above K both are 0.
    """
    active = np.asarray(active, np.float64)
    theta = np.maximum(1 - np.asarray(k, np.float64) / active, 0)
    return np.asarray(theta), np.asarray(active * theta**3 / 3)
