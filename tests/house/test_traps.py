"""The seven traps found in public implementations (docs/science.md, Traps), a test each, through
what users run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tasks import make_task, start
from tms import reference

import superpos
from superpos.compose.compose import compose
from superpos.engines import Engine
from superpos.engines.task import State
from superpos.families.tms import metrics, model, theory
from superpos.families.tms.analysis import phases
from superpos.families.tms.cpu import FusedCpuEngine
from superpos.families.tms.data import inputs
from superpos.families.tms.figures import phase_diagram
from superpos.store import Run

ENGINES: list[Engine] = [reference(threads=1), FusedCpuEngine(threads=1)]
BOTH = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)


@pytest.mark.parametrize("models", [1, 10, 500])
def test_trap_1_initial_std_does_not_depend_on_the_number_of_models(models: int) -> None:
    """xavier_normal_ on the stacked tensor [models, n, m] would give sqrt(2 / (m (n + models)))."""
    sweep = compose(["model.n_features=30", "model.n_hidden=20", f"seed=range(0,{models})"]).sweep
    task = sweep.task(np.arange(models))
    weights = model.initial_params(task)["W"]
    expected = np.sqrt(2 / (30 + 20))
    assert np.all(task.init_std == expected)
    assert weights.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * weights.size))
    assert np.array_equal(weights[:1], model.initial_params(task.take(slice(0, 1)))["W"])
    assert np.sqrt(2 / (20 * (30 + models))) < 0.5 * expected


@BOTH
def test_trap_2_the_batch_does_not_change_a_model(engine: Engine) -> None:
    """A mean over models would divide gradients as small as Adam's eps; one RNG for all would shift
    the draws.
    """
    options: dict[str, Any] = {"steps": 20, "batch_size": 64, "density": 0.5, "importance": 1e-7}
    many, alone = make_task(4, 2, models=200, **options), make_task(4, 2, **options)
    states = [start(many), start(alone)]
    for task, state in zip((many, alone), states, strict=True):
        engine.advance(task, state, 20)
    together, single = states[0].params["W"][0], states[1].params["W"][0]
    gradient = engine.gradients(alone, start(alone).params, 0)[1]["W"]
    assert 1e-9 < np.abs(gradient).max() < 1e-7  # eps = 1e-8 matters
    assert np.abs(single - start(alone).params["W"][0]).max() > 0.01
    if engine.name == "fused":
        assert np.array_equal(together, single)
    else:  # BLAS may round another way: 20 steps of at most lr, to a few units
        assert np.allclose(together, single, rtol=0, atol=20 * 1e-2 * 1e-5)


@BOTH
def test_trap_3_a_tied_weight_is_stepped_once(engine: Engine) -> None:
    """One step of gradient descent moves W by -lr dL/dW, the gradient being that of both uses of W,
    taken once.
    """
    task = make_task(
        3, 2, steps=1, batch_size=50, optimizer="sgd", reduction="sum", lr=0.1, weight_decay=0.0
    )
    state = start(task)
    before = state.params["W"].astype(np.float64)
    assert list(state.params) == ["W", "b"]  # one tensor, not two that share memory
    engine.advance(task, state, 1)
    x = inputs.batch(task, 0).double()

    def loss(weight: NDArray[np.float64]) -> float:
        params = {"W": torch.from_numpy(weight), "b": torch.zeros(1, 3, dtype=torch.float64)}
        return float(model.losses(task, params, x).mean())

    for i, k in np.ndindex(3, 2):
        shift = np.zeros_like(before)
        shift[0, i, k] = 1e-5
        slope = (loss(before + shift) - loss(before - shift)) / 2e-5
        assert state.params["W"][0, i, k] == pytest.approx(before[0, i, k] - 0.1 * slope, abs=1e-6)


def test_trap_4_features_and_samples_are_masked_one_by_one() -> None:
    """A mask broadcast over the batch or over features would make them active together."""
    active = inputs.batch(make_task(2, 1, density=0.5, batch_size=2**14), 0)[0].numpy() > 0
    both = [
        np.mean((active[:, 0] == first) & (active[:, 1] == second))
        for first in (0, 1)
        for second in (0, 1)
    ]
    assert both == pytest.approx([0.25] * 4, abs=4 * np.sqrt(0.25 * 0.75 / 2**14))
    assert np.mean(active[1:] == active[:-1]) == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 2**15))


@BOTH
def test_trap_4_losses_see_independent_features(engine: Engine) -> None:
    """A model that tells nothing but sums: features that were always active together would give
    another loss.
    """
    task = make_task(2, 1, density=0.3)
    params = {"W": np.array([[[1.0], [-1.0]]], np.float32), "b": np.zeros((1, 2), np.float32)}
    mean, error = engine.evaluate(task, params, 2**17)
    exact = theory.expected_loss(params["W"], params["b"], 0.3, 1.0)
    # an antipodal pair fails only where both are active: p^2 E((x - (x - y)^+)^2 + (y - (y -
    # x)^+)^2) = 2 p^2 E min^2
    assert exact[0] == pytest.approx(2 * 0.3**2 / 6)
    assert abs(mean[0] - exact[0]) < 4 * error[0]


def test_trap_5_runs_do_not_overwrite_each_other(tmp_path: Path) -> None:
    base = ["train.steps=0", "model.n_features=3"]
    given = ("", "seed=1", "data.density=0.3", "train.lr=0.01", "seed=0,1", "record.snapshots=2")
    variants = [[text] if text else [] for text in given]
    runs = [superpos.train([*base, *more], out=tmp_path) for more in variants]
    assert len({run.path for run in runs}) == len(variants)
    # and the link `latest`
    assert len(list((tmp_path / "custom").glob("*/manifest.json"))) == len(variants) + 1
    for run, more in zip(runs, variants, strict=True):
        assert run.path.name == compose([*base, *more]).sweep.run_id
        assert superpos.load(run.path).digest() == run.digest()
    ids = [row for run in runs for row in run.table["row_id"]]
    # seed=0,1 holds the models of the first two runs; all others are different models
    assert len(set(ids)) == len(ids) - 2


class Swapped:
    """A run whose models have their features in the opposite order."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __getattr__(self, name: str) -> Any:
        return getattr(self.run, name)

    def tensor(self, name: str, rows: Any) -> NDArray[Any]:
        return np.flip(self.run.tensor(name, rows), axis=1)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two features in one dimension; the importance of the last one is swept."""
    return superpos.train(
        [
            "model.n_features=2", "model.n_hidden=1", "importance.last=0.1,0.5,10",
            "data.density=1,0.9,0.8", "train.steps=400", "train.lr=0.02", "train.batch_size=256",
            "seed=range(0,4)",
        ],
        out=tmp_path_factory.mktemp("trap_6"),
    )  # fmt: skip


def test_trap_6_the_map_shows_the_feature_whose_importance_is_swept(swept: Run) -> None:
    grid, models = phases.trained(swept)
    label = phases.phase_of(models.best()).label
    assert grid.importance.tolist() == [0.1, 0.5, 10]
    # r = 10: the last feature has the dimension; r = 0.1: the first one has it
    norm = phases.phase_of(models.best()).norm  # what the map's colour shows
    assert norm[2].min() > 0.5 > norm[0].max()
    assert [theory.PHASES[i] for i in label[2]] == ["dedicated"] * 3
    assert [theory.PHASES[i] for i in label[0]] == ["not represented"] * 3
    first = phases.phase_of(phases.trained(Swapped(swept))[1].best()).label  # type: ignore[arg-type]  # acts as a run
    assert [theory.PHASES[i] for i in first[2]] == ["not represented"] * 3
    assert [theory.PHASES[i] for i in first[0]] == ["dedicated"] * 3


def test_trap_6_the_figure_changes_with_the_order_of_the_features(swept: Run) -> None:
    def colours(run: Any) -> NDArray[Any]:
        figure = phase_diagram.draw(run)
        return np.asarray(figure.axes[0].collections[0].get_array())

    shown, swapped = colours(swept), colours(Swapped(swept))
    assert shown.shape == swapped.shape == (3, 3, 3)
    assert np.abs(shown - swapped).max() > 0.3


@BOTH
def test_trap_7_a_feature_without_gradient_is_not_zero_and_not_represented(engine: Engine) -> None:
    """It keeps e^(-lr wd steps) of its length: (1 - 0.02 * 0.05)^100 = 0.90479, e^(-0.1) =
    0.90484.
    """
    task = make_task(
        2,
        1,
        density=[0.5, 2.0**-32],
        importance=[1.0, 0.0],
        lr=0.02,
        weight_decay=0.05,
        steps=100,
        batch_size=32,
    )  # the second feature is never anything but 0
    state = State.initial(
        task, {"W": np.array([[[1.0], [0.52]]], np.float32), "b": np.zeros((1, 2), np.float32)}
    )
    engine.advance(task, state, 100)
    left = state.params["W"][0, 1, 0]
    assert left == pytest.approx(0.52 * (1 - 0.02 * 0.05) ** 100, rel=1e-5)
    assert left == pytest.approx(0.52 * np.exp(-0.1), rel=1e-3)
    # 0.52 was represented, 0.4705 is not, and it is far from 0
    norms = metrics.feature_norms(state.params["W"])[0]
    assert norms[1] == pytest.approx(0.4705, abs=1e-4)
    assert metrics.represented(np.array([[1.0], [0.52]])).tolist() == [True, True]
    assert metrics.represented(state.params["W"])[0].tolist() == [True, False]
    assert metrics.summary(state.params["W"])["n_represented"].tolist() == [1.0]
