"""The measures of learning dynamics on runs whose weights are made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from tms import KEYS

from superpos.families.tms import theory
from superpos.families.tms.geometry import octahedron
from superpos.families.tms.measures import dynamics
from superpos.plan.sweep import Axis, Sweep
from superpos.store import Run

SETS = {"data.correlation": "correlated", "data.set_size": 3}
SIX = {"model.n_features": 6, "model.n_hidden": 3, "data.density": 0.1, **SETS}


def run_of(base: dict[str, Any], W: NDArray[Any], snapshots: NDArray[Any] | None = None) -> Run:
    """A run with a model for each W[M, F, H], seeds counted from 0, and snapshots [M, S, F, H]."""
    plan = Sweep(
        {key: spec.default for key, spec in KEYS.items()} | base,
        (Axis(("seed",), tuple((i,) for i in range(len(W)))),),
    )
    table: pd.DataFrame = plan.table().assign(status="ok", loss=np.arange(len(W)) + 1.0)
    film = W[:, None] if snapshots is None else snapshots
    steps = np.arange(film.shape[1])
    tensors = {"W": W, "b": np.zeros(W.shape[:2])}
    made = SimpleNamespace(
        manifest={"plan": plan.to_json()},
        require_family=lambda: plan.family,
        table=table,
        tensor=lambda name, rows: tensors[name][np.asarray(rows)],
        snapshots=lambda i: (steps, {"W": film[i], "b": np.zeros(film[i].shape[:2])}),
    )
    return cast("Run", made)


def test_octahedra_need_the_shape_and_with_sets_antipodes_across_them() -> None:
    across = octahedron()  # features i and i + 3 are opposite
    inside = across[[0, 3, 1, 4, 2, 5]]  # neighbours are opposite
    cone = np.abs(across) + 0.3  # no antipodes
    short = 0.3 * across
    run = run_of(SIX, np.stack([across, inside, cone, short]))
    assert dynamics.octahedra(run).values.tolist() == [1, 1, 0, 0]
    assert dynamics.octahedra(run, set_size=3).values.tolist() == [1, 0, 0, 0]


def test_features_at_a_fraction_are_counted_among_the_represented() -> None:
    digon_and_nothing = np.array([[1.0, 0], [-1, 0], [0, 0.1]])
    digon_and_one = np.array([[1.0, 0], [-1, 0], [0, 1]])
    run = run_of(
        {"model.n_features": 3}, np.stack([digon_and_nothing, digon_and_one, np.zeros((3, 2))])
    )
    np.testing.assert_allclose(dynamics.at_fraction(run, 0.5).values, [1, 2 / 3, 0])


def film(jumps_at: list[int], snapshots: int = 101) -> NDArray[np.float64]:
    """Two features of each model turn from one direction to orthogonal ones about a snapshot, [M,
    S, 2, 2].
    """
    share = 1 / (1 + np.exp(-(np.arange(snapshots) - np.array(jumps_at)[:, None])))  # [M, S]
    angle = np.pi * (0.05 + 0.45 * share)
    moving = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.stack([np.broadcast_to([1.0, 0.0], moving.shape), moving], axis=2)


def test_the_loss_falls_at_jumps_and_only_at_those_of_the_model_itself() -> None:
    courses = film([20, 50, 80])
    run = run_of({"model.n_features": 2, "data.density": 0.1}, courses[:, -1], courses)
    assert dynamics.fall_at_jumps(run).values.min() > 0.95
    assert dynamics.fall_at_own_jumps(run).values.tolist() == [1, 1, 1]
    assert dynamics.plateaus(run).values.tolist() == [2, 2, 2]


def test_where_every_seed_jumps_at_once_nothing_tells_the_seeds_apart() -> None:
    courses = film([50, 50])
    run = run_of({"model.n_features": 2, "data.density": 0.1}, courses[:, -1], courses)
    assert dynamics.fall_at_jumps(run).values.min() > 0.95
    assert dynamics.fall_at_own_jumps(run).values.max() <= 0.5


def test_untrained_runs_have_no_jumps_and_one_plateau() -> None:
    run = run_of(SIX, np.zeros((2, 6, 3)))
    assert np.isnan(dynamics.fall_at_jumps(run).values).all()
    assert np.isnan(dynamics.fall_at_own_jumps(run).values).all()
    assert dynamics.plateaus(run).values.tolist() == [1, 1]


def test_sets_that_are_one_direction_each_cost_what_the_first_plateau_should() -> None:
    collapsed = np.repeat(np.eye(3)[:2], 3, axis=0) / np.sqrt(3)
    found = dynamics.first_plateau(run_of(SIX, collapsed[None]), 3)
    assert found.expected == pytest.approx(1 / 30)  # 6 * 0.1 * (2/3) / 12
    np.testing.assert_allclose(found.values, [1 / 30])
    assert abs(dynamics.first_plateau(run_of(SIX, octahedron()[None]), 3).values[0] - 1 / 30) > 0.01


def test_excess_is_nothing_for_the_minimum_and_something_for_other_weights() -> None:
    four = {
        "model.n_features": 4,
        "model.n_hidden": 2,
        "data.density": 0.1,
        **SETS,
        "data.set_size": 2,
    }
    best = theory.minimise_loss(
        np.full(4, 0.1), np.ones(4), 2, n_random=2, correlation="correlated", set_size=2
    )
    run = run_of(four, np.stack([best.W, 0.5 * best.W]))
    run.tensor = lambda name, _: (
        np.stack([best.b, best.b]) if name == "b" else np.stack([best.W, 0.5 * best.W])
    )  # type: ignore[method-assign,assignment,misc]
    excess = dynamics.excess(run, "correlated", 2).values
    assert abs(excess[0]) < 1e-9
    assert excess[1] > 0.1
