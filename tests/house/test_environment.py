"""Variables of the environment that other programs set: no command dies of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT
from terminals import OnTerminal

import superpos

pytestmark = pytest.mark.slow

TINY = [
    "seed=range(2)",
    "train.steps=5",
    "model.n_features=2",
    "model.n_hidden=1",
    "engine.threads=1",
]
KEPT = {name: os.environ[name] for name in ("HOME", "PATH", "LANG") if name in os.environ}
PLAIN = KEPT | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "superpos", *arguments]
    return subprocess.run(
        command, cwd=folder, env=PLAIN | variables, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "variables",
    [
        "NUMBA_NUM_THREADS=0 OMP_NUM_THREADS=0 LC_ALL=C PYTHONHASHSEED=7 PYTHONOPTIMIZE=2",
        (
            "NUMBA_NUM_THREADS=many NUMBA_OPT=fast NUMBA_CPU_NAME=x OMP_NUM_THREADS=many "
            "PYTHONWARNINGS=error"
        ),
        (
            "TORCH_LOGS=nonsense CUDA_VISIBLE_DEVICES=x PYTHONIOENCODING=ascii LC_ALL=tr_TR.UTF-8 "
            "TZ=Mars/X"
        ),
        "SOURCE_DATE_EPOCH=yesterday MPLBACKEND=none",
    ],
)
def test_training_does_not_follow_the_environment(tmp_path: Path, variables: str) -> None:
    """The same digest, and nothing on stderr that superpos did not say."""
    done = run(
        tmp_path, "train", *TINY, "--quiet", **dict(pair.split("=") for pair in variables.split())
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    path = tmp_path / done.stdout.strip()
    expected = superpos.train(TINY, out=tmp_path / "expected")
    assert superpos.load(path).digest() == expected.digest()


@pytest.mark.parametrize(
    "variable", ["PYTHONOPTIMIZE=1", "PYTHONOPTIMIZE=2", "PYTHONWARNINGS=error"]
)
def test_the_grammar_does_its_work_without_asserts(tmp_path: Path, variable: str) -> None:
    name, _, value = variable.partition("=")
    overrides = [
        "seed=range(0,3)",
        "train.lr=geomspace(0.01,1,3)",
        "data.density=[1,1,0.5,0.5,0.1]",
    ]
    done = run(tmp_path, "config", "--json", *overrides, **{name: value})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["models"] == 9
    done = run(tmp_path, "config", "data.density={a:1}", **{name: value})
    assert (done.returncode, "data.density: got {'a': 1}" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "variable", ["COLUMNS=0", "COLUMNS=1", "COLUMNS=-5", "COLUMNS=x", "TERM=dumb", "NO_COLOR=1"]
)
def test_tables_on_any_terminal(tmp_path: Path, variable: str) -> None:
    name, _, value = variable.partition("=")
    command = [sys.executable, "-m", "superpos", "keys", "data."]
    with OnTerminal(command, env=PLAIN | {name: value}, cwd=tmp_path) as terminal:
        text = terminal.read()
        assert terminal.process.wait() == 0, text
    assert "data.density" in text
