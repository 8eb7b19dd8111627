"""The notebooks of the documents run where nothing but superpos is, and their outputs are of what
they say.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kernel
import notebooks
import pytest
from test_readme import ROOT, lead

pytestmark = pytest.mark.slow

MAX_BYTES = 300_000
PATHS = notebooks.paths()


def shown(cell: Any) -> list[tuple[str, list[str]]]:
    """In which forms a cell shows what: values by their kinds of content, text by its stream."""
    return [
        (output.output_type, sorted(output.get("data", [output.get("name")])))
        for output in cell.outputs
    ]


def test_there_are_two() -> None:
    assert [path.stem for path in PATHS] == ["first_run", "phase_diagram"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_outputs_are_those_of_the_cells(path: Path) -> None:
    notebook = notebooks.read(path)
    assert notebook.metadata.superpos.code == notebooks.digest(notebook), (
        "python tests/notebooks.py"
    )
    assert [cell.execution_count for cell in notebooks.code(notebook)] == [
        1 + place for place in range(len(notebooks.code(notebook)))
    ]
    assert path.stat().st_size < MAX_BYTES


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_an_empty_folder_and_shows_the_same(path: Path, tmp_path: Path) -> None:
    notebook = notebooks.read(path)
    cells = notebooks.code(notebook)
    again = notebooks.code(notebooks.ran(notebook, tmp_path))
    assert [shown(cell) for cell in again] == [shown(cell) for cell in cells]
    assert {output.output_type for cell in cells for output in cell.outputs} == {
        "display_data",
        "execute_result",
    }
    models = [
        re.findall(r"^[\d,]+ of [\d,]+ models", kernel.text(cell.outputs), flags=re.M)
        for cell in cells
    ]
    assert models == [
        re.findall(r"^[\d,]+ of [\d,]+ models", kernel.text(cell.outputs), flags=re.M)
        for cell in again
    ]
    assert any(models)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_knows_no_checkout(path: Path) -> None:
    notebook = notebooks.read(path)
    links = re.findall(r"\]\(([^)\s]+)\)", "\n".join(cell.source for cell in notebook.cells))
    assert all(link.startswith("http") for link in links)  # it may be downloaded alone
    assert not re.search(r"\.\./|/home/|/root/|/tmp/|/work/", path.read_text(encoding="utf-8"))


def test_the_documents_lead_to_the_notebooks() -> None:
    links = re.findall(r"\]\((docs/notebooks/[^)]+)\)", (ROOT / "README.md").read_text())
    assert {ROOT / link for link in links} == set(PATHS)
    assert all(lead(ROOT / "README.md", link) for link in links)
