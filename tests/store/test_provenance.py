"""What git says of the source tree is a note: it stops nothing, asks nothing, and has a few
seconds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from superpos.training import provenance as module
from superpos.training.provenance import provenance

COMMIT = "0123456789abcdef0123456789abcdef01234567"
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, check=True
    )
    return os.fsdecode(done.stdout).strip()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit; the working folder is in it."""
    git(tmp_path, "init")
    (tmp_path / "a").write_text("a")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "a")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@needs_git
def test_commit_and_changes(tree: Path) -> None:
    commit = git(tree, "rev-parse", "HEAD")
    assert provenance()["git"] == {"commit": commit, "dirty": False}
    (tree / "new").touch()
    assert provenance()["git"] == {"commit": commit, "dirty": False}
    (tree / "a").write_text("b")
    assert provenance()["git"] == {"commit": commit, "dirty": True}


@needs_git
def test_names_of_branches_and_files_do_not_matter(tree: Path) -> None:
    """A tag and a branch called HEAD, and a file whose name is no UTF-8 and is not quoted."""
    git(tree, "config", "core.quotePath", "false")
    git(tree, "checkout", "-b", os.fsdecode(b"K\xfcche"))
    (tree / os.fsdecode(b"caf\xe9")).touch()
    git(tree, "add", ".")
    git(tree, "commit", "-m", "b")
    first, last = git(tree, "rev-parse", "HEAD~"), git(tree, "rev-parse", "HEAD")
    git(tree, "update-ref", "refs/tags/HEAD", first)
    git(tree, "update-ref", "refs/heads/HEAD", first)
    (tree / os.fsdecode(b"caf\xe9")).write_text("b")
    assert provenance()["git"] == {"commit": last, "dirty": True}


@needs_git
def test_no_commit_and_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance()["git"] is None
    git(tmp_path, "init")
    assert provenance()["git"] is None


@needs_git
def test_a_program_that_the_repository_names_is_not_run(tree: Path) -> None:
    (tree / "spy").write_text(f"#!/bin/sh\ntouch {tree}/ran\n")
    (tree / "spy").chmod(0o755)
    git(tree, "config", "core.fsmonitor", str(tree / "spy"))
    assert provenance()["git"] is not None
    assert not (tree / "ran").exists()


@needs_git
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_the_repository_of_another_user_is_none(tree: Path) -> None:
    os.chown(tree, 12345, 12345)
    os.chown(tree / ".git", 12345, 12345)
    assert provenance()["git"] is None


@pytest.mark.parametrize(
    ("script", "known"),
    [
        ("exit 128", None),
        ("sleep 600", None),
        ("trap '' TERM; (trap '' TERM; sleep 600) & wait", None),
        ("kill -9 $$", None),
        ("printf '\\351\\n'", None),
        (f"echo 'a banner'; echo {COMMIT}", {"commit": COMMIT, "dirty": True}),
        (
            f"case $* in *status*) sleep 600;; esac; echo {COMMIT}",
            {"commit": COMMIT, "dirty": None},
        ),
        (f"case $* in *status*) exit 1;; esac; echo {COMMIT}", {"commit": COMMIT, "dirty": None}),
        (
            f"read -r x < /dev/tty && exit 1; read -r x && exit 1; echo {COMMIT}",
            {"commit": COMMIT, "dirty": True},
        ),
    ],
    ids=[
        "fails",
        "hangs",
        "hangs with a child",
        "is killed",
        "bytes",
        "banner",
        "large tree",
        "no status",
        "asks",
    ],
)
def test_a_git_that_is_none(
    script: str, known: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "git").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.5)
    began = time.monotonic()
    assert provenance()["git"] == known
    assert time.monotonic() - began < 60  # a tenth of what the programs sleep


def test_a_git_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance()["git"] is None
    (tmp_path / "git").write_text("#!/no/such/program\n")
    (tmp_path / "git").chmod(0o755)
    assert provenance()["git"] is None
    (tmp_path / "git").write_bytes(b"\x7fELF and no more")
    assert provenance()["git"] is None
