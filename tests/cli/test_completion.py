"""Completion: what is suggested, and that real shells put it into the line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from terminals import OnTerminal
from tms import KEYS
from typer.testing import CliRunner

import superpos
from superpos.claims.verdicts import load_claims
from superpos.cli import app, completion, suggestions
from superpos.compose.experiments import shipped_folder
from superpos.figures.registry import every_figure

pytestmark = pytest.mark.slow

ROOT = Path(superpos.__file__).parents[1]


GROUP = typer.main.get_command(app)


def words(line: str) -> list[str] | None:
    """What the last word of a line can become; None where paths may stand."""
    found = completion.suggest(GROUP, completion.split(line)[1:])
    return None if found is None else [word for word, _ in found]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one run folder."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "outputs" / "intro" / "0123456789ab"
    run.mkdir(parents=True)
    (run / "manifest.json").touch()
    (run.parent / "latest").symlink_to(run.name)
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "own_sweep.yaml").write_text(
        "# A sweep of my own\nseed: 1\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("superpos tr", ["train"]),
        ("superpos x", []),
        ("superpos --show", ["--show-completion"]),
        ("superpos train --q", ["--quiet"]),
        ("superpos train model.n_fea", ["model.n_features="]),
        ("superpos train n_features", []),
        (
            "superpos train experiment=phase",
            [f"experiment=phase_change{end}" for end in ("", "_3_2", "_quick")],
        ),
        ("superpos train seed=1 experiment=intr", ["experiment=intro"]),
        ("superpos train --out x 'experiment=intr", ["experiment=intro"]),
        ("superpos train --config-dir mine experiment=own", ["experiment=own_sweep"]),
        ("superpos train --config-dir missing experiment=intr", ["experiment=intro"]),
        (
            "superpos train train.optimizer=",
            ["train.optimizer=adam", "train.optimizer=adamw", "train.optimizer=sgd"],
        ),
        ("superpos train model.output=relu,", ["model.output=relu,linear"]),
        ("superpos train model.tied=f", ["model.tied=false"]),
        ("superpos train train.lr=", []),
        ("superpos train no.key=", []),
        ("superpos nothing exp", []),
        ("superpos plot --figure phase", ["phase_diagram"]),
        ("superpos plot --format s", ["svg"]),
        ("superpos plot ", ["outputs/intro/latest", "outputs/intro/0123456789ab"]),
        ("superpos status outputs/intro/0", ["outputs/intro/0123456789ab"]),
        ("superpos verify intr", ["intro"]),
        ("superpos submit --cluster g", ["gpu"]),
        ("superpos status elsewhere/", None),
        ("superpos plot --to ", None),
        ("superpos train --out ", None),
    ],
)
def test_what_is_suggested(line: str, found: list[str] | None, runs: Path) -> None:
    assert words(line) == found


@pytest.mark.parametrize(
    ("line", "words", "quote"),
    [
        ("", [""], ""),
        ("a b", ["a", "b"], ""),
        ("a b ", ["a", "b", ""], ""),
        ("a 'b c", ["a", "b c"], "'b c"),
        ("a 'b' \"c\\\"d", ["a", "b", 'c"d'], '"c\\"d'),
        ("a 'it' b='x y'", ["a", "it", "b=x y"], ""),
        ('a "it\'s" ', ["a", "it's", ""], ""),
        ("a b\\'c", ["a", "b'c"], ""),
        ("a b\\", [""], ""),
    ],
)
def test_a_line_is_split_like_a_shell_splits_it(line: str, words: list[str], quote: str) -> None:
    assert completion.split(line) == words
    assert completion.open_quote(line) == quote


def test_a_key_is_given_once() -> None:
    keys = words("superpos train ")
    assert keys == ["experiment=", *(f"{key}=" for key in KEYS)]
    assert words("superpos train seed=1 experiment=intro ") == [
        word for word in keys if word not in ("seed=", "experiment=")
    ]


def test_names_that_are_read_without_their_modules_are_the_names() -> None:
    assert [name for name, _ in suggestions.figures()] == list(every_figure())
    claims = {claim.experiment for claim in load_claims(shipped_folder() / "claims")}
    assert {name for name, _ in suggestions.claimed()} == claims


@pytest.mark.parametrize(
    "line", ["superpos ", "superpos train experiment=", "superpos plot --figure ", "superpos plot "]
)
def test_nothing_heavy_is_imported(line: str) -> None:
    heavy = (
        "torch",
        "numpy",
        "pandas",
        "hydra",
        "omegaconf",
        "matplotlib",
        "numba",
        "scipy",
        "rich",
        "yaml",
    )
    found = f"print([name for name in {heavy} if name in sys.modules])"
    code = f"import sys; from superpos.cli import main\ntry: main()\nfinally: {found}"
    environment = os.environ | {
        completion.SHELL_VARIABLE: "fish",
        "COMP_LINE": line,
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(done.stdout.splitlines()) > 1 or line == "superpos plot "


@pytest.mark.parametrize("shell", completion.SCRIPTS)
def test_install_is_done_once_and_keeps_what_is_there(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "ZDOTDIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    start = tmp_path / f".{shell}rc"
    start.write_text("export MINE=1")
    for _ in range(2):
        assert CliRunner().invoke(app, ["--install-completion", shell]).exit_code == 0
    shown = CliRunner().invoke(app, ["--show-completion", shell]).stdout
    [script] = [path for path in tmp_path.rglob("*") if path.is_file() and path != start]
    assert script.read_text() == shown
    lines = ["export MINE=1"] if shell == "fish" else ["export MINE=1", f"source {script}"]
    assert start.read_text().splitlines() == lines


SHELLS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}
TYPED = {
    "superpos tra": ["train"],
    "superpos train seed=1 experiment=intr": ["train", "seed=1", "experiment=intro"],
    "superpos train model.n_fea\t3": ["train", "model.n_features=3"],  # no blank after "="
    "superpos train model.output=relu,l": ["train", "model.output=relu,linear"],
    # bash breaks no quoted words
    "superpos train name=a 'experiment=intr": ["train", "name=a", "experiment=intro"],
    "superpos plot --figure phase": ["plot", "--figure", "phase_diagram"],
    "superpos status outputs/intro/0": ["status", "outputs/intro/0123456789ab"],
    "superpos train --out outp": [
        "train",
        "--out",
        "outputs",
    ],  # and a slash, which some shells take back before a blank
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_the_line(shell: str, runs: Path) -> None:
    """Every line is typed with a tab behind it and then printed, a word in <>, by a printf typed
    before it.
    """
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    program = runs / "bin" / "superpos"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m superpos "$@"\n')
    program.chmod(0o755)
    (runs / "script").write_text(completion.SCRIPTS[shell])
    environment = os.environ | {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "TERM": "xterm",
        "HOME": str(runs),
    }
    found = {}
    with OnTerminal([shell, *SHELLS[shell]], columns=200, env=environment, cwd=runs) as terminal:
        terminal.type("source ./script; echo rea''dy\n")
        terminal.read("ready\n")
        for line in TYPED:
            terminal.type(f"{line}\t\x01printf '<%s>' \x05; echo don''e\n")
            shown = terminal.read("done\n").rpartition("<superpos>")[2]
            found[line] = re.findall("<(.*?)/?>", shown)
    assert found == TYPED
