"""Energy levels of one feature at a time: the measures and the figure on runs whose weights are
made by hand.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
from memory_run import make_run, texts
from numpy.typing import NDArray
from tms import KEYS

from superpos.families.tms import theory
from superpos.families.tms.analysis import one_hot
from superpos.families.tms.figures import energy_ladder
from superpos.families.tms.measures import kgons
from superpos.plan.sweep import Axis, Sweep
from superpos.store import Run

SIX: dict[str, Any] = {
    "model.n_features": 6,
    "model.n_hidden": 2,
    "data.density": 1.0,
    "data.correlation": "anticorrelated",
    "data.set_size": 6,
}
LEVELS = {level.name: level for level in theory.one_hot_levels(6)}


def run_of(ways: list[list[str]], stretch: float = 1.0, base: dict[str, Any] = SIX) -> Run:
    """A model for each list of levels, at each of which it stays for 20 snapshots; its W times
    `stretch`.
    """
    films = [[LEVELS[name] for name in way for _ in range(20)] for way in ways]
    W = np.array([[stretch * level.W for level in film] for film in films])
    b = np.array([[level.b for level in film] for film in films])
    plan = Sweep(
        {key: spec.default for key, spec in KEYS.items()} | base,
        (Axis(("seed",), tuple((i,) for i in range(len(W)))),),
    )
    represented = (np.linalg.norm(W[:, -1], axis=-1) > 0.5).sum(axis=-1)
    table: pd.DataFrame = plan.table().assign(status="ok", loss=0.1, n_represented=represented)
    ends = {"W": W[:, -1], "b": b[:, -1]}

    def tensor(name: str, rows: Any) -> NDArray[np.float64]:
        return ends[name][np.asarray(rows)]

    made = SimpleNamespace(
        table=table,
        tensor=tensor,
        weights=lambda i: {name: value[i] for name, value in ends.items()},
        snapshots=lambda i: (np.arange(W.shape[1]), {"W": W[i], "b": b[i]}),
    )
    return cast("Run", made)


def test_models_are_at_the_level_they_were_made_for() -> None:
    run = run_of([["6"], ["5+"], ["4++"]])
    assert kgons.at_level(run, 6).values.tolist() == [1, 1, 1]
    assert kgons.at_level(run, 6, ["5+", "4++"]).values.tolist() == [0, 1, 1]
    assert kgons.distance(run, 6).values.max() < 1e-12
    np.testing.assert_allclose(kgons.energy(run, 6).values, [0.86746], atol=5e-6)
    np.testing.assert_allclose(
        kgons.above_lowest(run, 6).values[:2], [0, 0.06180 / 0.04819 - 1], atol=3e-4
    )
    assert len(kgons.energy(run, 5).values) == 0


def test_models_between_levels_are_at_none() -> None:
    run = run_of([["6"], ["5+"]], stretch=0.8)
    assert kgons.at_level(run, 6).values.tolist() == [0, 0]
    assert kgons.distance(run, 6).values.min() > 0.01


def test_plateaus_and_paths_downwards() -> None:
    run = run_of([["4", "5", "5+"], ["6", "6", "6"], ["5", "5", "6"]])
    assert kgons.resting(run, 6).values.tolist() == [1, 0, 1]
    assert kgons.downwards(run, 6).values.tolist() == [1, 1]
    # All rest at levels; of losses between the 5-gon's and the square's, ln(.1111/.0687) = .48,
    # four levels take .02 each, but those at both ends .01.
    np.testing.assert_allclose(kgons.plateaus_at_levels(run, 6).values, 1 - 0.06 / 0.48, atol=0.01)
    assert kgons.downwards(run_of([["5+", "5", "6"]]), 6).values.tolist() == [0]


def test_models_that_never_rest_have_no_plateaus() -> None:
    run = run_of([["6"]])
    assert kgons.resting(run, 6).values.tolist() == [0]
    assert np.isnan(kgons.plateaus_at_levels(run, 6).values).all()
    assert np.isnan(kgons.downwards(run, 6).values).all()


def test_the_learning_coefficient_is_that_of_the_nearest_model() -> None:
    run = run_of([["4++"], ["6"]])
    np.testing.assert_allclose(kgons.learning_coefficient(run, 6, "6").values, 8.5, rtol=0.02)
    assert kgons.learning_coefficient(run_of([["6"]], stretch=0.9), 6, "6").values[0] < -100
    assert np.isnan(kgons.learning_coefficient(run, 5, "5").values).all()


def test_the_figure_names_the_levels_and_counts_the_seeds() -> None:
    names = ["6", "5+", "5+"]
    made = make_run(SIX, {"seed": [0, 1, 2]}, lambda row: LEVELS[names[row["seed"]]].W)
    for i, name in enumerate(names):
        made.b[i] = LEVELS[name].b
    assert energy_ladder.applies(made) is None
    (shown,) = (energy_ladder.ladder(made, point) for point in energy_ladder.points(made))
    np.testing.assert_allclose(
        sorted(shown.loss), [LEVELS["6"].loss, *[LEVELS["5+"].loss] * 2], rtol=1e-9
    )
    drawn = texts(energy_ladder.draw(made))
    assert "6  1" in drawn
    assert "5+  2" in drawn


def test_other_runs_have_no_ladder() -> None:
    def why(**changes: Any) -> str:
        base = SIX | {key.replace("_", ".", 1): value for key, value in changes.items()}
        made = make_run(
            base,
            {"seed": [0]},
            lambda row: np.zeros((row["model.n_features"], row["model.n_hidden"])),
        )
        return one_hot.reason(made) or ""

    assert "density" in why(data_density=0.5)
    assert "n_hidden" in why(model_n_hidden=3)
    assert "one set of all features" in why(data_set_size=3)
