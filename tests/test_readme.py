"""What the documents promise: commands that exist, overrides that compose, Python that runs, links that lead on."""

import re
import shlex
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from superpos.cli import app
from superpos.figures import FIGURES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [path for path in ROOT.rglob("*.md") if not {".venv", "outputs"} & set(path.relative_to(ROOT).parts)]
CODE = re.findall(r"^    (.+)$", README, flags=re.MULTILINE)
COMMANDS = [
    shlex.split(part.replace(".venv/bin/", ""), comments=True)
    for line in CODE
    for part in line.split("&&")
    if re.match(r"\s*(\.venv/bin/)?superpos ", part)
]


def test_the_readme_shows_every_command() -> None:
    assert {command[1] for command in COMMANDS} == {
        "train",
        "plot",
        "status",
        "list",
        "config",
        "bench",
        "verify",
        "submit",
    }


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_of_the_readme_is_understood(command: list[str], tmp_path: Path) -> None:
    _, name, *arguments = command
    assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0
    if name in ("train", "config"):
        overrides = [argument for argument in arguments if "=" in argument]
        result = CliRunner().invoke(app, ["config", *overrides, "--out", str(tmp_path)])
        assert result.exit_code == 0, result.output
        assert "models" in result.output


def test_the_gallery_shows_every_figure_and_how_it_is_made() -> None:
    drawn = [
        (Path(command[2]).parent.name, name)
        for command in COMMANDS
        if command[1] == "plot" and "--to" in command
        for option, name in pairwise(command)
        if option == "--figure"
    ]
    assert {name for _, name in drawn} == set(FIGURES)
    files = {f"docs/gallery/{run}_{name}.{'gif' if FIGURES[name].animate else 'png'}" for run, name in drawn}
    assert files <= set(re.findall(r"\((docs/gallery/[^)]+)\)", README))
    assert all((ROOT / file).is_file() for file in files)


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [block] = re.findall(r"^    import superpos\n(?:(?:    .*)?\n)*", README, flags=re.MULTILINE)
    snippet = textwrap.dedent(block).replace("train.steps=2000", "train.steps=30")
    names: dict[str, object] = {}
    exec(snippet, names)
    assert len(names["run"].table) == names["run"].n_models == 100


def test_there_is_one_test_command_and_it_is_what_ci_calls() -> None:
    found = [line for line in CODE if line.startswith("python3 -m venv") and "pytest" in line]
    assert len(found) == 1
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text())
    local = [link for link in links if not link.startswith("http")]
    assert [link for link in local if not (document.parent / link).exists()] == []
