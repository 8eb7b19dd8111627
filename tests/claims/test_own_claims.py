"""Claims, measures and figures of a folder of one's own, in `verify` and `plot`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from superpos.cli import app

pytestmark = pytest.mark.slow

EXPERIMENT = """
    # Small
    model: {n_features: 4, n_hidden: 2}
    train: {steps: 20, batch_size: 32}
    own: {loss: fourth}
    sweep: {seed: {range: [3]}}
"""
FUNCTIONS = """
    def fourth(out, target, params):
        return (out - target).pow(4).sum(-1)


    def half(value):
        return value / 2
"""
MEASURE = """
    from pathlib import Path

    import numpy as np

    from superpos_functions import half

    Path(__file__).with_name("ran").touch()


    def steps(run, of=1):
        return half(2 * run.table["train.steps"]) * of


    def empty(run):
        return []


    def words(run):
        return ["many"]


    def broken(run):
        return run.table["nothing"]


    def _private(run):
        return 1
"""
FIGURE = '''
    """losses of the models, sorted"""
    from pathlib import Path

    import matplotlib.pyplot as plt

    Path(__file__).with_name("ran").touch()


    def applies(run):
        return None if len(run.table) > 1 else "needs several models"


    def draw(run):
        figure, axes = plt.subplots()
        axes.plot(sorted(run.table["loss"]))
        return figure
'''
CLAIM = {
    "claim": "it was trained",
    "source": "here",
    "measure": {"mine.steps": {"of": 2}},
    "low": 40,
    "high": 40,
    "reason": "twice the steps",
    "control": "untrained",
}
RUNS: dict[str, Any] = {
    "trained": {"full": ["engine.threads=1"]},
    "untrained": {"full": ["train.steps=0", "own.loss=null"]},
}


def cli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="superpos")


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an experiment, functions, a measure, a claim and a figure, in an empty folder
    to work in.
    """
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "paper"
    files = {
        "superpos_functions.py": FUNCTIONS,
        "experiment/small.yaml": EXPERIMENT,
        "measures/mine.py": MEASURE,
        "figures/sorted_losses.py": FIGURE,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text))
    write_claims(folder)
    return folder


def write_claims(folder: Path, runs: Any = RUNS, **changes: Any) -> None:
    (folder / "claims").mkdir(exist_ok=True)
    content = {"experiment": "small", "runs": runs, "claims": [CLAIM | changes]}
    (folder / "claims" / "small.yaml").write_text(yaml.safe_dump(content))


def trained(paper: Path) -> Path:
    done = cli("train", "experiment=small", "--config-dir", paper, "--quiet", "engine.threads=1")
    assert done.exit_code == 0, done.stderr
    return Path(done.stdout.strip())


def test_claims_of_the_folder_are_verified(paper: Path) -> None:
    done = cli("verify", "--config-dir", "paper", "--quiet")
    assert done.exit_code == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "small"
    assert lines[1] == "  holds   it was trained [here]"
    assert lines[-1] == "1 claims: 1 holds, 0 fails, 0 skipped"
    assert (
        json.loads(cli("verify", "small", "--config-dir", "paper", "--json").stdout)[0]["control"]
        == 0
    )


def test_a_claim_whose_control_lies_in_the_band_fails(paper: Path) -> None:
    write_claims(paper, low=0)
    done = cli("verify", "--config-dir", "paper", "--quiet")
    assert done.exit_code == 1
    assert "its negative control lies in the band too" in done.stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"measure": {"mine.missing": {}}},
            "there is no function 'missing'; there are steps, empty, words, broken",
        ),
        ({"measure": {"mine.half": {}}}, "there is no function 'half'"),
        ({"measure": {"mine._private": {}}}, "there is no function '_private'"),
        ({"measure": {"other.steps": {}}}, "there is no module 'other'; there are "),
        (
            {"measure": {"mine.steps": {"to": 1}}},
            "measure mine.steps: got an unexpected keyword argument 'to'",
        ),
        ({"measure": {"mine.broken": {}}}, "measures/mine.py: line 24: KeyError: 'nothing'"),
        (
            {"measure": {"mine.words": {}}},
            "measures/mine.py: words gives a list; allowed: numbers, one a trial",
        ),
        ({"runs": {"trained": ["a"]}}, "small.yaml: runs: and claims: of a file are"),
        ({"runs": {"trained": {"full": [1]}}}, "small.yaml: runs: and claims: of a file are"),
    ],
)
def test_faults_of_claims_and_measures_are_messages(
    paper: Path, changes: dict[str, Any], message: str
) -> None:
    write_claims(paper, **({"runs": RUNS} | changes))
    refused = cli("verify", "--config-dir", "paper", "--quiet")
    assert refused.exit_code == 2, refused.stdout
    assert message in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_what_is_no_yaml_and_what_cannot_be_run_is_said(paper: Path) -> None:
    (paper / "claims" / "other.yaml").write_text("a: [")
    assert "other.yaml: cannot be read: " in cli("verify", "--config-dir", "paper").stderr
    (paper / "claims" / "other.yaml").unlink()
    (paper / "measures" / "wrong.py").write_text("x = 1 / 0\n")
    refused = cli("verify", "--config-dir", "paper")
    assert refused.exit_code == 2
    assert (
        refused.stderr
        == f"superpos: {paper}/measures/wrong.py: line 1: ZeroDivisionError: division by zero\n"
    )
    shutil.move(paper / "measures" / "wrong.py", paper / "measures" / "table.py")
    (paper / "measures" / "table.py").write_text("def column(run, name):\n    return 1\n")
    write_claims(paper, measure={"table.column": {"name": "loss"}})
    assert (
        "measures/table.py has the name of measures of superpos; rename it"
        in cli("verify", "--config-dir", "paper").stderr
    )


def test_a_folder_without_claims_is_said(paper: Path) -> None:
    shutil.rmtree(paper / "claims")
    refused = cli("verify", "--config-dir", "paper")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "superpos: --config-dir: paper holds no claims; put them in paper/claims/*.yaml\n"
    )


def test_figures_of_the_folder_are_drawn(paper: Path) -> None:
    run = trained(paper)
    done = cli("plot", run, "--config-dir", "paper", "--figure", "sorted_losses", "--format", "svg")
    assert done.exit_code == 0, done.stderr
    assert Path(done.stdout.strip()) == run.resolve() / "figures" / "sorted_losses.svg"
    named = [Path(line).stem for line in cli("plot", run, "--config-dir", "paper").stdout.split()]
    assert "sorted_losses" in named
    assert "sorted_losses" not in cli("plot", run).stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "def draw(run):\n    return 3\n",
            "figures/mine.py: draw gives a int; allowed: a matplotlib figure",
        ),
        ("def draw(run):\n    return run.nothing\n", "figures/mine.py: line 2: AttributeError: "),
        ("x = 1\n", "figures/mine.py: has no function draw(run)"),
        ("def draw(run:\n", "figures/mine.py: line 1: SyntaxError: "),
        (
            "def applies(run):\n    return 'needs more'\n\n\ndef draw(run):\n    pass\n",
            "figure 'mine' needs more; figures of",
        ),
    ],
)
def test_faults_of_figures_are_messages(paper: Path, text: str, message: str) -> None:
    run = trained(paper)
    (paper / "figures" / "mine.py").write_text(text)
    refused = cli("plot", run, "--config-dir", "paper", "--figure", "mine")
    assert refused.exit_code in (1, 2)
    assert message in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_figure_of_a_name_that_is_taken_is_said(paper: Path) -> None:
    run = trained(paper)
    (paper / "figures" / "loss.py").write_text("def draw(run):\n    pass\n")
    refused = cli("plot", run, "--config-dir", "paper")
    assert refused.exit_code == 2
    assert (
        refused.stderr
        == f"superpos: {paper}/figures/loss.py: has the name of a figure of superpos; rename it\n"
    )


def test_nothing_of_the_folder_runs_without_the_option(paper: Path, tmp_path: Path) -> None:
    run = trained(paper)
    for kind in ("measures", "figures", "claims"):  # wherever somebody may put them
        for place in (run, run.parent, tmp_path):
            shutil.copytree(paper / kind, place / kind, dirs_exist_ok=True)
    assert cli("plot", run, "--figure", "sorted_losses").exit_code == 2
    assert cli("plot", run).exit_code == 0
    assert cli("report", run).exit_code == 0
    assert "there is no 'small'" in cli("verify", "small").stderr
    assert list(tmp_path.rglob("ran")) == []


def test_the_finishing_job_draws_the_figures_of_the_folder(paper: Path) -> None:
    script = cli(
        "submit", "experiment=small", "--config-dir", "paper", "--print", "--shards", "1"
    ).stdout
    assert f'superpos plot "$run" --config-dir {paper.resolve()}\n' in script
    assert 'superpos plot "$run"\n' in cli("submit", "experiment=intro", "--print").stdout
