"""The wheel, installed outside the checkout, trains and plots from an empty folder."""

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from places import ROOT

pytestmark = pytest.mark.slow

PAPER = (ROOT / "docs" / "paper.md").read_text()


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    answer = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", "wheel", ROOT, *options, cwd=folder)
    return next(folder.glob("superpos-*.whl"))


def test_the_wheel_holds_the_package_its_configs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml")}
    assert {f"superpos/{name}" for name in shipped} <= set(names)
    assert "superpos/py.typed" in names
    page = {
        path for path in (ROOT / "superpos").rglob("*") if path.suffix in (".js", ".css", ".html")
    }
    assert page
    assert {path.relative_to(ROOT).as_posix() for path in page} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"superpos"}
    tools = ("node_modules", "package.json", "package-lock.json", "tsconfig.json", ".d.ts")
    assert not [name for name in names if any(tool in name for tool in tools)]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a program that finds superpos in the folder into which its wheel was
    installed.
    """
    site = tmp_path_factory.mktemp("site")
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        site,
        wheel,
        cwd=site,
    )
    return {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}


def test_the_wheel_trains_and_plots_from_an_empty_folder(
    installed: dict[str, str], tmp_path: Path
) -> None:
    site, environment, empty = Path(installed["PYTHONPATH"]), installed, tmp_path / "empty"
    empty.mkdir()
    superpos = (sys.executable, "-m", "superpos")
    where = run(
        sys.executable, "-c", "import superpos; print(superpos.__file__)", cwd=empty, **environment
    )
    assert Path(where.strip()).is_relative_to(site)
    overrides = ("experiment=intro", "train.steps=20", "record.loss_every=10")
    folder = run(*superpos, "train", *overrides, "--quiet", cwd=empty, **environment).splitlines()[
        -1
    ]
    assert (empty / folder / "manifest.json").is_file()
    drawn = run(*superpos, "plot", "--figure", "features", cwd=empty, **environment).split()
    assert [Path(path).read_bytes()[:4] for path in drawn] == [b"\x89PNG"]


def test_a_paper_of_ones_own_is_trained_checked_and_drawn(
    installed: dict[str, str], tmp_path: Path
) -> None:
    """Every file and every command of docs/paper.md, as a user has them."""
    said = []
    for before, language, code in re.findall(
        r"(.*?)^```(\w+)\n(.*?)^```$", PAPER, flags=re.MULTILINE | re.DOTALL
    ):
        if language == "sh":
            for line in code.splitlines():
                program, *arguments = shlex.split(line)
                assert program == "superpos"
                said.append(
                    run(sys.executable, "-m", "superpos", *arguments, cwd=tmp_path, **installed)
                )
        else:
            [name] = re.findall(r"`(paper/[\w/]+\.(?:py|yaml))`:\n\n$", before)
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(code)
    estimate, folder, status, figure, page, verified, script = said
    assert "engine  reference: only the reference engine runs functions of one's own" in estimate
    assert "32 of 32 finished" in status
    assert (tmp_path / figure.strip()).name == "accidents.png"
    assert "polysemantic" in (tmp_path / page.strip()).read_text()
    assert verified.splitlines()[-1] == "2 claims: 2 holds, 0 fails, 0 skipped"
    assert f"--config-dir {tmp_path / 'paper'}" in script
    plan = json.loads((tmp_path / folder.strip() / "manifest.json").read_text())["plan"]
    assert plan["own"]["loss"]["uses"] == {"PENALTY": "0.001"}
    assert not list((tmp_path / "paper").rglob("__pycache__"))
