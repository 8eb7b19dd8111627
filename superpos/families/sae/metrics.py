"""How well the latents of sparse autoencoders (SAEs) are the features of their world.

Shapes: `...` any leading dimensions (SAEs S, seeds K), G features, m latents, d dimensions of the
activations, E edges of a tree. A[..., G, d] are the features, D[..., m, d] the decoder's rows,
C[..., G, m] the signed cosines of both. `alive`[..., m] says which latents fire at all,
`scored`[..., G] which features count (all without it). Pure numpy in float64. What cannot be
measured is NaN: a world without scored features, numbers that are not finite. A dictionary without
live latents has found nothing: an MMCS of −1, an MCC of 0.

Counts are of evaluation samples. Cosines keep their sign: in toy models half of the features are
antipodal, and a latent on −A_g is no latent of g. docs/science.md, Dictionaries, has the sources.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from superpos.maths.dimensionality import directions, finite_or_nan
from superpos.maths.types import Floats

Numbers = NDArray[Any]
Truths = NDArray[np.bool_]
Indices = NDArray[np.intp]

DEAD: Final = -1.0
"""The cosine of a latent that never fires: below that of any other."""


class Best(NamedTuple):
    """The latent that is nearest to each feature."""

    cosine: Floats  # [..., G]
    latent: Indices  # [..., G]


class Detection(NamedTuple):
    """How well a latent's firing tells whether its feature is active, [..., G] each."""

    precision: Floats
    recall: Floats
    f1: Floats


def _ratio(top: Numbers, bottom: Numbers) -> Floats:
    """Quotients in float64; NaN where the bottom is 0, and of sums that have overflowed."""
    numerator = np.asarray(top, np.float64)
    denominator = np.asarray(bottom, np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(numerator / np.where(denominator == 0, np.nan, denominator))


def mean_over(values: Floats, counted: Truths | None) -> Floats:
    """Mean [...] over the last axis of what counts; NaN where nothing does."""
    if counted is None:
        counted = np.ones(values.shape[-1:], dtype=np.bool_)
    total = np.where(counted, values, 0.0).sum(axis=-1)
    return _ratio(total, np.broadcast_to(counted, values.shape).sum(axis=-1))


def all_cosines(A: Numbers, D: Numbers) -> Floats:
    """cos(A_g, D_j) [..., G, m] of all latents, dead or not; 0 for a row of zeros."""
    features = directions(finite_or_nan(np.asarray(A, np.float64)))
    latents = directions(finite_or_nan(np.asarray(D, np.float64)))
    return np.asarray(features @ latents.mT)


def cosines(A: Numbers, D: Numbers, alive: Truths) -> Floats:
    """C[..., G, m]: cos(A_g, D_j), and −1 for dead latents."""
    return np.where(alive[..., None, :], all_cosines(A, D), DEAD)


def best(C: Floats) -> Best:
    """Cosine and number of each feature's nearest live latent; of equally near ones the first."""
    latent = C.argmax(axis=-1)
    return Best(np.take_along_axis(C, latent[..., None], axis=-1)[..., 0], latent)


def mmcs(C: Floats, scored: Truths | None = None) -> Floats:
    """Mean max cosine similarity [...], mean_g max_j C: recall of directions (Sharkey 2022)."""
    return mean_over(C.max(axis=-1), scored)


def found(C: Floats, threshold: float, scored: Truths | None = None) -> Floats:
    """Share of the features [...] that a live latent has, max_j C > threshold.

    It says nothing below chance: in d = 2 five random latents "find" 54% of any features at .9.
    """
    nearest = C.max(axis=-1)
    return mean_over(np.where(np.isnan(nearest), np.nan, nearest > threshold), scored)


def matching(score: Floats) -> tuple[Indices, Indices]:
    """Rows and columns of the matching of greatest sum: min(G, m) pairs of score[G, m]."""
    rows, columns = linear_sum_assignment(score, maximize=True)
    return rows, columns


def order(C: Floats) -> Indices:
    """Latents [m] of C[G, m] in the order of the features that they match, then the others."""
    rows, columns = matching(C)
    others = np.setdiff1d(np.arange(C.shape[-1]), columns)
    return np.concatenate([columns[np.argsort(rows)], others])


def _matched(score: Floats, scored: Truths | None) -> Floats:
    """Mean score [...] over the best matching of scored features with latents."""
    counted = np.broadcast_to(True if scored is None else scored, score.shape[:-1])

    def one(index: tuple[int, ...]) -> float:
        own = score[index][counted[index]]
        if not own.size or np.isnan(own).any():
            return np.nan
        return float(own[matching(own)].mean())

    means = [one(index) for index in np.ndindex(score.shape[:-2])]
    return np.array(means, dtype=np.float64).reshape(score.shape[:-2])


def mcc(C: Floats, alive: Truths, scored: Truths | None = None) -> Floats:
    """Mean cosine [...] over the best one-to-one matching of features and latents.

    Dead latents count 0. Of the min(G, m) pairs: it is 1 where as many features are found as there
    are latents, however many are missing.
    """
    return _matched(np.where(alive[..., None, :], C, 0.0), scored)


def unsigned_mcc(A: Numbers, D: Numbers, scored: Truths | None = None) -> Floats:
    """The MCC [...] of other tools: of |cos|, over all latents of D, dead ones too (Song 2025).

    It counts a latent on −A_g as one of g, and the direction of a latent that never fires.
    """
    return _matched(np.abs(all_cosines(A, D)), scored)


def pairwise_mcc(D: Numbers, alive: Truths) -> float:
    """PW-MCC: the mean MCC over all pairs of the SAEs D[K, m, d] of one world; NaN for one SAE.

    Dead latents count 0. It does not need the features, so it can be had of a language model too.
    """
    first, second = np.triu_indices(len(D), 1)
    if not len(first):
        return np.nan
    both = alive[first, :, None] & alive[second, None, :]
    scores = np.where(both, all_cosines(D[first], D[second]), 0.0)
    return float(_matched(scores, None).mean())


def detection(both: Numbers, fired: Numbers, active: Numbers) -> Detection:
    """Precision, recall and F1 [...] of "the latent fires" as a test of "the feature is active".

    Numbers of samples: `both` at once, `fired` the latent, `active` the feature. A latent that
    never fires has precision and recall 0; a feature that is never active has none of the three.
    """
    hits = np.asarray(both, np.float64)
    firings = np.asarray(fired, np.float64)
    samples = np.where(np.asarray(active) == 0, np.nan, np.asarray(active, np.float64))
    precision = np.where(np.isnan(samples), np.nan, hits / np.maximum(firings, 1))
    return Detection(precision, hits / samples, 2 * hits / (firings + samples))


def uniqueness(C: Floats, alive: Truths, scored: Truths | None = None) -> Floats:
    """Distinct nearest features of the live latents, over the number of live latents [...].

    After a one-to-one matching it would be 1 by construction; here two may have one feature.
    """
    counted = _over_scored(C, scored)
    nearest = counted.argmax(axis=-2)  # [..., m]
    is_nearest = nearest[..., None, :] == np.arange(C.shape[-2])[:, None]  # [..., G, m]
    taken = (is_nearest & alive[..., None, :]).any(axis=-1)  # [..., G]
    known = np.isfinite(counted.max(axis=(-2, -1)))
    return np.where(known, _ratio(taken.sum(axis=-1), alive.sum(axis=-1)), np.nan)


def _over_scored(C: Floats, scored: Truths | None) -> Floats:
    """C with features that do not count below all others."""
    return C if scored is None else np.where(scored[..., None], C, -np.inf)


def decoder_overlap(D: Numbers) -> Floats:
    """c_dec [...], mean_{i<j} |cos(D_i, D_j)| of all latents (Chanin 2025); NaN for one latent."""
    first, second = np.triu_indices(D.shape[-2], 1)
    overlaps = np.abs(all_cosines(D, D)[..., first, second])
    return mean_over(overlaps, None)


def l0(fired: Numbers, n_samples: int) -> Floats:
    """Mean number of latents that fire in a sample [...]; each does in `fired`[..., m] of them."""
    return np.asarray(np.asarray(fired, np.float64).sum(axis=-1) / n_samples)


def dead_share(alive: Truths) -> Floats:
    """Share of the latents [...] that never fired."""
    return np.asarray(1 - alive.mean(axis=-1))


def fvu(errors: Numbers, squares: Numbers, total: Numbers, n_samples: int) -> Floats:
    """Fraction of variance unexplained [...], Σ‖x − x̂‖² / Σ‖x − x̄‖².

    Sums over the samples: `errors` of ‖x − x̂‖², `squares` of ‖x‖², `total`[..., d] of x.
    """
    of_mean = np.square(np.asarray(total, np.float64)).sum(axis=-1) / n_samples
    return _ratio(errors, np.asarray(squares, np.float64) - of_mean)


def gamma(products: Numbers, squares: Numbers) -> Floats:
    """γ [...] = Σ x̂·x / Σ‖x̂‖², the factor by which reconstructions are too short.

    Sums over the samples: `products` of x̂·x, `squares` of ‖x̂‖². The relative reconstruction bias
    of Rajamanoharan et al. 2024 is 1/γ. NaN where every reconstruction is 0.
    """
    return _ratio(products, squares)


def absorption(silent: Numbers, active: Numbers, silent_alone: Numbers, alone: Numbers) -> Floats:
    """Absorption gap [..., E] of edges from P to C: P(f = 0 | P, C) − P(f = 0 | P, no child).

    f is the latent nearest to the parent P. Numbers of samples: `active` with both, `silent` those
    of them where f is 0; `alone` with the parent without any child, `silent_alone` those of them
    where f is 0.
    """
    return _ratio(silent, active) - _ratio(silent_alone, alone)


def leak(C: Floats, parents: Indices, children: Indices) -> Floats:
    """cos(D_j, A_P) [..., E] of the latent j nearest to the child: what it has of its parent."""
    nearest = C[..., children, :].argmax(axis=-1)  # [..., E]
    of_parents = C[..., parents, :]  # [..., E, m]
    return np.asarray(np.take_along_axis(of_parents, nearest[..., None], axis=-1)[..., 0])


def loss_recovered(of_mean: Numbers, of_sae: Numbers, of_model: Numbers) -> Floats:
    """(L(h̄) − L(ĥ)) / (L(h̄) − L(h)) [...] of a toy model's own loss L, its hidden layer replaced.

    `of_mean`: by its mean; `of_sae`: by the SAE's reconstruction; `of_model`: by nothing. It must
    never stand alone: in a sweep of the penalty it ranks SAEs in the wrong order.
    """
    mean = np.asarray(of_mean, np.float64)
    return _ratio(mean - of_sae, mean - of_model)
