"""The paper's candidate losses, phase labels and the mask of cells that are clear of a boundary."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from superpos.families.tms.theory import (
    PHASES,
    TRIPLE_POINT,
    candidate_losses,
    candidate_phase,
    clear_of_boundary,
    digon_boundary,
    expected_loss,
    phase_label,
    polygon,
    variance,
)


def test_candidate_losses_by_hand() -> None:
    # p = 0.4, r = 2: V = 0.4/3 - 0.04 = 0.28/3; 2 V; 3 * 0.16 / 6 = 0.08; 0.16 / 3.
    losses = [c.loss for c in candidate_losses(0.4, 2.0, 3)]
    np.testing.assert_allclose(losses, [0.56 / 3, 0.28 / 3, 0.08, 0.16 / 3], rtol=1e-14)
    assert len(candidate_losses(0.4, 2.0, 2)) == 3


def test_candidates_are_losses_of_models() -> None:
    p, r = 0.3, 1.7
    models = [
        ([[1, 0], [0, 1], [0, 0]], [0, 0, p / 2]),
        ([[0, 0], [1, 0], [0, 1]], [p / 2, 0, 0]),
        ([[1, 0], [0, 1], [0, -1]], [0, 0, 0]),
        ([[1, 0], [-1, 0], [0, 1]], [0, 0, 0]),
    ]
    exact = [expected_loss(W, b, p, [1, 1, r]) for W, b in models]
    np.testing.assert_allclose([c.loss for c in candidate_losses(p, r, 3)], exact, rtol=1e-13)
    labels = [PHASES[int(phase_label(W))] for W, _ in models]
    assert labels == [PHASES[c.phase] for c in candidate_losses(p, r, 3)]


def test_digon_boundary_and_triple_point() -> None:
    # r V = (1 + r) p^2 / 6 at r = 2p / (4 - 5p): p = 0.4 gives 0.8 / 2 = 0.4.
    np.testing.assert_allclose(digon_boundary(0.4), 0.4, rtol=1e-14)
    p = np.array([0.01, 0.1, 0.4])
    ignore, _, digon = (c.loss for c in candidate_losses(p, digon_boundary(p), 2))
    np.testing.assert_allclose(ignore, digon, rtol=1e-13)
    _, dedicate, digon = (c.loss for c in candidate_losses(p, 1 / digon_boundary(p), 2))
    np.testing.assert_allclose(dedicate, digon, rtol=1e-13)
    np.testing.assert_allclose(
        [c.loss for c in candidate_losses(*TRIPLE_POINT, 2)], variance(4 / 7), rtol=1e-13
    )
    assert np.isinf(digon_boundary([0.8, 1.0])).all()


def test_candidate_phases_around_the_triple_point() -> None:
    phases = candidate_phase([0.9, 0.9, 0.1, 0.1, 0.1], [0.5, 2.0, 1.0, 0.02, 50.0], 2)
    assert [PHASES[k] for k in phases] == [PHASES[0], PHASES[1], PHASES[2], PHASES[0], PHASES[1]]
    # With a third feature it is cheaper to pair the two others once the last counts for more: p^2/3
    # < (1+r) p^2/6.
    assert list(candidate_phase(0.1, [0.9, 1.1], 3)) == [2, 1]
    with pytest.raises(ValueError, match="at least 2"):
        candidate_losses(0.5, 1.0, 1)


def test_phase_labels_of_weights() -> None:
    weights = np.array(
        [[[1.0], [0.5]], [[0.0], [-1.0]], [[1.0], [-1.0]], [[0.4], [-1.0]], [[0.6], [-1.0]]]
    )
    # Norm exactly 1/2 is not represented; interference 0.4^2 = 0.16 is dedicated, 0.6^2 = 0.36
    # superposed.
    assert list(phase_label(weights)) == [0, 1, 2, 1, 2]


def test_triangle_counts_as_superposed_and_an_orthogonal_pair_does_not() -> None:
    # Triangle: 2 cos^2(120 deg) = 1/2. The last feature alone matters: a digon of the others leaves
    # it dedicated.
    assert phase_label(polygon(3)) == 2
    assert phase_label([[0, 1.0], [0, -1.0], [1.0, 0]]) == 1
    assert phase_label([[1.0, 0], [0, 1.0], [0.3, 0.3]]) == 0  # norm 0.3 sqrt 2 < 1/2
    assert 0.3 * sqrt(2) < 0.5


def test_weights_that_diverged_are_not_represented() -> None:
    assert phase_label([[np.nan], [np.nan]]) == 0


def test_clear_of_boundary_by_hand() -> None:
    # The label changes between columns 1.05 and 1.25, so at sqrt(1.05 * 1.25) = 1.1456. The
    # columns' ratios to it are 1.1456, 1.091 (near), 1.091 (near), 1.397.
    columns = np.array([1.0, 1.05, 1.25, 1.6])
    labels = np.array([[0, 0, 1, 1]] * 2)
    clear = clear_of_boundary(labels, [1.0, 2.0], columns)
    np.testing.assert_array_equal(clear, [[True, False, False, True]] * 2)
    np.testing.assert_array_equal(
        clear_of_boundary(labels[:, ::-1], [2.0, 1.0], columns[::-1]), clear[:, ::-1]
    )
    np.testing.assert_array_equal(clear_of_boundary(labels.T, columns, [1.0, 2.0]), clear.T)


def test_clear_of_boundary_sees_diagonal_neighbours_and_reaches_by_factor() -> None:
    labels = np.zeros((5, 5), dtype=int)
    labels[2, 2] = 1
    axis = 1.1 ** np.arange(5)  # half a step is less than 10%, one and a half steps are more
    clear = clear_of_boundary(labels, axis, axis)
    expected = np.ones((5, 5), dtype=bool)
    expected[1:4, 1:4] = False
    np.testing.assert_array_equal(clear, expected)
    assert not clear_of_boundary(labels, axis, axis, factor=1.5).any()
    assert clear_of_boundary(np.zeros((5, 5)), axis, axis, factor=10).all()


def test_clear_of_boundary_checks_the_shape() -> None:
    with pytest.raises(ValueError, match=r"labels have shape \(2, 3\), expected \(3, 2\)"):
        clear_of_boundary(np.zeros((2, 3)), [1, 2, 3], [1, 2])
