"""docs/architecture.md is what the code is: tree, files and functions, slots, the trip of a
value.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from places import ROOT
from test_layers import TABLE
from typer.testing import CliRunner

import superpos
from superpos import family
from superpos.cli import app

PACKAGE = Path(superpos.__file__).parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()
FILE = r"`([\w/.]+\.(?:py|js|md|yaml|json|toml))`"
FILE_AND_NAME = re.compile(FILE + r" `([A-Za-z_][\w.]*)`(?: and `([A-Za-z_][\w.]*)`)?")


def section(title: str) -> str:
    """The text under a heading of the page."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def cells(line: str) -> list[str]:
    """The cells of a row of a table."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tree() -> list[str]:
    """Paths of the tree in the page, relative to the package; folders end in a slash."""
    block = re.search(r"```text\nsuperpos/\n(.*?)```", PAGE, flags=re.S)
    assert block
    found: list[str] = []
    above: list[str] = []
    for line in block[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        name = line.split()[0]
        above = [*above[:depth], name.rstrip("/")]
        found.append("/".join(above) + ("/" if name.endswith("/") else ""))
    return found


@cache
def names_in(file: Path) -> frozenset[str]:
    """What a module defines: functions, classes, their methods, values; of a script its top."""
    if file.suffix != ".py":
        top = r"^(?:async )?(?:function|const|let|type|interface) (\w+)"
        return frozenset(re.findall(top, file.read_text(), flags=re.MULTILINE))

    def inside(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from inside(node.body, f"{prefix}{node.name}.")
            if isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from (prefix + ast.unparse(target) for target in targets)

    return frozenset(inside(ast.parse(file.read_text()).body, ""))


def test_the_tree_names_every_room_and_module_and_nothing_else() -> None:
    drawn = tree()
    assert [path for path in drawn if not (PACKAGE / path).exists()] == []
    rooms = {room for room in TABLE if room}
    tops = {path.partition("/")[0].removesuffix(".py") for path in drawn}
    assert tops == rooms | {"__init__"}
    shown = {path.rstrip("/") for path in drawn}
    modules = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    folders = [path.parent for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE]
    found = {path.relative_to(PACKAGE).as_posix() for path in modules + folders}
    inner = re.compile(r"families/\w+/\w+/.")  # a folder of a family is one line
    assert {path for path in found if not inner.match(path)} - shown == set()


def test_functions_that_the_page_names_are_there() -> None:
    named = {(file, name) for file, *names in FILE_AND_NAME.findall(PAGE) for name in names if name}
    assert len(named) > 40
    assert {(file, name) for file, name in named if name not in names_in(PACKAGE / file)} == set()


@pytest.mark.parametrize(
    "kind",
    [
        family.Family,
        family.ExactLoss,
        family.Source,
        family.Exhibits,
        family.Figure,
        family.Explorer,
    ],
    ids=lambda kind: kind.__name__,
)
def test_the_tables_of_the_seam_have_every_slot(kind: type) -> None:
    value, slots = "", []
    for line in section("The seam").splitlines():
        if not line.startswith("|") or line.startswith(("| group", "| value", "|---")):
            continue
        first, slot, *rest = cells(line)
        value = "Family" if len(rest) == 2 else first.strip("`") or value
        if value == kind.__name__:
            slots.append(slot.strip("`"))
    assert slots == [slot.name for slot in dataclasses.fields(kind)]


# --- the trip of data.sparsity --------------------------------------------------------------------


def trip_rows() -> list[str]:
    """The rows of the table of stations."""
    lines = section("The trip of one value").splitlines()
    return [line for line in lines if re.match(r"\| \d", line)]


def stations() -> list[list[tuple[str, str]]]:
    """Files and functions of each station."""
    rows = [cells(line) for line in trip_rows()]
    numbers = [int(row[0].partition(".")[0]) for row in rows]
    assert numbers == list(range(1, len(rows) + 1))
    return [[(file, name) for file, name, _ in FILE_AND_NAME.findall(row[1])] for row in rows]


def called(during: Callable[[], Any]) -> list[tuple[str, str]]:
    """Files and names of the package's functions in the order of their first calls."""
    seen: dict[tuple[str, str], None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            file = Path(frame.f_code.co_filename).relative_to(PACKAGE).as_posix()
            seen.setdefault((file, frame.f_code.co_qualname))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        during()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]  # none, as before
    return list(seen)


def run(*command: str) -> None:
    """A command that succeeds."""
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output


def test_a_value_takes_the_trip_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("train", "name=before", "train.steps=1", "--quiet")  # kernels are compiled and loaded

    def trip() -> None:
        run("train", "data.sparsity=0.9,0.99", "train.steps=3", "--quiet")
        run("plot", "--figure", "features")

    order = called(trip)
    told = [place for station in stations() for place in station]
    assert [place for place in told if place not in order] == []
    assert told == sorted(told, key=order.index)


def test_the_trip_is_as_short_as_is_said() -> None:
    files = set(re.findall(FILE, "\n".join(trip_rows())))
    said = f"{len(stations())} stations in {len(files)} files"
    assert said in section("The trip of one value")
    assert len(stations()) < 13
    assert len(files) < 26
