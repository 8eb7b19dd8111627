"""Dictionaries without an autoencoder: what an MMCS has to beat.

Each takes inputs x[N, d] and gives m directions D[m, d] of length 1. PCA and ICA have one direction
a dimension and know no sign: both signs are given, the one of positive skewness first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from superpos.families.sae.analysis.sparse_coding import learn_dictionary
from superpos.maths.dimensionality import directions
from superpos.maths.types import Floats

Baseline = Callable[[Floats, int, np.random.Generator], Floats]

_ROUNDS: Final = 20  # of k-means: assignments have settled
_ICA_ROUNDS: Final = 40
_NMF_ROUNDS: Final = 40
_PENALTY: Final = 0.2  # of sparse coding: where L1 autoencoders are best
_NOTHING: Final = 1e-12


def random_directions(x: Floats, n_latents: int, rng: np.random.Generator) -> Floats:
    """Uniform on the sphere."""
    return directions(rng.normal(size=(n_latents, x.shape[1])))


def random_inputs(x: Floats, n_latents: int, rng: np.random.Generator) -> Floats:
    """The directions of some inputs."""
    return directions(x[rng.choice(len(x), n_latents, replace=False)])


def principal_components(x: Floats, n_latents: int, _: np.random.Generator) -> Floats:
    """PCA, the greatest variance first, both signs."""
    centred = x - x.mean(axis=0)
    components = np.linalg.svd(centred, full_matrices=False)[2]
    return _both_signs(centred, components, n_latents)


def independent_components(x: Floats, n_latents: int, rng: np.random.Generator) -> Floats:
    """ICA, both signs: mixing directions of FastICA with tanh (Hyvärinen and Oja 2000)."""
    centred = x - x.mean(axis=0)
    _, scale, components = np.linalg.svd(centred, full_matrices=False)
    whitening = components.T / scale * np.sqrt(len(x))  # [d, d]
    white = centred @ whitening
    turn = _orthogonal(rng.normal(size=(x.shape[1], x.shape[1])))
    for _ in range(_ICA_ROUNDS):
        response = np.tanh(white @ turn.T)  # [N, d]
        slope = (1 - np.square(response)).mean(axis=0)
        turn = _orthogonal(response.T @ white / len(x) - slope[:, None] * turn)
    mixing = turn @ np.linalg.pinv(whitening)
    return _both_signs(centred, directions(mixing), n_latents)


def _orthogonal(matrix: Floats) -> Floats:
    """The orthogonal matrix that is nearest."""
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ right)


def _both_signs(centred: Floats, components: Floats, n_latents: int) -> Floats:
    skewness = np.power(centred @ components.T, 3).mean(axis=0)
    signed = np.where(skewness < 0, -1.0, 1.0)[:, None] * components
    return np.concatenate([signed, -signed])[:n_latents]


def semi_nmf(x: Floats, n_latents: int, rng: np.random.Generator) -> Floats:
    """NMF for signed inputs: codes ≥ 0, directions of any sign (Ding, Li and Jordan 2010)."""
    D = random_inputs(x, n_latents, rng)
    code = np.maximum(x @ D.T, 0.0) + 0.1
    ridge = _NOTHING * len(x) * np.eye(n_latents)  # a code that has died leaves a singular matrix
    for _ in range(_NMF_ROUNDS):
        D = np.asarray(np.linalg.solve(code.T @ code + ridge, code.T @ x), np.float64)
        drive = x @ D.T
        gram = D @ D.T
        up = np.maximum(drive, 0) + code @ np.maximum(-gram, 0)
        down = np.maximum(-drive, 0) + code @ np.maximum(gram, 0)
        code = code * np.sqrt(up / np.maximum(down, _NOTHING))
    return directions(D)


def k_means(x: Floats, n_latents: int, rng: np.random.Generator) -> Floats:
    """Spherical k-means: means of the inputs' directions (Dhillon and Modha 2001)."""
    unit = directions(x)
    centres = random_inputs(x, n_latents, rng)
    for _ in range(_ROUNDS):
        nearest = (unit @ centres.T).argmax(axis=1)
        order = np.argsort(nearest, kind="stable")
        owners, starts = np.unique(nearest[order], return_index=True)
        centres[owners] = directions(np.add.reduceat(unit[order], starts, axis=0))
    return centres


def sparse_coding(x: Floats, n_latents: int, rng: np.random.Generator) -> Floats:
    """Dictionary learning with FISTA's codes in the place of an encoder's."""
    return learn_dictionary(x, n_latents, _PENALTY, rng)


BASELINES: Final[Mapping[str, Baseline]] = {
    "random": random_directions,
    "PCA": principal_components,
    "random inputs": random_inputs,
    "semi-NMF": semi_nmf,
    "ICA": independent_components,
    "k-means": k_means,
    "sparse coding": sparse_coding,
}
"""By the names that figures and claims use."""


def learned(name: str, x: Floats, n_latents: int, seed: int = 0) -> Floats:
    """D[m, d] of a baseline on inputs x[N, d], without those that are 0."""
    active = x[np.square(x).sum(axis=1) > _NOTHING]
    return BASELINES[name](active, n_latents, np.random.default_rng(seed))
