"""Tests use what is public: what they need has a name and a module of its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import TESTS

FILES = sorted(TESTS.rglob("*.py"))


def reaches(source: str) -> Iterator[str]:
    """Private names of superpos that a file imports or takes from what it imported, and modules
    that it puts others in the place of.
    """
    tree = ast.parse(source)
    ours = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("superpos"):
            ours |= {alias.asname or alias.name for alias in node.names}
            yield from (alias.name for alias in node.names if _is_private(alias.name))
        if isinstance(node, ast.Import):
            ours |= {alias.asname for alias in node.names if alias.name.startswith("superpos.")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            taken = node.value.id in ours and _is_private(node.attr)
            yield from [f"{node.value.id}.{node.attr}"] if taken else []
        if isinstance(node, ast.Call) and _fakes_a_module(node):
            yield "sys.modules"


def _is_private(name: str) -> bool:
    of_tuples = ("_fields", "_replace", "_asdict", "_make")
    return name.startswith("_") and not name.startswith("__") and name not in of_tuples


def _fakes_a_module(call: ast.Call) -> bool:
    """None in its place says that a package is not installed, and is no fake."""
    texts = [ast.unparse(argument) for argument in call.args]
    return ast.unparse(call.func).endswith("setitem") and (
        texts[:1] == ["sys.modules"] and texts[2:] != ["None"]
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TESTS)))
def test_tests_use_what_is_public(file: Path) -> None:
    assert sorted(set(reaches(file.read_text()))) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from superpos.store.manifest import _seal", ["_seal"]),
        ("from superpos.store import manifest\nmanifest._seal()", ["manifest._seal"]),
        ("import superpos.store.manifest as kept\nkept._seal()", ["kept._seal"]),
        ("monkeypatch.setitem(sys.modules, 'torch', Fake())", ["sys.modules"]),
        ("monkeypatch.setitem(sys.modules, 'torch', None)", []),
        ("from superpos import __version__\nfrom os import _exit\nself._x", []),
    ],
)
def test_what_reaches_in_is_found(source: str, found: list[str]) -> None:
    assert list(reaches(source)) == found
