"""Paths that a user gives: `~` wherever a path may stand, and what can be no path."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest
from auto import FAMILY
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.compose.compose import compose
from superpos.compose.overrides import read_overrides
from superpos.config.schema import schema_of
from superpos.errors import ConfigError
from superpos.family import find, forget
from superpos.paths import given
from superpos.training.sources import resolve

TINY = ["train.steps=2", "model.n_features=2", "model.n_hidden=1", "engine.backend=reference"]


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="superpos")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of one's own; the working folder is another one, which stays empty."""
    folder = tmp_path / "home"
    folder.mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def outputs(home: Path) -> Path:
    """~/runs with one run."""
    superpos.train([*TINY, "name=demo"], out=home / "runs")
    return home / "runs"


def test_a_home_folder_is_put_in_the_place_of_its_sign(home: Path) -> None:
    user = pwd.getpwuid(os.getuid())
    assert given("~") == home
    assert given("~/a b/~c") == home / "a b" / "~c"
    assert given(Path("~/x")) == home / "x"
    assert given(f"~{user.pw_name}/x") == Path(user.pw_dir, "x")
    assert given("~no-such-user/x") == Path("~no-such-user/x")  # as in a shell
    assert given("./~/x") == Path("~/x")
    assert given("a/~") == Path("a/~")
    assert given(b"caf\xe9") == Path("caf\udce9")


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800", 3, None, ["x"]])
def test_what_can_be_no_path_is_refused(path: object) -> None:
    with pytest.raises(ConfigError, match="allowed: a path"):
        given(path)
    with pytest.raises(ConfigError, match="allowed: a path"):
        superpos.load(path)  # type: ignore[arg-type]


def test_a_home_that_nobody_knows_is_no_folder_of_that_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.setenv("HOME", "")
    with pytest.raises(ConfigError, match="set HOME"):
        given("~/x")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    done = cli("train", *TINY, "--out=~/x")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "~/x: the home folder is not known" in done.stderr
    assert list(Path().iterdir()) == []


def test_every_command_finds_a_home(outputs: Path, home: Path) -> None:
    [run] = [path for path in (outputs / "demo").iterdir() if not path.is_symlink()]
    assert cli("status", "~/runs/demo").exit_code == 0
    assert cli("train", *TINY, "name=demo", "--out=~/runs").stdout == f"{run}\n"
    assert json.loads(cli("config", *TINY, "--out", "~/runs", "--json").stdout)["run"].startswith(
        str(outputs)
    )
    assert [
        found["path"]
        for found in json.loads(cli("list", "--runs", "--out=~/runs", "--json").stdout)["runs"]
    ] == [str(run)]
    assert cli("plot", "~/runs/demo", "--figure", "loss", "--to=~/figures").stdout == (
        f"{home}/figures/demo_loss.png\n"
    )
    assert cli("report", "~/runs/demo", "--to", "~/page.html").stdout == f"{home}/page.html\n"
    assert str(outputs) in cli("submit", *TINY, "name=demo", "--print", "--out=~/runs").stdout
    assert list(Path().iterdir()) == []


def test_python_finds_a_home(outputs: Path) -> None:
    run = superpos.train([*TINY, "name=demo"], out="~/runs")
    assert run.path.parent == outputs / "demo"
    assert superpos.load("~/runs/demo/latest").path == run.path
    assert list(Path().iterdir()) == []


def test_experiments_and_sites_of_a_home(home: Path) -> None:
    (home / "mine" / "experiment").mkdir(parents=True)
    (home / "mine" / "experiment" / "own.yaml").write_text("model:\n  n_hidden: 3\n")
    (home / "mine" / "cluster").mkdir()
    (home / "mine" / "cluster" / "here.yaml").write_text("partition: mine\n")
    facts = json.loads(cli("config", "experiment=own", "--config-dir=~/mine", "--json").stdout)
    assert facts["config"]["model.n_hidden"] == 3
    script = cli(
        "submit", "experiment=own", "--config-dir=~/mine", "--cluster=here", "--print"
    ).stdout
    assert "--partition=mine" in script


def test_a_source_in_a_home(outputs: Path, home: Path) -> None:
    """On the command line, where `~` has no place in Hydra's grammar, and with a model behind it;
    and in YAML.
    """
    superpos.register(FAMILY)
    try:
        schema = schema_of(find("auto"))
        read = read_overrides(["auto.source=~/runs/demo,~/runs/demo:0,null"], [], schema)
        assert (read.faults, [*read.axes.values()]) == (
            [],
            [(("~/runs/demo",), ("~/runs/demo:0",), (None,))],
        )
        again = read_overrides(["auto.source='~/runs/demo'"], [], schema)
        assert again.faults == []
        by_home, in_full = (
            resolve(compose(["family=auto", f"auto.source={folder}/demo"]).sweep)
            for folder in ("~/runs", outputs)
        )
        assert by_home.run_id == in_full.run_id
        (home / "mine" / "experiment").mkdir(parents=True)
        (home / "mine" / "experiment" / "own.yaml").write_text(
            "family: auto\nauto:\n  source: ~/runs/demo\n"
        )
        from_yaml = resolve(compose(["experiment=own"], home / "mine").sweep)
        assert from_yaml.run_id == in_full.run_id
    finally:
        forget("auto")
