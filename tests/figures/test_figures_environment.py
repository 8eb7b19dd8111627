"""Figures are the same bytes whatever the user's settings of matplotlib, the system and the
notebook around are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import matplotlib.style as users
import pytest
from memory_run import DIGON_AND_ONE, MemoryRun, make_run
from places import ROOT

import superpos
from superpos.figures import registry, style

pytestmark = pytest.mark.slow

SETTINGS = (
    "text.usetex: True\nfont.family: serif\nsavefig.bbox: tight\nsavefig.transparent: True\n"
    "axes.prop_cycle: cycler('color', ['k'])\naxes.grid: True\nfigure.dpi: 31\nfigure.facecolor: "
    "red\n"
    "lines.marker: o\nxtick.direction: in\npath.sketch: 1, 100, 2\n"
    "pdf.compression: 0\nimage.cmap: jet\nnonsense: 3\nlines.linewidth: wide\n"
)
PLAIN = {
    "PYTHONPATH": str(ROOT),
    "HOME": os.environ.get("HOME", "/tmp"),
    "OMP_NUM_THREADS": "1",
}
# What the command does, for all kinds of files in one process.
DRAW = """
import sys
from superpos.cli import app
for kind in ("png", "svg", "pdf"):
    app(["plot", sys.argv[1], "--format", kind, "--to", sys.argv[2]], standalone_mode=False)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [
        "name=drawn",
        "data.density=1,0.1",
        "seed=0,1",
        "train.steps=20",
        "record.loss_every=5",
    ]
    return superpos.train([*words, "engine.threads=1"], out=tmp_path_factory.mktemp("outputs")).path


def drawn(run: Path, folder: Path, **environment: str) -> dict[str, bytes]:
    """The files that the command draws in a folder and an environment."""
    command = [sys.executable, "-c", DRAW, str(run), str(folder / "drawn")]
    environment = {**PLAIN, **environment}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in sorted((folder / "drawn").iterdir())}


def test_the_environment_changes_no_byte(run: Path, tmp_path: Path) -> None:
    """A notebook's backend, settings beside the run, in a variable and in the home, language, time
    zone and date.
    """
    folders = [tmp_path / name for name in ("plain", "beside", "variable", "home")]
    for folder in folders:
        folder.mkdir()
    expected = drawn(run, folders[0])
    assert {name.rpartition(".")[2] for name in expected} == {"png", "svg", "pdf"}
    (folders[1] / "matplotlibrc").write_text(SETTINGS)
    notebook = {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "SOURCE_DATE_EPOCH": "86400",
    }
    assert drawn(run, folders[1], **notebook, LC_ALL="C", TZ="Asia/Kolkata") == expected
    settings = tmp_path / "settings"
    settings.write_text(SETTINGS)
    wrong = {
        "MPLBACKEND": "nonsense",
        "SOURCE_DATE_EPOCH": "yesterday",
        "LC_ALL": "de_DE.UTF-8",
        "TZ": "Mars/Olympus",
    }
    assert drawn(run, folders[2], **wrong, MATPLOTLIBRC=str(settings)) == expected
    (folders[3] / ".config" / "matplotlib").mkdir(parents=True)
    (folders[3] / ".config" / "matplotlib" / "matplotlibrc").write_text(SETTINGS)
    assert (
        drawn(run, folders[3], HOME=str(folders[3]), MPLBACKEND="tkagg", LANG="tr_TR.UTF-8")
        == expected
    )


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense"])
@pytest.mark.parametrize(
    "command", [["list", "--json"], ["report", "RUN", "--to", "page.html"], ["status", "RUN"]]
)
def test_a_notebooks_variable_breaks_no_command(
    run: Path, tmp_path: Path, backend: str, command: list[str]
) -> None:
    words = [
        sys.executable,
        "-m",
        "superpos",
        *(str(run) if word == "RUN" else word for word in command),
    ]
    environment = {**PLAIN, "MPLBACKEND": backend}
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "backend" not in done.stderr


@pytest.mark.parametrize(
    "settings", [b"text.usetex: True \xff\n", b"axes.formatter.use_locale: True\n"]
)
def test_settings_that_cannot_be_read_are_named(run: Path, tmp_path: Path, settings: bytes) -> None:
    (tmp_path / "matplotlibrc").write_bytes(settings)
    command = [sys.executable, "-m", "superpos", "plot", str(run)]
    environment = {**PLAIN, "LC_ALL": "mars"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "superpos: matplotlib cannot read its settings" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def users_style() -> Iterator[None]:
    """What a user's own program may have set before it draws."""
    with mpl.rc_context():
        users.use("ggplot")
        mpl.rcParams.update(
            {"text.usetex": True, "savefig.bbox": "tight", "font.size": 31, "savefig.dpi": 11}
        )
        yield


@pytest.fixture
def small() -> MemoryRun:
    keys = {"model.n_features": 5, "model.n_hidden": 2}
    return make_run(
        keys, {"data.density": [1.0, 0.1], "seed": [0, 1]}, lambda _: DIGON_AND_ONE, lambda _: 0.1
    )


def test_a_style_in_code_changes_no_byte(small: MemoryRun, request: pytest.FixtureRequest) -> None:
    names = registry.available(small)
    expected = [style.render(registry.draw(small, name), "svg") for name in names]
    request.getfixturevalue("users_style")
    before = dict(mpl.rcParams)
    assert [style.render(registry.draw(small, name), "svg") for name in names] == expected
    assert dict(mpl.rcParams) == before
