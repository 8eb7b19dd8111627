"""Measures of phase maps, on maps made of the exact minima."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from memory_run import MemoryRun, make_run
from numpy.typing import NDArray

from superpos.families.tms import theory
from superpos.families.tms.analysis.phases import Grid
from superpos.families.tms.geometry.shapes import simplex
from superpos.families.tms.measures import phases

pytestmark = pytest.mark.slow

Weights = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Hashable(MemoryRun):
    __hash__ = object.__hash__  # as a stored run has it


def run_of(grid: Grid, n: int, change: Weights = lambda W: W) -> MemoryRun:
    """The exact minima of a grid, two seeds; the second one's weights are zero."""
    minimum = theory.minimise_loss(*grid.tables(n), n - 1)
    at = {
        (r, p): (i, j)
        for i, r in enumerate(grid.importance.tolist())
        for j, p in enumerate(grid.density.tolist())
    }
    axes = {
        "importance.last": grid.importance.tolist(),
        "data.density": grid.density.tolist(),
        "seed": [0, 1],
    }
    cell = [
        at[r, p] for r in axes["importance.last"] for p in axes["data.density"] for _ in range(2)
    ]
    seed = np.arange(len(cell)) % 2
    made = make_run(
        {"model.n_features": n, "model.n_hidden": n - 1}, axes, lambda _: np.zeros((n, n - 1))
    )
    W = [
        np.zeros((n, n - 1)) if k else change(minimum.W[i, j])
        for (i, j), k in zip(cell, seed, strict=True)
    ]
    return Hashable(made.sweep, made.table, W, [minimum.b[i, j] for i, j in cell])


COARSE = Grid(np.array([0.1, 0.5, 2, 10]), np.array([1, 0.5, 0.3, 0.1]))


@pytest.fixture(scope="module")
def best() -> MemoryRun:
    return run_of(COARSE, 2)


def test_exact_minima_agree_with_themselves(best: MemoryRun) -> None:
    assert phases.agreement(best).values.min() == 1
    np.testing.assert_allclose(phases.gap(best).values, 0, atol=1e-12)
    found = phases.below_candidates(best)
    assert found.values.min() == pytest.approx(found.expected, rel=1e-12)
    assert found.expected < 0.99


def test_a_map_without_its_last_feature_does_not(best: MemoryRun) -> None:
    dropped = run_of(COARSE, 2, lambda W: W * [[1], [0]])
    found = phases.agreement(dropped).values
    assert len(found) == len(phases.agreement(best).values)
    assert 0 < found.mean() < 0.5
    assert phases.gap(dropped).values.max() > 0.1


def test_the_boundary_of_the_digon() -> None:
    # at p = 0.3 the candidates' boundary is 0.6 / 2.5 = 0.24; the exact one lies between 0.2 and
    # 0.25
    grid = Grid(np.array([0.15, 0.2, 0.25, 0.4]), np.array([0.9, 0.3]))
    found = phases.boundary(run_of(grid, 2))
    np.testing.assert_allclose(found.values, [np.sqrt(0.2 * 0.25) / 0.24])
    assert found.expected == pytest.approx(found.values[0])
    missing = phases.boundary(run_of(grid, 2, np.zeros_like))
    assert np.isnan(missing.values).all()
    assert missing.expected == found.expected


def test_the_digon_of_equal_features_ends_by_a_jump() -> None:
    grid = Grid(np.ones(1), np.array([0.75, 0.72, 0.69, 0.66]))
    found = phases.digon_end(run_of(grid, 2))
    np.testing.assert_allclose([found.values[0], found.expected], (0.72 + 0.69) / 2)
    assert np.isnan(phases.digon_end(run_of(grid, 2, np.zeros_like)).values).all()


def test_triangles_where_they_are_the_minimum() -> None:
    # equal features: triangles but for p = 0.05
    grid = Grid(np.array([0.2, 1.0]), np.array([0.7, 0.6, 0.05]))
    np.testing.assert_array_equal(phases.triangle(run_of(grid, 3)).values, [1, 1])
    np.testing.assert_array_equal(phases.triangle(run_of(grid, 3, np.zeros_like)).values, [0, 0])
    everywhere = run_of(grid, 3, lambda _: simplex(2))
    np.testing.assert_array_equal(phases.triangle(everywhere).values, [1, 1])
