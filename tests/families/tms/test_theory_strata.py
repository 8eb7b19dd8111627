"""The stratified loss against the exact one, which knows nothing of samples."""

from __future__ import annotations

import numpy as np
import pytest

from superpos.families.tms import theory
from superpos.families.tms.theory import strata
from superpos.families.tms.theory.active import Correlation


@pytest.mark.parametrize("density", [0.03, 0.4, 1.0])
@pytest.mark.parametrize(
    ("correlation", "n", "set_size"),
    [("correlated", 4, 2), ("anticorrelated", 4, 2), ("correlated", 6, 3)],
)
def test_agrees_with_the_exact_loss(
    correlation: Correlation, n: int, set_size: int, density: float
) -> None:
    rng = np.random.default_rng(n)
    W, b = rng.normal(size=(3, n, 2)), rng.normal(scale=0.2, size=(3, n))
    importance = rng.uniform(0.5, 2, size=n)
    exact = theory.expected_loss(
        W, b, density, importance, correlation=correlation, set_size=set_size
    )
    found = strata.stratified_loss(W, b, density, importance, correlation, set_size)
    np.testing.assert_allclose(
        found, exact, rtol=0.01
    )  # 2048 points a stratum; random weights are rougher than trained
    other: Correlation = "anticorrelated" if correlation == "correlated" else "correlated"
    assert not np.allclose(
        strata.stratified_loss(W, b, density, importance, other, set_size), exact, rtol=0.01
    )


def test_zero_weights_lose_the_second_moment_of_every_feature() -> None:
    W, b = np.zeros((1, 20, 3)), np.zeros((1, 20))
    found = strata.stratified_loss(W, b, 0.1, np.full(20, 2.0), "correlated", 10)
    np.testing.assert_allclose(found, 20 * 2 * 0.1 / 3, rtol=1e-3)  # E x² = p/3
    found = strata.stratified_loss(W, b, 0.1, np.full(20, 2.0), "anticorrelated", 10)
    np.testing.assert_allclose(found, 20 * 2 * 0.01 / 3, rtol=1e-2)  # one of ten members


def test_antipodal_anticorrelated_pairs_lose_nothing() -> None:
    W, b = np.array([[[1.0, 0], [-1, 0], [0, 1], [0, -1]]]), np.zeros((1, 4))
    assert strata.stratified_loss(W, b, 0.7, np.ones(4), "anticorrelated", 2)[0] < 1e-30
    assert (
        strata.stratified_loss(W[:, [0, 2, 1, 3]], b, 0.7, np.ones(4), "anticorrelated", 2)[0]
        > 0.01
    )
