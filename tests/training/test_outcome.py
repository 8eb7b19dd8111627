"""What is published of a chunk: the loss in parts, and signals between them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tms import engine_of

import superpos
from superpos.compose.compose import compose
from superpos.engines.task import State
from superpos.errors import TrainingInterruptedError
from superpos.families.tms import FAMILY, exact_loss, model
from superpos.families.tms.structure import Structure
from superpos.training import results, runner

FEW = replace(FAMILY, evaluation_samples=1000)
SWEEP = ["model.n_features=7", "train.steps=2", "train.batch_size=8", "seed=range(0,70)"]


def test_the_loss_in_parts_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = compose(SWEEP).sweep
    task, pauses = sweep.task(np.arange(70)), []
    state = State.initial(task, model.initial_params(task))
    choice = engine_of(task.structure)
    same_samples = replace(task, seed=np.zeros(70, np.uint64))
    loss, error = choice.engine.evaluate(same_samples, state.params, 1000)
    # 4e9 // (1000 samples * 7 * (10 * 2 + 60)) models at once: all of them
    # then 30 at once, and the fewest, 16
    for work, count in ((4e9, 1), (30 * 1000 * 560, 3), (0, 5)):
        monkeypatch.setattr(results, "_WORK", work)
        table = results.table(
            sweep, np.arange(70), task, state, choice, 1000, lambda: pauses.append(1)
        )
        np.testing.assert_array_equal(table["loss"], loss)
        np.testing.assert_array_equal(table["loss_se"], error)
        assert len(pauses) == count + 1  # once between the metrics, too
        pauses.clear()


def test_equal_weights_have_equal_sampled_losses_whatever_their_seeds() -> None:
    sweep = compose(["model.n_features=7", "train.steps=0", "seed=range(0,70)"]).sweep
    task = sweep.task(np.arange(70))
    params = {
        name: np.repeat(value[:1], 70, axis=0) for name, value in model.initial_params(task).items()
    }
    table = results.table(
        sweep,
        np.arange(70),
        task,
        State.initial(task, params),
        engine_of(task.structure),
        1000,
        str,
    )
    assert table["loss"].nunique() == 1


@pytest.mark.parametrize("output", ["relu", "linear"])
def test_the_exact_loss_in_parts_is_that_of_the_whole(
    output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = compose(
        [f"model.output={output}", "model.n_features=4", "train.steps=0", "seed=range(0,10)"]
    ).sweep
    task, pauses = sweep.task(np.arange(10)), []
    state = State.initial(task, model.initial_params(task))
    work = exact_loss.exact_work(task.structure)
    assert work == {"relu": 4 * 3**4, "linear": 16}[output]
    for at_once, count in ((10, 1), (4, 3), (0.5, 10)):
        monkeypatch.setattr(results, "_EXACT_WORK", at_once * work)
        table = results.table(
            sweep,
            np.arange(10),
            task,
            state,
            engine_of(task.structure),
            8,
            lambda: pauses.append(1),
        )
        alone = [
            exact_loss.exact_loss(task.take([i]), {k: v[[i]] for k, v in state.params.items()})[0]
            for i in range(10)
        ]
        np.testing.assert_allclose(table["loss"], alone, rtol=1e-14)
        assert (table["loss_se"] == 0).all()
        assert len(pauses) == count + 1  # once between the metrics, too
        pauses.clear()


def test_only_a_diverged_model_has_a_step_at_which_it_did() -> None:
    sweep = compose(["train.steps=0", "seed=range(0,3)"]).sweep
    task = sweep.task(np.arange(3))
    state = State.initial(task, model.initial_params(task))
    state.diverged_at[1] = 0
    table = results.table(
        sweep, np.arange(3), task, state, engine_of(task.structure), 8, lambda: None
    )
    assert table["status"].tolist() == ["ok", "diverged", "ok"]
    assert table["diverged_at"].isna().tolist() == [True, False, True]
    assert table["diverged_at"][1] == 0


@pytest.mark.parametrize("backend", ["fused", "reference"])
def test_a_stop_in_the_evaluation_keeps_what_was_trained(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "_WORK", 0)
    sweep = replace(compose([*SWEEP, f"engine.backend={backend}"]).sweep, family=FEW)
    whole = superpos.load(runner.train(sweep, out=tmp_path / "whole"))
    asked: list[int] = []
    count = None

    def stop() -> bool:
        asked.append(1)
        return len(asked) == count

    runner.train(sweep, out=tmp_path / "counted", stop=stop)
    count = len(asked) - 2  # five parts: the last times it asks are between them
    asked.clear()
    with pytest.raises(TrainingInterruptedError, match="kept at step 2 of 2"):
        runner.train(sweep, out=tmp_path / "stopped", stop=stop)
    assert superpos.load(runner.train(sweep, out=tmp_path / "stopped")).digest() == whole.digest()


def test_metrics_of_untied_models_are_those_of_the_encoder() -> None:
    sweep = compose(["model.tied=false", "train.steps=0", "seed=0,1"]).sweep
    task = sweep.task(np.arange(2))
    state = State.initial(task, model.initial_params(task))
    table = results.table(
        sweep, np.arange(2), task, state, engine_of(task.structure), 8, lambda: None
    )
    W1 = state.params["W1"].astype(float)
    np.testing.assert_allclose(table["d_star"], 2 / (W1**2).sum((1, 2)))


@pytest.mark.parametrize("correlation", ["correlated", "anticorrelated"])
@pytest.mark.parametrize(("n", "m", "output"), [(4, 2, "relu"), (20, 5, "linear")])
def test_the_loss_on_small_sets_is_exact(n: int, m: int, output: str, correlation: str) -> None:
    sets = [f"data.correlation={correlation}", "data.set_size=2"]
    model_keys = [f"model.n_features={n}", f"model.n_hidden={m}", f"model.output={output}"]
    sweep = compose(
        [*model_keys, *sets, "train.steps=0", "data.density=0.3", "seed=range(0,3)"]
    ).sweep
    task = sweep.task(np.arange(3))
    assert exact_loss.has_exact_loss(task.structure)
    state = State.initial(task, model.initial_params(task))
    choice = engine_of(task.structure)
    sampled, error = choice.engine.evaluate(task, state.params, 200_000)
    assert (np.abs(exact_loss.exact_loss(task, state.params) - sampled) < 4 * error).all()
    independent = replace(task, structure=replace(task.structure, correlation="none", set_size=1))
    assert (np.abs(exact_loss.exact_loss(independent, state.params) - sampled) > 4 * error).any()


def test_which_losses_are_exact() -> None:
    exact = exact_loss.has_exact_loss
    assert exact(Structure(6, 2))
    assert not exact(Structure(7, 2))
    assert exact(Structure(6, 2, correlation="correlated", set_size=2))
    assert not exact(Structure(8, 2, correlation="correlated", set_size=2))
    assert exact(Structure(8, 2, correlation="correlated", set_size=2, output="linear"))
    assert not exact(Structure(3, 2, n_points=5))
    assert not exact(Structure(3, 2, signed=True, output="linear"))
    assert not exact(Structure(3, 2, tied=False))
