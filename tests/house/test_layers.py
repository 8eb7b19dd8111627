"""Who may import whom: the table of docs/architecture.md.

Imports are parsed, also those inside functions.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from places import ROOT

import superpos

PACKAGE = Path(superpos.__file__).parent

# A room is a module or folder of superpos/; what stands behind the colon is what it may import
# besides itself.
TABLE = {
    "errors": "",
    "units": "",
    "family": "",
    "paths": "errors",
    "maths": "errors",
    "config": "errors units family",
    "user": "errors family",
    "engines": "errors family maths user",
    "store": "errors units paths family user config.schema",
    "plan": "errors config family user engines.task",
    "figures": "errors units family maths user store",
    "claims": "errors family maths.types user store config.wording",
    "explain": "errors config family maths store figures claims",
    "report": "errors units family maths.types store plan figures",
    "notebook": "errors paths units store figures report training.progress terminal.progress",
    "bench": "errors family engines maths config.wording",
    "training": "errors units paths family maths user engines plan store",
    "families": "errors units family maths config user engines store plan figures claims explain "
    "report bench",
    "compose": "errors config plan user family",
    "cluster": "errors units paths family plan store config.wording",
    "terminal": "errors units family claims plan store config.wording training cluster",
    "cli": "*",
    "__main__": "cli",
    "theory": "families.tms",
    "metrics": "families.tms",
    "geometry": "families.tms",
    "": "*",  # superpos/__init__.py
}
TABLE = {room: allowed.split() for room, allowed in TABLE.items()}

# Inside a family, each folder or module stands on those before it; what is not named here may
# import any of them.
INSIDE = [
    ["keys", "law", "rules"],
    ["purposes", "structure", "work"],
    ["data", "world", "model", "upkeep", "metrics", "neurons"],
    ["geometry"],
    ["theory"],
    ["exact_loss", "counts"],
    ["analysis"],
    ["results", "measures"],
    ["figures"],
    ["explorer"],
]
FLOORS = 12  # of the longest chain of rooms

# Other packages, and where they may be imported; what is not named here may be imported by the
# command line alone.
OWNERS = {
    "numpy": "maths user engines store plan figures claims explain report notebook bench training "
    "families terminal",
    "torch": "maths user engines explain bench families",
    "scipy": "maths figures explain bench families",
    "pandas": "store plan figures claims explain report notebook training families terminal",
    "pyarrow": "store",
    "safetensors": "store",
    "tensorboard": "store.trackers",
    "wandb": "store.trackers",
    "matplotlib": "figures explain.figures families.*.figures report.palette notebook",
    "PIL": "families.*.figures notebook",
    "plotly": "report",
    "hydra": "compose",
    "omegaconf": "compose",
    "yaml": "compose claims cluster",
    "typer": "cli",
    "rich": "terminal cli",
    "IPython": "notebook",
    "numba": "engines.compiled families.*.cpu",
    "llvmlite": "engines.compiled families.*.cpu",
    "triton": "families.*.gpu",
    "jax": "bench families.*.bench",
    "sae_lens": "families.*.bench",
    "sklearn": "explain.forests",
}
# Pure mathematics: no paths, clocks, prints or global randomness.
PURE_IN_A_FAMILY = (
    "data",
    "world",
    "model",
    "upkeep",
    "metrics",
    "geometry",
    "theory",
    "structure",
)
PURE = ["maths", *(f"families.*.{name}" for name in PURE_IN_A_FAMILY)]
NOT_PURE = {
    "os",
    "pathlib",
    "io",
    "tempfile",
    "shutil",
    "time",
    "datetime",
    "random",
    "subprocess",
    "logging",
}
ENGINES = ("engines.reference", "families.*.cpu", "families.*.gpu")
# packages that the command line may import before it knows the command
AT_START = {"typer", "rich"}


def module_name(path: Path) -> str:
    """Dotted name of a file in the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def inside(module: str) -> str:
    """Name of a module without superpos: "plan.sweep"."""
    return module.removeprefix("superpos").removeprefix(".")


def room(module: str) -> str:
    """Folder or module of superpos/ in which a module stands."""
    name = inside(module).partition(".")[0]
    assert name in TABLE, f"{module} stands in no room"
    return name


def matches(module: str, patterns: list[str]) -> bool:
    """Whether a module is, or stands in, one of the patterns, in which * is any one name."""
    parts = inside(module).split(".")
    for pattern in patterns:
        wanted = pattern.split(".")
        if len(wanted) <= len(parts) and all(
            w in ("*", p) for w, p in zip(wanted, parts, strict=False)
        ):
            return True
    return False


@cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def imported(source: str, module: str, only_at_start: bool = False) -> Iterator[str]:
    """Dotted names that a module's source imports; a name taken from a package counts as the module
    it is.
    """
    tree = _parsed(source)
    for node in _at_start(tree) if only_at_start else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            here = module.split(".") if module in _packages() else module.split(".")[:-1]
            base = here[: len(here) - node.level + 1] if node.level else []
            package = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{package}.{alias.name}" if f"{package}.{alias.name}" in MODULES else package


@cache
def _packages() -> frozenset[str]:
    return frozenset(module for module, path in MODULES.items() if path.name == "__init__.py")


def _at_start(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += _statements(node)


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Statements right inside one, also those of its handlers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        else:
            yield from _statements(child)


def faults(module: str, source: str) -> list[str]:
    """What a module's imports break."""
    names = sorted(set(imported(source, module)))
    ours = [name for name in names if name == "superpos" or name.startswith("superpos.")]
    others = sorted({name.partition(".")[0] for name in names} - {"superpos"})
    return [
        *_room_faults(module, ours),
        *_family_faults(module, ours),
        *_name_faults(module, source),
        *_outer_faults(module, others),
        *_start_faults(module, source),
    ]


def _room_faults(module: str, names: list[str]) -> Iterator[str]:
    allowed = TABLE[room(module)]
    for name in names:
        if allowed != ["*"] and room(name) != room(module) and not matches(name, allowed):
            rooms = ", ".join(allowed) or "no other room"
            yield f"{module} imports {name}: {room(module)} may import {rooms}"
    for engine in ENGINES:
        rivals = [other for other in ENGINES if other != engine]
        for name in names:
            if matches(module, [engine]) and matches(name, rivals):
                yield f"{module} imports {name}: engines never import each other"


def _family_faults(module: str, names: list[str]) -> Iterator[str]:
    """A family imports no other, and what stands lower in it imports nothing that stands higher."""
    if room(module) != "families":
        return
    own = ".".join(module.split(".")[:3])
    for name in names:
        if room(name) == "families" and not (name == own or name.startswith(f"{own}.")):
            yield f"{module} imports {name}: a family never imports another"
        elif name.startswith(f"{own}.") and _floor(name, own) > _floor(module, own):
            yield f"{module} imports {name}, which stands above it in its family"


def _floor(module: str, family: str) -> int:
    name = module.removeprefix(family).lstrip(".").partition(".")[0]
    return next((i for i, names in enumerate(INSIDE) if name in names), len(INSIDE))


def _name_faults(module: str, source: str) -> Iterator[str]:
    """A family is found by its name, through `family.find`: no other room spells out where one
    stands.
    """
    own = ".".join(module.split(".")[:3]) if room(module) == "families" else None
    if room(module) == "family":  # looks a family up among the folders
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for name in re.findall(r"superpos\.families\.\w+", node.value):
                if name != own:
                    yield f"{module} names a family's module, {node.value!r}"


def _outer_faults(module: str, packages: list[str]) -> Iterator[str]:
    for package in packages:
        if package in sys.stdlib_module_names:
            if matches(module, PURE) and package in NOT_PURE:
                yield (
                    f"{module} imports {package}: mathematics has no paths, clocks, prints or "
                    "global randomness"
                )
        elif not matches(module, OWNERS.get(package, "cli").split()):
            yield f"{module} imports {package}, which belongs to {OWNERS.get(package, 'cli')}"


def _start_faults(module: str, source: str) -> Iterator[str]:
    if room(module) in ("", "__main__", "cli"):
        for package, importer in sorted(reached_at_start(module, source).items()):
            if package not in sys.stdlib_module_names | AT_START:
                yield f"{module} imports {package} at its start, through {importer}"


def reached_at_start(module: str, source: str) -> dict[str, str]:
    """Other packages that are imported as soon as a module is, each with the module that does
    it.
    """
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


def chains(arrows: dict[str, set[str]]) -> list[str]:
    """The longest chain of rooms, from the top down. Raises AssertionError for a circle."""

    known: dict[str, list[str]] = {}

    def below(name: str, above: tuple[str, ...]) -> list[str]:
        assert name not in above, f"a circle: {' > '.join([*above, name])}"
        if name not in known:
            found = [below(other, (*above, name)) for other in sorted(arrows[name])]
            known[name] = [name, *max(found, key=len, default=[])]
        return known[name]

    return max((below(name, ()) for name in arrows), key=len)


def room_arrows() -> dict[str, set[str]]:
    """Which room imports which; a family is a room of its own."""

    def home(module: str) -> str:
        parts = module.split(".")
        return (
            ".".join(parts[1:3]) if room(module) == "families" and len(parts) > 2 else room(module)
        )

    arrows: dict[str, set[str]] = {home(module): set() for module in MODULES}
    for module, path in MODULES.items():
        for name in imported(path.read_text(), module):
            if name.split(".")[0] == "superpos":
                arrows[home(module)] |= {home(name)} - {home(module)}
    return arrows


@pytest.mark.parametrize("module", MODULES)
def test_imports_follow_the_table(module: str) -> None:
    assert faults(module, MODULES[module].read_text()) == []


def test_rooms_form_no_circle_and_few_floors() -> None:
    longest = chains(room_arrows())
    assert len(longest) <= FLOORS, " > ".join(longest)


def test_modules_form_no_circle() -> None:
    arrows = {
        module: {name for name in imported(path.read_text(), module) if name in MODULES} - {module}
        for module, path in MODULES.items()
    }
    assert len(chains(arrows)) > 1  # raises for a circle


# --- the page that says the same ------------------------------------------------------------------

PAGE = (ROOT / "docs" / "architecture.md").read_text()


def rows_of_the_page() -> list[str]:
    """The table as the page has to have it."""
    return [
        f"| {_code(room or '__init__')} | {_allowed(room)} | {_packages_of(room)} |"
        for room in TABLE
    ]


def _allowed(room: str) -> str:
    return ", ".join(map(_code, TABLE[room])) or "nothing"


def _packages_of(room: str) -> str:
    """Other packages of a room; one that belongs to a part of it says which."""
    found = []
    for package, owners in OWNERS.items():
        parts = [owner for owner in owners.split() if owner.partition(".")[0] == room]
        inside_room = [part.rpartition(".")[2] for part in parts if part != room]
        if parts:
            found.append(
                package + (f" ({', '.join(map(_code, inside_room))})" if inside_room else "")
            )
    return ", ".join(found)


def _code(name: str) -> str:
    return f"`{name}`"


def test_the_page_has_the_table() -> None:
    table = PAGE.partition("| room | may import | other packages |")[2].partition("\n\n")[0]
    assert table.splitlines()[2:] == rows_of_the_page()


def test_the_page_has_the_order_inside_a_family() -> None:
    assert f"    {' < '.join(', '.join(names) for names in INSIDE)}\n" in PAGE


def test_the_page_has_the_number_of_floors() -> None:
    assert re.findall(r"has (\d+) floors, of at most (\d+)", PAGE) == [
        (str(len(chains(room_arrows()))), str(FLOORS))
    ]


def test_a_circle_of_rooms_is_found() -> None:
    with pytest.raises(AssertionError, match="a circle: "):
        chains(room_arrows() | {"family": {"store"}, "store": {"family"}})


def test_the_parser_sees_the_package() -> None:
    """A table that nothing reaches would hold for ever."""
    assert {
        "superpos",
        "superpos.errors",
        "superpos.store.folder",
        "superpos.config.schema",
    } <= MODULES.keys()
    store = set(imported(MODULES["superpos.store.folder"].read_text(), "superpos.store.folder"))
    assert {"superpos.store.files", "superpos.errors", "numpy", "pandas", "pathlib"} <= store
    assert set(TABLE) - {""} <= {room(module) for module in MODULES}


@pytest.mark.parametrize(
    "pattern",
    [
        *(name for allowed in TABLE.values() for name in allowed if name != "*"),
        *(name for owners in OWNERS.values() for name in owners.split()),
        *(f"families.*.{name}" for names in INSIDE for name in names),
        *PURE,
        *ENGINES,
    ],
)
def test_every_name_in_the_tables_is_that_of_a_module(pattern: str) -> None:
    assert any(matches(module, [pattern]) for module in MODULES)


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("superpos.errors", "import superpos.units", "errors may import no other room"),
        ("superpos.family", "from superpos.store import load", "family may import no other room"),
        ("superpos.maths.streams", "from superpos.family import find", "maths may import errors"),
        ("superpos.config.schema", "from superpos.plan.sweep import Sweep", "config may import"),
        (
            "superpos.engines.reference",
            "from superpos.plan.sweep import Sweep",
            "engines may import",
        ),
        ("superpos.plan.sweep", "from superpos.engines import choose", "plan may import"),
        ("superpos.plan.sweep", "from superpos.engines import reference", "plan may import"),
        ("superpos.store.run", "import superpos.engines", "store may import"),
        ("superpos.store.run", "from ..plan import sweep", "store may import"),
        ("superpos.store.run", "from superpos import plan", "store may import"),
        ("superpos.store.run", "from superpos import load", "store may import"),
        (
            "superpos.figures.loss",
            "from superpos.training.runner import train",
            "figures may import",
        ),
        ("superpos.training.runner", "from superpos.terminal import tables", "training may import"),
        (
            "superpos.compose.merge",
            "def f():\n    from superpos.store import load",
            "compose may import",
        ),
        ("superpos.cluster.site", "from superpos.config.schema import key", "cluster may import"),
        ("superpos.plan.sweep", "from superpos.families.tms import FAMILY", "plan may import"),
        ("superpos.store.run", "PATH = 'superpos.families.tms:FAMILY'", "names a family's module"),
        (
            "superpos.families.sae",
            "Late('superpos.families.tms.model:forward')",
            "names a family's module",
        ),
        (
            "superpos.cli",
            "import_module('superpos.families.tms.metrics')",
            "names a family's module",
        ),
        (
            "superpos.families.tms.model",
            "from superpos.training import runner",
            "families may import",
        ),
        (
            "superpos.families.sae.model",
            "from superpos.families.tms import model",
            "never imports another",
        ),
        (
            "superpos.families.tms.keys",
            "from superpos.families.tms.model import forward",
            "stands above it",
        ),
        (
            "superpos.families.tms.theory",
            "from superpos.families.tms.figures import pca",
            "stands above it",
        ),
        (
            "superpos.families.tms.measures.sets",
            "from superpos.families.tms.explorer import parts",
            "stands above it",
        ),
        (
            "superpos.families.tms.cpu",
            "from superpos.engines.reference import x",
            "engines never import each other",
        ),
        (
            "superpos.families.tms.gpu",
            "from superpos.families.tms.cpu import x",
            "engines never import each other",
        ),
        ("superpos.errors", "import numpy", "imports numpy, which belongs to"),
        ("superpos.config.schema", "import torch.nn as nn", "imports torch, which belongs to"),
        ("superpos.plan.sweep", "import torch", "imports torch, which belongs to"),
        ("superpos.maths.streams", "import pandas", "imports pandas, which belongs to"),
        ("superpos.plan.sweep", "from omegaconf import OmegaConf", "belongs to compose"),
        ("superpos.config.schema", "import hydra", "belongs to compose"),
        ("superpos.training.runner", "import typer", "belongs to cli"),
        ("superpos.families.tms.model", "from numba import njit", "belongs to engines.compiled"),
        ("superpos.families.tms.measures.sets", "import matplotlib", "belongs to figures"),
        (
            "superpos.families.tms.measures.sets",
            "from superpos.families.tms.figures import pca",
            "stands above it",
        ),
        ("superpos.training.runner", "from safetensors import safe_open", "belongs to store"),
        ("superpos.training.runner", "import requests", "belongs to cli"),
        (
            "superpos.families.tms.data.inputs",
            "def f():\n    from pathlib import Path",
            "has no paths",
        ),
        ("superpos.maths.streams", "import random", "has no paths"),
        (
            "superpos",
            "from superpos.store import load",
            "imports pandas at its start, through superpos.store",
        ),
        ("superpos.cli", "try:\n    import torch\nexcept ImportError:\n    pass", "at its start"),
        ("superpos.cli", "class A:\n    import numpy", "at its start"),
    ],
)
def test_a_bad_import_is_found(module: str, source: str, fault: str) -> None:
    assert any(fault in found for found in faults(module, source)), faults(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("superpos.maths.streams", "import math\nimport scipy.linalg\nfrom superpos import errors"),
        ("superpos.store.run", "from superpos.store import files\nimport pandas, pathlib"),
        ("superpos.plan.sweep", "from superpos.engines.task import Structure"),
        (
            "superpos.families.tms.figures.pca",
            "from superpos.families.tms import theory\nimport matplotlib",
        ),
        ("superpos.families.sae.model", "from superpos.families.sae.keys import KEYS"),
        ("superpos.cli", "import typer\ndef train():\n    import superpos.training.runner"),
        (
            "superpos",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from superpos.store import "
            "load",
        ),
    ],
)
def test_a_good_import_is_let_through(module: str, source: str) -> None:
    assert faults(module, source) == []


# What measures, claims and the page know is known without drawing; the page asks for its colours
# last.
NO_DRAWING = [f"families.*.{name}" for name in ("analysis", "measures", "explorer")] + [
    "claims",
    "report",
]
WITHOUT_MATPLOTLIB = sorted(
    module
    for module in MODULES
    if matches(module, NO_DRAWING) and module != "superpos.report.palette"
)


# What takes long to import, and what a command that only trains (or has nothing to train) does
# without.
@pytest.mark.parametrize(
    ("module", "needless"),
    [
        ("superpos.plan.sweep", {"torch", "scipy", "numba", "pandas"}),
        ("superpos.figures.registry", {"numpy", "torch", "scipy", "pandas", "numba", "matplotlib"}),
        ("superpos.figures.points", {"torch", "scipy", "numba", "matplotlib"}),
        ("superpos.training.already_trained", {"torch", "scipy", "numba", "matplotlib"}),
        ("superpos.training.runner", {"torch", "scipy", "matplotlib", "hydra", "numba"}),
        ("superpos.families.tms", {"numpy", "torch", "scipy", "matplotlib", "pandas"}),
        ("superpos.families.tms.cpu", {"torch", "scipy", "pandas", "matplotlib"}),
        *((module, {"matplotlib", "PIL"}) for module in WITHOUT_MATPLOTLIB),
    ],
)
def test_what_is_slow_to_import_waits_until_it_is_used(module: str, needless: set[str]) -> None:
    reached = reached_at_start(module, MODULES[module].read_text())
    assert {package: importer for package, importer in reached.items() if package in needless} == {}


def test_what_claims_measure_is_known_without_matplotlib() -> None:
    """Imports are followed as a process follows them, through `importlib` too."""
    assert {"superpos.families.tms.measures.adversarial", "superpos.claims.verdicts"} <= set(
        WITHOUT_MATPLOTLIB
    )
    script = f"""
import importlib, sys
for module in {WITHOUT_MATPLOTLIB}:
    importlib.import_module(module)
print("matplotlib" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


def test_a_module_without_a_room_is_a_fault() -> None:
    with pytest.raises(AssertionError, match=r"superpos\.utils stands in no room"):
        room("superpos.utils")


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = "import sys, superpos; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(done.stdout.split())
    assert "superpos" in modules
    assert modules & OWNERS.keys() == set()
    assert {name for name in modules if name.startswith("superpos.")} == {
        "superpos.errors",
        "superpos.family",
    }
