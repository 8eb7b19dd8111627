"""What systems, editors and synchronisers leave in folders does no harm, wherever it lies."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import superpos
from superpos.cli import app
from superpos.store import RunFolder, find_runs, latest_run, load
from superpos.store.inventory import inventory

TINY = [
    "train.steps=2",
    "model.n_features=2",
    "model.n_hidden=1",
    "engine.backend=reference",
    "name=demo",
    "seed=0,1",
]
LITTER = (
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    ".directory",
    "notes.txt~",
    "#notes.txt#",
    ".notes.swp",
    "a.json",
    "b.tmp",
)


def litter(folder: Path) -> None:
    """Files of many kinds in a folder, one beside each that is there, and links that lead
    nowhere.
    """
    for path in list(folder.iterdir()):
        if path.is_file():
            (folder / f"._{path.name}").write_bytes(b"\0\5\26\7")
            (folder / f"{path.name}~").write_bytes(b"")
            (folder / f"{path.stem} (conflicted copy){path.suffix}.bak").write_bytes(b"")
    for name in LITTER:
        (folder / name).write_bytes(b"\0litter")
    (folder / "gone").symlink_to("nowhere")
    (folder / ".gone.json").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    (folder / "odd.json").mkdir()


@pytest.fixture(scope="module")
def littered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with litter in every folder of it."""
    out = tmp_path_factory.mktemp("littered") / "outputs"
    run = superpos.train(TINY, out=out)
    run.folder.share("made", {"a": np.zeros(1)})
    (run.path / "submit").mkdir()
    for folder in [
        out,
        *(path for path in out.rglob("*") if path.is_dir() and not path.is_symlink()),
    ]:
        litter(folder)
    return out


def test_commands_see_the_run_alone(
    littered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(littered.parent)
    [run] = find_runs(littered)
    assert latest_run(littered) == run
    assert [(found.state, found.models_done, found.fault) for found in inventory(littered)] == [
        ("complete", 2, "")
    ]
    for arguments in (
        ["status"],
        ["list", "--runs"],
        ["plot", "--figure", "loss"],
        ["report"],
        ["train", *TINY],
    ):
        done = CliRunner().invoke(app, arguments, prog_name="superpos")
        assert (done.exit_code, done.exception) == (0, None), done.stderr
    facts = CliRunner().invoke(app, ["status", "--json"], prog_name="superpos").stdout
    assert '"shared": {\n    "made": "done"\n  }' in facts


def test_training_goes_on_among_litter(littered: Path, tmp_path: Path) -> None:
    shutil.copytree(littered, tmp_path / "copy", symlinks=True)
    run = load(tmp_path / "copy" / "demo")
    digest = run.digest()
    for path in (run.path / "chunks").glob("*0000*"):
        if path.name in ("00000.parquet", "00000.json", "00000.safetensors"):
            path.unlink()
    again = superpos.train(TINY, out=tmp_path / "copy")
    assert again.digest() == digest
    assert len(again.folder.attempts()) == 2


def test_litter_alone_makes_no_folder_foreign(tmp_path: Path) -> None:
    folder = tmp_path / "demo" / "0123456789ab"
    folder.mkdir(parents=True)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._x", ".nfs000123", ".fuse_hidden01"):
        (folder / name).touch()
    made = RunFolder.open(
        tmp_path, "demo", "0123456789ab", {"plan": "p", "engine": "e", "chunks": [[0]]}
    )
    assert made.path == folder
    assert (folder / ".DS_Store").exists()
