"""The course of training: jumps, plateaus, losses of snapshots, the figure and the movie that show
them.
"""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from tms import DEFAULTS

from superpos.errors import SuperposError
from superpos.families.tms import exact_loss, geometry, metrics, theory
from superpos.families.tms.analysis import courses, trajectory
from superpos.families.tms.analysis.points import points
from superpos.families.tms.figures import directions, dynamics, training_movie
from superpos.families.tms.structure import Structure, Task
from superpos.family import Family, find
from superpos.figures import registry
from superpos.plan.sweep import Axis, Sweep

Floats = NDArray[np.float64]
ONE = np.ones(1)


def step(at: float, low: float = 0.0, high: float = 1.0, snapshots: int = 101) -> Floats:
    """A value that goes from low to high about one snapshot, within a few snapshots."""
    return low + (high - low) / (1 + np.exp(-2 * (np.arange(snapshots) - at)))


# --- jumps and plateaus ---------------------------------------------------------------------------


def test_a_jump_is_found_where_it_is_fastest_with_its_sign_and_size() -> None:
    found = trajectory.jumps(
        np.stack([step(30, 0, 0.5), step(70, 0.5, 0.1), np.full(101, 0.5)], axis=1)
    )
    assert found.feature.tolist() == [0, 1]
    assert found.at.tolist() == [30, 70]
    # the window is 5% of 100 intervals, cut to 2 snapshots to either side: 0.5 (s(4) - s(-4)) with
    # s the logistic curve
    reach = 1 / (1 + np.exp(-4)) - 1 / (1 + np.exp(4))
    np.testing.assert_allclose(found.size, [0.5 * reach, -0.4 * reach])


def test_a_feature_can_jump_up_and_down_again_and_slow_drift_is_no_jump() -> None:
    there_and_back = step(30, 0, 0.5) + step(60, 0, -0.5)
    drift = np.linspace(0, 1, 101)  # .04 in a window of 4 intervals
    found = trajectory.jumps(np.stack([there_and_back, drift], axis=1))
    assert found.feature.tolist() == [0, 0]
    assert np.sign(found.size).tolist() == [1, -1]


@given(st.integers(0, 2**32 - 1))
def test_noise_of_training_has_no_jumps(seed: int) -> None:
    noise = np.random.default_rng(seed).uniform(-0.02, 0.02, (200, 5))
    assert len(trajectory.jumps(0.5 + noise).at) == 0


def test_what_is_not_known_does_not_jump() -> None:
    values = step(50, 0, 0.5)
    values[:60] = np.nan
    assert len(trajectory.jumps(values[:, None]).at) == 0


def test_short_features_have_no_dimensionality() -> None:
    W = np.array([[[1.0, 0], [0.05, 0]], [[1.0, 0], [0, 0.2]]])
    np.testing.assert_allclose(trajectory.dimensionality(W), [[1 / 1.0025, np.nan], [1, 1]])


def test_plateaus_of_a_staircase() -> None:
    loss = 1 - 0.5 * step(30) - 0.4 * step(70)
    found = trajectory.plateaus(loss)
    assert len(found) == 3
    assert found[0, 0] == 0
    assert found[-1, 1] == 100
    assert ((found[:-1, 1] < [30, 70]) & (found[1:, 0] > [30, 70])).all()
    np.testing.assert_allclose(loss[found.mean(axis=1).astype(int)], [1, 0.5, 0.1], atol=1e-3)


def test_a_steady_fall_has_no_plateau_and_a_loss_that_is_not_finite_neither() -> None:
    assert len(trajectory.plateaus(np.linspace(1, 0, 101))) == 0
    assert len(trajectory.plateaus(np.full(101, np.nan))) == 0


def test_jumps_at_the_falls_of_the_loss_coincide_and_jumps_at_random_times_do_not() -> None:
    loss = 1 - 0.5 * step(30) - 0.4 * step(70)
    assert trajectory.coincidence(np.array([30, 70]), loss) > 0.98
    anywhere = np.random.default_rng(0).integers(0, 101, 5000)
    assert trajectory.coincidence(anywhere, loss) == pytest.approx(0.5, abs=0.02)
    # every time once: exactly chance
    assert trajectory.coincidence(np.arange(101), loss) == pytest.approx(0.5)
    assert np.isnan(trajectory.coincidence(np.zeros(0, dtype=np.intp), loss))


# --- losses of snapshots --------------------------------------------------------------------------


def task(n: int, **structure: Any) -> Task:
    seed, sparsity = np.array([7], np.uint64), np.full((1, n), 0.7)
    return Task(
        Structure(n, 2, **structure),
        seed,
        ONE,
        ONE,
        sparsity,
        np.ones((1, n)),
        ONE,
        0 * ONE,
        0 * ONE,
        seed,
    )


def params(n: int, snapshots: int = 3) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    drawn = {"W": rng.normal(0, 0.6, (snapshots, n, 2)), "b": rng.normal(0, 0.1, (snapshots, n))}
    return {name: value.astype(np.float32) for name, value in drawn.items()}


@pytest.mark.parametrize("sets", [{}, {"correlation": "correlated", "set_size": 2}])
def test_exact_and_sampled_losses_agree(
    sets: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, weights = task(4, **sets), params(4)
    exact = trajectory.losses(model, weights)
    np.testing.assert_allclose(
        exact, theory.expected_loss(weights["W"], weights["b"], 0.3, 1.0, **sets)
    )
    monkeypatch.setattr(exact_loss, "EXACT_FEATURES", 3)
    monkeypatch.setattr(trajectory, "SAMPLES", 40_000)
    np.testing.assert_allclose(trajectory.losses(model, weights), exact, rtol=0.03)


def test_parts_of_the_snapshots_give_the_same_sampled_losses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = trajectory.losses(task(9), params(9, 5))
    monkeypatch.setattr(trajectory, "_CELLS", 2 * 9 * trajectory.SAMPLES)
    np.testing.assert_allclose(trajectory.losses(task(9), params(9, 5)), whole, rtol=1e-6)


def test_a_finite_data_set_has_the_loss_on_its_points() -> None:
    zero = {"W": np.zeros((1, 4, 2), np.float32), "b": np.zeros((1, 4), np.float32)}
    loss = trajectory.losses(task(4, n_points=50), zero)
    assert 0.5 < loss[0] <= 1  # every point that is not zero has length 1


# --- a run whose course is known ------------------------------------------------------------------


class Filmed:
    """A run in memory: feature 1 of each model turns from beside feature 0 to opposite it, half way
    through.
    """

    def __init__(
        self, axes: dict[str, list[Any]] | None = None, snapshots: int = 81, **base: Any
    ) -> None:
        swept = tuple(
            Axis((key,), tuple((value,) for value in values))
            for key, values in (axes or {}).items()
        )
        small = {"model.n_features": 2, "data.density": 0.1, "record.snapshots": snapshots} | base
        plan = Sweep({**DEFAULTS, **small}, swept)
        self.name = "filmed"
        self.manifest = {"plan": plan.to_json()}
        self.table: pd.DataFrame = plan.table().assign(status="ok", loss=0.1)
        self.steps = np.linspace(0, 8000, snapshots).astype(np.int64)
        angle = np.pi * step(snapshots // 2, 0.3, 1.0, snapshots)
        hidden = small.get("model.n_hidden", 2)
        self.W = np.zeros((snapshots, 2, hidden))
        self.W[:, 0, 0] = 1
        self.W[:, 1, 0], self.W[:, 1, 1] = np.cos(angle), np.sin(angle)

    def require_family(self) -> Family:
        return find("tms")

    def weights(self, _: int, /) -> dict[str, NDArray[Any]]:
        return {"W": self.W[-1], "b": np.zeros(2)}

    def tensor(self, name: str, rows: NDArray[np.intp], /) -> NDArray[Any]:
        return np.stack([self.weights(int(i))[name] for i in rows])

    def history(self, _: int, /) -> tuple[NDArray[np.int64], NDArray[Any]]:
        return np.zeros(0, dtype=np.int64), np.zeros(0)

    def snapshots(self, _: int, /) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
        return self.steps, {"W": self.W, "b": np.zeros((len(self.W), 2))} if len(self.W) else {}


def texts(figure: Figure) -> list[str]:
    return [
        text.get_text()
        for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))
        if text.get_text()
    ]  # type: ignore[attr-defined]


def test_the_figure_shows_the_lines_the_jump_and_the_geometry_at_rest() -> None:
    run = Filmed({"data.density": [0.5, 0.05]})
    figure = registry.draw(run, "dynamics")
    words = texts(figure)
    assert "1 − S = 0.05" in words  # the sparsest point
    assert any("jumps" in word for word in words)
    assert "1/2 digon" in words
    assert {"a", "b", "digon"} <= set(words)
    upper = next(axes for axes in figure.axes if "D_i" in axes.get_ylabel())
    lines = [line for line in upper.get_lines() if len(np.asarray(line.get_xdata())) == 81]
    np.testing.assert_allclose(
        np.stack([line.get_ydata() for line in lines], axis=1), metrics.dimensionality(run.W)
    )


def test_without_jumps_the_caption_has_no_coincidence() -> None:
    none = trajectory.Jumps(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0))
    assert "0 jumps" in dynamics.caption(none, np.nan, 100, "")
    assert "faster" not in dynamics.caption(none, np.nan, 100, "")


def test_the_task_of_a_point_has_its_density_importance_and_seed() -> None:
    run = Filmed(**{"data.last": 0.5, "importance.last": 3.0, "train.steps": 7, "seed": 5})
    built = points(run)[0].task(0)
    np.testing.assert_allclose(built.sparsity, [[0.9, 0.95]])
    np.testing.assert_allclose(built.importance, [[1, 3]])
    assert (built.structure.steps, int(built.seed[0])) == (7, 5)


def test_steady_turns_nothing_but_the_whole_and_takes_out_a_spin() -> None:
    rng = np.random.default_rng(1)
    shape = rng.normal(size=(4, 3))
    spun = np.stack([shape @ np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(6)])
    found = directions.steady(spun)
    np.testing.assert_allclose(
        found, np.broadcast_to(geometry.align(shape[None]), found.shape), atol=1e-9
    )
    moving = rng.normal(size=(6, 4, 3))
    np.testing.assert_allclose(
        directions.steady(moving) @ directions.steady(moving).mT, moving @ moving.mT
    )


# --- the movie ------------------------------------------------------------------------------------


def frames(data: bytes) -> list[NDArray[np.int64]]:
    film = Image.open(io.BytesIO(data))
    found = []
    for k in range(film.n_frames):  # type: ignore[attr-defined]
        film.seek(k)
        found.append(np.asarray(film.convert("RGB"), dtype=np.int64))
    return found


@pytest.mark.parametrize("hidden", [2, 3])
def test_the_movie_moves_and_is_the_same_every_time(hidden: int) -> None:
    run = Filmed(snapshots=9, **{"model.n_hidden": hidden})
    name, data = registry.picture(run, "training_movie", "png")
    assert name == "training_movie.gif"
    assert data == registry.picture(run, "training_movie", "svg")[1]
    seen = frames(data)
    assert len(seen) == 9
    changed = [
        (np.abs(after - before) > 100).any(axis=-1).sum() for before, after in pairwise(seen)
    ]
    assert min(changed) > 0
    assert changed[3] > 1.5 * changed[0]  # only the counter and the point on the loss move at first


def test_the_movie_has_a_panel_a_point_and_at_most_a_hundred_frames() -> None:
    run = Filmed({"data.density": [1.0, 0.3, 0.05]}, snapshots=301)
    film = training_movie.movie([courses.course(run, point, point.best) for point in points(run)])
    assert [axes.get_title() for axes in film.figure.axes if axes.get_title()] == [
        "1 − S = 1",
        "1 − S = 0.3",
        "1 − S = 0.05",
    ]
    assert len(film.snapshots) == len(film.times) == 100
    assert (film.snapshots[0], film.snapshots[-1]) == (0, 300)
    # where it turns, it plays slower
    assert 1 < film.times[:-1].max() / film.times[:-1].min() <= 10


@pytest.mark.parametrize(
    ("run", "name", "reason"),
    [
        (Filmed(snapshots=0), "training_movie", "needs record.snapshots of at least 2, found 0"),
        (Filmed(snapshots=9), "dynamics", "needs record.snapshots of at least 40, found 9"),
        (
            Filmed(**{"model.n_hidden": 5}),
            "training_movie",
            "needs model.n_hidden=2 or 3 in every model",
        ),
        (
            Filmed({"train.steps": [5, 6]}),
            "training_movie",
            "needs one train.steps and one record.snapshots",
        ),
        (
            Filmed({"data.density": [*np.linspace(0.1, 1, 16)]}),
            "training_movie",
            "needs at most 15 points",
        ),
        (Filmed(**{"model.hidden": "relu"}), "dynamics", "needs model.hidden=linear"),
    ],
)
def test_runs_that_cannot_be_shown_say_why(run: Filmed, name: str, reason: str) -> None:
    with pytest.raises(SuperposError, match=reason):
        registry.draw(run, name)
