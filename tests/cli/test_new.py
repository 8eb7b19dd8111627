"""`superpos new`: an experiment to start from, which trains and shows what it claims; never a lost
file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.compose.experiments import description, own_experiments, shipped_files, shipped_folder


def cli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="superpos")


def tree(folder: Path) -> dict[str, str]:
    """Every file of a folder, and what it says."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_trains_and_shows_the_claim_and_its_control(home: Path) -> None:
    done = cli("new", "first")
    assert (done.exit_code, done.stdout) == (
        0,
        "mine/experiment/first.yaml\nmine/claims/first.yaml\n",
    )
    assert "superpos train experiment=first --config-dir mine" in done.stderr
    trained = cli(
        "train", "experiment=first", "--config-dir", "mine", "--quiet", "engine.threads=1"
    )
    assert trained.exit_code == 0
    table = superpos.load(trained.stdout.strip()).table
    represented = table.groupby("data.density")["n_represented"]
    assert represented.min()[0.05] > 2  # the claim: more features than dimensions
    assert represented.max()[1] == 2  # its control
    assert "superpos verify first --config-dir mine" in done.stderr
    verified = cli("verify", "first", "--config-dir", "mine", "--json", "--quiet")
    [claim] = json.loads(verified.stdout)
    assert (claim["verdict"], claim["measured"], claim["control"]) == ("holds", 5, 2)


@pytest.mark.parametrize(
    "name", ["a", "1", "010", "null", "x" * 100, "my.own-2", "_", "NAME", "TRUE"]
)
def test_every_name_that_it_takes_can_be_trained(name: str, home: Path) -> None:
    assert cli("new", name, "--config-dir", "with a 'quote").exit_code == 0
    shown = cli("config", f"experiment={name}", "--config-dir", "with a 'quote")
    assert shown.exit_code == 0, shown.stderr
    found = own_experiments(home / "with a 'quote", shipped_files())
    assert (list(found.files), found.passed_over) == ([name], {})
    assert (
        description(found.files[name])
        == f"{name}: rare features share dimensions, frequent ones do not"
    )


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".a", "-", "a/b", "../a", "a b", "ä", "a\n", "x" * 101, "_self_", "a.yaml"],
)
def test_a_name_that_cannot_be_used_is_refused(name: str, home: Path) -> None:
    failed = cli("new", "--", name)
    assert failed.exit_code == 2
    assert (
        failed.stderr
        == f"superpos: NAME: got {name!r}; allowed: up to 100 letters, digits and ._-\n"
    )
    assert tree(home) == {}


def test_the_name_of_a_shipped_experiment_is_refused(home: Path) -> None:
    failed = cli("new", "intro")
    assert failed.exit_code == 2
    assert (
        failed.stderr
        == "superpos: NAME: intro is the name of a shipped experiment; take another one\n"
    )
    assert tree(home) == {}


@pytest.mark.parametrize("kind", ["file", "folder", "link", "link that leads nowhere"])
def test_what_is_there_is_left_as_it_is(kind: str, home: Path) -> None:
    path = home / "mine" / "experiment" / "first.yaml"
    path.parent.mkdir(parents=True)
    if kind == "file":
        path.write_text("seed: 1\n")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("other.yaml")
    if kind == "link":
        (path.parent / "other.yaml").write_text("seed: 2\n")
    before = tree(home)
    failed = cli("new", "first")
    assert failed.exit_code == 2
    assert (
        failed.stderr
        == "superpos: mine/experiment/first.yaml is there already; give another name\n"
    )
    assert tree(home) == before
    assert not (path.parent / "other.yaml").exists() or kind == "link"


def test_it_joins_experiments_that_are_there(home: Path) -> None:
    for name in ("first", "second"):
        assert cli("new", name).exit_code == 0
    places = [
        f"mine/{kind}/{name}.yaml"
        for kind in ("claims", "experiment")
        for name in ("first", "second")
    ]
    assert list(tree(home)) == places


@pytest.mark.parametrize("place", ["mine", "mine/experiment", "mine/experiment/deep"])
def test_a_folder_that_is_none_is_said(place: str, home: Path) -> None:
    (home / place).parent.mkdir(parents=True, exist_ok=True)
    (home / place).write_text("")
    folder = "mine/experiment/deep" if place.endswith("deep") else "mine"
    failed = cli("new", "first", "--config-dir", folder)
    assert failed.exit_code == 2
    assert failed.stderr == f"superpos: --config-dir: {place} is not a folder\n"
    assert list(tree(home)) == [place]


def test_the_shipped_folder_is_left_alone() -> None:
    before = sorted((shipped_folder() / "experiment").iterdir())
    failed = cli("new", "first", "--config-dir", shipped_folder())
    assert failed.exit_code == 2
    assert failed.stderr == (
        f"superpos: --config-dir: {shipped_folder()} holds the shipped experiments; give a folder "
        "of your own\n"
    )
    assert sorted((shipped_folder() / "experiment").iterdir()) == before


def test_a_folder_that_was_forgotten_is_named(home: Path) -> None:
    assert cli("new", "first").exit_code == 0
    (home / "a file").write_text("")
    failed = cli("train", "experiment=first")
    assert failed.exit_code == 2
    assert failed.stderr == (
        "superpos: experiment: there is no 'first' but in mine/experiment; add --config-dir mine\n"
    )
    assert "allowed: what `superpos list` shows" in cli("train", "experiment=second").stderr
    assert "allowed: what `superpos list` shows" in cli("train", "experiment=../mine").stderr


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_folder_that_cannot_be_written_is_said() -> None:
    failed = cli("new", "first", "--config-dir", "/proc/mine")
    assert failed.exit_code == 2
    assert failed.stderr.startswith("superpos: cannot write /proc/mine/experiment/first.yaml: ")
    assert len(failed.stderr.splitlines()) == 1
