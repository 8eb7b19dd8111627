"""From a sweep to a run folder, for real: shards, records, tables, repairs.

Interruptions: test_runner_resume.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tms import LATER_KEYS, TABLE_KEYS

import superpos
from superpos.compose.compose import compose
from superpos.errors import ConfigError, PlanMismatchError
from superpos.families.tms import geometry, metrics, model, theory
from superpos.families.tms.cpu import FusedCpuEngine
from superpos.store import Run
from superpos.training import runner

# Eight chunks: the number of steps is part of the structure.
SMALL = ["model.n_features=3", "train.batch_size=32"]
TINY = [*SMALL, "train.lr=0.01", "record.loss_every=5"]
SWEEP = [*TINY, "train.steps=1,2,3,5,8,13,21,34", "seed=0,1,7"]


def train(overrides: list[str], out: Path, **options: Any) -> Run:
    return superpos.load(runner.train(compose(overrides).sweep, out=out, **options))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(SWEEP, tmp_path_factory.mktemp("whole"))


def test_shards_together_are_the_whole(whole: Run, tmp_path: Path) -> None:
    assert len(whole.folder.rows) == 8
    for shard in (3, 0, 6, 1, 2, 5, 4):
        part = train(SWEEP, tmp_path, shard=(shard, 7))
        done = [chunk for chunk, state in enumerate(part.folder.states()) if state == "done"]
        assert set(range(shard, 8, 7)) <= set(done)
        if shard == 3:
            assert done == [3]
            assert (part.complete, len(part.table)) == (False, 3)
    assert part.complete
    assert part.digest() == whole.digest()
    assert part.path.name == whole.path.name


def test_a_shard_without_chunks_trains_nothing(tmp_path: Path) -> None:
    seen: list[runner.Progress] = []
    run = train([*TINY, "train.steps=2"], tmp_path, shard=(1, 2), progress=seen.append)
    assert len(run.table) == 0
    assert (seen[-1].models_total, seen[-1].steps_total) == (0, 0)


@pytest.mark.parametrize("backend", ["fused", "reference"])
def test_a_model_is_the_same_alone_in_a_crowd_and_in_a_shard(backend: str, tmp_path: Path) -> None:
    base = [*TINY, f"engine.backend={backend}", "train.steps=8"]
    crowd = train([*base, "data.density=0.1,0.5,1", "seed=range(0,100)"], tmp_path)
    shard = train(
        [*base, "model.n_hidden=1,2", "data.density=0.5", "seed=5,7"], tmp_path, shard=(1, 2)
    )
    alone = train([*base, "data.density=0.5", "seed=7"], tmp_path)
    [row_id] = alone.table["row_id"]
    for run in (crowd, shard):
        [i] = run.table.index[run.table["row_id"] == row_id]
        for name, value in alone.weights(0).items():
            if backend == "fused":
                assert np.array_equal(run.weights(i)[name], value)
            else:  # BLAS rounds by the number of matrices; eight steps of at most lr
                assert np.allclose(run.weights(i)[name], value, rtol=0, atol=8 * 0.01 * 1e-3)
        assert run.table["loss"][i] == pytest.approx(alone.table["loss"][0], rel=1e-4)
    assert crowd.table["row_id"].is_unique


def test_what_a_run_holds_is_what_the_engine_computes(whole: Run) -> None:
    sweep = compose(SWEEP).sweep
    rows = np.array([9, 10, 11])  # train.steps=5
    task, state = sweep.task(rows), None
    state = runner.State.initial(task, model.initial_params(task))
    FusedCpuEngine(1).advance(task, state, 5)
    assert np.array_equal(whole.tensor("W", rows), state.params["W"])
    assert np.array_equal(whole.tensor("b", rows), state.params["b"])
    exact = theory.expected_loss(state.params["W"], state.params["b"], 0.1, 1.0)
    assert whole.table["loss"][rows].to_numpy() == pytest.approx(exact, rel=1e-9)


def test_columns_of_the_table(whole: Run) -> None:
    table = whole.table
    added = [
        "status",
        "diverged_at",
        "loss",
        "loss_se",
        "loss_kind",
        "backend",
        *metrics.summary(np.ones((1, 2, 2))),
    ]
    assert list(table.columns) == ["model", "row_id", *TABLE_KEYS, *added, "geometry", *LATER_KEYS]
    assert set(table["status"]) == {"ok"}
    assert table["diverged_at"].isna().all()
    assert (set(table["loss_kind"]), set(table["loss_se"]), set(table["backend"])) == (
        {"exact"},
        {0.0},
        {"fused"},
    )
    assert table["train.steps"].tolist() == np.repeat([1, 2, 3, 5, 8, 13, 21, 34], 3).tolist()
    assert table["seed"].tolist() == [0, 1, 7] * 8
    assert np.allclose(table["model.init_std"], np.sqrt(2 / 5))
    assert np.allclose(table["data.density"], 0.1)
    W = whole.tensor("W")
    assert np.array_equal(table["d_star"], 2 / (W.astype(float) ** 2).sum((1, 2)))
    assert table["geometry"].tolist() == list(geometry.describe(W))


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        (["model.n_features=6"], "exact"),
        (["model.n_features=7"], "sampled"),
        (["model.n_features=40", "model.output=linear"], "exact"),
        (["model.n_features=3", "model.tied=false"], "sampled"),
        (["model.n_features=3", "model.hidden=relu"], "sampled"),
        (["model.n_features=2", "data.correlation=correlated", "data.set_size=2"], "exact"),
        (["model.n_features=3", "data.signed=true", "model.output=linear"], "sampled"),
        (["model.n_features=3", "data.n_points=10"], "sampled"),
        (["model.n_features=3", "data.values=exponential"], "sampled"),
    ],
)
def test_kind_of_loss(overrides: list[str], kind: str, tmp_path: Path) -> None:
    run = train([*overrides, "train.steps=2", "data.density=0.3,0.8"], tmp_path)
    assert set(run.table["loss_kind"]) == {kind}
    assert ((run.table["loss_se"] == 0) == (kind == "exact")).all()
    assert (run.table["loss"] > 0).all()
    assert set(run.table["backend"]) == {
        "reference" if "data.values=exponential" in overrides else "fused"
    }
    hidden = "model.hidden=relu" in overrides
    assert ("geometry" in run.table, "monosemantic_neurons" in run.table) == (not hidden, hidden)


def test_loss_is_the_sum_over_features_whatever_the_reduction(tmp_path: Path) -> None:
    """At step 0 nothing depends on the reduction: L = sum of I (x - x')^2, in the table and in the
    history.
    """
    base = [*SMALL, "train.steps=1", "train.optimizer=sgd", "train.lr=0"]
    runs = [train([*base, f"train.reduction={kind}"], tmp_path) for kind in ("mean", "sum")]
    assert runs[0].table["loss"][0] == runs[1].table["loss"][0]
    assert runs[0].history(0)[1] == runs[1].history(0)[1]


def test_history_and_snapshots_stand_at_their_steps(whole: Run, tmp_path: Path) -> None:
    run = train([*TINY, "train.steps=13", "record.snapshots=4", "seed=0,1,7"], tmp_path)
    steps, loss = run.history(2)
    assert steps.tolist() == [0, 5, 10]
    assert np.isfinite(loss).all()
    when, kept = run.snapshots(2)
    assert when.tolist() == [0, 4, 9, 13]  # 13 * [0, 1/3, 2/3, 1] = 0, 4.33, 8.67, 13
    task = compose([*TINY, "seed=7"]).sweep.task(np.array([0]))
    assert np.array_equal(kept["W"][0], model.initial_params(task)["W"][0])
    assert np.array_equal(kept["W"][-1], run.weights(2)["W"])
    assert np.array_equal(kept["b"][-1], run.weights(2)["b"])
    # training is the same when it pauses for snapshots
    assert np.array_equal(run.tensor("W"), whole.tensor("W", whole.table["train.steps"] == 13))
    # a model of 4 steps ends where a longer one passes by, with a constant learning rate
    short = train([*TINY, "train.steps=4", "seed=7"], tmp_path)
    assert np.array_equal(kept["W"][1], short.weights(0)["W"])


def test_recording_can_be_off(tmp_path: Path) -> None:
    run = train([*SMALL, "train.steps=3", "record.loss_every=0"], tmp_path)
    assert [part.size for part in run.history(0)] == [0, 0]
    assert run.snapshots(0)[1] == {}


def test_no_steps_keep_the_initial_weights(tmp_path: Path) -> None:
    run = train([*TINY, "train.steps=0", "record.snapshots=3", "seed=4"], tmp_path)
    initial = model.initial_params(compose([*TINY, "seed=4"]).sweep.task(np.array([0])))
    assert np.array_equal(run.weights(0)["W"], initial["W"][0])
    assert run.snapshots(0)[0].tolist() == [0]
    assert run.history(0)[0].tolist() == []
    assert run.table["status"].tolist() == ["ok"]


@pytest.mark.parametrize(
    "structure",
    [
        ["model.n_features=2"],
        ["model.n_features=6"],
        ["model.n_features=6", "model.output=linear"],
        ["model.n_features=6", "model.hidden=relu"],
        ["model.n_features=6", "data.n_points=9"],
    ],
)
def test_a_diverged_model_is_marked_and_keeps_finite_weights(
    structure: list[str], tmp_path: Path
) -> None:
    base = [*structure, "train.steps=12", "train.optimizer=sgd"]
    run = train([*base, "train.lr=0.01,1e30"], tmp_path)
    assert run.table["status"].tolist() == ["ok", "diverged"]
    assert np.isnan(run.table["diverged_at"].astype(float)[0])
    assert 0 <= run.table["diverged_at"][1] < 12
    assert all(np.isfinite(value).all() for value in run.weights(1).values())
    assert np.array_equal(
        run.weights(0)["W"], train([*base, "train.lr=0.01"], tmp_path).weights(0)["W"]
    )
    assert np.isfinite(run.table["loss"][0])


def test_an_engine_that_is_not_the_folders_own_is_refused(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """backend=auto may choose otherwise on another machine: its results do not mix with those that
    are there.
    """
    run = train(SWEEP, tmp_path, shard=(0, 2))
    monkeypatch.setattr(
        FusedCpuEngine, "unsupported", lambda self, structure: "no such instructions"
    )
    with pytest.raises(PlanMismatchError, match=r"fused.*reference") as caught:
        train(SWEEP, tmp_path)
    assert caught.value.exit_code == 3
    assert superpos.load(run.path).digest() == run.digest()
    assert train(SWEEP, tmp_path, fresh=True).table["backend"].unique().tolist() == ["reference"]


def test_a_forced_backend_is_another_run_and_must_be_able(tmp_path: Path) -> None:
    forced = [
        train([*TINY, "train.steps=1", f"engine.backend={name}"], tmp_path)
        for name in ("fused", "reference")
    ]
    assert forced[0].path != forced[1].path
    assert [run.table["backend"][0] for run in forced] == ["fused", "reference"]
    with pytest.raises(ConfigError, match=r"data\.values=exponential"):
        train(["data.values=exponential", "engine.backend=fused"], tmp_path / "other")
    assert not (tmp_path / "other").exists()  # nothing was written


def test_memory_and_threads_are_no_part_of_a_run(tmp_path: Path, whole: Run) -> None:
    run = train(
        [*SWEEP, "engine.threads=2", "engine.memory_gb=0.001", "engine.device=cpu", "name=other"],
        tmp_path,
    )
    assert (run.path.name, run.digest()) == (whole.path.name, whole.digest())
