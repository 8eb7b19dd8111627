"""Run folders of earlier versions stay readable: one of version 2, trained before there was a
sparse sampler.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from places import TESTS
from typer.testing import CliRunner

import superpos
from superpos.cli import app

OLD = TESTS / "old_run" / "99954894ed58"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy: what is drawn goes into the folder."""
    return Path(shutil.copytree(OLD, tmp_path / "old" / OLD.name))


def test_results_of_an_old_run(run: Path) -> None:
    old = superpos.load(run)
    assert old.complete
    assert "data.sampler" not in old.table
    assert old.table["data.density"].tolist() == [0.5, 0.5, 0.01, 0.01]
    assert old.table["loss"].tolist() == pytest.approx(
        [0.320681, 0.304822, 0.007009, 0.008153], rel=1e-3
    )
    assert old.weights(3)["W"].shape == (5, 2)
    steps, weights = old.snapshots(0)
    assert steps.tolist() == [0, 100, 200]
    assert np.array_equal(weights["W"][-1], old.weights(0)["W"])
    assert len(old.by_setting()) == 2


@pytest.mark.parametrize("command", ["status", "plot", "report"])
def test_commands_on_an_old_run(command: str, run: Path) -> None:
    result = CliRunner().invoke(app, [command, str(run)])
    assert result.exit_code == 0, result.output
