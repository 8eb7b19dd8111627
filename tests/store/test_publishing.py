"""A chunk is written while the next one trains; what fails is told, and memory never holds two
large ones.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import superpos
from superpos.compose.compose import compose
from superpos.errors import IncompleteError, TrainingInterruptedError
from superpos.families.tms.cpu import FusedCpuEngine
from superpos.store import Run, RunFolder
from superpos.training import publisher as publishing
from superpos.training import runner
from superpos.training.publisher import Publisher

# two chunks
SWEEP = [
    "model.n_features=2",
    "model.n_hidden=1,2",
    "train.steps=3",
    "train.batch_size=8",
    "seed=0,1",
]


def train(out: Path) -> Run:
    return superpos.load(runner.train(compose(SWEEP).sweep, out=out))


def results(run: Run, chunk: int) -> tuple[dict[str, Any], Any]:
    tensors, table = run.folder.read(chunk)
    return tensors, table


@pytest.fixture
def empty(tmp_path: Path) -> RunFolder:
    return runner.prepare(compose(SWEEP).sweep, out=tmp_path / "empty")


@pytest.mark.parametrize(("limit", "overlaps"), [(publishing.OVERLAPPED_BYTES, True), (0, False)])
def test_a_chunk_is_written_while_the_next_one_trains(
    limit: int, overlaps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk holds the first chunk back until the second one trains, or a while where it must
    not.
    """
    second, waited = threading.Event(), []
    advance, publish = FusedCpuEngine.advance, RunFolder.publish

    def watched(self: FusedCpuEngine, task: Any, state: Any, stop: int) -> None:
        if task.structure.n_hidden == 2:
            second.set()
        advance(self, task, state, stop)

    def slow(self: RunFolder, chunk: int, *results: Any) -> bool:
        if chunk == 0:
            waited.append(second.wait(timeout=30 if overlaps else 0.2))
        return publish(self, chunk, *results)

    monkeypatch.setattr(publishing, "OVERLAPPED_BYTES", limit)
    monkeypatch.setattr(FusedCpuEngine, "advance", watched)
    monkeypatch.setattr(RunFolder, "publish", slow)
    run = train(tmp_path)
    assert waited == [overlaps]
    assert run.complete
    monkeypatch.undo()
    assert run.digest() == train(tmp_path / "alone").digest()


def test_leaving_the_block_waits_for_the_last_chunk(empty: RunFolder, tmp_path: Path) -> None:
    run = train(tmp_path)
    with Publisher(empty) as publisher:
        empty.save_checkpoint(1, {"a": np.zeros(1)})
        for chunk in range(2):
            publisher.publish(chunk, *results(run, chunk))
    assert empty.states(verify=True) == ["done", "done"]
    assert empty.load_checkpoint(1) is None
    assert empty.digest() == run.digest()


def test_a_failure_comes_with_the_next_chunk_or_at_the_end(
    empty: RunFolder, tmp_path: Path
) -> None:
    run = train(tmp_path)
    shutil.rmtree(empty.path / "chunks")
    with pytest.raises(IncompleteError, match="cannot write"), Publisher(empty) as publisher:
        publisher.publish(0, *results(run, 0))
    with pytest.raises(IncompleteError, match="cannot write"), Publisher(empty) as publisher:
        publisher.publish(0, *results(run, 0))
        publisher.publish(1, *results(run, 1))
        pytest.fail("the second chunk must not be taken")


def test_a_failure_is_not_lost_where_training_fails_too(empty: RunFolder, tmp_path: Path) -> None:
    run = train(tmp_path)
    shutil.rmtree(empty.path / "chunks")
    with pytest.raises(IncompleteError, match="cannot write"), Publisher(empty) as publisher:
        publisher.publish(0, *results(run, 0))
        raise TrainingInterruptedError("the next chunk was stopped", (1, 0))
