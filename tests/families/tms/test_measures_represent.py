"""Measures of what models represent, on weights worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from memory_run import DIGON_AND_ONE, MemoryRun, make_run

from superpos.families.tms.measures import represent
from superpos.families.tms.theory import variance
from superpos.maths.polygon import polygon

SIZE = {"model.n_features": 5, "model.n_hidden": 2, "importance.decay": 0.5}
TOP = np.array([[1.0, 0], [0, 1], [0.1, 0], [0, 0], [0, 0]])
TILTED = np.array([[1.0, 0], [0.6, 0.8], [0, 0], [0, 0], [0, 0]])
OF_DENSITY = {1.0: TOP, 0.3: DIGON_AND_ONE, 0.05: polygon(5)}


@pytest.fixture
def run() -> MemoryRun:
    """Three densities out of order; the first seed has the lower loss, the second's dense model is
    tilted.
    """

    def weights(row: dict[str, Any]) -> np.ndarray:
        return (
            TILTED if row["seed"] and row["data.density"] == 1 else OF_DENSITY[row["data.density"]]
        )

    found = make_run(
        SIZE,
        {"data.density": [0.05, 1.0, 0.3], "seed": [0, 1]},
        weights,
        lambda row: 0.1 + row["seed"],
    )
    found.table["geometry"] = [
        "pentagon",
        "digon",
        "2 dedicated",
        "2/2",
        "digon + 1 dedicated",
        "pentagon",
    ]
    found.table["n_represented"] = [5, 5, 2, 2, 3, 3]
    return found


def test_names_of_the_best_and_of_all(run: MemoryRun) -> None:
    # from dense to sparse
    np.testing.assert_array_equal(represent.named(run, "pentagon").values, [0, 0, 1])
    np.testing.assert_array_equal(represent.share(run, "pentagon").values, [1, 0, 0, 0, 0, 1])


def test_cosine_is_of_the_best_model_and_of_represented_features_only(run: MemoryRun) -> None:
    np.testing.assert_allclose(represent.cosine(run, {"data.density": 1}).values, 0, atol=1e-12)
    np.testing.assert_allclose(represent.cosine(run, {"data.density": 1, "seed": 1}).values, 0.6)
    run.W = [np.zeros((5, 2)) for _ in run.W]
    assert np.isnan(represent.cosine(run).values).all()


def test_the_m_most_important_features(run: MemoryRun) -> None:
    np.testing.assert_allclose(represent.top(run, {"data.density": 1}).values, [1, 1])
    np.testing.assert_allclose(represent.top(run, {"data.density": 0.05}).values, [2 / 5, 2 / 5])
    # 0, 1 and a third
    np.testing.assert_allclose(represent.top(run, {"data.density": 0.3}).values, [4 / 5, 4 / 5])


def test_bias_of_dropped_features(run: MemoryRun) -> None:
    run.b = [np.array([9.0, 9.0, 0.1, 0.2, 0.3]) for _ in run.b]
    found = represent.dropped_bias(run, {"data.density": 0.3})
    np.testing.assert_allclose(found.values, [0.2, 0.2])
    assert found.expected == pytest.approx(0.15)


def test_loss_over_the_linear_floor(run: MemoryRun) -> None:
    lost = 1 / 4 + 1 / 8 + 1 / 16  # importance of the third feature and those after it
    found = represent.over_floor(run, {"data.density": [1, 0.05]})
    np.testing.assert_allclose(found.values, 0.1 / (variance(np.array([1, 0.05])) * lost))


def test_trend_with_sparsity(run: MemoryRun) -> None:
    np.testing.assert_allclose(represent.trend(run).values, [1])
    run.table["n_represented"] = [2, 2, 5, 5, 3, 3]
    np.testing.assert_allclose(represent.trend(run).values, [-1])
    run.table["n_represented"] = 2
    assert np.isnan(represent.trend(run).values).all()


def test_who_shares_first(run: MemoryRun) -> None:
    # dense: nobody shares; digon of 0 and 2 beside 1: of the pairs (0, 1) and (2, 1) one has the
    # less important sharing
    np.testing.assert_array_equal(represent.shared_last(run).values, [np.nan, 0.5, np.nan])


def test_dimensionality_of_a_shape(run: MemoryRun) -> None:
    np.testing.assert_allclose(
        represent.dimensionality(run, "pentagon", {"data.density": 0.05}).values, [2 / 5]
    )
    assert np.isnan(represent.dimensionality(run, "square").values).all()


def test_gap_to_the_exact_minimum() -> None:
    # dense, two features in one dimension: the minimum keeps the first and loses V(1) r of the
    # other
    base = {"model.n_features": 2, "model.n_hidden": 1, "importance.last": 0.5, "data.density": 1.0}
    run = make_run(base, {"seed": [0]}, lambda _: np.array([[1.0], [0.0]]))
    run.b = [np.array([0.0, 0.5])]
    np.testing.assert_allclose(represent.gap(run).values, [0], atol=1e-9)
    run.b = [np.array([0.0, 0.0])]  # then the second output errs by E x² = 1/3 instead of 1/12
    np.testing.assert_allclose(represent.gap(run).values, [3], atol=1e-9)
