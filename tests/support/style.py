"""The style of superpos in numbers: `python tests/support/style.py` prints the row of the table in
docs/architecture.md.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from places import ROOT

WIDTH = 100
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
DOCUMENTED = (ast.FunctionDef, ast.ClassDef)


class Style(NamedTuple):
    """What is measured. Shares are of 1; quantiles are the median, 90% and the largest."""

    modules: tuple[int, int, int]
    functions: tuple[int, int, int]
    expressions: float
    """Expressions in a statement, on average."""
    long_lines: float
    comprehensions: float
    """In a thousand lines."""
    several: float
    """Share of assignments that bind several names to several values."""
    documented: float
    """Share of public functions and classes that have a docstring."""

    def row(self) -> str:
        """The row of the table, in Markdown."""
        cells = [
            " / ".join(map(str, self.modules)),
            " / ".join(map(str, self.functions)),
            f"{self.expressions:.1f}",
            f"{self.long_lines:.1%}",
            f"{self.comprehensions:.0f}",
            f"{self.several:.1%}",
            f"{self.documented:.0%}",
        ]
        return f"| {' | '.join(cells)} |"


def style(folder: Path) -> Style:
    """Of all Python files in a folder."""
    sources = [path.read_text() for path in sorted(folder.rglob("*.py"))]
    lines = [line for source in sources for line in source.splitlines()]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    assignments = [node for node in nodes if isinstance(node, ast.Assign)]
    public = [
        node for node in nodes if isinstance(node, DOCUMENTED) and not node.name.startswith("_")
    ]
    return Style(
        quantiles(len(source.splitlines()) for source in sources),
        quantiles(lengths(nodes)),
        count(nodes, ast.expr) / count(nodes, ast.stmt),
        sum(len(line) > WIDTH for line in lines) / len(lines),
        1000 * sum(isinstance(node, COMPREHENSIONS) for node in nodes) / len(lines),
        sum(map(binds_several, assignments)) / len(assignments),
        sum(ast.get_docstring(node) is not None for node in public) / len(public),
    )


def lengths(nodes: Iterable[ast.AST]) -> Iterator[int]:
    """Lines of each function."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            yield node.end_lineno - node.lineno + 1


def count(nodes: Iterable[ast.AST], kind: type) -> int:
    """How many nodes are of a kind."""
    return sum(isinstance(node, kind) for node in nodes)


def binds_several(node: ast.Assign) -> bool:
    """Whether it is `a, b = x, y`."""
    return isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)


def quantiles(values: Iterable[int]) -> tuple[int, int, int]:
    """Median, 90% and the largest, rounded to whole numbers."""
    found = np.quantile(list(values), (0.5, 0.9, 1))
    half, most, largest = (round(value) for value in found.tolist())
    return half, most, largest


if __name__ == "__main__":
    sys.stdout.write(f"{style(ROOT / 'superpos').row()}\n")
