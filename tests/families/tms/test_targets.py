"""Where `--to` leads: a file is made or replaced, nothing else is taken away, and a name must fit
what is written.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.errors import SuperposError
from superpos.report.document import write
from superpos.store import Run, write_file

TINY = [
    "train.steps=2",
    "model.n_features=2",
    "model.n_hidden=1",
    "engine.backend=reference",
    "name=demo",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return superpos.train(TINY, out=tmp_path_factory.mktemp("runs"))


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="superpos")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))  # as /dev/null
    except PermissionError:
        pytest.skip("only root makes devices")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


def link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_suffix(".pipe"))
    path.symlink_to(path.with_suffix(".pipe"))


MAKERS: dict[str, Callable[[Path], None]] = {
    "a pipe": pipe,
    "a device": device,
    "a socket": listening,
    "a folder": Path.mkdir,
    "it is a pipe": link_to_a_pipe,
}


@pytest.fixture(params=MAKERS)
def special(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, str]]:
    """Something at page.html that is no file, and its name in words; it is still there after the
    test.
    """
    monkeypatch.chdir(tmp_path)  # paths of sockets are short
    path = tmp_path / "page.html"
    MAKERS[request.param](path)
    before = path.lstat()
    yield path, request.param
    after = path.lstat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert not list(tmp_path.glob(".*.tmp"))


def test_nothing_but_a_file_is_replaced(special: tuple[Path, str]) -> None:
    path, words = special
    with pytest.raises(
        SuperposError, match=f"cannot write {path}: .*{words}; allowed: a file"
    ) as caught:
        write_file(path, b"x")
    assert caught.value.exit_code == 2


def test_a_page_goes_into_files_and_folders_alone(special: tuple[Path, str], run: Run) -> None:
    path, words = special
    done = cli("report", str(run.path), "--to", str(path))
    if words == "a folder":
        assert (done.exit_code, done.stdout) == (0, f"{path}/demo_report.html\n")
        assert (path / "demo_report.html").read_bytes().startswith(b"<!DOCTYPE html>")
    else:
        assert (done.exit_code, done.stdout) == (2, "")
        assert words in done.stderr


def test_figures_go_into_folders_alone(special: tuple[Path, str], run: Run) -> None:
    path, words = special
    done = cli("plot", str(run.path), "--figure", "loss", "--to", str(path))
    if words == "a folder":
        assert (done.exit_code, done.stdout) == (0, f"{path}/demo_loss.png\n")
    else:
        assert (done.exit_code, done.stdout) == (2, "")
        assert f"--to: got {path}; allowed: a folder" in done.stderr


def test_what_stands_in_the_run_folder_in_the_place_of_a_page_stays(run: Run) -> None:
    os.mkfifo(run.path / "report.html")
    try:
        with pytest.raises(SuperposError, match="it is a pipe"):
            write(run)
    finally:
        (run.path / "report.html").unlink()


@pytest.mark.parametrize("name", ["page.png", "page.pdf", "page", "thesis.tex"])
def test_a_page_has_the_name_of_a_page(name: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    done = cli("report", str(run.path), "--to", str(tmp_path / name))
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"--to: got {tmp_path / name}; allowed: a file FILE.html, or a folder" in done.stderr
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["loss.png", "loss.PDF", "thesis.tex"])
def test_figures_have_names_of_their_own(name: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    done = cli("plot", str(run.path), "--to", str(tmp_path / name))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "allowed: a folder" in done.stderr
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_behind_a_link_the_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("there", "new"):
        (tmp_path / name).symlink_to(f"deep/{name}")
    (tmp_path / "deep" / "there").write_text("old")
    for name in ("there", "new"):
        assert write_file(tmp_path / name, b"new") == tmp_path / name
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "deep" / name).read_text() == "new"


@pytest.mark.parametrize(
    "arguments", [["train", *TINY], ["list", "--runs"], ["verify", "intro", "--quick"]]
)
@pytest.mark.parametrize("make", [pipe, device, listening])
def test_runs_go_into_folders_alone(
    arguments: list[str],
    make: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "out")
    done = cli(*arguments, "--out", "out")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Not a directory" in done.stderr or "File exists" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
