"""The notebooks of docs/notebooks: run again, with their outputs, by `python tests/notebooks.py
[NAME]...`.

Their cells are edited where they are; the outputs are those of a run in an empty folder. What a
notebook was run from stands in its metadata, so that outputs of other cells are noticed.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat

sys.path.insert(0, str(Path(__file__).parent / "support"))

import kernel  # found beside this file

FOLDER = Path(__file__).parent.parent / "docs" / "notebooks"
VERSION = 4  # of the format


def paths() -> list[Path]:
    """All notebooks."""
    return sorted(FOLDER.glob("*.ipynb"))


def read(path: Path) -> Any:
    """A notebook."""
    return nbformat.read(path, as_version=VERSION)


def code(notebook: Any) -> list[Any]:
    """The cells that run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def digest(notebook: Any) -> str:
    """One checksum of all that runs."""
    return hashlib.sha256("\0".join(cell.source for cell in code(notebook)).encode()).hexdigest()


def ran(notebook: Any, folder: Path) -> Any:
    """The same notebook with the outputs of a run in a folder."""
    fresh = nbformat.from_dict(notebook)
    for cell in code(fresh):
        cell.outputs, cell.execution_count, cell.metadata = [], None, {}
    kernel.run_notebook(fresh, folder)
    for cell in code(fresh):
        cell.metadata = {}  # nbclient's times
    fresh.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "superpos": {"code": digest(fresh)},
    }
    return fresh


def write(path: Path) -> None:
    """Run a notebook and write it with its outputs, in which the folder is left out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        text = nbformat.writes(ran(read(path), folder), version=VERSION)
    path.write_text(f"{text.replace(f'{folder}/', '')}\n", encoding="utf-8")


if __name__ == "__main__":
    for chosen in paths():
        if not sys.argv[1:] or chosen.stem in sys.argv[1:]:
            write(chosen)
