"""Paths that the system refuses, on every option that takes one: one message, exit code 2, nothing
written.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.others import as_another_user
from typer.testing import CliRunner

import superpos
from superpos.cli import app
from superpos.errors import SuperposError

pytestmark = pytest.mark.slow

PACKAGE = Path(superpos.__file__).parents[1]
TINY = [
    "train.steps=2",
    "model.n_features=2",
    "model.n_hidden=1",
    "engine.backend=reference",
    "name=demo",
]
LONG = "x" * 256  # a name may have 255 bytes
SHORT_OF_ROOM = "No space left on device"

PATHS = {
    "a long name": (LONG, "File name too long"),
    "a long name deep down": (f"{LONG}/a/b", "File name too long"),
    "a long path": ("x/" * 3000, "File name too long"),
    "a loop of links": ("loop", "Too many levels of symbolic links"),
    "below a loop of links": ("loop/a", "Too many levels of symbolic links"),
    "below a file": ("file/a", "Not a directory"),
    "below a device": ("/dev/null/a", "Not a directory"),
    "what only root may enter": ("closed/a", "Permission denied"),
    "a file system of the kernel": ("/proc/superpos", "No such file or directory"),
}
RUNS = (
    ["train", *TINY, "--out"],
    ["verify", "intro", "--quick", "--out"],
    ["list", "--runs", "--out"],
)
READS = (
    ["status"],
    ["plot"],
    ["report"],
    ["train", *TINY, "--config-dir"],
    ["config", "--config-dir"],
)
WRITES = (["report", "RUN", "--to"], ["plot", "RUN", "--figure", "loss", "--to"])


@pytest.fixture(scope="module")
def run() -> Iterator[Path]:
    """A run that anybody may read."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield superpos.train(TINY, out=made).path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder of any user, with what the paths above need."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o777)
        monkeypatch.chdir(folder)
        (folder / "loop").symlink_to("loop")
        (folder / "file").write_text("mine")
        (folder / "closed").mkdir(mode=0o700)
        yield folder


def try_every_option(kind: str, here: Path, run: Path) -> None:
    path, reason = PATHS[kind]
    before = sorted(here.iterdir())
    for command in (*RUNS, *READS, *WRITES):
        # Links are followed, and a path ends before it gets a suffix.
        is_page = (
            command[0] == "report"
            and "--to" in command
            and kind not in ("a loop of links", "a long path")
        )
        arguments = [str(run) if text == "RUN" else text for text in command]
        done = CliRunner().invoke(
            app, [*arguments, f"{path}.html" if is_page else path], prog_name="superpos"
        )
        assert done.exception is None or isinstance(done.exception, SystemExit), (
            command,
            done.exception,
        )
        # nor need a folder of runs be there
        if command[0] != "list" or kind != "a file system of the kernel":
            assert (done.exit_code, done.stdout) == (2, ""), command
            assert any(
                words in done.stderr
                for words in (reason, "is not a folder", "does not exist", "allowed: a f")
            )
        assert len(done.stderr.splitlines()) <= 2
        assert sorted(here.iterdir()) == before


def try_python(kind: str, here: Path) -> None:
    path, _ = PATHS[kind]
    for call in (
        lambda: superpos.load(path),
        lambda: superpos.train(TINY, out=path),
        lambda: superpos.train(TINY, out=here, config_dir=path),
    ):
        with pytest.raises(SuperposError):
            call()


@pytest.mark.parametrize("kind", [kind for kind in PATHS if "root" not in kind])
def test_one_message_for_each_option(kind: str, here: Path, run: Path) -> None:
    try_every_option(kind, here, run)
    try_python(kind, here)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_one_message_where_another_user_may_not_enter(here: Path, run: Path) -> None:
    try_every_option("below a file", here, run)  # imports what root alone may read here
    with as_another_user():
        try_every_option("what only root may enter", here, run)
        try_python("what only root may enter", here)


def test_a_path_with_a_zero_byte(here: Path) -> None:
    for call in (lambda: superpos.load("a\0b"), lambda: superpos.train(TINY, out="a\0b")):
        with pytest.raises(SuperposError, match="allowed: a path"):
            call()


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "superpos", *arguments]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False
    ).returncode:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(disk: Path, run: Path) -> None:
    (disk / "other").write_bytes(bytes(2**20 - 3 * 4096))
    for arguments in (
        ["report", str(run), "--to", "page.html"],
        ["plot", str(run), "--figure", "loss", "--to", "a"],
    ):
        done = python(*arguments, cwd=disk)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert SHORT_OF_ROOM in done.stderr
    assert not list(disk.rglob("*.tmp"))
    assert not list(disk.rglob("*.html"))


def test_a_disk_that_is_read_only(disk: Path, run: Path) -> None:
    shutil.copytree(run.parent, disk / "demo", symlinks=True)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    train = ["train", *TINY, "seed=7", "--out", str(disk)]
    where = str(disk / "demo" / "latest")
    for arguments in (train, ["report", where], ["plot", where, "--figure", "loss"]):
        done = CliRunner().invoke(app, arguments, prog_name="superpos")
        assert (done.exit_code, done.stdout) == (2, ""), done.stderr
        assert "Read-only file system" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert CliRunner().invoke(app, ["status", where], prog_name="superpos").exit_code == 0
    finished = CliRunner().invoke(app, ["train", *TINY, "--out", str(disk)], prog_name="superpos")
    assert (finished.exit_code, finished.stdout) == (0, f"{disk / 'demo' / run.name}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["config"], ["status"]])
def test_results_that_do_not_arrive(arguments: list[str], run: Path) -> None:
    command = f"{sys.executable} -m superpos {' '.join(arguments)} > /dev/full"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    (run.parents[1] / "outputs").exists() or (run.parents[1] / "outputs").symlink_to(".")
    cwd = run.parents[1]
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert SHORT_OF_ROOM in done.stderr


def test_whoever_has_read_enough_is_told_nothing(run: Path) -> None:
    command = f"{sys.executable} -m superpos config | true"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=run,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_working_folder_that_is_gone(tmp_path: Path, run: Path) -> None:
    for arguments in (
        "status",
        "list --runs",
        f"train {' '.join(TINY)}",
        f"report {run} --to a.html",
        "config",
    ):
        (tmp_path / "gone").mkdir()
        command = f"rmdir ../gone; exec {sys.executable} -m superpos {arguments}"
        environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path / "gone",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 2)
