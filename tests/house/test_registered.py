"""A family that a program registers: the command line in a process that knows it, and one that does
not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from launcher import command

import superpos

pytestmark = pytest.mark.slow

ROOT = Path(superpos.__file__).parents[1]

# Toy models under another name, with an experiment, a claim and a measure of their own.
MODULE = """
from dataclasses import replace
from pathlib import Path

from superpos import register
from superpos.family import DEFAULT, Exhibits, find

register(
    replace(
        find(DEFAULT),
        name="squares",
        configs=Path(__file__).parent / "configs",
        shows=Exhibits(measures="square_measures"),
        views={"area": lambda run, model: run.weights(model)["W"].size},
    )
)
"""
MEASURES = """
import numpy as np

from superpos.claims.measured import Measured


def area(run):
    return Measured(np.array([float(run.area(model)) for model in run.table["model"]]))
"""
EXPERIMENT = """# Squares: as many hidden dimensions as features.
family: squares
name: squares
model: {n_features: 2, n_hidden: 2}
train: {steps: 3, batch_size: 8}
engine: {backend: reference}
sweep:
  seed: {range: [0, 2]}
"""
CLAIMS = """experiment: squares
family: squares
runs:
  trained: {full: []}
  other: {full: ["model.n_hidden=1"]}
claims:
  - claim: squares have four entries
    source: counting
    measure: {sides.area: {}}
    low: 4
    high: 4
    reason: two times two
    control: other
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the module of the family lies, and where commands are started."""
    files = {
        "squares.py": MODULE,
        "square_measures/__init__.py": "",
        "square_measures/sides.py": MEASURES,
        "configs/experiment/squares.yaml": EXPERIMENT,
        "configs/claims/00_squares.yaml": CLAIMS,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def started(folder: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(folder)])
    environment = os.environ | {"PYTHONPATH": paths}
    return subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_registered_family_trains_and_is_read(folder: Path) -> None:
    trained = started(folder, command("squares", "train", "experiment=squares"))
    assert trained.returncode == 0, trained.stderr
    run = folder / trained.stdout.strip()
    assert json.loads((run / "manifest.json").read_text())["family"] == "squares"
    status = started(folder, command("squares", "status", str(run), "--json"))
    assert json.loads(status.stdout)["complete"]
    found = superpos.load(run)  # this process does not know the family
    assert (found.family, len(found.table)) == (None, 2)
    refused = started(folder, [sys.executable, "-m", "superpos", "plot", str(run)])
    assert refused.returncode == 2
    assert "a run of the family 'squares', which this program does not know" in refused.stderr


def test_claims_of_a_registered_family_are_verified(folder: Path) -> None:
    done = started(folder, command("squares", "verify", "squares", "--quiet"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "0. squares",
        "  holds   squares have four entries [counting]",
        "          measured 4 (4 to 4, 2 trials), allowed from 4 to 4",
        "1 claims: 1 holds, 0 fails, 0 skipped",
    ]
    unknown = started(folder, [sys.executable, "-m", "superpos", "verify", "squares"])
    assert unknown.returncode == 2
    assert "EXPERIMENT: there is no 'squares'" in unknown.stderr
