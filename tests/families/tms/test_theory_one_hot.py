"""One feature at a time: the loss for any number of features, and the published energies of its
k-gons.
"""

from __future__ import annotations

import numpy as np
import pytest

from superpos.families.tms.theory import (
    expected_loss,
    loss_and_gradient,
    one_hot_levels,
    one_hot_loss,
    one_hot_polygon,
    quadrature_loss,
    refine,
)
from superpos.families.tms.theory.exact import MAX_BLOCK
from superpos.families.tms.theory.one_hot import one_hot_gradient

PUBLISHED_LEVELS = {
    (4, "4"): 0.0,
    (5, "4"): 0.06667,
    (5, "4+"): 0.05667,
    (5, "5"): 0.01583,
    (6, "4+"): 0.10417,
    (6, "5"): 0.06874,
    (6, "5+"): 0.06180,
    (6, "6"): 0.04819,
}


def random_model(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """W, b, density of the set, importance of one model."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(n, 2)),
        0.3 * rng.normal(size=n),
        rng.uniform(0.2, 1),
        rng.uniform(0.1, 2, n),
    )


def test_one_output_by_hand() -> None:
    # One feature, W = 1/2, b = 1/4, p = 1: u - (u/4 + 1/4) = 3u/4 - 1/4, so that 9/16/3 - 2
    # (3/4)(1/4)/2 + 1/16.
    np.testing.assert_allclose(one_hot_loss([[0.5]], [0.25]), 3 / 16 - 3 / 16 + 1 / 16, rtol=1e-14)
    # With p = 1/2 the bias alone comes out in the other half.
    np.testing.assert_allclose(
        one_hot_loss([[0.5]], [0.25], 0.5), (1 / 16 + 1 / 16) / 2, rtol=1e-14
    )
    # A kink: b = -1/4, W = 1, off up to u = 1/4: 1/3 (1/4)^3 + 3/4 (1/4)^2.
    np.testing.assert_allclose(
        one_hot_loss([[1.0]], [-0.25]), (1 / 4) ** 3 / 3 + 3 / 64, rtol=1e-14
    )


@pytest.mark.parametrize("n", [2, 3, 5])
def test_it_is_the_loss_of_one_anticorrelated_set(n: int) -> None:
    W, b, p, importance = random_model(n, n)
    sets = {"correlation": "anticorrelated", "set_size": n}
    loss, by_w, by_b = one_hot_gradient(W[None], b[None], np.full(n, p), importance)
    other = loss_and_gradient(W, b, p, importance, **sets)
    np.testing.assert_allclose(
        loss[0], quadrature_loss(W, b, np.full(n, p), importance, **sets), rtol=1e-12
    )
    np.testing.assert_allclose(by_w[0], other.W, atol=1e-13)
    np.testing.assert_allclose(by_b[0], other.b, atol=1e-13)


def test_many_features_agree_with_a_grid_and_with_differences() -> None:
    n = MAX_BLOCK + 10
    W, b, p, importance = random_model(0, n)
    sets = {"correlation": "anticorrelated", "set_size": n}
    u = (np.arange(4000) + 0.5) / 4000
    # [output, active feature, node]
    z = np.maximum((W @ W.T)[:, :, None] * u + b[:, None, None], 0)
    error = ((np.eye(n)[:, :, None] * u - z) ** 2).mean(axis=-1)
    expected = importance @ (p * error.mean(axis=1) + (1 - p) * np.maximum(b, 0) ** 2)
    got = loss_and_gradient(W, b, p, importance, **sets)
    np.testing.assert_allclose(got.loss, expected, rtol=1e-6)
    shift = np.zeros_like(W)
    shift[3, 1] = 1e-6
    difference = expected_loss(W + shift, b, p, importance, **sets) - expected_loss(
        W - shift, b, p, importance, **sets
    )
    np.testing.assert_allclose(difference / 2e-6, got.W[3, 1], rtol=1e-6)


def test_more_features_than_one_block_need_a_single_set() -> None:
    n = MAX_BLOCK + 2
    W, b, p, importance = random_model(0, n)
    with pytest.raises(ValueError, match="an output depends on"):
        expected_loss(W, b, p, importance, correlation="anticorrelated", set_size=n // 2)


def test_weights_that_are_not_finite_have_no_loss() -> None:
    W = np.ones((2, 4, 2))
    W[0, 0, 0] = np.inf
    assert np.isnan(one_hot_loss(W, np.zeros(4))).tolist() == [True, False]


@pytest.mark.parametrize(
    ("sides", "length", "bias", "energy"),
    [
        (5, 1.17046, -0.28230, 0.23738),
        (6, 1.32053, -0.61814, 0.86746),
        (7, 1.44839, -0.96691, 1.74870),
        # The page prints two versions of the octagon, and h as 2.77311: the first one is right, and
        # 2.773102.
        (8, 1.55045, -1.29119, 2.77310),
    ],
)
def test_polygons_are_the_published_ones(
    sides: int, length: float, bias: float, energy: float
) -> None:
    found = one_hot_polygon(sides)
    np.testing.assert_allclose(found, (length, bias, energy), atol=5.1e-6)


@pytest.mark.parametrize("n", [4, 5, 6])
def test_levels_are_the_published_ones(n: int) -> None:
    found = {level.name: level for level in one_hot_levels(n)}
    for (features, name), loss in PUBLISHED_LEVELS.items():
        if features == n:
            np.testing.assert_allclose(found[name].loss, loss, atol=5e-6)
    assert [level.loss for level in one_hot_levels(n)] == sorted(
        level.loss for level in found.values()
    )


def test_levels_add_up_as_their_formula_says_and_are_critical() -> None:
    c = 6
    for level in one_hot_levels(c):
        outside = c - level.sides
        energy = one_hot_polygon(level.sides).energy + outside - 3 * level.positive / (4 * c)
        np.testing.assert_allclose(level.loss, energy / (3 * c), rtol=1e-12)
        got = loss_and_gradient(
            level.W, level.b, 1.0, 1.0, correlation="anticorrelated", set_size=c
        )
        assert max(np.abs(got.W).max(), np.abs(got.b).max()) < 1e-7


def test_the_lowest_level_is_a_minimum() -> None:
    level = one_hot_levels(5)[0]
    noise = 0.02 * np.random.default_rng(0).normal(size=level.W.shape)
    found = refine(level.W + noise, level.b, 1.0, 1.0, correlation="anticorrelated", set_size=5)
    np.testing.assert_allclose(found.loss, level.loss, rtol=1e-9)


def test_too_few_sides_and_features() -> None:
    with pytest.raises(ValueError, match="sides must be at least 4, got 3"):
        one_hot_polygon(3)
    with pytest.raises(ValueError, match="n_features must be at least 4, got 3"):
        one_hot_levels(3)
