"""Capacity of quadratic models: by hand, published numbers, descent from many starts, and a
simulated loss.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from superpos.families.tms import metrics
from superpos.families.tms.theory import capacity_optimum, quadratic_loss, sharing_boundary


def descended(values: np.ndarray, m: int, kurtosis: float) -> tuple[float, np.ndarray]:
    """Loss and weights of the best of twelve descents."""
    n = len(values)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        W = x.reshape(n, m)
        gram = W @ W.T
        slope = 8 * (gram - np.diag(np.diag(gram))) + np.diag(
            4 * (kurtosis - 1) * (np.diag(gram) - values)
        )
        return float(quadratic_loss(W, values, kurtosis)), (slope @ W).ravel()

    rng = np.random.default_rng(0)
    options = {"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-9}
    found = [
        minimize(
            objective, 0.5 * rng.normal(size=n * m), jac=True, method="L-BFGS-B", options=options
        )
        for _ in range(12)
    ]
    best = min(found, key=lambda one: one.fun)
    return float(best.fun), best.x.reshape(n, m)


@pytest.mark.parametrize("kurtosis", [2.0, 4.0, 8.0, 20.0])
@pytest.mark.parametrize(("n", "m"), [(2, 1), (5, 2), (4, 3), (12, 4)])
def test_the_closed_form_is_the_best_of_many_descents(kurtosis: float, n: int, m: int) -> None:
    values = np.random.default_rng(n).uniform(0.1, 1, n)
    loss, W = descended(values, m, kurtosis)
    best = capacity_optimum(values, m, kurtosis)
    np.testing.assert_allclose(best.loss, loss, rtol=1e-6)
    np.testing.assert_allclose(best.square, (W**2).sum(axis=1), atol=2e-3)
    used = best.capacity > 0
    np.testing.assert_allclose(best.capacity[used], metrics.dimensionality(W)[used], atol=2e-3)


@pytest.mark.parametrize(
    ("kurtosis", "capacity"),
    [
        (2, [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        (3, [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        (4, [1, 1, 1, 0.78, 0.22, 0, 0, 0, 0, 0, 0, 0]),
        (8, [1, 1, 0.79, 0.55, 0.36, 0.21, 0.09, 0, 0, 0, 0, 0]),
    ],
)
def test_important_features_are_alone_middle_ones_share_the_rest_is_ignored(
    kurtosis: float, capacity: list[float]
) -> None:
    found = capacity_optimum(0.8 ** np.arange(12), 4, kurtosis)
    np.testing.assert_allclose(found.capacity, capacity, atol=0.005)
    np.testing.assert_allclose(found.capacity.sum(), 4, rtol=1e-12)


def test_two_features_share_beyond_the_boundary() -> None:
    for kurtosis in (4.0, 6.0, 11.0, 41.0):
        r = float(sharing_boundary(kurtosis))
        assert capacity_optimum([1, r * 1.001], 1, kurtosis).capacity[1] > 0
        assert capacity_optimum([1, r * 0.999], 1, kurtosis).capacity[1] == 0
    np.testing.assert_allclose(sharing_boundary([3, 5, 11]), [1, 1 / 2, 1 / 5])


@pytest.mark.parametrize("kurtosis", [1.0, 1.8, 3.0])
@pytest.mark.parametrize("r", [0.1, 0.7, 1.0])
def test_flat_distributions_never_share(kurtosis: float, r: float) -> None:
    assert sorted(capacity_optimum([1, r], 1, kurtosis).capacity) == [0, 1]


def test_the_loss_is_that_of_a_simulated_model() -> None:
    # Signed sparse signs of density 1/5, scaled to variance 1: kurtosis 5.
    rng = np.random.default_rng(1)
    p = 0.2
    W, values = rng.normal(size=(4, 2)), np.array([1.0, 0.7, 0.5, 0.2])
    x = rng.choice([-1, 0, 1], size=(400_000, 4), p=[p / 2, 1 - p, p / 2]) / np.sqrt(p)
    residual = (x**2) @ values - ((x @ W) ** 2).sum(axis=1)
    sampled = residual.var()
    error = residual.var() * np.sqrt(
        ((residual - residual.mean()) ** 4).mean() / sampled**2 / len(x)
    )
    assert abs(quadratic_loss(W, values, 1 / p) - sampled) < 4 * error
    assert error < 0.02 * sampled


def test_a_dimension_for_each() -> None:
    found = capacity_optimum([0.5, 1.0], 3, 10)
    assert found.loss == 0
    assert found.capacity.tolist() == [1, 1]
    assert found.square.tolist() == [0.5, 1.0]


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="kurtosis must be at least 1"):
        sharing_boundary(0.5)
    for values, m, kurtosis in (([1.0, 0.0], 1, 4), ([1.0], 0, 4), ([1.0], 1, 0.5)):
        with pytest.raises(ValueError, match="needs positive values"):
            capacity_optimum(values, m, kurtosis)
