"""Metrics against values worked out by hand, and the identities they obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from superpos.families.tms import geometry, metrics
from superpos.families.tms.geometry import shapes

SHAPES = {  # name: unit vectors, D_i of each
    "orthogonal": (np.eye(3), 1),
    "digon": (shapes.simplex(1), 1 / 2),
    "triangle": (shapes.polygon(3), 2 / 3),
    "tetrahedron": (shapes.simplex(3), 3 / 4),
    "pentagon": (shapes.polygon(5), 2 / 5),
    "7-gon": (shapes.polygon(7), 2 / 7),
    "square antiprism": (geometry.square_antiprism(), 3 / 8),
    "simplex of 5 dimensions": (shapes.simplex(5), 5 / 6),
    "octahedron: three digons": (geometry.octahedron(), 1 / 2),
    "4 parallel copies": (np.tile([[0.6, 0.8]], (4, 1)), 1 / 4),
}


def random_weights(seed: int, models: int = 3) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 9, size=2)
    return rng.normal(size=(models, n, m))


def random_rotation(seed: int, m: int) -> NDArray[np.float64]:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(m, m)))[0]


seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=25, deadline=None)


@pytest.mark.parametrize("name", SHAPES)
def test_dimensionality_of_ideal_shapes(name: str) -> None:
    W, expected = SHAPES[name]
    np.testing.assert_allclose(np.linalg.norm(W, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(metrics.dimensionality(W), expected, atol=1e-12)
    np.testing.assert_allclose(metrics.dimensionality(3.7 * W), expected, atol=1e-12)


def test_norms_and_represented() -> None:
    # norms 5, ½ exactly, √(0.09 + 0.1681), 0
    W = np.array([[3.0, 4.0], [0.3, 0.4], [0.3, 0.41], [0.0, 0.0]])
    np.testing.assert_allclose(metrics.feature_norms(W), [5, 0.5, np.sqrt(0.2581), 0])
    np.testing.assert_array_equal(metrics.represented(W), [True, False, True, False])


def test_interference_by_hand() -> None:
    W = np.array([[1.0, 0.0], [-0.5, 0.0], [0.0, 2.0], [3.0, 4.0]])
    # Ŵ_0 = (1, 0): (−0.5)² + 0² + 3² = 9.25        Ŵ_1 = (−1, 0): (−1)² + 0² + (−3)² = 10
    # Ŵ_2 = (0, 1): 0² + 0² + 4² = 16               Ŵ_3 = (.6, .8): .6² + (−.3)² + 1.6² = .36 + .09
    # + 2.56
    np.testing.assert_allclose(metrics.interference(W), [9.25, 10, 16, 3.01])


def test_interference_of_a_digon_is_the_other_features_squared_length() -> None:
    np.testing.assert_allclose(metrics.interference(np.array([[1.0], [-0.8]])), [0.64, 1.0])


def test_dimensions_per_feature_by_hand() -> None:
    W = np.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0], [2.0, 1.0]]])
    np.testing.assert_allclose(metrics.dimensions_per_feature(W), [2 / 2, 2 / 8])
    assert metrics.dimensions_per_feature(np.zeros((3, 2))) == np.inf


def test_rows_of_zeros_give_zero_and_no_warning() -> None:
    W = np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_array_equal(metrics.dimensionality(W), [0.5, 0, 0.5])
    np.testing.assert_array_equal(metrics.interference(W), [1, 0, 1])
    np.testing.assert_array_equal(metrics.dimensionality(np.zeros((2, 3, 2))), np.zeros((2, 3)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_give_nan_quietly_and_only_there(bad: float) -> None:
    W = np.stack((np.eye(2), np.eye(2)))
    W[0, 1, 0] = bad
    for metric in (metrics.dimensionality, metrics.interference):
        assert np.isnan(metric(W)[0]).all()
        assert np.isfinite(metric(W)[1]).all()
    np.testing.assert_array_equal(metrics.feature_norms(W), [[1, np.nan], [1, 1]])
    np.testing.assert_array_equal(metrics.dimensions_per_feature(W), [np.nan, 1])
    for column in metrics.summary(W).values():
        assert np.isnan(column[0])
        assert np.isfinite(column[1])


def test_line_counts_by_hand() -> None:
    # about 0.5: the line is 0.495-0.505, below it 0.4825-0.4925, above it 0.5075-0.5175
    inside, below, above = [0.4951, 0.5, 0.5049], [0.483, 0.492], [0.517]
    between = [0.48, 0.494, 0.506, 0.52, np.nan, np.inf]
    values = np.array([*inside, *below, *above, *between])
    assert metrics.line_counts(values, 0.5) == (3, 2, 1)
    assert metrics.line_counts(values.reshape(3, 4), 0.5) == (3, 2, 1)
    assert metrics.line_counts(np.zeros(0), 0.5) == (0, 0, 0)


@pytest.mark.parametrize(
    ("inside", "below", "above", "expected"),
    [
        (10, 0, 0, True),
        (9, 0, 0, False),
        (10, 5, 5, True),
        (10, 6, 0, False),
        (10, 0, 6, False),
        (207, 104, 0, False),
    ],
)
def test_a_line_needs_ten_features_and_twice_each_flank(
    inside: int, below: int, above: int, expected: bool
) -> None:
    values = np.repeat([0.5, 0.4875, 0.5125], [inside, below, above])
    assert metrics.stands_out(values, 0.5) is expected


def test_at_the_end_of_the_range_a_line_has_one_flank() -> None:
    assert metrics.stands_out(np.array([1.0] * 10 + [0.9875] * 5), 1.0)
    assert not metrics.stands_out(np.array([1.0] * 10 + [0.9875] * 6), 1.0)


@pytest.mark.parametrize("fraction", [1, 3 / 4, 2 / 3, 1 / 2, 2 / 5, 3 / 8])
def test_what_is_no_line_does_not_stand_out(fraction: float) -> None:
    rng = np.random.default_rng(0)
    line = np.full(400, fraction)
    untrained = metrics.dimensionality(rng.normal(size=(20, 200, 20)) * (2 / 220) ** 0.5)
    assert metrics.stands_out(line + rng.normal(scale=0.002, size=400), fraction)
    # 79 expected, 65 in a flank
    assert not metrics.stands_out(line + rng.normal(scale=0.02, size=400), fraction)
    assert not metrics.stands_out(rng.uniform(size=4000), fraction)  # 40 expected in each
    assert not metrics.stands_out(untrained, fraction)


def test_neuron_monosemanticity_by_hand() -> None:
    # neuron 0: 1 alone above 0.1·1 (0.1 is not above); neuron 1: 2 and −0.3 above 0.2; neuron 2:
    # dead
    W = np.array([[1.0, 2.0, 0.0], [0.1, -0.3, 0.0], [-0.05, 0.1, 0.0]])
    np.testing.assert_array_equal(metrics.neuron_monosemanticity(W), [1, 2, 0])


def test_datapoint_dimensionality_by_hand() -> None:
    X = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    # the first two points are a digon, the third is alone
    W = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]])
    np.testing.assert_allclose(metrics.datapoint_dimensionality(W, X), [0.5, 0.5, 1])
    # points of one feature with lengths 1, 2, 2 share a line: h²/Σh² = 1/9, 4/9, 4/9
    lengths = np.array([[1.0], [2.0], [2.0]])
    np.testing.assert_allclose(
        metrics.datapoint_dimensionality(W, lengths * X[:1]), [1 / 9, 4 / 9, 4 / 9]
    )


def test_adversarial_vulnerability_of_the_identity() -> None:
    # W = I, b = 0, linear: x' = x, so an attack of length λ raises the loss by I_i λ²; the worst
    # has the largest I_i.
    W, b = np.eye(3)[None], np.zeros((1, 3))
    X, importance = np.full((4, 3), 0.7), np.array([[1.0, 2.0, 0.5]])
    rise = metrics.adversarial_vulnerability(W, b, X, 0.1, importance, output="linear")
    np.testing.assert_allclose(rise, [2 * 0.1**2])


def test_adversarial_vulnerability_of_a_digon() -> None:
    # W = (1, −1): G = [[1, −1], [−1, 1]], Ĝ_0 = (1, −1)/√2, shift = λ Ĝ_0 G = λ(2, −2)/√2 = λ(√2,
    # −√2). x = (1, 0): clean (1, −1)⁺ = (1, 0), loss 0. +: (1 + √2λ, 0), loss 2λ². −: (1 − √2λ, (−1
    # + √2λ)⁺ = 0), loss 2λ². x = (0, 0): clean 0. Either sign leaves one output at √2λ, loss 2λ².
    W, X = np.array([[[1.0], [-1.0]]]), np.array([[1.0, 0.0], [0.0, 0.0]])
    rise = metrics.adversarial_vulnerability(W, np.zeros((1, 2)), X, 0.1, np.ones((1, 2)))
    np.testing.assert_allclose(rise, [0.02])


def test_adversarial_vulnerability_of_a_model_does_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(0)
    W, b, X = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4)), rng.random((3, 7, 4))
    together = metrics.adversarial_vulnerability(W, b, X, 0.2, np.ones((3, 4)))
    alone = [
        metrics.adversarial_vulnerability(W[[i]], b[[i]], X[i], 0.2, np.ones((1, 4)))[0]
        for i in range(3)
    ]
    np.testing.assert_allclose(together, alone)
    assert (together > 0).all()


def test_summary_by_hand() -> None:
    W = np.array([[[1.0], [-1.0], [0.1]]], dtype=np.float32)
    columns = metrics.summary(W)
    # interference: 1 + .01, 1 + .01, 1 + 1; D: 1/2.01, 1/2.01, .01/2.01
    expected = {
        "d_star": 1 / 2.01,
        "n_represented": 2,
        "interference_mean": (1.01 + 1.01 + 2) / 3,
        "interference_max": 2,
        "dimensionality_sum": 1,
    }
    assert columns.keys() == expected.keys()
    for name, value in expected.items():
        assert columns[name].shape == (1,)
        assert columns[name].dtype == np.float64
        np.testing.assert_allclose(columns[name], value, rtol=1e-6)


@given(seeds)
@few
def test_dimensionality_is_the_capacity_of_scherlis_et_al(seed: int) -> None:
    W = random_weights(seed)
    G = W @ W.mT
    norms_squared = np.diagonal(G, axis1=1, axis2=2)
    np.testing.assert_allclose(
        metrics.dimensionality(W), norms_squared**2 / (G**2).sum(axis=-1), rtol=1e-9
    )
    np.testing.assert_allclose(
        metrics.interference(W),
        (G**2).sum(axis=-1) / norms_squared - norms_squared,
        rtol=1e-9,
        atol=1e-9,
    )


@given(seeds)
@few
def test_dimensionalities_sum_to_at_most_the_rank(seed: int) -> None:
    W = random_weights(seed)
    W[0, :, 1:] = 0  # rank 1
    assert (metrics.dimensionality(W).sum(axis=-1) <= np.linalg.matrix_rank(W) + 1e-9).all()
    assert (metrics.dimensionality(W) <= 1 + 1e-12).all()


@given(seeds, st.floats(1e-3, 1e3))
@few
def test_dimensionality_keeps_under_scale_and_rotation(seed: int, scale: float) -> None:
    W = random_weights(seed)
    turned = scale * W @ random_rotation(seed + 1, W.shape[-1])
    np.testing.assert_allclose(metrics.dimensionality(turned), metrics.dimensionality(W), rtol=1e-8)
    np.testing.assert_allclose(
        metrics.dimensions_per_feature(turned),
        metrics.dimensions_per_feature(W) / scale**2,
        rtol=1e-8,
    )


@given(seeds)
@few
def test_every_model_alone_gives_the_same(seed: int) -> None:
    W = random_weights(seed)
    together = metrics.summary(W)
    for i in range(len(W)):
        for name, column in metrics.summary(W[[i]]).items():
            np.testing.assert_allclose(column, together[name][[i]], rtol=1e-12)
