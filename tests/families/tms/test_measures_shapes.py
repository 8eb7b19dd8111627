"""Measures of perturbed shapes on runs with known weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from memory_run import MemoryRun, make_run
from numpy.typing import NDArray

from superpos.families.tms import theory
from superpos.families.tms.analysis import energy_levels
from superpos.families.tms.measures import shapes
from superpos.maths.polygon import polygon

pytestmark = pytest.mark.slow

DIGONS = "2 digons + 1 not represented"
FIVE: dict[str, Any] = {"model.n_features": 5, "model.n_hidden": 2, "data.density": 0.05}
PAIRS = np.concatenate([polygon(4), np.zeros((1, 2))])
FACTORS = [0.15, 0.3, 1.0]


def run_of(
    W: Any, factors: list[float] = FACTORS, seeds: int = 4, key: str = "data.last", **base: Any
) -> MemoryRun:
    return make_run(FIVE | base, {key: factors, "seed": list(range(seeds))}, W)


@pytest.fixture(scope="module")
def minima() -> dict[tuple[str, float], theory.Minimum]:
    """The exact minima of both shapes at every factor, downhill from the ideal ones."""
    found = {}
    for factor in FACTORS:
        density = 0.05 * np.array([1, 1, 1, 1, factor])
        found["pentagon", factor] = theory.refine(
            1.1 * polygon(5), np.full(5, -0.15), density, np.ones(5)
        )
        found[DIGONS, factor] = theory.refine(
            PAIRS, density / 2 * (np.arange(5) == 4), density, np.ones(5)
        )
    return found


@pytest.fixture
def exact(minima: dict[tuple[str, float], theory.Minimum]) -> MemoryRun:
    """Even seeds have the exact pentagon, odd ones the exact digons."""
    run = run_of(
        lambda row: minima["pentagon" if row["seed"] % 2 == 0 else DIGONS, row["data.last"]].W
    )
    for i, row in enumerate(run.table.to_dict("records")):
        run.b[i] = minima["pentagon" if row["seed"] % 2 == 0 else DIGONS, row["data.last"]].b
    return run


def test_the_best_of_a_group_of_seeds_is_what_counts(exact: MemoryRun) -> None:
    assert shapes.named(exact, DIGONS, {"data.last": 0.15}, restarts=2).values.tolist() == [1, 1]
    assert shapes.named(exact, "pentagon", {"data.last": 1}, restarts=2).values.tolist() == [1, 1]
    assert shapes.named(exact, "pentagon", {"data.last": 1}, restarts=1).values.tolist() == [
        1,
        0,
        1,
        0,
    ]
    # the exact order of the curves
    assert shapes.named(exact, "pentagon", restarts=4).values.tolist() == [0, 1, 1]


def test_the_gap_to_the_exact_curve_by_hand(exact: MemoryRun) -> None:
    np.testing.assert_allclose(shapes.gap(exact, "pentagon", {"data.last": 1}).values, 0, atol=1e-6)
    for i in exact.table.index[exact.table["seed"] % 2 == 1]:
        # a dead output: the variance becomes the second moment
        exact.b[i] = np.where(np.arange(5) == 4, -0.1, 0.0)
        exact.W[i] = PAIRS
    row = {"data.last": 0.3}
    density = 0.05 * np.array([1, 1, 1, 1, 0.3])
    level = theory.family_minimum(DIGONS, density, 1.0, 2).loss
    loss = theory.expected_loss(PAIRS, np.array([0, 0, 0, 0, -0.1]), density, 1.0)
    np.testing.assert_allclose(shapes.gap(exact, DIGONS, row).values, [loss / level - 1], rtol=1e-6)


def test_the_gap_of_a_shape_that_no_model_has_is_nan() -> None:
    run = run_of(lambda row: PAIRS)
    assert np.isnan(shapes.gap(run, "pentagon", {"data.last": 1}).values).tolist() == [True]


def test_the_crossing_is_where_the_best_losses_are_equal(
    exact: MemoryRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(theory, "crossing", lambda *arguments: asked.append(arguments) or 0.269)
    found = shapes.crossing(exact, DIGONS, "pentagon", restarts=2)
    assert found.expected == 0.269
    assert asked[0][:2] + asked[0][3:] == (DIGONS, "pentagon", 0.15, 1.0, 2)
    assert found.values == pytest.approx([0.269] * 2, rel=0.05)  # interpolated between 0.15 and 0.3
    # one shape in each group
    assert np.isnan(shapes.crossing(exact, DIGONS, "pentagon", restarts=1).values).all()


def test_shapes_coexist_where_both_are_found() -> None:
    def W(row: dict[str, Any]) -> NDArray[np.float64]:
        return polygon(5) if row["seed"] < 4 * row["data.last"] else PAIRS

    found = shapes.coexist(run_of(W, [0.25, 0.5, 1.0]), ["pentagon", DIGONS])
    np.testing.assert_allclose(found.values, [0.25, 0.5, 0])
    assert shapes.coexist(
        run_of(W, [0.25, 0.5, 1.0]), ["pentagon", "triangle"]
    ).values.tolist() == [0, 0, 0]


def test_stable_labels_have_a_name_and_one_component_count() -> None:
    leaning = np.array([[1.0, 0], [0.15, 1], [0, 0], [0, 0], [0, 0]])  # joined at 0.1, apart at 0.2
    unnamed = np.array([[1.0, 0], [0.8, 0.6], [0.6, 0.8], [0, 1], [-0.6, 0.8]])
    run = run_of(lambda row: [polygon(5), PAIRS, leaning, unnamed][row["seed"]], [1.0, 2.0])
    assert shapes.stable(run, {"data.last": 1}).values.tolist() == [1, 1, 0, 0]


def test_settled_models_keep_their_label_on_the_exact_loss(exact: MemoryRun) -> None:
    assert shapes.settled(exact, {"data.last": 1}).values.tolist() == [1] * 4
    rng = np.random.default_rng(0)
    wild = run_of(lambda row: rng.normal(scale=0.5, size=(5, 2)), [0.9, 1.0])
    assert shapes.settled(wild, {"data.last": 1}).values.mean() < 0.5


def test_room_is_half_the_angle_between_the_neighbours() -> None:
    angle = np.deg2rad([90, 180, 300, 45, 10])  # beside 10: 45 and 300, that is 35 and 70 away
    W = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    np.testing.assert_allclose(energy_levels.room(W[None]), [(35 + 70) / 2])


def test_room_of_the_exact_pentagon(exact: MemoryRun) -> None:
    found = shapes.room(exact, "pentagon", {"data.last": 1}, restarts=2)
    assert found.expected == pytest.approx(72, abs=0.01)
    assert found.values == pytest.approx([72] * 2, abs=0.01)


def test_another_sweep_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no sweep of data\.last"):
        shapes.coexist(run_of(lambda row: PAIRS, key="train.lr"), ["pentagon"])
