"""Sizes of a sweep by hand, and what happens where the machine is too small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from superpos.compose.compose import compose
from superpos.errors import SuperposError
from superpos.families.tms import FAMILY
from superpos.families.tms.cpu import FusedCpuEngine
from superpos.families.tms.structure import Structure
from superpos.plan.sweep import Chunk
from superpos.training import estimate as module
from superpos.training import memory, runner
from superpos.training.estimate import estimate


def test_sizes_by_hand() -> None:
    found = estimate(
        compose(["model.n_features=3", "model.n_hidden=1,2", "train.steps=200", "seed=0,1,2"]).sweep
    )
    assert (found.models, found.chunks) == (6, 2)
    # 10 n m + 60 n a sample: (10 * 3 * 1 + 10 * 3 * 2 + 2 * 60 * 3) * 1024 samples * 200 steps * 3
    # models; the plan, progress and the estimate count the same operations
    assert found.flops == (90 + 360) * 1024 * 200 * 3
    assert found.flops == pytest.approx(
        compose(
            ["model.n_features=3", "model.n_hidden=1,2", "train.steps=200", "seed=0,1,2"]
        ).sweep.plan.work
        - 6
    )
    # three models of 3 * 2 + 3 parameters, each with two moments, and losses of steps 0 and 100; 4
    # bytes each
    assert found.memory_bytes == 3 * 4 * (9 * 3 + 2)
    assert found.seconds > 0


def test_a_compilation_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FusedCpuEngine, "first_use", lambda self: "compiling")
    told: list[str] = []
    estimate(
        compose(["model.n_hidden=1,2", "train.steps=1", "train.batch_size=4"]).sweep, told.append
    )
    assert told == ["compiling"]


def test_no_steps_take_no_time() -> None:
    assert estimate(compose(["train.steps=0"]).sweep).seconds == 0


def test_snapshots_and_both_matrices_take_memory() -> None:
    structure = Structure(4, 2, tied=False, steps=10, loss_every=3, snapshots=5)
    # 4 * 2 + 4 * 2 + 4 = 20 parameters; weights, two moments, five snapshots; losses of steps 0, 3,
    # 6, 9
    assert memory.model_bytes(structure) == 4 * (20 * 8 + 4)


def test_fewer_models_are_timed_where_a_step_takes_long() -> None:
    def some(models: int, structure: Structure) -> int:
        return len(module.timed_models(FAMILY, Chunk(np.arange(models), structure, 1.0)))

    assert some(1000, Structure(5, 2)) == 64
    # (10 * 400 * 300 + 60 * 400) * 1024 = 1.25e9 operations a step: 8 of them are 1e10
    assert some(1000, Structure(400, 300)) == 8
    assert some(3, Structure(5, 2, steps=0)) == 3


def test_a_chunk_beyond_the_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = compose(["model.n_features=3", "model.n_hidden=2", "train.steps=0", "seed=0,1"]).sweep
    needed = 3.5 * (2 * 4 * 9 * 3)  # copies of two models of nine parameters with two moments
    assert memory.machine_bytes() > 1e8
    monkeypatch.setattr(memory, "machine_bytes", lambda: needed)
    memory.require_memory(sweep, sweep.plan.chunks)
    monkeypatch.setattr(memory, "machine_bytes", lambda: needed - 1.0)
    for action in (lambda: runner.train(sweep, out=tmp_path / "o"), lambda: estimate(sweep)):
        with pytest.raises(
            SuperposError, match="needs about 756 B of memory at once, this machine has 755 B"
        ) as caught:
            action()
        assert "use smaller models (model.n_features, model.n_hidden)" in str(caught.value)
    assert not (tmp_path / "o").exists()
