"""A run that is stopped, killed or damaged ends as if nothing had happened: one digest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import superpos
from superpos.compose.compose import compose
from superpos.errors import SuperposError, TrainingInterruptedError
from superpos.families.tms import FAMILY
from superpos.families.tms.cpu import FusedCpuEngine
from superpos.family import Family
from superpos.store import Run, RunFolder
from superpos.terminal import status
from superpos.training import runner
from superpos.training.stopwatch import PHASES

pytestmark = pytest.mark.slow

SWEEP = [
    "model.n_features=3", "model.n_hidden=1,2", "train.batch_size=64", "train.steps=60",
    "train.lr=0.01,1e30", "train.optimizer=sgd", "record.snapshots=4", "record.loss_every=7",
    "seed=range(0,4)",
]  # fmt: skip

FEW = replace(FAMILY, evaluation_samples=1000)


def train(overrides: list[str], out: Path, family: Family = FAMILY, **options: Any) -> Run:
    return superpos.load(
        runner.train(replace(compose(overrides).sweep, family=family), out=out, **options)
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(SWEEP, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The stretches (first step, last step) that are trained, empty ones left out."""
    calls: list[tuple[int, int]] = []
    advance = FusedCpuEngine.advance

    def counted(self: FusedCpuEngine, task: Any, state: Any, stop: int) -> None:
        if stop > state.step:
            calls.append((state.step, stop))
        advance(self, task, state, stop)

    monkeypatch.setattr(FusedCpuEngine, "advance", counted)
    return calls


def after(calls: int) -> Callable[[], bool]:
    """A wish to stop that comes with the given call and stays."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


def folder_of(overrides: list[str], out: Path) -> RunFolder:
    return superpos.load(out / "custom" / compose(overrides).sweep.run_id).folder


@pytest.mark.parametrize("calls", [3, 5])
def test_stopped_again_and_again(calls: int, undisturbed: Run, tmp_path: Path) -> None:
    interruptions = 0
    while True:
        try:
            run = train(SWEEP, tmp_path, stop=after(calls))
            break
        except TrainingInterruptedError as error:
            assert error.exit_code == 75
            assert "The same command goes on" in str(error)
            interruptions += 1
            assert interruptions < 100
    assert interruptions > 0
    assert run.digest() == undisturbed.digest()
    assert (
        run.table["status"].tolist()
        == ["ok"] * 4 + ["diverged"] * 4 + ["ok"] * 4 + ["diverged"] * 4
    )
    assert list((run.path / "checkpoints").iterdir()) == []


def test_stopping_before_the_first_step_keeps_nothing_but_the_plan(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingInterruptedError, match="interrupted; everything trained so far is kept"
    ):
        train(SWEEP, tmp_path, stop=lambda: True)
    assert folder_of(SWEEP, tmp_path).states() == ["missing", "missing"]


def test_every_attempt_notes_where_its_time_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrainingInterruptedError):
        train(SWEEP, tmp_path, stop=after(3))
    ticks = iter(range(10**6))
    # every look takes a second
    monkeypatch.setattr("superpos.training.stopwatch.time.monotonic", lambda: next(ticks))
    looks = len(list(zip(range(10), ticks, strict=False)))  # began 10 s earlier than its first look
    run = train(SWEEP, tmp_path, began=0.0)
    stopped, whole = [attempt["seconds"] for attempt in run.folder.attempts()]
    assert stopped.keys() == whole.keys() == set(PHASES)
    assert stopped["training"] > 0
    assert stopped["evaluating"] == 0
    assert whole["starting"] >= looks
    assert whole["training"] > 0
    assert whole["evaluating"] >= 2  # of two chunks
    assert whole["writing"] >= 2
    assert sum(whole.values()) == next(ticks) - 1  # nothing is left out, nothing counts twice


def test_status_adds_up_the_time_of_all_attempts(tmp_path: Path) -> None:
    folder = runner.prepare(compose(SWEEP).sweep, out=tmp_path)
    folder.end_attempt(
        folder.record_attempt({}), dict(zip(PHASES, (1.0, 6.0, 0.5, 0.5), strict=True))
    )
    folder.record_attempt({})  # killed
    folder.end_attempt(
        folder.record_attempt({}), dict(zip(PHASES, (1.0, 10.0, 0.5, 0.5), strict=True))
    )
    run = superpos.load(folder.path)
    found = status.facts(run)
    assert found["seconds"] == {"starting": 2, "training": 16, "evaluating": 1, "writing": 1}
    fields = status.fields_of(found, run.label)
    assert ("time", "20 s: 80% training, 10% starting, 5% evaluating, 5% writing") in fields


def test_a_disk_that_cannot_take_the_note_changes_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SuperposError("no space left")

    monkeypatch.setattr(RunFolder, "end_attempt", full)
    with pytest.raises(TrainingInterruptedError):
        train(SWEEP, tmp_path, stop=after(3))
    run = train(SWEEP, tmp_path)
    assert run.complete
    assert all("seconds" not in attempt for attempt in run.folder.attempts())


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_stop_leaves_a_checkpoint_at_the_step_it_names(
    calls: int, tmp_path: Path, trained: list[tuple[int, int]]
) -> None:
    """Whenever the wish comes, the checkpoint is written and the message speaks of it."""
    with pytest.raises(TrainingInterruptedError) as caught:
        train(SWEEP, tmp_path, stop=after(calls))
    kept = folder_of(SWEEP, tmp_path).load_checkpoint(0)
    assert kept is not None
    step = int(kept["step"])
    assert f"chunk 0 is kept at step {step} of 60" in str(caught.value)
    assert 0 < step == trained[-1][1] < 60
    trained.clear()
    train(SWEEP, tmp_path)
    assert trained[0][0] == step  # goes on there


def test_a_finished_run_is_not_touched(tmp_path: Path, trained: list[tuple[int, int]]) -> None:
    run = train(SWEEP, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (run.path / "chunks").iterdir()}
    trained.clear()
    seen: list[runner.Progress] = []
    again = train(SWEEP, tmp_path, progress=seen.append)
    assert trained == []
    assert {path: path.stat().st_mtime_ns for path in (run.path / "chunks").iterdir()} == before
    assert (again.path, again.digest()) == (run.path, run.digest())
    assert [(now.models_done, now.models_total, now.steps_total) for now in seen] == [(16, 16, 0)]
    assert len(run.folder.attempts()) == 2
    fresh = train(SWEEP, tmp_path, fresh=True)
    assert trained != []
    assert fresh.digest() == run.digest()
    assert run.path.with_name(f"{run.path.name}.old-1").is_dir()


@pytest.mark.parametrize("suffix", ["safetensors", "parquet", "json"])
@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_corrupt_chunk_is_trained_again(
    suffix: str, damage: str, undisturbed: Run, tmp_path: Path
) -> None:
    run = train(SWEEP, tmp_path)
    [victim] = (run.path / "chunks").glob(f"*00001.{suffix}")
    whole = victim.read_bytes()
    middle = len(whole) // 2
    victim.chmod(0o644)
    victim.write_bytes(
        whole[:middle]
        + (bytes([whole[middle] ^ 1]) + whole[middle + 1 :] if damage == "flip" else b"")
    )
    untouched = (run.path / "chunks" / "00000.safetensors").stat().st_mtime_ns
    again = train(SWEEP, tmp_path)
    assert again.complete
    assert again.digest() == undisturbed.digest()
    assert (run.path / "chunks" / "00000.safetensors").stat().st_mtime_ns == untouched
    assert any((run.path / "chunks" / "corrupt").iterdir())


def test_a_damaged_checkpoint_costs_steps_and_no_bits(undisturbed: Run, tmp_path: Path) -> None:
    with pytest.raises(TrainingInterruptedError):
        train(SWEEP, tmp_path, stop=after(3))
    for path in (folder_of(SWEEP, tmp_path).path / "checkpoints").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    assert train(SWEEP, tmp_path).digest() == undisturbed.digest()


def test_progress_counts_every_step_once(undisturbed: Run, tmp_path: Path) -> None:
    with pytest.raises(TrainingInterruptedError):
        train(SWEEP, tmp_path, stop=after(3))
    seen: list[runner.Progress] = []
    train(SWEEP, tmp_path, progress=seen.append)
    assert (seen[-1].models_done, seen[-1].models_total, seen[-1].chunk, seen[-1].chunks) == (
        16,
        16,
        2,
        2,
    )
    # what the checkpoint held is not counted
    assert seen[-1].steps_done == seen[-1].steps_total < 16 * 60
    done = [now.steps_done for now in seen]
    assert done == sorted(done)


def test_the_reference_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """Its sums depend on how arrays lie in memory, which a checkpoint must not change."""
    sweep = ["model.n_features=17", "model.n_hidden=3", "train.batch_size=129", "train.steps=12",
             "seed=range(0,5)", "engine.backend=reference"]  # fmt: skip
    expected = train(sweep, tmp_path / "whole", family=FEW)
    with pytest.raises(TrainingInterruptedError):
        train(sweep, tmp_path, family=FEW, stop=after(3))
    assert train(sweep, tmp_path, family=FEW).digest() == expected.digest()


def test_the_stretches_follow_the_clock_and_change_nothing(
    undisturbed: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: list[tuple[int, int]],
) -> None:
    monkeypatch.setattr(runner, "STRETCH_SECONDS", 0.0)
    assert train(SWEEP, tmp_path).digest() == undisturbed.digest()
    assert {last - first for first, last in trained} == {1}
