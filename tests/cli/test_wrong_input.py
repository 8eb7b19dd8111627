"""Wrong input of forty kinds and more: exit code 2, one short helpful message, no traceback,
nothing written.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT
from typer.testing import CliRunner

from superpos.cli import app

pytestmark = pytest.mark.slow

TRAIN = {
    "unknown key": (["model.n_hiden=3"], "did you mean model.n_hidden?"),
    "key without its group": (["n_hidden=3"], "did you mean model.n_hidden?"),
    "key of another group": (["train.n_features=3"], "did you mean model.n_features?"),
    "key in capitals": (["Seed=3"], "did you mean seed?"),
    "unknown experiment": (["experiment=pentagram"], "did you mean pentagon?"),
    "beginning of an experiment": (["experiment=phase"], "did you mean phase_change?"),
    "experiment as a path": (["experiment=../base"], "there is no '../base'"),
    "two experiments": (["experiment=intro,pentagon"], "one experiment a run"),
    "experiment without its key": (["pentagon"], "did you mean experiment=pentagon?"),
    "group instead of a key": (["model={n_hidden:3}"], "allowed: model.n_features"),
    "added key": (["+model.depth=3"], "+ and ~ are refused"),
    "forced key": (["++seed=3"], "+ and ~ are refused"),
    "deleted key": (["~train.lr"], "+ and ~ are refused"),
    "hydra's own key": (["hydra.run.dir=/tmp"], "hydra.run.dir: unknown key"),
    "sweep block": (["sweep.seed=[1,2]"], "on the command line give a key its values"),
    "unfinished range": (["seed=range(0,3"], "not Hydra's grammar"),
    "unknown function": (["seed=spread(0,3)"], "Unknown function 'spread'"),
    "open quote": (["name='abc"], "not Hydra's grammar"),
    "interval": (["train.lr=interval(0,1)"], "interval() has no fixed values"),
    "shuffle": (["seed=shuffle(range(3))"], "shuffle() would give every run another order"),
    "glob": (["seed=glob(*)"], "glob() chooses configs"),
    "empty range": (["seed=range(5,2)"], "seed: no values"),
    "range of step 0": (["seed=range(0,3,0)"], "step 0"),
    "endless range": (["seed=range(0,100000000000000)"], "at most 10,000,000"),
    "too many models": (["seed=range(0,5000)", "train.lr=range(0,5000)"], "25,000,000 models"),
    "value twice in a sweep": (["seed=1,2,1"], "1 is given twice"),
    "key twice": (["seed=1", "seed=2"], "seed is given twice"),
    "text for a number": (["train.lr=fast"], "train.lr: got 'fast'; allowed: a number, 0 to 1e+30"),
    "empty value": (["seed="], "seed: got ''"),
    "number for a switch": (["model.tied=1"], "allowed: true or false"),
    "switch for a number": (["train.steps=true"], "train.steps: got true"),
    "fraction for an integer": (["train.steps=10.5"], "allowed: an integer"),
    "null where there is none": (["train.lr=null"], "train.lr: got null"),
    "list for a number": (["train.lr=[0.1,0.2]"], "train.lr: got [0.1, 0.2]"),
    "mapping for a number": (["seed={a:1}"], "seed: got {'a': 1}"),
    "unknown choice": (["model.output=gelu"], "allowed: relu or linear"),
    "not a number": (["train.lr=nan"], "train.lr: got nan"),
    "infinity": (["importance.last=inf"], "importance.last: got inf"),
    ("learning rate beyond float32"): (
        ["train.lr=1e39"],
        "train.lr: got 1e+39; allowed: a number, 0 to 1e+30",
    ),
    "negative learning rate": (["train.lr=-0.1"], "0 to 1e+30"),
    "negative steps": (["train.steps=-1"], "0 to 2147483647"),
    "no features": (["model.n_features=0"], "1 to 65536"),
    "sparsity of one": (["data.sparsity=1"], "at least 0 and below 1"),
    "density of zero": (["data.density=0"], "data.density: got 0"),
    "negative seed": (["seed=-1"], "0 to 2^64 - 1"),
    "seed of 65 bits": (["seed=18446744073709551616"], "0 to 2^64 - 1"),
    "one wrong value of many": (["data.sparsity=0.1,0.5,1.5"], "data.sparsity: got 1.5"),
    "engine in a sweep": (["engine.backend=reference,fused"], "engine.backend: cannot be swept"),
    "name in a sweep": (["name=a,b"], "name: cannot be swept"),
    "name with a path": (["name=../../x"], "name: got '../../x'; allowed: letters, digits and ._-"),
    "absolute path as name": (["name=/tmp/x"], "name: got '/tmp/x'"),
    "name of dots": (["name=.."], "name: got '..'"),
    "name with a newline": (['name="a\nb"'], "name: got"),
    "short list": (["data.sparsity=[0.1,0.2]"], "a list of 2; allowed: 5 numbers"),
    ("short list in a sweep of sizes"): (
        ["model.n_features=2,3", "importance.values=[1,2]"],
        "allowed: 3 numbers",
    ),
    ("text in a list"): (
        ["importance.values=[1,a,3,4,5]"],
        "importance.values: got [1, 'a', 3, 4, 5]",
    ),
    "sparsity and density": (["data.sparsity=0.1", "data.density=0.9"], "the same quantity"),
    "density above one": (["data.density=0.5", "data.last=3"], "at most 1"),
    "factor beside a list": (["data.density=[1,1,1,1,1]", "data.last=0.5"], "beside a list"),
    ("importances twice"): (
        ["importance.values=[1,2,3,4,5]", "importance.decay=0.5"],
        "importance.decay=0.5",
    ),
    ("sets that do not divide"): (
        ["data.correlation=correlated", "data.set_size=2"],
        "does not divide",
    ),
    "sets of one": (["data.correlation=anticorrelated"], "2 or more features in a set"),
    "set size without sets": (["data.set_size=5"], "set data.correlation"),
    ("warm-up longer than training"): (
        ["train.steps=10", "train.warmup_steps=11"],
        "more than train.steps=10",
    ),
    "batch of a fixed data set": (["data.n_points=9", "train.batch_size=4"], "full batch"),
    ("absolute value of a tied model"): (
        ["model.target=abs", "data.signed=true"],
        "needs model.tied=false",
    ),
    "signed data and relu": (["data.signed=true"], "a relu output cannot be negative"),
    "unresolved reference": (["seed=${nothing}"], "'nothing' not found"),
    "unknown option": (["--sead", "3"], "No such option"),
    "shard that is no part": (["--shard", "3/3"], "K from 0 to N - 1"),
    "shard that is no fraction": (["--shard", "first"], "allowed: K/N"),
    "fresh shard": (["--shard", "0/2", "--fresh"], "give one of the two"),
    "fresh dry run": (["--dry-run", "--fresh"], "leave out --fresh"),
    "json of a run": (["--json"], "--json: is about --dry-run"),
    "missing config folder": (["--config-dir", "missing"], "missing is not a folder"),
    "foreign config folder": (["--config-dir", "."], "holds no experiments"),
}

OTHER = {
    "no command": (["trian"], "No such command"),
    "status of nothing": (["status"], "no runs in outputs"),
    "status of a missing folder": (["status", "outputs/intro"], "outputs/intro does not exist"),
    "status of a foreign folder": (["status", "."], "is not a run folder"),
    "status of a file": (["status", "notes.txt"], "is not a run folder"),
    "plot of nothing": (["plot"], "no runs in outputs"),
    "plot of a foreign folder": (["plot", "."], "is not a run folder"),
    "plot as another kind of file": (["plot", "--format", "gif"], "'png', 'svg', 'pdf'"),
    "config of an unknown key": (["config", "model.n_hiden=3"], "did you mean model.n_hidden?"),
    "missing shards as json": (["status", "--missing-shards", "4", "--json"], "leave out --json"),
    "list in a folder of runs": (["list", "--out", "x"], "--out: is about runs"),
    ("runs of a config folder"): (
        ["list", "--runs", "--config-dir", "."],
        "--config-dir: is about experiments",
    ),
    "completion of an unknown shell": (["--show-completion", "tcsh"], "'bash', 'zsh', 'fish'"),
    ("list of a missing config folder"): (
        ["list", "--config-dir", "missing"],
        "missing is not a folder",
    ),
    "bench without a run": (["bench", "--repeat", "0"], "--repeat: got 0; allowed: 1 or more"),
    "bench of an unknown case": (["bench", "--case", "20/6"], "did you mean 20/5?"),
    "bench on an unknown device": (["bench", "--device", "tpu"], "'cpu', 'cuda'"),
}
ALL = {name: (["train", *arguments], words) for name, (arguments, words) in TRAIN.items()} | OTHER


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with nothing in it but a user's notes."""
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(code: int, stdout: str, stderr: str, words: str, folder: Path) -> None:
    assert code == 2, stderr
    assert words in stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    assert len(stderr) < 800
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert [path.name for path in folder.parent.iterdir()].count("x") == 0


@pytest.mark.parametrize("name", ALL)
def test_wrong_input(name: str, foreign: Path) -> None:
    arguments, words = ALL[name]
    done = CliRunner().invoke(app, arguments, prog_name="superpos")
    check(done.exit_code, done.stdout, done.stderr, words, foreign)


@pytest.mark.parametrize(
    "name", ["unknown key", "name with a path", "status of a foreign folder", "unknown option"]
)
def test_wrong_input_of_a_process(name: str, foreign: Path) -> None:
    arguments, words = ALL[name]
    command = [sys.executable, "-m", "superpos", *arguments]
    done = subprocess.run(
        command,
        cwd=foreign,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    check(done.returncode, done.stdout, done.stderr, words, foreign)


def test_all_faults_in_one_message(foreign: Path) -> None:
    arguments = ["train", "model.n_hiden=3", "seed=-1", "train.lr=nan", "name=..", "data.last=99"]
    done = CliRunner().invoke(app, arguments, prog_name="superpos")
    lines = done.stderr.splitlines()
    assert (done.exit_code, lines[0]) == (2, "superpos: 5 faults")
    keys = sorted(line.strip().split(":")[0] for line in lines[1:])
    assert keys == ["data.last", "model.n_hiden", "name", "seed", "train.lr"]
    assert [path.name for path in foreign.iterdir()] == ["notes.txt"]


def test_a_file_where_the_runs_should_go(foreign: Path) -> None:
    arguments = [
        "train",
        "train.steps=0",
        "model.n_features=2",
        "model.n_hidden=1",
        "--out",
        "notes.txt",
    ]
    done = CliRunner().invoke(app, arguments, prog_name="superpos")
    check(done.exit_code, done.stdout, done.stderr, "notes.txt", foreign)


def test_a_faulty_file_of_the_user(foreign: Path) -> None:
    (foreign / "notes.txt").unlink()
    (foreign / "experiment").mkdir()
    (foreign / "experiment" / "mine.yaml").write_text("model:\n  n_hiden: 3\nseed: [1\n")
    done = CliRunner().invoke(
        app, ["train", "experiment=mine", "--config-dir", "."], prog_name="superpos"
    )
    assert done.exit_code == 2
    assert "mine.yaml" in done.stderr
    assert "line 3" in done.stderr
    assert [path.name for path in foreign.iterdir()] == ["experiment"]
