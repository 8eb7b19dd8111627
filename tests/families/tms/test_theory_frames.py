"""Tight frames: the Welch bound, the loss of many features against sampling, and memorised data
points.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import hadamard

from superpos.families.tms.theory import (
    data_polygon,
    data_polygon_norms,
    linear_floor,
    mean_squared_cosine,
    polygon,
    simplex,
    symmetric_loss,
    variance,
    welch_bound,
)


def tight_frame(n: int, m: int) -> np.ndarray:
    """Unit vectors [n, m], n a power of two: m columns of a Hadamard matrix, not the constant
    one.
    """
    columns = 1 + np.random.default_rng(0).permutation(n - 1)[:m]
    return hadamard(n)[:, columns] / np.sqrt(m)


@pytest.mark.parametrize(
    "frame", [polygon(3), polygon(7), simplex(4), tight_frame(64, 8), np.eye(3)]
)
def test_tight_frames_are_on_the_bound(frame: np.ndarray) -> None:
    lengths = np.random.default_rng(0).uniform(0.5, 2, len(frame))[:, None]
    np.testing.assert_allclose(
        mean_squared_cosine(lengths * frame), welch_bound(*frame.shape), atol=1e-14
    )


def test_random_directions_are_above_it() -> None:
    found = mean_squared_cosine(np.random.default_rng(0).normal(size=(20, 256, 32)))
    np.testing.assert_allclose(found, 1 / 32, rtol=0.02)
    assert found.min() > 1.1 * welch_bound(256, 32)


def test_rows_that_are_zero_are_left_out() -> None:
    W = np.concatenate((polygon(5), np.zeros((3, 2))))
    np.testing.assert_allclose(mean_squared_cosine(W), welch_bound(5, 2), rtol=1e-12)
    assert np.isnan(mean_squared_cosine([[1.0, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize(("n", "m", "p"), [(1024, 256, 0.1), (1024, 512, 0.05), (512, 64, 0.5)])
def test_the_symmetric_loss_is_that_of_a_sampled_tight_frame(n: int, m: int, p: float) -> None:
    best = symmetric_loss(p, n, m)
    W = np.sqrt(best.gain) * tight_frame(n, m)
    gram = W @ W.T
    bias = best.offset - (gram.sum(axis=1) - np.diag(gram)) * p / 2
    rng = np.random.default_rng(1)
    x = np.where(rng.random((2000, n)) < p, rng.random((2000, n)), 0)
    sampled = ((x - np.maximum(x @ gram + bias, 0)) ** 2).mean(axis=1)
    error = sampled.std() / np.sqrt(len(x))
    # a finite n is not quite normal
    assert abs(best.loss - sampled.mean()) < 4 * error + 0.005 * best.loss
    assert error < 0.01 * best.loss


def test_the_symmetric_loss_lies_below_the_linear_floor_and_nears_it_when_dense() -> None:
    n, m = 256, 64
    for p in (0.05, 0.3, 1.0):
        floor = linear_floor(p, np.ones(n), m) / n
        np.testing.assert_allclose(floor, variance(p) * (n - m) / n)
        assert symmetric_loss(p, n, m).loss < floor
    assert symmetric_loss(1.0, n, m).loss > 0.98 * floor


@pytest.mark.parametrize("n_points", [2, 3, 5, 20])
def test_a_polygon_of_points_memorises_them(n_points: int) -> None:
    points = np.kron(np.eye(n_points), [[0.6, 0.8, 0.0]])
    W, b = data_polygon(points)
    np.testing.assert_allclose(np.maximum(points @ W @ W.T + b, 0), points, atol=1e-12)
    norms = data_polygon_norms(n_points)
    np.testing.assert_allclose((np.linalg.norm(W), np.linalg.norm(b)), norms[1:], rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(points @ W, axis=1), norms.radius, rtol=1e-12)


def test_norms_of_five_points_by_hand() -> None:
    # cos 72° = (sqrt 5 - 1) / 4, so that r^2 = 4 / (5 - sqrt 5) = 1 + 1/sqrt 5.
    square = 1 + 1 / np.sqrt(5)
    np.testing.assert_allclose(
        data_polygon_norms(5), (np.sqrt(square), np.sqrt(5 * square), 1.0), rtol=1e-12
    )


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="needs 2 vectors and 1 dimension at least, got 1 and 1"):
        welch_bound(1, 1)
    with pytest.raises(ValueError, match="needs n > m and a density"):
        symmetric_loss(0.1, 4, 4)
    with pytest.raises(ValueError, match="a T-gon needs at least 2 points"):
        data_polygon_norms(1)
    for points in ([[1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0]], [[-1.0, 0.0]]):
        with pytest.raises(ValueError, match="points must be"):
            data_polygon(points)
