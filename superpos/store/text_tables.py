"""Tables as text for people: Markdown for notes and issues, LaTeX for papers.

Numbers have four digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from superpos.units import number

# Signs that Markdown and LaTeX take for something else.
_MARKDOWN: Final = re.compile(r"([\\|<*`~\[\]])")
_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def markdown(table: pd.DataFrame) -> str:
    """A table of GitHub's Markdown; columns of numbers stand right."""
    heads, rows = _cells(table, lambda text: _MARKDOWN.sub(r"\\\1", text))
    rule = ["---:" if right else "---" for right in _stand_right(table)]
    return "".join(f"| {' | '.join(line)} |\n" for line in [heads, rule, *rows])


def latex(table: pd.DataFrame) -> str:
    """A tabular of LaTeX with the rules of the package booktabs."""
    heads, rows = _cells(table, lambda text: "".join(_LATEX.get(letter, letter) for letter in text))
    columns = "".join("r" if right else "l" for right in _stand_right(table))
    body = [f"{' & '.join(line)} \\\\" for line in rows]
    lines = [
        r"% \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        rf"{' & '.join(heads)} \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _cells(table: pd.DataFrame, safe: Callable[[str], str]) -> tuple[list[str], list[list[str]]]:
    """The titles and the rows as safe text in one line each."""
    columns = [[safe(_text(cell)) for cell in table[name]] for name in table.columns]
    return [safe(str(name)) for name in table.columns], [
        list(row) for row in zip(*columns, strict=True)
    ]


def _text(cell: Any) -> str:
    """A cell in one line; a gap is empty."""
    if isinstance(cell, np.ndarray | list | tuple):
        return f"[{', '.join(map(_text, cell))}]"
    if pd.isna(cell):
        return ""
    if isinstance(cell, float | np.floating):
        return number(float(cell))
    return " ".join(str(cell).split())


def _stand_right(table: pd.DataFrame) -> Sequence[bool]:
    return [pd.api.types.is_numeric_dtype(table[name]) for name in table.columns]
