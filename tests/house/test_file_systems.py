"""File systems that lack a convenience: links, flushing of folders, renaming over another file; and
copies of links.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.store import RunFolder, files, latest_run, load
from superpos.store.inventory import inventory

pytestmark = pytest.mark.slow

TINY = ["train.steps=2", "model.n_features=2", "model.n_hidden=1", "engine.backend=reference"]
FACTS: dict[str, Any] = {"plan": "p", "chunks": [[0]], "engine": "e"}


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="superpos")


def refusing(number: int) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return refuse


def without_call(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.delattr(os, name)


def without(name: str, number: int) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(os, name, refusing(number))


def without_flushing(number: int, folders: bool) -> Callable[[pytest.MonkeyPatch], None]:
    def change(patch: pytest.MonkeyPatch) -> None:
        flush = os.fsync

        def fsync(handle: int) -> None:
            if stat.S_ISDIR(os.fstat(handle).st_mode) == folders:
                raise OSError(number, os.strerror(number))
            flush(handle)

        patch.setattr(os, "fsync", fsync)

    return change


def without_opening_folders(patch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    real = os.open

    def opened(path: Any, *arguments: Any, **options: Any) -> int:
        if os.path.isdir(path):  # noqa: PTH112 - as it is called
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *arguments, **options)

    patch.setattr(os, "open", opened)


def without_renaming_over(patch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def renamed(old: Any, new: Any, **options: Any) -> None:
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, "File exists", new)
        rename(old, new, **options)

    patch.setattr(os, "replace", renamed)
    patch.setattr(os, "rename", renamed)


def without_anything(patch: pytest.MonkeyPatch) -> None:
    for change in (without_renaming_over, without_flushing(errno.EIO, folders=True)):
        change(patch)
    for name in ("symlink", "link"):
        without(name, errno.EPERM)(patch)


LACKS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "symbolic links": without("symlink", errno.EPERM),
    "symbolic links (not implemented)": without("symlink", errno.ENOSYS),
    "the call for symbolic links": without_call("symlink"),
    "hard links": without("link", errno.ENOTSUP),
    "the call for hard links": without_call("link"),
    "flushing of folders": without_flushing(errno.EIO, folders=True),
    "flushing of folders (invalid)": without_flushing(errno.EINVAL, folders=True),
    "opening folders": without_opening_folders,
    "flushing": without_flushing(errno.ENOSYS, folders=False),
    "renaming over": without_renaming_over,
    "all of these": without_anything,
}


def trains_and_shows(out: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Runs train and are resumed, and whoever gives no run, a name or `latest` gets the newest
    one.
    """
    for seed in ("1", "2"):
        run = superpos.train([*TINY, "name=demo", f"seed={seed}"], out=out)
        assert run.complete
    assert len(caplog.messages) == len(set(caplog.messages))  # each is said once
    newest = run.path
    assert superpos.train([*TINY, "name=demo", "seed=2"], out=out).digest() == run.digest()
    assert latest_run(out) == newest
    for path in (out / "demo", out / "demo" / "latest"):
        assert load(path).path == newest
    assert str(newest) in cli("status").stdout
    found = inventory(out)
    assert {seen.path.name: seen.latest for seen in found}.pop(newest.name)
    assert [seen.latest for seen in found].count(True) == 1
    assert not list(out.rglob("*.tmp"))


@pytest.mark.parametrize("lack", LACKS)
def test_a_file_system_without(
    lack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    files.note_once.cache_clear()
    LACKS[lack](monkeypatch)
    trains_and_shows(tmp_path / "outputs", caplog)


@pytest.fixture
def exfat(tmp_path: Path) -> Iterator[Path]:
    """A file system as on a camera's card: no links of either kind, no modes, times of 2 s."""
    make, mount = shutil.which("mkfs.exfat"), shutil.which("mount.exfat-fuse")
    if make is None or mount is None or os.geteuid() != 0:
        pytest.skip("exFAT needs root, exfatprogs and exfat-fuse")
    image, folder = tmp_path / "image", tmp_path / "card"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(2**24)
    subprocess.run([make, str(image)], check=True, capture_output=True)
    loop = subprocess.run(
        ["losetup", "-f", "--show", str(image)], check=False, capture_output=True, text=True
    )
    device = loop.stdout.strip()
    if loop.returncode:
        pytest.skip("may not make a device of a file")
    try:
        if subprocess.run(
            [mount, device, str(folder)], check=False, capture_output=True
        ).returncode:
            pytest.skip("may not mount a file system")
        yield folder
        subprocess.run(["umount", "-l", str(folder)], check=True)
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def test_exfat(
    exfat: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(exfat)
    trains_and_shows(exfat / "outputs", caplog)


def test_every_command_without_a_path_takes_the_newest_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    without("symlink", errno.EPERM)(monkeypatch)
    for name in ("b", "a"):
        newest = superpos.train([*TINY, f"name={name}"]).path
    # writing into a run makes it no newer
    for command in (["status"], ["plot", "--figure", "loss"], ["report"]) * 2:
        done = cli(*command)
        assert done.exit_code == 0, done.stderr
        assert str(newest.resolve()) in done.stdout


def test_a_link_that_cannot_be_set_leads_to_no_older_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    RunFolder.open(tmp_path, "demo", "older", FACTS).record_attempt({})
    monkeypatch.setattr(os, "symlink", refusing(errno.EDQUOT))
    newer = RunFolder.open(tmp_path, "demo", "newer", FACTS)
    newer.record_attempt({})
    assert "cannot set the link" in caplog.text
    assert latest_run(tmp_path) == newer.path
    assert load(tmp_path / "demo").path == newer.path


def test_writing_that_failed_is_no_matter_of_flushing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_flushing(errno.EIO, folders=False)(monkeypatch)
    with pytest.raises(OSError, match="Input/output error"):
        files.publish(tmp_path / "a", b"a")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_renamed_over_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one is moved away first; where the new one then cannot come, the old one comes
    back.
    """
    (tmp_path / "a").write_text("old")
    without_renaming_over(monkeypatch)
    files.replace(tmp_path / "a", b"new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]
    rename = os.rename

    def failing(old: Any, new: Any, **options: Any) -> None:
        if Path(new).name == "a" and Path(old).read_bytes() == b"newer":
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(old, new, **options)

    monkeypatch.setattr(os, "rename", failing)
    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="No space left"):
        files.replace(tmp_path / "a", b"newer")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


# --- copies of links ------------------------------------------------------------------------------


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of an outputs folder that follows links: `latest` is a copy of the first run there."""
    original = tmp_path / "original"
    for run_id in ("older", "newer"):
        RunFolder.open(original, "demo", run_id, FACTS).record_attempt({})
    RunFolder.open(original, "other", "single", FACTS)
    shutil.copytree(original, tmp_path / "copy")  # follows links
    assert not (tmp_path / "copy" / "demo" / "latest").is_symlink()
    return tmp_path / "copy"


def test_a_copy_of_a_link_is_no_run(copied: Path) -> None:
    found = inventory(copied)
    assert {(run.path.name, run.latest) for run in found} == {
        ("older", False),
        ("newer", True),
        ("single", True),
    }
    assert load(copied / "demo").path == copied / "demo" / "newer"
    assert load(copied / "demo" / "latest").path == copied / "demo" / "newer"


def test_a_copy_of_a_link_is_outdated_by_what_is_trained_beside_it(
    copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    third = RunFolder.open(copied, "demo", "third", FACTS)
    third.record_attempt({})
    assert "latest: it is no link" in caplog.text
    for path in (copied / "demo", copied / "demo" / "latest"):
        assert load(path).path == third.path
    assert latest_run(copied) == third.path
    assert (copied / "demo" / "latest" / "manifest.json").is_file()


def test_a_run_that_somebody_called_latest_is_a_run(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path / "a", "demo", "single", FACTS)
    (tmp_path / "b" / "demo").mkdir(parents=True)
    shutil.copytree(run.path, tmp_path / "b" / "demo" / "latest")
    assert [seen.path.name for seen in inventory(tmp_path / "b")] == ["latest"]
    for path in (tmp_path / "b" / "demo", tmp_path / "b" / "demo" / "latest"):
        assert load(path).path == tmp_path / "b" / "demo" / "latest"


def test_the_newest_run_is_known_by_its_attempts(tmp_path: Path) -> None:
    """Times of files are those of the copy; a run that was started again is newer than one made
    later.
    """
    first = RunFolder.open(tmp_path, "demo", "first", FACTS)
    first.record_attempt({})
    RunFolder.open(tmp_path, "demo", "second", FACTS).record_attempt({})
    first.record_attempt({})
    (tmp_path / "demo" / "latest").unlink()
    for path in tmp_path.rglob("*"):
        os.utime(path, (0, 0))
    os.utime(tmp_path / "demo" / "second" / "manifest.json", (1, 1))
    assert latest_run(tmp_path) == first.path
    shutil.rmtree(first.path / "attempts")
    shutil.rmtree(tmp_path / "demo" / "second" / "attempts")
    assert latest_run(tmp_path) == tmp_path / "demo" / "second"
    first.path.rename(tmp_path / "demo" / "first.old-1")
    assert load(tmp_path / "demo").path == tmp_path / "demo" / "second"
