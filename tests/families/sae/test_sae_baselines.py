"""Baselines and sparse coding on worlds that they can solve, and on what they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from superpos.families.sae import metrics, theory
from superpos.families.sae.analysis import baselines
from superpos.families.sae.analysis.sparse_coding import fista


def inputs(A: np.ndarray, density: float, n: int = 6000) -> np.ndarray:
    """Independent features, uniform on [0, 1] when active."""
    rng = np.random.default_rng(7)
    shape = (n, len(A))
    return (rng.random(shape) * (rng.random(shape) < density)) @ A


def score(name: str, A: np.ndarray, density: float) -> float:
    D = baselines.learned(name, inputs(A, density), len(A))
    np.testing.assert_allclose(np.linalg.norm(D, axis=1), 1, atol=1e-9)
    return float(metrics.mmcs(metrics.cosines(A, D, np.ones(len(D), dtype=bool))))


def overcomplete(d: int, n: int) -> np.ndarray:
    A = np.random.default_rng(5).normal(size=(n, d))
    return A / np.linalg.norm(A, axis=1, keepdims=True)


LEAST = {
    "ICA": 0.98,
    "sparse coding": 0.98,
    "k-means": 0.9,
}  # means of k-means hold pairs of features


@pytest.mark.parametrize("name", LEAST)
def test_those_that_find_orthonormal_features(name: str) -> None:
    assert score(name, np.eye(6), 0.1) > LEAST[name]


def test_pca_finds_orthonormal_features_of_different_frequency_only() -> None:
    x = inputs(np.eye(4), 0.1) * [27, 9, 3, 1]
    D = baselines.learned("PCA", x, 8)
    C = metrics.cosines(np.eye(4), D, np.ones(8, dtype=bool))
    assert metrics.mmcs(C) > 0.99
    np.testing.assert_allclose(D[4:], -D[:4])
    assert score("PCA", np.eye(6), 0.1) < 0.95


def test_the_order_of_baselines_in_superposition() -> None:
    """Sparse coding and k-means find more than inputs do, and those more than PCA and chance."""
    A = overcomplete(8, 16)
    scores = {name: score(name, A, 0.05) for name in baselines.BASELINES}
    assert scores["sparse coding"] > 0.9
    assert scores["k-means"] > 0.9
    assert 0.9 > scores["random inputs"] > scores["PCA"]
    assert scores["ICA"] > scores["PCA"]
    assert scores["semi-NMF"] > scores["random"]
    assert abs(scores["random"] - theory.chance(8, 16)) < 0.15


def test_inputs_that_are_zero_are_no_directions() -> None:
    x = np.zeros((50, 3))
    x[:5, 1] = 2.0
    np.testing.assert_allclose(baselines.learned("random inputs", x, 3), [[0, 1, 0]] * 3)


def test_fista_against_bounded_minimisation() -> None:
    D = overcomplete(4, 9)
    x = inputs(D, 0.3, 5)
    code = fista(x, D, 0.1, 2000)

    def objective(f, target):
        e = target - f @ D
        return e @ e + 0.1 * f.sum(), -2 * D @ e + 0.1

    for target, f in zip(x, code, strict=True):
        start = np.full(9, 0.1)
        bounds = [(0, None)] * 9
        best = minimize(objective, start, (target,), jac=True, bounds=bounds, tol=1e-13)
        np.testing.assert_allclose(objective(f, target)[0], best.fun, rtol=1e-5, atol=1e-9)
    assert (code >= 0).all()


def test_fista_of_one_latent_by_hand() -> None:
    """f = max(x·D − λ/2, 0)."""
    D = np.array([[0.6, 0.8]])
    x = np.array([[0.6, 0.8], [0.03, 0.04], [-0.6, -0.8]])
    np.testing.assert_allclose(fista(x, D, 0.2, 50), [[0.9], [0], [0]], atol=1e-9)
