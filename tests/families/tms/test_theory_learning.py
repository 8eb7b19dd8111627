"""The local learning coefficient against published values, a regular model, and points that are no
minimum.
"""

from __future__ import annotations

import pytest

from superpos.families.tms.theory import Level, learning_coefficient, one_hot_levels


def level(n_features: int, name: str) -> Level:
    (found,) = (one for one in one_hot_levels(n_features) if one.name == name)
    return found


def one_hot(n_features: int) -> dict[str, object]:
    return {"correlation": "anticorrelated", "set_size": n_features}


@pytest.mark.parametrize(
    ("n_features", "name", "published"), [(5, "5", 7.0), (6, "5+", 8.5), (6, "6", 8.5)]
)
def test_published_coefficients(n_features: int, name: str, published: float) -> None:
    at = level(n_features, name)
    found = learning_coefficient(at.W, at.b, 1e6, **one_hot(n_features))
    assert abs(found.value / published - 1) < 0.02
    assert 0.02 < found.error < 0.07
    assert 0.4 < found.accepted < 0.8


def test_a_degenerate_minimum_has_less() -> None:
    # Twelve parameters and one rotation, but the square has flat directions: the page lists 4 to
    # 5.5.
    at = level(4, "4")
    found = learning_coefficient(at.W, at.b, 1e6, **one_hot(4))
    assert 4 < found.value < 5.7


def test_a_point_that_is_no_minimum_is_found_out() -> None:
    at = level(6, "6")
    assert learning_coefficient(0.9 * at.W, at.b, 1e6, **one_hot(6), steps=300).value < -100


def test_few_samples_see_more_than_the_minimum() -> None:
    at = level(6, "6")
    assert learning_coefficient(at.W, at.b, 1e3, **one_hot(6)).value > 1.1 * 8.5


def test_independent_features_at_a_regular_minimum() -> None:
    # One feature of density 1 in one dimension, W = 1, b = 0: the loss is 0 and regular in both
    # parameters, lambda = 1.
    found = learning_coefficient([[1.0]], [0.0], 1e6, 1.0)
    assert abs(found.value - 1) < 4 * found.error
    assert found.error < 0.05


def test_the_seed_draws_the_chains() -> None:
    at = level(5, "5")
    first, again, other = (
        learning_coefficient(at.W, at.b, 1e5, **one_hot(5), steps=20, seed=seed)
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="n must be above e, got 2"):
        learning_coefficient([[1.0]], [0.0], 2)
    with pytest.raises(ValueError, match="steps must be at least 10, got 5"):
        learning_coefficient([[1.0]], [0.0], 100, steps=5)
