"""The wheel, installed outside the checkout, trains and plots from an empty folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    answer = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False)
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
    page = {path for path in (ROOT / "superpos").rglob("*") if path.suffix in (".js", ".css", ".html")}
    assert page
    assert {path.relative_to(ROOT).as_posix() for path in page} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"superpos"}


def test_the_wheel_trains_and_plots_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel, cwd=empty)
    environment = {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    superpos = (sys.executable, "-m", "superpos")
    where = run(sys.executable, "-c", "import superpos; print(superpos.__file__)", cwd=empty, **environment)
    assert Path(where.strip()).is_relative_to(site)
    overrides = ("experiment=intro", "train.steps=20", "record.loss_every=10")
    folder = run(*superpos, "train", *overrides, "--quiet", cwd=empty, **environment).splitlines()[-1]
    assert (empty / folder / "manifest.json").is_file()
    drawn = run(*superpos, "plot", "--figure", "features", cwd=empty, **environment).split()
    assert [Path(path).read_bytes()[:4] for path in drawn] == [b"\x89PNG"]
