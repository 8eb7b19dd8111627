"""What a weight matrix represents, and how much its features disturb each other.

Shapes: `...` any leading dimensions (models M, snapshots), F features (n), H hidden (m). W_i is row
i of W[..., F, H]: where the papers write WᵀW, this is `W @ W.mT`. Pure numpy in float64. Weights
that are not finite give NaN, without a warning, for every number they enter.

Sources: TMS is Elhage et al. 2022, *Toy Models of Superposition*.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.maths.dimensionality import (
    Weights,
    dimensionality,
    directions,
    feature_norms,
    finite_or_nan,
    interference,
)
from superpos.maths.types import Floats

__all__ = [
    "COLLAPSED_COSINE",
    "FLANK_DISTANCE",
    "LINE_CONTRAST",
    "LINE_FEATURES",
    "LINE_HALF_WIDTH",
    "MONOSEMANTIC_SHARE",
    "REPRESENTED_NORM",
    "LineCounts",
    "Weights",
    "adversarial_vulnerability",
    "collapsed",
    "datapoint_dimensionality",
    "dimensionality",
    "dimensions_per_feature",
    "feature_norms",
    "interference",
    "line_counts",
    "neuron_monosemanticity",
    "represented",
    "set_cosines",
    "side_by_side",
    "stands_out",
    "summary",
]

# weight decay shrinks an unused feature by only 10% in 10,000 steps: never test for 0
REPRESENTED_NORM: Final = 0.5
MONOSEMANTIC_SHARE: Final = 0.1
COLLAPSED_COSINE: Final = 0.95

# When values of D_i crowd at a fraction: figures of the paper leave it to the eye, and a trained
# model is never exact.
LINE_HALF_WIDTH: Final = 0.005
# to the middle of a flank, as wide as the line: a gap of half its width between them
FLANK_DISTANCE: Final = 0.0125
LINE_FEATURES: Final = 10  # fewer could be one polytope
LINE_CONTRAST: Final = 2


class LineCounts(NamedTuple):
    """How many values lie at a fraction, and how many in a window of the same width on either side
    of it.
    """

    inside: int
    below: int
    above: int


def represented(W: Weights) -> NDArray[np.bool_]:
    """Whether each feature [..., F] is represented: ‖W_i‖ > ½."""
    mask: NDArray[np.bool_] = feature_norms(W) > REPRESENTED_NORM
    return mask


def dimensions_per_feature(W: Weights) -> Floats:
    """D* = m / ‖W‖_F² [...], hidden dimensions per represented feature (TMS, "Uniform
    superposition"); ∞ for W = 0.
    """
    squared = np.square(finite_or_nan(W)).sum(axis=(-2, -1))
    per_feature: Floats = np.divide(
        W.shape[-1], squared, out=np.full_like(squared, np.inf), where=squared != 0
    )
    return per_feature


def set_cosines(W: Weights, set_size: int) -> Floats:
    """cos(W_a, W_b) [..., F/set_size, pairs] of the pairs a < b of every set of `set_size`
    neighbouring features.

    0 for a row of zeros.
    """
    unit = directions(finite_or_nan(W))
    sets = unit.reshape(*unit.shape[:-2], -1, set_size, unit.shape[-1])
    first, second = np.triu_indices(set_size, 1)
    cosines: Floats = (sets @ sets.mT)[..., first, second]
    return cosines


def collapsed(W: Weights, set_size: int) -> NDArray[np.bool_]:
    """Whether each set [..., F/set_size] of two features or more has one direction: all pairs
    cos(W_a, W_b) > .95.

    The model then keeps the principal component of the set (TMS, "Collapsing of correlated
    features").
    """
    return np.asarray((set_cosines(W, set_size) > COLLAPSED_COSINE).all(axis=-1))


def side_by_side(W: Weights, set_size: int) -> NDArray[np.bool_]:
    """Whether the features of each set [..., F/set_size] follow each other in angle, for W[..., F,
    2].

    TMS, "The geometry of superposition": where correlated features cannot be orthogonal.
    """
    x, y = np.moveaxis(finite_or_nan(W), -1, 0)
    # [..., F] the sets in the order of angle
    around = np.arctan2(y, x).argsort(axis=-1) // set_size
    entered = around != np.roll(around, 1, axis=-1)
    sets = np.arange(W.shape[-2] // set_size)[:, None]
    mask: NDArray[np.bool_] = (entered[..., None, :] & (around[..., None, :] == sets)).sum(
        axis=-1
    ) <= 1
    return mask


def line_counts(values: Weights, fraction: float) -> LineCounts:
    """Values of D_i (any shape) within .005 of a fraction, and of fraction −.0125 and +.0125; NaN
    is in none.
    """
    middles = fraction + FLANK_DISTANCE * np.array([0, -1, 1])
    near = np.abs(np.ravel(values)[:, None] - middles) <= LINE_HALF_WIDTH
    return LineCounts(*near.sum(axis=0).tolist())


def stands_out(values: Weights, fraction: float) -> bool:
    """Whether values of D_i (any shape) form a line at a fraction: at least 10 there, and twice
    those in each flank.

    Random weights, an even spread and jitter of .02 fail. D_i ends at 0 and 1: a line there has one
    flank only.
    """
    inside, below, above = line_counts(values, fraction)
    return inside >= LINE_FEATURES and inside >= LINE_CONTRAST * max(below, above)


def datapoint_dimensionality(W: Weights, X: Weights) -> Floats:
    """Dimensionality [..., T] of T data points X[..., T, F]: that of h_t = W X_t (Henighan et al.
    2023).
    """
    hidden = finite_or_nan(X) @ finite_or_nan(W)  # [..., T, H]
    return dimensionality(hidden)


def neuron_monosemanticity(W: Weights) -> NDArray[np.int64]:
    """Features of each neuron [..., H]: those with abs W_ki > 0.1·max_j abs W_kj.

    1 is monosemantic, 0 dead.

    TMS, "Superposition in a privileged basis". A neuron with a weight that is not finite counts 0.
    """
    size = np.abs(finite_or_nan(W))
    threshold = MONOSEMANTIC_SHARE * size.max(axis=-2, keepdims=True)
    counts: NDArray[np.int64] = (size > threshold).sum(axis=-2)
    return counts


def adversarial_vulnerability(
    W: Weights,
    b: Weights,
    X: Weights,
    attack_norm: float,
    importance: Weights,
    output: Literal["relu", "linear"] = "relu",
) -> Floats:
    """Rise L' − L [M] of the mean loss under the worst attack on each input (TMS, "Adversarial
    examples").

    The attacks on an input are ±attack_norm·Ĝ_i, G = WᵀW, i any feature; the target stays the clean
    input. The paper takes attack_norm = 0.1·E‖x‖ and divides the result by that of the dense (p =
    1) model.

    Shapes: W[M, F, H], b[M, F], X[B, F] or X[M, B, F], importance[M, F].
    """
    W64 = finite_or_nan(W)
    root = np.sqrt(np.asarray(importance, dtype=np.float64))[:, None, :]
    G = W64 @ W64.mT  # [M, F, F]
    # The root of I_i goes into what output i is and should be: I (x - z⁺)² = (√I x - (√I z)⁺)².
    target = root * np.broadcast_to(X, (len(W), *X.shape[-2:])).astype(np.float64)
    clean = root * (X @ G + finite_or_nan(b)[:, None, :])
    # [M, F, F]; row i is what attack i adds before the output
    shifts = attack_norm * root * (directions(G) @ G)
    # [M, B, F]; one for all attacks, because making it takes longer than filling it
    error = np.empty_like(clean)

    def losses(shift: Floats | float) -> Floats:  # [M, 1, F] -> [M, B]
        np.add(clean, shift, out=error)
        if output == "relu":
            np.maximum(error, 0.0, out=error)
        np.subtract(error, target, out=error)
        result: Floats = np.einsum("mbf,mbf->mb", error, error)
        return result

    worst = np.full(clean.shape[:2], -np.inf)
    for i in range(G.shape[-1]):
        for shift in (shifts[:, i, None, :], -shifts[:, i, None, :]):
            worst = np.maximum(worst, losses(shift))
    rise: Floats = (worst - losses(0.0)).mean(axis=-1)
    return rise


def summary(W: Weights) -> dict[str, Floats]:
    """The scalar metrics of M models W[M, F, H], each [M]: columns of a run's table.

    NaN where W is not finite.
    """
    finite = np.isfinite(W).all(axis=(-2, -1))
    disturbance = interference(W)
    return {
        "d_star": dimensions_per_feature(W),
        "n_represented": np.where(finite, represented(W).sum(axis=-1), np.nan),
        "interference_mean": disturbance.mean(axis=-1),
        "interference_max": disturbance.max(axis=-1),
        "dimensionality_sum": dimensionality(W).sum(axis=-1),
    }
