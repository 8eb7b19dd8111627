"""`superpos diff`: what two runs were made of, and whether models of equal settings have equal
results.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.store import Run

WORDS = ["train.steps=3", "data.sparsity=0.9,[0.5,0.5,0.5,0.5,0.9]", "seed=0,1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return superpos.train(WORDS, out=tmp_path_factory.mktemp("outputs"))


def train(tmp_path: Path, *words: str) -> Run:
    """The same sweep with some settings in the place of its own."""
    keys = {word.partition("=")[0] for word in words}
    kept = [word for word in WORDS if word.partition("=")[0] not in keys]
    return superpos.train([*kept, *words], out=tmp_path)


def diff(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["diff", *map(str, arguments)])


def facts(first: Run, second: Run) -> dict[str, object]:
    done = diff(first.path, second.path, "--json")
    assert done.exit_code == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_same_sweep_elsewhere_is_equal(run: Run, tmp_path: Path) -> None:
    found = facts(run, train(tmp_path))
    assert found["models"] == {"first": 4, "second": 4, "shared": 4}
    assert (found["equal"], found["settings"], found["columns"]) == (4, {}, {})
    assert len({*found["digests"]}) == 1
    assert "4 of 4 models bit for bit" in diff(run.path, run.path).stdout


def test_a_part_of_a_sweep_shares_its_models(run: Run, tmp_path: Path) -> None:
    found = facts(run, train(tmp_path, "seed=1,2"))
    assert found["models"] == {"first": 4, "second": 4, "shared": 2}
    assert (found["equal"], found["columns"]) == (2, {})
    assert found["settings"] == {"seed": [[0, 1], [1, 2]]}


def test_another_engine_s_numbers_are_compared(run: Run, tmp_path: Path) -> None:
    """Engines agree to rounding: the ids are others, the settings are not."""
    other = train(tmp_path, "engine.backend=reference")
    found = facts(run, other)
    assert found["models"] == {"first": 4, "second": 4, "shared": 4}
    assert found["equal"] == 0
    assert found["made"]["engine backends"] == [["fused"], ["reference"]]
    gap = (run.table["loss"] - other.table["loss"]).abs()
    assert found["columns"]["loss"] == {"models": int((gap > 0).sum()), "greatest": gap.max()}
    assert 0 < gap.max() < 1e-5
    assert found["columns"]["backend"] == {"models": 4, "greatest": None}
    text = diff(run.path, other.path).stdout
    assert "0 of 4 models bit for bit" in text
    assert "by at most" in text


def test_other_settings_share_nothing(run: Run, tmp_path: Path) -> None:
    found = facts(run, train(tmp_path, "train.steps=4", "model.n_hidden=3"))
    assert found["models"]["shared"] == found["equal"] == 0
    assert found["settings"] == {"train.steps": [[3], [4]], "model.n_hidden": [[2], [3]]}


def test_what_is_no_run_is_refused(run: Run, tmp_path: Path) -> None:
    failed = diff(run.path, tmp_path / "nothing")
    assert failed.exit_code == 2
    assert "does not exist" in failed.stderr
