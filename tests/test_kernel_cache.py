"""The cache of compiled kernels: named after the engine's source, in a place that can be written, safe for two."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from superpos.engines.compiled import cache
from superpos.families.tms.cpu import FusedCpuEngine

SOURCES = Path(cache.__file__).parent
PACKAGE = Path(cache.__file__).parents[3]

TRAIN = """
import sys, numpy as np
sys.path.insert(0, {tests!r})
from tasks import make_task, start
from superpos.families.tms.cpu import FusedCpuEngine
from superpos.engines.compiled import cache
task = make_task(3, 1, models=2, steps=3, batch_size=5)
engine, state = FusedCpuEngine(1), start(task)
first = engine.first_use()
engine.advance(task, state, 3)
print(cache.folder())
print(first)
print(state.params["W"].tobytes().hex())
"""


def load(folder: Path) -> ModuleType:
    """The module `cache` of a copy of the engine's sources."""
    spec = importlib.util.spec_from_file_location("copied_cache", folder / "cache.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SOURCES, tmp_path / "engine", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "home"
    monkeypatch.setenv("XDG_CACHE_HOME", str(path))
    return path


def run(code: str, **environment: str) -> list[str]:
    """Lines that a new process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(PACKAGE)} | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def program() -> str:
    return TRAIN.format(tests=str(Path(__file__).parent))


@pytest.mark.parametrize("edited", sorted(path.name for path in SOURCES.glob("*.py")))
def test_an_edit_of_any_source_is_another_folder(edited: str, copied: Path, home: Path) -> None:
    before = load(copied).folder()
    assert before is not None
    assert before.parent == home / "superpos"
    assert load(copied).folder() == before  # the same sources, the same folder
    source = copied / edited
    source.write_text(source.read_text() + "\n# another line\n")
    assert load(copied).folder() != before


def test_a_new_folder_is_not_filled(copied: Path, home: Path) -> None:
    fresh = load(copied)
    assert not fresh.is_filled()
    (fresh.folder() / "kernel.nbi").touch()
    assert fresh.is_filled()


def test_functions_compile_where_no_folder_can_be_written(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    fresh = load(copied)
    monkeypatch.setattr(fresh.tempfile, "gettempdir", lambda: str(blocked))
    assert fresh.folder() is None
    assert not fresh.is_filled()
    assert fresh.compiled(lambda x: x + 1)(2) == 3


def test_the_first_use_says_what_it_waits_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Uncompiled:
        signatures = ()

    monkeypatch.setattr(cache, "is_filled", lambda: False)
    monkeypatch.setattr("superpos.families.tms.cpu.kernel.run", Uncompiled)
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    assert f"kept in {tmp_path}" in str(FusedCpuEngine().first_use())
    monkeypatch.setattr(cache, "folder", lambda: None)
    assert "no cache folder" in str(FusedCpuEngine().first_use())
    monkeypatch.setattr(cache, "is_filled", lambda: True)
    assert FusedCpuEngine().first_use() is None


def test_an_unwritable_cache_falls_back_to_the_temporary_folder(tmp_path: Path) -> None:
    """Kernels of this version, put there beforehand, are found: nothing is compiled again."""
    [_, _, expected] = run(program())  # fills the ordinary folder
    ordinary = cache.folder()
    assert ordinary is not None
    blocked, temporary = tmp_path / "file", tmp_path / "tmp"
    blocked.touch()
    kept = shutil.copytree(ordinary, temporary / f"superpos-{os.getuid()}" / ordinary.name)
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.nb?")}
    [folder, first, found] = run(program(), XDG_CACHE_HOME=str(blocked), TMPDIR=str(temporary))
    assert (Path(folder), first, found) == (kept, "None", expected)
    assert before == {path: path.stat().st_mtime_ns for path in kept.rglob("*.nb?")} != {}


def test_two_processes_may_fill_the_cache_at_once(copied: Path, tmp_path: Path) -> None:
    """Both compile the same function into an empty folder; both get the right answer, and so does a third."""
    (copied / "small.py").write_text("from cache import compiled\n\n\n@compiled\ndef double(x):\n    return 2 * x\n")
    code = "import cache, small, time; print(small.double(21), sum(small.double.stats.cache_hits.values()))"
    environment = os.environ | {"PYTHONPATH": str(copied), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    start = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([sys.executable, "-c", code], **start) for _ in range(2)]
    outcomes = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outcomes
    assert [out.split()[0] for out, _ in outcomes] == ["42", "42"]
    third = subprocess.run([sys.executable, "-c", code], check=True, **start)
    assert third.stdout.split() == ["42", "1"]  # from the cache
