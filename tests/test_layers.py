"""The layer table of the design: arrows point down only. Imports are parsed, also those inside functions."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import superpos

PACKAGE = Path(superpos.__file__).parent

# Longest prefix wins. A module that stands nowhere is a fault: new modules choose their layer here.
LAYERS = {
    0: ["errors", "units", "config", "config.schema", "config.rules", "config.axes", "config.wording"],
    1: [
        "source",
        "own",
        "task",
        "columns",
        "streams",
        "cells",
        "halves",
        "sampler",
        "sparse",
        "data",
        "model",
        "optim",
        "metrics",
        "geometry",
        "neurons",
        "theory",
        "trajectory",
        "losses",
    ],
    2: ["engines"],
    3: ["sweep", "store", "figures"],
    4: [
        "runner",
        "trial",
        "outcome",
        "finished",
        "estimate",
        "memory",
        "provenance",
        "publishing",
        "stopwatch",
        "report",
        "checks",
        "cluster",
    ],
    5: [
        "config.compose",
        "config.merge",
        "config.experiments",
        "progress",
        "findings",
        "listing",
        "suggestions",
        "status",
        "summary",
        "tables",
        "cli",
        "__main__",
    ],
}
RANK = {f"superpos.{name}": rank for rank, names in LAYERS.items() for name in names} | {"superpos": 5}

MATHS = {"numpy", "torch", "scipy"}
FILES = {"pandas", "pyarrow", "safetensors", "matplotlib", "PIL"}
# Other packages that a layer may use; layer 5 may use all.
THIRD_PARTY = {0: set(), 1: MATHS, 2: MATHS | {"numba", "llvmlite", "triton", "jax"}, 3: {"numpy", "scipy"} | FILES}
THIRD_PARTY[4] = MATHS | FILES | {"yaml", "plotly"}
# Packages with one owner.
OWNERS = {
    "hydra": ["superpos.compose.compose"],
    "omegaconf": ["superpos.compose.compose"],
    "yaml": ["superpos.config", "superpos.checks", "superpos.cluster"],
    "typer": ["superpos.cli"],
    "numba": ["superpos.engines"],
    "llvmlite": ["superpos.engines"],
    "triton": ["superpos.engines"],
    "jax": ["superpos.engines.bench.jit_scan"],
    "safetensors": ["superpos.store"],
    "pyarrow": ["superpos.store"],
    "plotly": ["superpos.report"],
}
NOT_IN_MATHS = {"os", "pathlib", "io", "tempfile", "shutil", "time", "datetime", "random", "subprocess", "logging"}
ENGINES = ("superpos.engines.reference", "superpos.families.tms.cpu", "superpos.engines.gpu")
AT_START = {"typer", "rich"}  # packages that the command line may import before it knows the command


def module_name(path: Path) -> str:
    """Dotted name of a file in the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def rank(module: str) -> int:
    """Layer of a module of the package, by its longest known prefix below the package itself."""
    parts = module.split(".")
    known = (".".join(parts[:n]) for n in range(len(parts), 1, -1))
    found = next((prefix for prefix in known if prefix in RANK), "superpos" if module == "superpos" else None)
    assert found is not None, f"{module} stands in no layer"
    return RANK[found]


def below(module: str, package: str) -> bool:
    """Whether a module is a package or stands in it."""
    return module == package or module.startswith(f"{package}.")


def imported(source: str, module: str, only_at_start: bool = False) -> Iterator[str]:
    """Dotted names that a module's source imports; a name taken from a package counts as the module it is."""
    for node in _at_start(ast.parse(source)) if only_at_start else ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            here = module.split(".") if module in _packages() else module.split(".")[:-1]
            base = here[: len(here) - node.level + 1] if node.level else []
            package = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{package}.{alias.name}" if f"{package}.{alias.name}" in MODULES else package


def _packages() -> set[str]:
    return {module for module, path in MODULES.items() if path.name == "__init__.py"}


def _at_start(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [child for child in ast.walk(node) if isinstance(child, ast.stmt) and child is not node]


def faults(module: str, source: str) -> list[str]:
    """What a module's imports break."""
    names = sorted(set(imported(source, module)))
    inside = [name for name in names if below(name, "superpos")]
    outside = sorted({name.partition(".")[0] for name in names} - {"superpos"})
    return [*_inner_faults(module, inside), *_outer_faults(module, outside), *_start_faults(module, source)]


def _inner_faults(module: str, names: list[str]) -> Iterator[str]:
    here = rank(module)
    for name in names:
        there = rank(name)
        own = here == 3 and below(name, ".".join(module.split(".")[:2]))
        if there > here or (here == 3 and there >= 2 and not own):
            yield f"{module} (layer {here}) imports {name} (layer {there})"
    engine = next((engine for engine in ENGINES if below(module, engine)), None)
    for name in names:
        if engine and below(name, "superpos.engines") and not below(name, engine):
            yield f"{module} imports {name}: engines never import each other"


def _outer_faults(module: str, packages: list[str]) -> Iterator[str]:
    here = rank(module)
    for package in packages:
        if package in sys.stdlib_module_names:
            if here == 1 and package in NOT_IN_MATHS:
                yield f"{module} imports {package}: maths has no paths, clocks, prints or global randomness"
        elif package in OWNERS and not any(below(module, owner) for owner in OWNERS[package]):
            yield f"{module} imports {package}, which belongs to {', '.join(OWNERS[package])}"
        elif here in THIRD_PARTY and package not in THIRD_PARTY[here]:
            yield f"{module} (layer {here}) imports {package}"


def _start_faults(module: str, source: str) -> Iterator[str]:
    if module in ("superpos", "superpos.__main__") or below(module, "superpos.cli"):
        for package, importer in sorted(reached_at_start(module, source).items()):
            if package not in sys.stdlib_module_names | AT_START:
                yield f"{module} imports {package} at its start, through {importer}"


def reached_at_start(module: str, source: str) -> dict[str, str]:
    """Other packages that are imported as soon as a module is, each with the module that does it."""
    seen, waiting, reached = {module}, [(module, source)], {}
    while waiting:
        importer, text = waiting.pop()
        for name in imported(text, importer, only_at_start=True):
            parts = name.split(".")
            if parts[0] != "superpos":
                reached[parts[0]] = importer
                continue
            inner = {".".join(parts[:n]) for n in range(1, len(parts) + 1)} & MODULES.keys() - seen
            seen |= inner
            waiting += [(found, MODULES[found].read_text()) for found in inner]
    return reached


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    assert faults(module, MODULES[module].read_text()) == []


def test_every_name_in_the_table_is_about_this_package() -> None:
    """The parser sees the package: a table that nothing reaches would hold for ever."""
    assert {"superpos", "superpos.errors", "superpos.store.folder", "superpos.config.schema"} <= MODULES.keys()
    store = set(imported(MODULES["superpos.store.folder"].read_text(), "superpos.store.folder"))
    assert {"superpos.store.files", "superpos.errors", "numpy", "pandas", "pathlib"} <= store


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("superpos.errors", "import numpy", "(layer 0) imports numpy"),
        ("superpos.config.schema", "import torch.nn as nn", "(layer 0) imports torch"),
        ("superpos.config.schema", "from superpos.task import Task", "imports superpos.task (layer 1)"),
        ("superpos.metrics", "from superpos.store import load", "imports superpos.store (layer 3)"),
        ("superpos.metrics", "from superpos import store", "imports superpos.store (layer 3)"),
        ("superpos.metrics", "from . import store", "imports superpos.store (layer 3)"),
        ("superpos.metrics", "from superpos import load", "imports superpos (layer 5)"),
        ("superpos.theory.exact", "from ..store import load", "imports superpos.store (layer 3)"),
        ("superpos.theory", "from ..engines import choose", "imports superpos.engines (layer 2)"),
        ("superpos.metrics", "import pandas", "(layer 1) imports pandas"),
        ("superpos.data", "def f():\n    from pathlib import Path", "maths has no paths"),
        ("superpos.data", "import random", "maths has no paths"),
        (
            "superpos.families.tms.cpu.kernel",
            "from superpos.engines.reference import x",
            "engines never import each other",
        ),
        ("superpos.engines.reference", "from superpos.engines import choose", "engines never import each other"),
        ("superpos.families.tms.cpu", "from superpos.sweep import Sweep", "imports superpos.sweep (layer 3)"),
        ("superpos.store.run", "import superpos.engines", "(layer 3) imports superpos.engines (layer 2)"),
        ("superpos.sweep", "from superpos.store import load", "(layer 3) imports superpos.store (layer 3)"),
        (
            "superpos.figures.loss",
            "from superpos.training.runner import train",
            "imports superpos.training.runner (layer 4)",
        ),
        ("superpos.sweep", "import torch", "(layer 3) imports torch"),
        ("superpos.sweep", "from omegaconf import OmegaConf", "belongs to superpos.compose.compose"),
        ("superpos.config.merge", "import hydra", "belongs to superpos.compose.compose"),
        ("superpos.training.runner", "import typer", "belongs to superpos.cli"),
        ("superpos.model", "from numba import njit", "belongs to superpos.engines"),
        ("superpos.training.runner", "from safetensors import safe_open", "belongs to superpos.store"),
        ("superpos", "from superpos.store import load", "imports pandas at its start, through superpos.store"),
        ("superpos.cli", "try:\n    import torch\nexcept ImportError:\n    pass", "at its start"),
        ("superpos.cli", "class A:\n    import numpy", "at its start"),
    ],
)
def test_a_bad_import_is_found(module: str, source: str, fault: str) -> None:
    assert any(fault in found for found in faults(module, source)), faults(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("superpos.metrics", "import math\nimport scipy.linalg\nfrom superpos import errors"),
        ("superpos.store.run", "from superpos.store import files\nimport pandas, pathlib"),
        ("superpos.engines", "from superpos.families.tms.cpu import FusedCpuEngine"),
        ("superpos.cli", "import typer\ndef train():\n    import superpos.training.runner"),
        ("superpos", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from superpos.store import load"),
    ],
)
def test_a_good_import_is_let_through(module: str, source: str) -> None:
    assert faults(module, source) == []


# What takes long to import, and what a command that only trains (or has nothing to train) does without.
@pytest.mark.parametrize(
    ("module", "needless"),
    [
        ("superpos.sweep", {"torch", "scipy", "numba"}),
        ("superpos.figures", {"torch", "scipy", "numba"}),
        ("superpos.finished", {"torch", "scipy", "numba", "matplotlib"}),
        ("superpos.training.runner", {"torch", "scipy", "matplotlib", "hydra", "numba"}),
        ("superpos.families.tms.cpu", {"torch", "scipy", "pandas", "matplotlib"}),
    ],
)
def test_what_is_slow_to_import_waits_until_it_is_used(module: str, needless: set[str]) -> None:
    reached = reached_at_start(module, MODULES[module].read_text())
    assert {package: importer for package, importer in reached.items() if package in needless} == {}


def test_a_module_without_a_layer_is_a_fault() -> None:
    with pytest.raises(AssertionError, match=r"superpos\.utils stands in no layer"):
        rank("superpos.utils")


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = "import sys, superpos; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    modules = set(done.stdout.split())
    assert "superpos" in modules
    assert modules & (MATHS | FILES | OWNERS.keys()) == set()
