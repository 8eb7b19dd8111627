"""Bytes of the system that are no UTF-8, in paths and in what programs print, as they come in and
go out again.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

import superpos
from superpos.cli import completion
from superpos.cli.common import print_path
from superpos.store import RunFolder, manifest
from superpos.store.files import canonical_json

pytestmark = pytest.mark.slow

PACKAGE = Path(superpos.__file__).parents[1]
TINY = [
    "train.steps=2",
    "model.n_features=2",
    "model.n_hidden=1",
    "engine.backend=reference",
    "name=demo",
]
NAME = b"caf\xe9"  # in Latin-1


def run(
    *arguments: str | bytes, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "superpos", *arguments]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"} | environment
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a run below a folder of such a name."""
    made = tmp_path_factory.mktemp("bytes")
    try:
        (made / os.fsdecode(NAME)).mkdir()
    except OSError:
        pytest.skip("the file system has names of UTF-8 alone")
    done = run("train", *TINY, "--out", NAME, cwd=made)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert line.startswith(NAME + b"/demo/")
    assert Path(os.fsdecode(os.path.join(os.fsencode(made), line))).is_dir()  # noqa: PTH118 - bytes
    return made


def test_every_command_takes_and_prints_such_a_path(folder: Path) -> None:
    where = NAME + b"/demo/latest"
    for arguments in (
        ["status", where],
        ["list", "--runs", "--out", NAME],
        ["plot", where, "--figure", "loss"],
    ):
        done = run(*arguments, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert NAME in done.stdout
    printed = run("report", where, "--to", NAME + b"/page.html", cwd=folder).stdout.strip()
    assert (folder / os.fsdecode(printed)).is_file()
    missing = run("status", NAME + b"/nothing", cwd=folder)
    assert missing.returncode == 2
    assert NAME + b"/nothing does not exist" in missing.stderr


def test_json_gives_the_path_back(folder: Path) -> None:
    [found] = json.loads(run("list", "--runs", "--json", "--out", NAME, cwd=folder).stdout)["runs"]
    assert (folder / found["path"]).is_dir()
    config = json.loads(run("config", "--json", *TINY, "--out", NAME, cwd=folder).stdout)
    assert (folder / config["run"]).is_dir()


def test_experiments_of_such_a_folder(folder: Path) -> None:
    mine = folder / os.fsdecode(NAME) / "mine" / "experiment"
    mine.mkdir(parents=True)
    (mine / "own.yaml").write_text("seed: 3\n")
    done = run("config", "experiment=own", "--json", "--config-dir", NAME + b"/mine", cwd=folder)
    assert json.loads(done.stdout)["config"]["seed"] == 3


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_path_is_usable_whatever_a_terminal_can_show(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes of the file system go out, not what stands for them in another encoding."""
    stdout = TextIOWrapper(BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stdout)
    for path in ("caf\u00e9", os.fsdecode(NAME)):
        print_path(Path(path))
    assert stdout.buffer.getvalue() == os.fsencode(f"caf\u00e9\n{os.fsdecode(NAME)}\n")  # type: ignore[attr-defined]


def test_what_a_run_folder_keeps_of_such_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command, host and whatever else comes from the system: read back as they were, and sealed."""
    monkeypatch.setattr(platform, "node", lambda: os.fsdecode(b"k\xfcche"))
    command = ["superpos", os.fsdecode(b"--out=caf\xe9"), "na\u00efve"]
    facts = {"plan": "p", "engine": "e", "chunks": [[0]], "command": command}
    made = RunFolder.open(tmp_path, "demo", "0123456789ab", facts)
    assert manifest.read(made.path)["command"] == command
    made.end_attempt(made.record_attempt({"command": command}), {"training": 1.0})
    [attempt] = made.attempts()
    assert (os.fsencode(attempt["host"]), attempt["command"]) == (b"k\xfcche", command)
    # other text is as it was: checksums stay
    assert canonical_json({"a": "na\u00efve"}) == '{"a":"na\u00efve"}'


def test_a_home_folder_of_such_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / os.fsdecode(NAME)
    home.mkdir()
    (home / ".bashrc").write_bytes(b"# K\xfcche\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for _ in range(2):
        completion.install("bash")
    lines = (home / ".bashrc").read_bytes().splitlines()
    assert lines[0] == b"# K\xfcche"
    assert len(lines) == 2
    assert NAME in lines[1]


@pytest.mark.parametrize("closed", ["1", "2"])
def test_without_stdout_or_stderr(closed: str, folder: Path) -> None:
    command = f"{sys.executable} -m superpos status demo/latest {closed}>&-"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    out = folder / os.fsdecode(NAME)
    done = subprocess.run(
        ["bash", "-c", command], cwd=out, env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
