"""What is read from the cache of kernels is executed: nobody else may have written it, and none of
it is needed.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import superpos
from superpos.engines.compiled.private_files import (
    UntrustedError,
    private_folder,
    read_sealed,
    write_sealed,
)

pytestmark = pytest.mark.slow

PACKAGE = Path(superpos.__file__).parents[1]
STRANGER, NAMELESS = 54322, 54321


def _can_be_another_user() -> bool:
    if os.getuid() != 0 or not shutil.which("setpriv"):
        return False
    command = [*as_user(NAMELESS), sys.executable, "-c", "import superpos"]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    return (
        subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
    )


def as_user(uid: int) -> tuple[str, ...]:
    """What makes a command another user's."""
    return ("setpriv", "--reuid", str(uid), "--clear-groups")


needs_root = pytest.mark.skipif(
    not _can_be_another_user(), reason="needs root, and Python where all may read it"
)

DOUBLE = """
import sys
from pathlib import Path
from superpos.engines.compiled.cache import KernelCache

KERNELS = KernelCache(Path(__file__).parent)

@KERNELS.compiled
def double(x):
    return 2 * x

@KERNELS.compiled
def treble(x):
    return 3 * x

if __name__ == "__main__":
    hits = lambda kernel: sum(kernel.stats.cache_hits.values())
    print(double(21), hits(double), treble(21), hits(treble), KERNELS.folder())
"""


class Harm:
    """A pickle that makes a file where it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


@pytest.fixture
def tmp_path(open_folder: Path) -> Path:
    """One that another user's process may enter."""
    return open_folder


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program with two kernels."""
    path = tmp_path / "kernels" / "double.py"
    path.parent.mkdir()
    path.write_text(DOUBLE)
    return path


def start(program: Path, *before: str, **environment: str) -> tuple[list[str], str]:
    """The words that the program prints, and what it says on stderr."""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", "HOME")
    }
    done = subprocess.run(
        [*before, sys.executable, program],
        env=kept | {"PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        cwd=program.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def answers(words: list[str]) -> tuple[str, str]:
    return words[0], words[2]


def hits(words: list[str]) -> tuple[str, str]:
    return words[1], words[3]


def poison(folder: Path, mark: Path) -> None:
    """Every kept kernel, and every name that numba's own cache has, holds a pickle that does
    harm.
    """
    harm = pickle.dumps(Harm(mark))
    for path in [*folder.rglob("*.kernel")]:
        path.write_bytes(hashlib.sha256(harm).digest() + harm)
    for name in ("double", "treble"):
        (folder / f"double.{name}-8.py{sys.version_info[0]}{sys.version_info[1]}.nbi").write_bytes(
            harm
        )


def test_kernels_are_kept(program: Path, tmp_path: Path) -> None:
    """The control of all that follows: the second process compiles nothing."""
    first, silent = start(program, XDG_CACHE_HOME=str(tmp_path / "cache"))
    second, also = start(program, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (hits(first), hits(second)) == (("0", "0"), ("1", "1"))
    assert answers(first) == answers(second) == ("42", "63")
    assert silent == also == ""
    folder = Path(second[4])
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o700}


@needs_root
def test_a_folder_that_a_stranger_made_first_is_not_used(program: Path, tmp_path: Path) -> None:
    """The temporary folder's names are known to everybody; the victim has no home."""
    temporary, mark = tmp_path / "tmp", tmp_path / "harm"
    temporary.mkdir()
    temporary.chmod(0o1777)
    words, _ = start(program, *as_user(NAMELESS), TMPDIR=str(temporary))  # which folder it would be
    folder = Path(words[4])
    assert folder.parent == temporary / f"superpos-{NAMELESS}"
    poison(folder, mark)
    for path in (folder.parent, folder, *folder.iterdir()):
        os.chown(path, STRANGER, STRANGER)
        path.chmod(0o777)
    words, said = start(program, *as_user(NAMELESS), TMPDIR=str(temporary))
    assert (answers(words), words[4]) == (("42", "63"), "None")
    assert not mark.exists()
    assert "belongs to another user" in said
    assert len(said.splitlines()) == 1


@needs_root
@pytest.mark.parametrize("place", ["base", "folder"])
def test_a_stranger_s_folder_in_the_user_s_own_is_not_used(
    place: str, program: Path, tmp_path: Path
) -> None:
    cache, mark = tmp_path / "cache", tmp_path / "harm"
    words, _ = start(program, XDG_CACHE_HOME=str(cache))
    folder = Path(words[4])
    poison(folder, mark)
    os.chown(folder.parent if place == "base" else folder, STRANGER, STRANGER)
    words, _ = start(program, XDG_CACHE_HOME=str(cache), TMPDIR=str(empty(tmp_path / "other")))
    assert answers(words) == ("42", "63")
    assert not mark.exists()


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


@needs_root
def test_a_stranger_s_file_is_not_read(program: Path, tmp_path: Path) -> None:
    cache, mark = tmp_path / "cache", tmp_path / "harm"
    words, _ = start(program, XDG_CACHE_HOME=str(cache))
    folder = Path(words[4])
    poison(folder, mark)
    for path in folder.iterdir():
        os.chown(path, STRANGER, STRANGER)
    words, said = start(program, XDG_CACHE_HOME=str(cache))
    assert (answers(words), hits(words)) == (("42", "63"), ("0", "0"))
    assert not mark.exists()
    assert "belongs to another user" in said
    # its place was taken by one's own
    assert hits(start(program, XDG_CACHE_HOME=str(cache))[0]) == ("1", "1")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
@pytest.mark.parametrize("place", ["base", "folder"])
def test_a_folder_that_others_may_write_to_is_not_used(
    mode: int, place: str, program: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    words, _ = start(program, XDG_CACHE_HOME=str(cache))
    folder = Path(words[4])
    (folder.parent if place == "base" else folder).chmod(mode)
    temporary = empty(tmp_path / "other")
    words, _ = start(program, XDG_CACHE_HOME=str(cache), TMPDIR=str(temporary))
    assert Path(words[4]).parent.parent == temporary  # its own, made anew
    temporary.chmod(0o777)  # where everybody may put another in its place
    words, said = start(program, XDG_CACHE_HOME=str(cache), TMPDIR=str(temporary))
    assert (answers(words), words[4]) == (("42", "63"), "None")
    assert "may be written by others" in said
    assert "may be written by everybody" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("place", ["base", "folder"])
def test_a_link_is_not_followed(place: str, program: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    words, _ = start(program, XDG_CACHE_HOME=str(cache))
    path = Path(words[4]).parent if place == "base" else Path(words[4])
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    words, _ = start(program, XDG_CACHE_HOME=str(cache), TMPDIR=str(empty(tmp_path / "other")))
    assert answers(words) == ("42", "63")
    assert (tmp_path / "other") in Path(words[4]).parents


def test_a_home_that_is_a_link_of_one_s_own_is_followed(program: Path, tmp_path: Path) -> None:
    """Many keep ~/.cache on another disk."""
    (tmp_path / "cache").symlink_to(empty(tmp_path / "disk"))
    words, said = start(program, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert Path(words[4]).parent == tmp_path / "disk" / "superpos"
    assert said == ""


def cut(at: int) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[:at])


def flipped(at: int) -> Callable[[Path], object]:
    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[at] ^= 1
        path.write_bytes(content)

    return flip


def sealed(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(hashlib.sha256(content).digest() + content)


def replaced_by(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


DAMAGE = {
    "empty": cut(0),
    "within the digest": cut(20),
    "digest alone": cut(32),
    "shortened": cut(-1),
    "a bit of the digest": flipped(3),
    "a bit of the content": flipped(-40),
    "another program's pickle": sealed(pickle.dumps({"a": 1})),
    "a pickle of nothing": sealed(b""),
    "a class that is gone": sealed(b"\x80\x04\x8c\x04gone\x8c\x01A\x93."),
    "of another version": sealed(pickle.dumps((("a",), ()))),
    "a folder": replaced_by(Path.mkdir),
    "a link": replaced_by(lambda path: path.symlink_to("/dev/zero")),
    "a FIFO": replaced_by(os.mkfifo),
    "writable by all": lambda path: path.chmod(0o666),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_kernel_is_compiled_anew(damage: str, program: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    words, _ = start(program, XDG_CACHE_HOME=str(cache))
    [path] = Path(words[4]).glob("double-*.kernel")
    DAMAGE[damage](path)
    words, said = start(program, XDG_CACHE_HOME=str(cache))
    assert (answers(words), hits(words)) == (("42", "63"), ("0", "1"))
    assert "compiled anew" in said
    # nor can it be kept in a folder's place
    assert len(said.splitlines()) == (1 if damage != "a folder" else 2)


def test_the_kernel_of_another_function_is_not_taken(program: Path, tmp_path: Path) -> None:
    words, _ = start(program, XDG_CACHE_HOME=str(tmp_path))
    folder = Path(words[4])
    [double], [treble] = folder.glob("double-*"), folder.glob("treble-*")
    shutil.copy(treble, double)
    words, said = start(program, XDG_CACHE_HOME=str(tmp_path))
    assert (answers(words), hits(words)) == (("42", "63"), ("0", "1"))
    assert "of another function" in said


def test_a_full_disk_keeps_no_kernel(program: Path, tmp_path: Path) -> None:
    """As on a full disk: no file of this process may be longer than a hundred bytes."""
    words, said = start(program, "prlimit", "--fsize=100", XDG_CACHE_HOME=str(tmp_path))
    assert answers(words) == ("42", "63")
    assert "is not kept" in said
    assert [path for path in Path(words[4]).iterdir() if path.is_file()] == []


@pytest.mark.parametrize(
    "home", [{}, {"HOME": ""}, {"HOME": "relative"}, {"HOME": "/nonexistent/home"}]
)
@needs_root
def test_a_nameless_user_has_a_cache(home: dict[str, str], program: Path, tmp_path: Path) -> None:
    """As in a container that is started as any user."""
    temporary = empty(tmp_path / "tmp")
    temporary.chmod(0o1777)
    words, said = start(program, *as_user(NAMELESS), TMPDIR=str(temporary), **home)
    assert Path(words[4]).parent == temporary / f"superpos-{NAMELESS}"
    assert said == ""


def test_a_relative_cache_home_is_ignored(program: Path, tmp_path: Path) -> None:
    words, _ = start(program, XDG_CACHE_HOME="relative", HOME=str(tmp_path / "home"))
    assert Path(words[4]).parent == tmp_path / "home" / ".cache" / "superpos"
    assert not (program.parent / "relative").exists()


def test_content_comes_back_as_it_was(tmp_path: Path) -> None:
    path = private_folder(tmp_path / "new" / "folder") / "file"
    write_sealed(path, b"content")
    assert read_sealed(path) == b"content"
    path.chmod(0o622)
    with pytest.raises(UntrustedError, match="chmod go-w"):
        read_sealed(path)
    assert [*path.parent.iterdir()] == [path]


def test_training_without_numba_s_compiler(tmp_path: Path) -> None:
    """NUMBA_DISABLE_JIT is numba's switch for debugging: the reference engine trains, and says
    why.
    """
    command = [
        sys.executable,
        "-m",
        "superpos",
        "train",
        "experiment=intro",
        "train.steps=3",
        f"--out={tmp_path}",
    ]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE), "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    asked = [*command, "engine.backend=fused"]
    refused = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "NUMBA_DISABLE_JIT" in refused.stderr
