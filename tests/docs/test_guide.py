"""The guide: every command and every line of Python in it runs, in its order, in one folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import keys
import pytest
from places import ROOT
from typer.testing import CliRunner

import superpos
from superpos.cli import app

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs"
GUIDE = (DOCS / "guide.md").read_text()


class Block(NamedTuple):
    """A block of code: its language, the text before it, and the code."""

    language: str
    before: str
    code: str

    @property
    def file(self) -> str:
        """The file that a block is said to be, the last one of its language that the text names; ""
        for none.
        """
        suffix = {"yaml": "yaml", "python": "py"}.get(self.language, "-")
        return [*re.findall(rf"`(\w+/[\w/.]+\.{suffix})`:\n\n$", self.before), ""][0]


def blocks(text: str) -> list[Block]:
    """All blocks, in order."""
    found = re.findall(r"(.*?)^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [Block(language, before, code) for before, language, code in found]


def run_shell(code: str) -> None:
    """Every line, which is a command of superpos."""
    for line in code.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "superpos", line
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"


def run_python(code: str, number: int, names: dict[str, Any]) -> None:
    """As a cell of a notebook: later blocks see the names of earlier ones, and functions have a
    source.
    """
    path = Path(f"block_{number}.py").resolve()
    path.write_text(code)
    exec(compile(code, path, "exec"), names)


def run_blocks(text: str) -> dict[str, Any]:
    """Every block of a document in the folder of this test; the names of its Python."""
    names: dict[str, Any] = {"__name__": "guide"}
    for number, block in enumerate(blocks(text)):
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.code)
        elif block.language == "python":
            run_python(block.code, number, names)
        else:
            assert block.language == "sh"
            run_shell(block.code)
    return names


def test_kinds_of_autoencoders_are_trained_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_blocks((DOCS / "dictionary.md").read_text())
    table = superpos.load("outputs/kinds").by_setting()
    assert table["sae.kind"].unique().tolist() == ["l1", "gated", "topk", "batchtopk", "jumprelu"]
    assert (table["mmcs"] > 0.7).all()  # two thirds of the way from chance, about 0.5


def test_every_example_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_blocks(GUIDE)
    assert names["sparse"].shape == (8, 6, 2)
    assert len(names["table"]) == 48
    assert names["tensors"]["W"].shape[1] == 6
    assert names["shape"] == "pentagon"
    assert names["share"] == pytest.approx([0.4] * 5, abs=1e-6)  # as the comment says
    described = set(
        re.findall(r"`(\w+)`", GUIDE.split("| column | |")[1].split("\n\n")[0].replace("`ok`", ""))
    )
    columns = {column for column in names["table"] if "." not in column}
    assert columns <= described
    leaks = {slope: superpos.load(f"outputs/leaky_{slope}/latest") for slope in (0.0, 0.5)}
    pentagons = {slope: (run.table["geometry"] == "pentagon").sum() for slope, run in leaks.items()}
    assert pentagons[0.0] > pentagons[0.5]  # as its comment says


def test_blocks_are_found_in_their_order() -> None:
    text = "# A\n\n```sh\nls\n```\n\n`a/b.yaml`:\n\n```yaml\nx: 1\n```\n"
    assert [(block.language, block.code) for block in blocks(text)] == [
        ("sh", "ls\n"),
        ("yaml", "x: 1\n"),
    ]
    assert blocks(text)[1].file == "a/b.yaml"
    assert {block.language for block in blocks(GUIDE)} == {"sh", "python", "yaml"}


def test_the_table_of_keys_is_that_of_the_schema() -> None:
    assert (DOCS / "keys.md").read_text() == keys.markdown(), "python tests/keys.py > docs/keys.md"
