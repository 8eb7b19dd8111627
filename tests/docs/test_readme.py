"""What the documents promise: commands that exist, overrides that compose, Python that runs, links
that lead on.
"""

import pkgutil
import re
import shlex
import textwrap
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import typer.main
import yaml
from places import ROOT
from typer.testing import CliRunner

import superpos
from superpos.cli import app
from superpos.figures.registry import every_figure

pytestmark = pytest.mark.slow

README, GALLERY = ((ROOT / name).read_text() for name in ("README.md", "docs/gallery.md"))
DOCUMENTS = [
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", "node_modules", "outputs"} & set(path.relative_to(ROOT).parts)
]


def name_of(path: Path) -> str:
    """A document in the name of a test."""
    return path.relative_to(ROOT).as_posix()


def code(text: str) -> list[str]:
    """Lines that are indented or in a block of the shell; one that ends in a backslash goes on in
    the next.
    """
    text = re.sub(
        r"^```sh\n(.*?)^```$",
        lambda block: textwrap.indent(block[1], " " * 4),
        text,
        flags=re.M | re.S,
    )
    return re.findall(r"^ {4,}(\S.*)$", text.replace("\\\n", " "), flags=re.MULTILINE)


def commands(text: str) -> list[list[str]]:
    """The words of every command of superpos in indented lines; a variable of the shell is 3."""
    parts = [part for line in code(text) for part in line.split("&&")]
    found = [re.match(r"\s*(?:exec |\.venv/bin/)?(superpos [^>]*)", part) for part in parts]
    return [shlex.split(re.sub(r"\$\w+", "3", match[1]), comments=True) for match in found if match]


COMMANDS = {
    " ".join(command): command for path in DOCUMENTS for command in commands(path.read_text())
}


def test_commands_are_found_in_every_form() -> None:
    text = "    a && superpos plot x\n"
    text += "    superpos train 'b=c' \\\n        d=$e   # f\n"
    text += "    exec superpos list\n    superposition\n```sh\nsuperpos bench\n```\nsuperpos is\n"
    lines = ["superpos plot x", "superpos train b=c d=3", "superpos list", "superpos bench"]
    assert [" ".join(words) for words in commands(text)] == lines


def test_the_documents_show_the_commands() -> None:
    assert {command[1] for command in COMMANDS.values()} >= set(
        typer.main.get_command(app).commands
    )
    assert len(commands(README)) >= 5


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_a_document_is_understood(line: str, tmp_path: Path) -> None:
    _, name, *arguments = COMMANDS[line]
    command = typer.main.get_command(app).commands[name]
    command.make_context(name, arguments)  # raises for an option that does not exist
    if name in ("train", "submit") and "--config-dir" not in arguments:
        overrides = [argument for argument in arguments if "=" in argument]
        result = CliRunner().invoke(app, ["config", *overrides, "--out", str(tmp_path)])
        assert result.exit_code == 0, result.output
        assert "models" in result.output


def test_the_gallery_shows_every_figure_and_how_it_is_made() -> None:
    drawn = [
        (Path(command[2]).parent.name, name)
        for command in commands(GALLERY)
        if command[1] == "plot" and "--to" in command
        for option, name in pairwise(command)
        if option == "--figure"
    ]
    assert {name for _, name in drawn} == set(every_figure())
    files = {
        f"gallery/{run}_{name}.{'gif' if every_figure()[name].movie else 'png'}"
        for run, name in drawn
    }
    assert files <= set(re.findall(r"\((gallery/[^)]+)\)", GALLERY))
    assert all((ROOT / "docs" / file).is_file() for file in files)


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [block] = re.findall(r"^    import superpos\n(?:(?:    .*)?\n)*", README, flags=re.MULTILINE)
    snippet = textwrap.dedent(block).replace("train.steps=2000", "train.steps=30")
    names: dict[str, object] = {}
    exec(snippet, names)
    assert len(names["run"].table) == names["run"].n_models == 100


def test_there_is_one_test_command_and_it_is_what_ci_calls() -> None:
    found = [
        line for line in code(README) if line.startswith("python3 -m venv") and "pytest" in line
    ]
    assert len(found) == 1
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


def test_the_readme_leads_to_every_document() -> None:
    documents = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert documents <= set(re.findall(r"\]\(([^)]+)\)", README))


def headings(text: str) -> set[str]:
    """The names by which links lead to the headings of a document."""
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def lead(document: Path, link: str) -> bool:
    """Whether a link of a document leads to a file, and to a heading of it where it names one."""
    path, _, heading = link.partition("#")
    target = document.parent / path if path else document
    return target.exists() and (not heading or heading in headings(target.read_text()))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    assert [
        link for link in links if not link.startswith("http") and not lead(document, link)
    ] == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("## S and p: what is it?\n")
    assert lead(page, "page.md#s-and-p-what-is-it")
    assert lead(page, "#s-and-p-what-is-it")
    assert not lead(page, "#s-and-p")
    assert not lead(page, "page.md#other")
    assert not lead(page, "other.md")


# What the changelog names may be gone.
TODAY = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]


def files_named(text: str) -> set[str]:
    """Files and folders of the repository that a text names; NAME stands for any."""
    tops = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"outputs"}
    found = set(re.findall(r"`([\w.*-]+/[\w./*-]*)`", text))
    return {name for name in found if name.partition("/")[0] in tops and "NAME" not in name}


@pytest.mark.parametrize("document", TODAY, ids=name_of)
def test_files_that_a_document_names_are_there(document: Path) -> None:
    assert {
        name for name in files_named(document.read_text()) if not list(ROOT.glob(name.rstrip("/")))
    } == set()


def modules_named(text: str) -> set[str]:
    """Names such as superpos.theory.d_star in a text."""
    return set(re.findall(r"(?<![\w./-])superpos(?:\.[A-Za-z_]\w*)+", text))


def is_name(dotted: str) -> bool:
    """Whether a name leads to a module, or to something in one."""
    try:
        pkgutil.resolve_name(dotted)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("document", TODAY, ids=name_of)
def test_modules_that_a_document_names_are_there(document: Path) -> None:
    assert {name for name in modules_named(document.read_text()) if not is_name(name)} == set()


def test_names_of_files_and_modules_are_found() -> None:
    text = (
        "`superpos/plan/sweep.py`, `tests/test_engines_*.py`, `mine/a.yaml`, `configs/NAME.yaml`, "
        "superpos.theory.x"
    )
    assert files_named(text) == {"superpos/plan/sweep.py", "tests/test_engines_*.py"}
    assert modules_named(text) == {"superpos.theory.x"}
    assert is_name("superpos.theory.d_star")
    assert not is_name("superpos.theory.x")
    assert not is_name("superpos.task")
    named = [files_named(path.read_text()) | modules_named(path.read_text()) for path in TODAY]
    assert sum(map(len, named)) > 50


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == superpos.__version__
    assert (
        citation["license"]
        == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    )
    assert citation["title"].startswith("superpos")
