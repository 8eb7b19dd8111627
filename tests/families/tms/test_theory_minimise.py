"""The multi-start minimiser: never above a candidate, never beaten by more starts, and the shapes
it must find.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from superpos.families.tms.theory import (
    candidate_losses,
    expected_loss,
    ideal_shapes,
    loss_and_gradient,
    minimise_loss,
    polygon,
    refine,
)
from superpos.maths.bfgs import bfgs

pytestmark = pytest.mark.slow

Floats = NDArray[np.float64]


def grid(n: int, size: int) -> tuple[Floats, Floats, Floats, Floats]:
    """p and r [size, size]; density and importance [size, size, n], as in the phase-change
    figures.
    """
    p, r = np.meshgrid(np.geomspace(1, 0.01, size), np.geomspace(0.1, 10, size), indexing="ij")
    importance = np.ones((size, size, n))
    importance[..., -1] = r
    return p, r, np.repeat(p[..., None], n, axis=-1), importance


def test_bfgs_solves_each_row_by_itself() -> None:
    scale = np.array([1.0, 100.0, 1e-3])

    def rosenbrock(x: Floats, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        valley = x[:, 1] - x[:, 0] ** 2
        value = (1 - x[:, 0]) ** 2 + 100 * valley**2
        grad = np.stack([-2 * (1 - x[:, 0]) - 400 * x[:, 0] * valley, 200 * valley], axis=1)
        return scale[rows] * value, scale[rows, None] * grad

    found = bfgs(rosenbrock, np.array([[-1.2, 1.0], [3.0, -2.0], [1.0, 1.0]]), 300)
    np.testing.assert_allclose(found.x, 1.0, atol=1e-5)
    assert (found.value < 1e-10).all()


def test_bfgs_never_rises_and_keeps_a_start_without_slope() -> None:
    def saddle(x: Floats, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        return x[:, 0] ** 4 - x[:, 0] ** 2, (4 * x[:, 0] ** 3 - 2 * x[:, 0])[:, None]

    found = bfgs(saddle, np.array([[0.0], [0.1]]), 100)
    assert found.x[0, 0] == 0
    # minimum at x^2 = 1/2: 1/4 - 1/2
    np.testing.assert_allclose(found.value, [0.0, -0.25], atol=1e-14)


@pytest.mark.parametrize("n", [2, 3])
def test_minimum_is_at_most_every_candidate(n: int) -> None:
    p, r, density, importance = grid(n, 9)
    found = minimise_loss(density, importance, n - 1)
    assert found.loss.shape == (9, 9)
    assert found.W.shape == (9, 9, n, n - 1)
    for candidate in candidate_losses(p, r, n):
        assert (found.loss <= candidate.loss * (1 + 1e-12)).all(), candidate.name
    np.testing.assert_array_equal(found.loss, expected_loss(found.W, found.b, density, importance))


@pytest.mark.parametrize("n", [2, 3])
def test_more_starts_find_nothing_better(n: int) -> None:
    _, _, density, importance = grid(n, 5)
    usual = minimise_loss(density, importance, n - 1)
    more = minimise_loss(density, importance, n - 1, n_random=60, seed=1)
    np.testing.assert_allclose(usual.loss, more.loss, rtol=1e-10)


def test_minimum_is_stationary() -> None:
    _, _, density, importance = grid(2, 4)
    found = minimise_loss(density, importance, 1)
    slope = loss_and_gradient(found.W, found.b, density, importance)
    unit = (density * importance).sum(axis=-1)[..., None]
    assert (np.abs(slope.b) < 1e-6 * unit).all()
    assert (np.abs(slope.W) < 1e-6 * unit[..., None]).all()


def test_as_many_dimensions_as_features_need_no_error() -> None:
    found = minimise_loss([0.3, 0.6], [1.0, 2.0], 2)
    np.testing.assert_allclose(found.loss, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.W @ found.W.T, np.eye(2), atol=1e-5)


def test_five_sparse_features_in_two_dimensions_form_a_pentagon() -> None:
    found = minimise_loss(np.full(5, 0.05), np.ones(5), 2)
    norms = np.linalg.norm(found.W, axis=1)
    np.testing.assert_allclose(norms, norms[0], rtol=1e-6)
    angles = np.sort(np.arctan2(found.W[:, 1], found.W[:, 0]))
    np.testing.assert_allclose(np.diff(angles), 2 * np.pi / 5, rtol=1e-5)


def test_the_order_round_the_pentagon_is_searched() -> None:
    # With decaying importance the 12 orders of the features differ by 0.3%: 0.0072552 to 0.0072765.
    importance = 0.9 ** np.arange(5)
    found = minimise_loss(np.full(5, 0.05), importance, 2)
    angles = 2 * np.pi * np.arange(5) / 5
    orders = [(0, *order) for order in permutations(range(1, 5)) if order[0] < order[-1]]
    W = np.array(
        [np.stack([np.cos(angles), np.sin(angles)], axis=1)[np.argsort(order)] for order in orders]
    )
    family = refine(W, np.zeros((12, 5)), 0.05, importance).loss
    np.testing.assert_allclose([family.min(), family.max()], [0.0072552, 0.0072765], rtol=1e-5)
    np.testing.assert_allclose(found.loss, family.min(), rtol=1e-9)


def test_refine_stays_in_its_family_and_never_rises() -> None:
    # Two digons and a dropped feature, at the same place: a local minimum above the pentagon.
    W = np.array([[1.0, 0], [-1.0, 0], [0, 1.0], [0, -1.0], [0, 0]])
    b = np.array([0, 0, 0, 0, 0.025])
    found = refine(W, b, 0.05, 1.0)
    assert found.loss <= expected_loss(W, b, 0.05, 1.0)
    assert found.loss > refine(polygon(5), np.zeros(5), 0.05, 1.0).loss * 1.1
    np.testing.assert_allclose((found.W @ found.W.T)[:2, 2:4], 0.0, atol=1e-9)


def test_random_models_never_beat_the_minimum() -> None:
    rng = np.random.default_rng(0)
    found = minimise_loss(np.full(3, 0.2), [1.0, 1.0, 0.5], 2)
    refined = refine(
        rng.normal(size=(20, 3, 2)), 0.1 * rng.normal(size=(20, 3)), 0.2, [1.0, 1.0, 0.5]
    )
    assert (refined.loss - found.loss > -1e-9).all()
    np.testing.assert_allclose(refined.loss.min(), found.loss, rtol=1e-9)


def test_an_empty_grid_and_one_feature() -> None:
    assert minimise_loss(np.full((0, 2), 0.3), 1.0, 1).W.shape == (0, 2, 1)
    np.testing.assert_allclose(minimise_loss([[0.3], [1.0]], 1.0, 1).loss, 0.0, atol=1e-15)


def test_the_same_seed_gives_the_same_result() -> None:
    first, second = (minimise_loss([0.2, 0.3], [1.0, 0.8], 1, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.W, second.W)


@pytest.mark.parametrize(
    ("density", "importance"), [([0.0, 0.5], 1.0), ([0.5, 1.5], 1.0), ([0.5, 0.5], 0.0), (0.5, 1.0)]
)
def test_cells_without_a_task_are_refused(density: float | list[float], importance: float) -> None:
    with pytest.raises(ValueError, match="density must be"):
        minimise_loss(density, importance, 1)


def test_ideal_shapes_of_small_models() -> None:
    # n = 2, m = 1: two ways to dedicate, one digon. n = 3, m = 2: 3 pairs of dedicated features, 3
    # digons beside a dedicated one, 1 triangle. n = 5, m = 2: 10 + 30 + 15 pairs of blocks, 10
    # triangles, 5 x 3 squares, 12 pentagons.
    assert [len(list(ideal_shapes(n, m))) for n, m in [(1, 1), (2, 1), (3, 2), (5, 2)]] == [
        1,
        3,
        7,
        92,
    ]
    for W in ideal_shapes(4, 3):
        norms = np.linalg.norm(W, axis=1)
        assert np.allclose(norms[norms > 0], 1)
        assert np.linalg.matrix_rank(W) == 3 or (norms > 0).all()
