"""The exact expected loss: hand-computed values, two independent methods, Monte Carlo, finite
differences.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from superpos.families.tms.theory import (
    closed_form_loss,
    exact,
    expected_loss,
    loss_and_gradient,
    polygon,
    quadrature_loss,
    simplex,
    variance,
)
from superpos.families.tms.theory.cross_check import MAX_ACTIVE, box_integral
from superpos.families.tms.theory.exact import MAX_BLOCK, Output


def random_model(
    seed: int, n: int, m: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """W, b, density, importance of one model, of ordinary size."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(n, m)),
        0.3 * rng.normal(size=n),
        rng.uniform(0.05, 1, n),
        rng.uniform(0.1, 2, n),
    )


def test_digon_errs_by_the_smaller_value_when_both_are_active() -> None:
    # W = (1, -1), b = 0: x' = relu(x_0 - x_1), relu(x_1 - x_0); with both active each output misses
    # min(x_0, x_1), and E min^2 = integral of m^2 * 2 (1 - m) = 2/3 - 2/4 = 1/6. Importances 1 and
    # 3, p = 0.4: (1 + 3) * 0.16 / 6.
    loss = expected_loss([[1.0], [-1.0]], [0.0, 0.0], 0.4, [1.0, 3.0])
    np.testing.assert_allclose(loss, 4 * 0.4**2 / 6, rtol=1e-14)


def test_a_dropped_feature_with_its_mean_as_bias_costs_its_variance() -> None:
    # x'_1 = b_1 = p / 2 always: E (x - p/2)^2 = p/3 - p^2/4; feature 0 is dedicated and exact. p =
    # 0.6, I_1 = 0.7.
    loss = expected_loss([[1.0], [0.0]], [0.0, 0.3], 0.6, [1.0, 0.7])
    np.testing.assert_allclose(loss, 0.7 * (0.6 / 3 - 0.36 / 4), rtol=1e-14)
    np.testing.assert_allclose(variance(0.6), 0.2 - 0.09, rtol=1e-14)


def test_pentagon_with_one_feature_active() -> None:
    # Only feature 0 is ever active: it is exact, and each of its two neighbours shows cos(72 deg)
    # x, which costs cos^2(72 deg) / 3; the far ones are negative, so 0. cos(72 deg) = (sqrt 5 - 1)
    # / 4.
    loss = expected_loss(polygon(5), np.zeros(5), [0.05, 0, 0, 0, 0], 1.0)
    np.testing.assert_allclose(loss, 0.05 * 2 * ((sqrt(5) - 1) / 4) ** 2 / 3, rtol=1e-13)


def test_triangle_costs_nothing_when_features_come_one_at_a_time() -> None:
    # Angles of 120 deg: every other output is relu(-x / 2) = 0.
    loss = expected_loss(polygon(3), np.zeros(3), [0.0, 0.3, 0.0], 1.0)
    np.testing.assert_allclose(loss, 0.0, atol=1e-16)


def test_a_shrunk_dedicated_feature() -> None:
    # x' = 0.81 x: (1 - 0.81)^2 p / 3 = 0.0361 * 0.5 / 3, for each of 20 features that do not
    # interact.
    loss = expected_loss(0.9 * np.eye(20), np.zeros(20), 0.5, 1.0)
    np.testing.assert_allclose(loss, 20 * 0.0361 * 0.5 / 3, rtol=1e-13)


def test_linear_output_by_hand() -> None:
    # W = (1, 0), b = (0, 0.1): x'_1 = 0.1. E (x_1 - 0.1)^2 = V + (p/2 - 0.1)^2, p = 0.5: 5/48 +
    # 0.15^2; I_1 = 2. A negative bias shows: relu would clip it. b_0 = -0.2 costs 0.04.
    loss = expected_loss([[1.0], [0.0]], [-0.2, 0.1], 0.5, [1.0, 2.0], "linear")
    np.testing.assert_allclose(loss, 0.04 + 2 * (5 / 48 + 0.0225), rtol=1e-14)


def test_box_integral_by_hand() -> None:
    # integral of relu(x - y)^2 over the unit square = 1/12; of relu(x - 1/2) = 1/8; without
    # features relu(b)^2.
    np.testing.assert_allclose(box_integral(np.array([1.0, -1.0]), 0.0, 2), 1 / 12, rtol=1e-14)
    np.testing.assert_allclose(box_integral(np.array([1.0, 0.0]), -0.5, 1), 1 / 8, rtol=1e-14)
    assert box_integral(np.array([]), 0.5, 2) == 0.25


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 4), m=st.integers(1, 3))
@example(seed=7172, n=1, m=1)
def test_three_methods_agree(seed: int, n: int, m: int) -> None:
    model = random_model(seed, n, m)
    exact = float(expected_loss(*model))
    np.testing.assert_allclose(exact, quadrature_loss(*model), rtol=1e-12)
    coefficients = np.abs(model[0] @ model[0].T)
    # The closed form loses a digit for each factor 10 in 1 / prod |a_j|, and in 1 / |a_i| once more
    # where the output is multiplied by its own input; the sums have up to 2^n * 2^n terms.
    lost = (coefficients.prod(axis=1) * np.diag(coefficients).clip(max=1)).min()
    tolerance = 1e-16 * 4**n / lost + 1e-12
    np.testing.assert_allclose(
        exact, closed_form_loss(*model), rtol=min(tolerance, 1e-3), atol=tolerance
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), exponent=st.floats(-150, -1), n=st.integers(2, 4))
def test_tiny_coefficients_lose_nothing(seed: int, exponent: float, n: int) -> None:
    W, b, density, importance = random_model(seed, n, 2)
    W[-1] *= 10**exponent
    b *= seed % 2  # without a bias the kinks meet in the corner 0
    np.testing.assert_allclose(
        expected_loss(W, b, density, importance),
        quadrature_loss(W, b, density, importance),
        rtol=1e-12,
    )


@pytest.mark.parametrize(
    "W", [polygon(4), simplex(3), np.ones((3, 1)), np.zeros((2, 2)), polygon(5)[:, :1]]
)
def test_degenerate_kinks(W: np.ndarray) -> None:
    # Equal, opposite and zero coefficients; b = 0 puts kinks on the corners of the cube.
    n = len(W)
    arguments = W, np.zeros(n), np.full(n, 0.3), np.ones(n)
    np.testing.assert_allclose(
        expected_loss(*arguments), quadrature_loss(*arguments), rtol=1e-12, atol=1e-16
    )


def test_a_small_loss_keeps_its_digits() -> None:
    # Near the perfect model L is about 1e-6; the sum 1/3 - 2/3 + 1/3 would leave six digits fewer.
    W, b, density, importance = random_model(3, 2, 2)
    arguments = np.eye(2) + 1e-3 * W, 1e-3 * b, density, importance
    assert quadrature_loss(*arguments) < 1e-5
    np.testing.assert_allclose(expected_loss(*arguments), quadrature_loss(*arguments), rtol=1e-11)


@pytest.mark.parametrize("output", ["relu", "linear"])
@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2), (5, 2)])
def test_monte_carlo(n: int, m: int, output: Output) -> None:
    W, b, density, importance = random_model(n, n, m)
    rng = np.random.default_rng(7)
    x = rng.uniform(size=(1_000_000, n)) * (rng.uniform(size=(1_000_000, n)) < density)
    z = x @ (W @ W.T) + b
    losses = (x - (np.maximum(z, 0) if output == "relu" else z)) ** 2 @ importance
    standard_error = losses.std() / 1000
    assert (
        abs(losses.mean() - expected_loss(W, b, density, importance, output)) < 4 * standard_error
    )


@pytest.mark.parametrize("output", ["relu", "linear"])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (3, 2), (5, 2)])
def test_gradient_against_central_differences(n: int, m: int, output: Output) -> None:
    W, b, density, importance = random_model(10 + n, n, m)
    got = loss_and_gradient(W, b, density, importance, output)
    h = 1e-5  # error about h^2 * third derivative + 1e-16 / h, 1e-10 each
    for k in np.ndindex(W.shape):
        step = np.zeros_like(W)
        step[k] = h
        up, down = (expected_loss(W + s, b, density, importance, output) for s in (step, -step))
        np.testing.assert_allclose(
            got.W[k], (up - down) / (2 * h), rtol=1e-7, atol=1e-8, err_msg=f"W{k}"
        )
    for i in range(n):
        step = np.eye(n)[i] * h
        up, down = (expected_loss(W, b + s, density, importance, output) for s in (step, -step))
        np.testing.assert_allclose(
            got.b[i], (up - down) / (2 * h), rtol=1e-7, atol=1e-8, err_msg=f"b[{i}]"
        )


def test_gradient_reaches_across_blocks_that_do_not_interact() -> None:
    # Two digons in orthogonal dimensions: G_02 = 0 drops out of the loss, but not out of the
    # gradient.
    W = np.array([[1.0, 0], [-0.9, 0], [0, 1.0], [0, -1.1]])
    b = np.full(4, -0.1)
    nearby = W + 1e-13 * np.random.default_rng(0).normal(size=W.shape)
    exact, close = loss_and_gradient(W, b, 0.3, 1.0), loss_and_gradient(nearby, b, 0.3, 1.0)
    np.testing.assert_allclose(exact.loss, close.loss, rtol=1e-11)
    np.testing.assert_allclose(exact.W, close.W, atol=1e-11)
    np.testing.assert_allclose(exact.b, close.b, atol=1e-11)
    assert np.abs(exact.W[:2, 1]).min() > 1e-3  # the pull between the blocks


def test_batched_equals_single() -> None:
    models = [random_model(seed, 3, 2) for seed in range(6)]
    W, b, density, importance = (
        np.stack(parts).reshape(2, 3, *parts[0].shape) for parts in zip(*models, strict=True)
    )
    losses = expected_loss(W, b, density, importance)
    assert losses.shape == (2, 3)
    np.testing.assert_allclose(
        losses.ravel(), [expected_loss(*model) for model in models], rtol=1e-14
    )


@pytest.mark.parametrize("elements", [1, 2, 3, 7])
def test_models_do_not_depend_on_how_many_are_computed_together(
    elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [random_model(seed, 4, 2) for seed in range(9)]
    W, b, density, importance = (np.stack(parts) for parts in zip(*models, strict=True))
    whole = loss_and_gradient(W, b, density, importance)
    monkeypatch.setattr(exact, "MOST_STATES", elements * 3**4)
    for name, value in loss_and_gradient(W, b, density, importance)._asdict().items():
        np.testing.assert_array_equal(value, getattr(whole, name))


def test_density_and_importance_broadcast() -> None:
    W, b, _, importance = random_model(0, 3, 2)
    densities = np.array([0.1, 0.5, 1.0])
    losses = expected_loss(W, b, densities[:, None], importance)
    np.testing.assert_allclose(
        losses, [expected_loss(W, b, p, importance) for p in densities], rtol=1e-14
    )


@pytest.mark.parametrize("output", ["relu", "linear"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_give_nan_and_disturb_nobody(
    bad: float, output: Output
) -> None:
    W = np.stack([random_model(seed, 3, 2)[0] for seed in range(3)])
    clean = loss_and_gradient(W, np.zeros(3), 0.3, 1.0, output)
    W[1, 0, 0] = bad
    got = loss_and_gradient(W, np.zeros(3), 0.3, 1.0, output)
    assert np.isnan(got.loss[1])
    assert np.isnan(got.W[1]).all()
    np.testing.assert_array_equal(got.loss[[0, 2]], clean.loss[[0, 2]])
    np.testing.assert_array_equal(got.b[[0, 2]], clean.b[[0, 2]])


def test_no_models_give_no_losses() -> None:
    assert expected_loss(np.zeros((0, 2, 1)), np.zeros(2), 0.5, 1.0).shape == (0,)


def test_bad_shapes_and_densities_are_named() -> None:
    with pytest.raises(ValueError, match=r"W has shape \(3,\)"):
        expected_loss(np.zeros(3), 0.0, 0.5, 1.0)
    with pytest.raises(ValueError, match=r"b has shape \(3,\), expected \[..., 2\]"):
        expected_loss(np.zeros((2, 1)), np.zeros(3), 0.5, 1.0)
    with pytest.raises(ValueError, match=r"density must lie in \[0, 1\]"):
        expected_loss(np.zeros((2, 1)), 0.0, 1.5, 1.0)


def test_blocks_that_are_too_large_are_refused() -> None:
    size = MAX_BLOCK + 1
    with pytest.raises(ValueError, match=f"depends on {size} features"):
        expected_loss(np.ones((size, 1)), 0.0, 0.5, 1.0)
    with pytest.raises(ValueError, match=f"at most {MAX_ACTIVE} features, got 7"):
        quadrature_loss(np.ones((7, 1)), np.zeros(7), np.ones(7), np.ones(7))
