"""The cache of compiled kernels: named after the engine's source, in a place that can be written,
safe for two.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from places import SUPPORT

from superpos import family as seam
from superpos.engines.compiled import cache
from superpos.engines.compiled.cache import KernelCache
from superpos.families.tms.cpu import FusedCpuEngine, kernel
from superpos.families.tms.cpu.cache import KERNELS
from superpos.maths import streams

pytestmark = pytest.mark.slow

SOURCES = Path(cache.__file__).parent
PACKAGE = Path(cache.__file__).parents[3]

TRAIN = """
import sys, numpy as np
sys.path.insert(0, {tests!r})
from tasks import make_task, start
from superpos.families.tms.cpu import FusedCpuEngine
from superpos.families.tms.cpu.cache import KERNELS
task = make_task(3, 1, models=2, steps=3, batch_size=5)
engine, state = FusedCpuEngine(1), start(task)
first = engine.first_use()
engine.advance(task, state, 3)
print(KERNELS.folder())
print(first)
print(state.params["W"].tobytes().hex())
"""
# A family of a user's own: a package anywhere, with a kernel that calls a pass of superpos and a
# function beside it.
INIT = "from small.kernel import double\n"
KERNEL = """
from pathlib import Path
import numpy as np
from superpos.engines.compiled import steps
from superpos.engines.compiled.cache import KernelCache
from small.number import two

KERNELS = KernelCache(Path(__file__).parent)

@KERNELS.compiled
def double(x):
    steps.add((x.ctypes.data, x.ctypes.data, 16))
    return two() * x[0]
"""
NUMBER = """
from superpos.engines.compiled.cache import KernelCache

@KernelCache.inlined
def two():
    return 2
"""
CALL = """
import numpy as np
from small.kernel import KERNELS, double
print(double(np.full(16, 5, np.float32)), sum(double.stats.cache_hits.values()), KERNELS.folder())
"""


def load(folder: Path) -> ModuleType:
    """The module `cache` of a copy of the shared sources."""
    spec = importlib.util.spec_from_file_location("copied_cache", folder / "cache.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks for its module
    spec.loader.exec_module(module)
    return module


def kernels_of(folder: Path, *more: Path) -> Any:
    """The cache of an engine in a folder, with the copy of the shared sources beside it; as in a
    new process.
    """
    return load(folder.parent / "shared").KernelCache(folder, more)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """The sources of an engine, beside a copy of those that all engines share."""
    shutil.copytree(SOURCES, tmp_path / "shared", ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path / "engine"
    folder.mkdir()
    for name in ("__init__.py", "kernel.py"):
        (folder / name).write_text(f"# {name}\n")
    return folder


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """A package that stands anywhere."""
    folder = tmp_path / "elsewhere" / "small"
    folder.mkdir(parents=True)
    for name, text in {"__init__": INIT, "kernel": KERNEL, "number": NUMBER}.items():
        (folder / f"{name}.py").write_text(text)
    return folder


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
    return TRAIN.format(tests=str(SUPPORT))


SHARED = sorted(f"../shared/{path.name}" for path in SOURCES.glob("*.py"))


@pytest.mark.parametrize("edited", [*SHARED, "__init__.py", "kernel.py"])
def test_an_edit_of_any_source_is_another_folder(edited: str, engine: Path, home: Path) -> None:
    before = kernels_of(engine).folder()
    assert before is not None
    assert before.parent == home / "superpos"
    assert kernels_of(engine).folder() == before  # the same sources, the same folder
    append_line(engine / edited)
    assert kernels_of(engine).folder() != before


def test_an_edit_of_one_engine_leaves_another_s_kernels_alone(engine: Path, home: Path) -> None:
    other = Path(shutil.copytree(engine, engine.with_name("other")))
    append_line(other / "kernel.py")
    before = kernels_of(engine).folder()
    mine = kernels_of(other).folder()
    assert mine != before
    append_line(other / "kernel.py")
    assert kernels_of(other).folder() not in (mine, before)
    assert kernels_of(engine).folder() == before
    append_line(engine.parent / "shared" / "vectors.py")
    assert kernels_of(engine).folder() != before


def test_sources_elsewhere_may_be_named(engine: Path, home: Path) -> None:
    numbers = engine.parent / "numbers.py"
    numbers.write_text("SEGMENT = 1024\n")
    before = kernels_of(engine, numbers).folder()
    assert before != kernels_of(engine).folder()
    append_line(numbers)
    assert kernels_of(engine, numbers).folder() != before


def test_the_toy_models_kernels_know_the_modules_of_their_constants() -> None:
    """What `kernel` takes from outside of its folder and of the shared sources is a number of one
    of these modules.
    """
    imported = ast.parse(Path(kernel.__file__).read_text()).body
    modules = {str(node.module) for node in imported if isinstance(node, ast.ImportFrom)}
    known = ("superpos.engines.compiled", "superpos.families.tms.cpu")
    others = [
        name for name in modules if name.startswith("superpos.") and not name.startswith(known)
    ]
    outside = {Path(str(importlib.util.find_spec(name).origin)) for name in others}
    assert outside == {*KERNELS.more, Path(seam.__file__), Path(streams.__file__)}


def append_line(source: Path) -> None:
    source.write_text(source.read_text() + "\n# another line\n")


def test_a_new_folder_is_not_filled(engine: Path, home: Path) -> None:
    fresh = kernels_of(engine)
    assert not fresh.is_filled()
    (fresh.folder() / "kernel-1.kernel").touch()
    assert fresh.is_filled()


def test_functions_compile_where_no_folder_can_be_written(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    module = load(engine.parent / "shared")
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(blocked))
    fresh = module.KernelCache(engine)
    assert fresh.folder() is None
    assert not fresh.is_filled()
    assert fresh.compiled(lambda x: x + 1)(2) == 3
    assert [*tmp_path.rglob("*.kernel")] == []


@pytest.mark.parametrize("home", ["", "relative"])
def test_a_home_that_is_none_is_passed_over(
    home: str, engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty one would be the root of the system, where root may write."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", home)
    module = load(engine.parent / "shared")
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = module.KernelCache(engine).folder()
    assert folder is not None
    assert folder.is_relative_to(tmp_path)


def test_the_first_use_says_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Uncompiled:
        signatures = ()

    monkeypatch.setattr(KernelCache, "is_filled", lambda _: False)
    monkeypatch.setattr("superpos.families.tms.cpu.kernel.run", Uncompiled)
    monkeypatch.setattr(KernelCache, "folder", lambda _: tmp_path)
    assert f"kept in {tmp_path}" in str(FusedCpuEngine().first_use())
    monkeypatch.setattr(KernelCache, "folder", lambda _: None)
    assert "no cache folder" in str(FusedCpuEngine().first_use())
    monkeypatch.setattr(KernelCache, "is_filled", lambda _: True)
    assert FusedCpuEngine().first_use() is None


def test_an_unwritable_cache_falls_back_to_the_temporary_folder(tmp_path: Path) -> None:
    """Kernels of this version, put there beforehand, are found: nothing is compiled again."""
    [_, _, expected] = run(program())  # fills the ordinary folder
    ordinary = KERNELS.folder()
    assert ordinary is not None
    blocked, temporary = tmp_path / "file", tmp_path / "tmp"
    blocked.touch()
    kept = temporary / f"superpos-{os.getuid()}" / ordinary.name
    kept.parent.mkdir(mode=0o700, parents=True)
    shutil.copytree(ordinary, kept)
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.kernel")}
    [folder, first, found] = run(program(), XDG_CACHE_HOME=str(blocked), TMPDIR=str(temporary))
    assert (Path(folder), first, found) == (kept, "None", expected)
    assert before == {path: path.stat().st_mtime_ns for path in kept.rglob("*.kernel")} != {}


def test_two_processes_may_fill_the_cache_of_a_user_s_family_at_once(
    family: Path, tmp_path: Path
) -> None:
    """Both compile the same function into an empty folder; both get the right answer, and so does a
    third.
    """
    both = [calling(family, tmp_path / "cache") for _ in range(2)]
    assert [answer(process)[0] for process in both] == ["20.0", "20.0"]
    third = answer(calling(family, tmp_path / "cache"))
    assert third[:2] == ["20.0", "1"]  # from the cache
    assert Path(third[2]).parent == tmp_path / "cache" / "superpos"


def test_an_edit_of_what_a_kernel_of_a_user_s_family_calls_is_seen(
    family: Path, tmp_path: Path
) -> None:
    before = answer(calling(family, tmp_path / "cache"))
    number = family / "number.py"
    number.write_text(number.read_text().replace("return 2", "return 3"))
    after = answer(calling(family, tmp_path / "cache"))
    assert (before[:2], after[:2]) == (["20.0", "0"], ["30.0", "0"])
    assert before[2] != after[2]


def calling(family: Path, cache_home: Path) -> subprocess.Popen[str]:
    """A process that calls the kernel of a user's family."""
    path = os.pathsep.join((str(family.parent), str(PACKAGE)))
    environment = os.environ | {
        "PYTHONPATH": path,
        "XDG_CACHE_HOME": str(cache_home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", CALL], env=environment, text=True, **pipes)


def answer(process: subprocess.Popen[str]) -> list[str]:
    """The words that a process printed."""
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out.split()
