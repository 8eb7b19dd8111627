"""Metrics of feature sets against values worked out by hand, and the identities they obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superpos.families.tms import metrics
from superpos.families.tms.geometry import shapes

HEXAGON = shapes.polygon(6)
few = settings(max_examples=25, deadline=None)


def test_cosines_of_the_pairs_of_each_set_by_hand() -> None:
    W = np.array([[2.0, 0.0], [3.0, 4.0], [0.0, 1.0], [0.0, -7.0]])
    np.testing.assert_allclose(metrics.set_cosines(W, 2), [[0.6], [-1.0]])
    # one set: pairs 01, 02, 03, 12, 13, 23
    np.testing.assert_allclose(metrics.set_cosines(W, 4), [[0.6, 0, 0, 0.8, -0.8, -1]], atol=1e-15)


def test_cosines_of_zeros_are_0_and_of_infinities_nan_without_a_warning() -> None:
    W = np.array([[1.0, 0.0], [0.0, 0.0], [np.inf, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(metrics.set_cosines(W, 2), [[0], [np.nan]])
    assert metrics.collapsed(W, 2).tolist() == [False, False]


def test_a_set_is_collapsed_when_all_its_pairs_are() -> None:
    near, far = np.arccos(0.96), np.arccos(0.94)
    turned = np.array([[np.cos(a), np.sin(a)] for a in (0.0, near, 1.0, 1.0 + far)]) * [
        [1],
        [5],
        [0.2],
        [1],
    ]
    assert metrics.collapsed(turned, 2).tolist() == [True, False]
    # neighbours are close, the ends are not
    fan = np.array([[np.cos(a), np.sin(a)] for a in (0.0, near, 2 * near)])
    assert metrics.collapsed(fan, 3).tolist() == [False]
    assert metrics.collapsed(-turned, 2).tolist() == [True, False]
    # antipodal
    assert metrics.collapsed(turned * [[1], [-1], [1], [1]], 2).tolist() == [False, False]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([0, 1, 2, 3, 4, 5], [True, True, True]),
        # sets 12, 34, 50: the last one goes round the end of the circle
        ([1, 2, 3, 4, 5, 0], [True, True, True]),
        ([0, 3, 1, 4, 2, 5], [False, False, False]),  # antipodes
        ([0, 1, 2, 4, 3, 5], [True, False, False]),
    ],
)
def test_side_by_side_on_a_hexagon(order: list[int], expected: list[bool]) -> None:
    assert metrics.side_by_side(HEXAGON[order], 2).tolist() == expected


def test_one_set_is_side_by_side_and_sets_of_three_are_counted() -> None:
    assert metrics.side_by_side(HEXAGON, 6).tolist() == [True]
    assert metrics.side_by_side(HEXAGON, 3).tolist() == [True, True]
    assert metrics.side_by_side(HEXAGON[[0, 1, 3, 2, 4, 5]], 3).tolist() == [False, False]


@few
@given(st.integers(0, 2**32 - 1))
def test_sets_do_not_change_with_rotation_reflection_or_length(seed: int) -> None:
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(3, 6, 2))
    turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    other = W @ turn * rng.uniform(0.1, 9, size=(3, 6, 1))
    np.testing.assert_allclose(metrics.set_cosines(other, 2), metrics.set_cosines(W, 2), atol=1e-12)
    np.testing.assert_array_equal(metrics.side_by_side(other, 2), metrics.side_by_side(W, 2))
    np.testing.assert_array_equal(metrics.collapsed(other, 3), metrics.collapsed(W, 3))


@few
@given(st.integers(0, 2**32 - 1))
def test_models_do_not_mix(seed: int) -> None:
    W = np.random.default_rng(seed).normal(size=(4, 6, 2))
    for function in (metrics.set_cosines, metrics.collapsed, metrics.side_by_side):
        np.testing.assert_array_equal(function(W, 2), np.stack([function(w, 2) for w in W]))
