"""Finite data sets: the measures and the figure on models that memorise, or that know five
features.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from memory_run import MemoryRun, make_run, texts

from superpos.families.tms import theory
from superpos.families.tms.analysis import double_descent as analysis
from superpos.families.tms.figures import double_descent as figure
from superpos.families.tms.measures import double_descent
from superpos.store import Run

N = 60
BASE: dict[str, Any] = {"model.n_features": N, "data.density": 0.02}
SIZES = (2, 3, 5)


def memorised(run: MemoryRun) -> MemoryRun:
    """Each model with the directions of its data points a T-gon of the right radius, whatever
    features they share.
    """
    for i, size in enumerate(run.table["data.n_points"]):
        X = analysis.data_points(cast("Run", run), i)
        h = float(theory.data_polygon_norms(size).radius) * theory.polygon(size)
        run.W[i] = np.linalg.pinv(X) @ h
    return run


def run_of(W: Any = lambda row: np.zeros((N, 2)), **changes: Any) -> MemoryRun:
    base = BASE | {key.replace("__", "."): value for key, value in changes.items()}
    return make_run(base, {"data.n_points": SIZES}, W)


def pentagon(row: dict[str, Any]) -> np.ndarray:
    return np.concatenate([theory.polygon(5), np.zeros((N - 5, 2))])


def test_points_of_a_polygon_have_two_dimensions_between_them() -> None:
    run = cast("Run", memorised(run_of(data__density=0.5)))
    found = double_descent.point_share(run)
    # two points are opposite: half a dimension each
    np.testing.assert_allclose(found.values, [0.5, 1, 1], rtol=1e-6)
    assert found.expected == 1
    X = analysis.data_points(run, 2)
    assert X.shape == (5, N)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-6)


def test_points_belong_to_the_data_seed() -> None:
    own, other = cast("Run", run_of()), cast("Run", run_of(data__seed=4))
    assert not np.array_equal(analysis.data_points(own, 1), analysis.data_points(other, 1))
    same = cast("Run", run_of(data__seed=4, seed=9))
    np.testing.assert_array_equal(analysis.data_points(other, 1), analysis.data_points(same, 1))


def test_five_features() -> None:
    run = cast("Run", run_of(pentagon))
    np.testing.assert_allclose(double_descent.five_features(run).values, 0.4)
    np.testing.assert_allclose(double_descent.sixth_over_five(run).values, 0, atol=1e-12)
    found = double_descent.norm(run)
    np.testing.assert_allclose(found.values, np.sqrt(5))
    assert found.expected == pytest.approx(np.sqrt(5))
    six = cast("Run", run_of(lambda row: np.concatenate([theory.polygon(6), np.zeros((N - 6, 2))])))
    np.testing.assert_allclose(double_descent.five_features(six).values, 1 / 3)
    np.testing.assert_allclose(double_descent.sixth_over_five(six).values, 1)


def test_norms_over_those_of_the_polygon() -> None:
    run = cast("Run", run_of(pentagon))
    found = double_descent.norm_over_polygon(run, {"data.n_points": 5})
    # r² = 1/(1 − cos 72°), ‖W‖ = √5 r
    np.testing.assert_allclose(found.values, np.sqrt(5) / 2.690, rtol=1e-3)
    assert found.expected == 1


def test_the_figure_has_a_dot_a_model_and_the_polygon() -> None:
    run = run_of(pentagon)
    assert figure.applies(cast("Run", run)) is None
    drawn = figure.draw(cast("Run", run))
    np.testing.assert_array_equal(drawn.axes[0].lines[0].get_xdata(), SIZES)
    np.testing.assert_allclose(drawn.axes[2].lines[0].get_ydata(), np.sqrt(5))
    assert "T-gon" in texts(drawn)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model__output": "linear"}, "model.output=relu"),
        ({"model__n_hidden": 3}, "model.n_hidden=2"),
    ],
)
def test_other_runs_have_no_such_figure(changes: dict[str, Any], words: str) -> None:
    m = changes.get("model__n_hidden", 2)
    assert words in str(figure.applies(cast("Run", run_of(lambda row: np.ones((N, m)), **changes))))


def test_fresh_batches_and_few_sizes_have_no_such_figure() -> None:
    fresh = make_run(BASE, {"seed": [0, 1]}, pentagon)
    assert "needs data.n_points" in str(figure.applies(cast("Run", fresh)))
    few = make_run(BASE, {"data.n_points": [2, 3]}, pentagon)
    assert "needs 3 sizes" in str(figure.applies(cast("Run", few)))
