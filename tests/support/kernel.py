"""Notebooks, run in a real kernel."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import nbclient
import nbformat

TIMEOUT_S = 300  # of a cell, on a busy machine


def run_cells(sources: Sequence[str], folder: Path) -> list[list[Any]]:
    """The outputs of each cell of a notebook that runs in a folder."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in sources]
    )
    run_notebook(notebook, folder)
    return [cell.outputs for cell in notebook.cells]


def run_notebook(notebook: Any, folder: Path) -> None:
    """Run a notebook in a folder; its outputs are put into it. Raises where a cell fails."""
    private = {
        name: str(folder / ".jupyter")
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    with (
        mock.patch.dict(os.environ, private | {"JUPYTER_PLATFORM_DIRS": "1"}),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of Jupyter's own
        resources = {"metadata": {"path": str(folder)}}
        client = nbclient.NotebookClient(
            notebook, timeout=TIMEOUT_S, kernel_name="python3", resources=resources
        )
        client.execute()


def text(outputs: Sequence[Any]) -> str:
    """What a cell printed, and its values in plain text."""
    parts = [
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs
    ]
    return "".join(parts)


def kinds(outputs: Sequence[Any]) -> list[set[str]]:
    """In which forms each value of a cell is shown."""
    return [set(output["data"]) for output in outputs if "data" in output]
