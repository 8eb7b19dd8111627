"""Files that a run keeps for all of its models: whole or absent, the first writer wins, damage is
found.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from superpos.cli import app
from superpos.errors import IncompleteError, PlanMismatchError
from superpos.store import Run, RunFolder, load
from superpos.store.inventory import inventory

NAME = "source-0123456789abcdef"
FACTS: dict[str, Any] = {
    "plan": {"values": {}, "axes": [{"keys": ["seed"], "values": [[0], [1]]}]},
    "chunks": [[0, 1]],
    "engine": "e",
}


def tensors(first: float = 0.0) -> dict[str, Any]:
    return {
        "W": np.arange(6, dtype=np.float32).reshape(2, 3).T + np.float32(first),
        "n": np.array(3),
    }


def folder_of(tmp_path: Path, done: bool = True) -> RunFolder:
    """A run of two models in one chunk."""
    folder = RunFolder.open(tmp_path, "demo", "0123456789ab", FACTS)
    if done:
        table = pd.DataFrame({"model": [0, 1], "seed": [0, 1], "status": "ok", "loss": [1.0, 2.0]})
        folder.publish(0, {"W": np.zeros((2, 3, 1), dtype=np.float32)}, table)
    return folder


def run_of(tmp_path: Path) -> Run:
    folder = folder_of(tmp_path)
    folder.share(NAME, tensors())
    return load(folder.path)


def damage(run: Run | RunFolder, suffix: str) -> Path:
    """Flip a bit in the middle: the size stays as it is."""
    path = run.path / "shared" / f"{NAME}{suffix}"
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    return path


def test_what_is_shared_is_read_as_it_was(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    assert folder.shared(NAME) is None
    assert not (folder.path / "shared").exists()  # nothing is made that is not used
    assert folder.share(NAME, tensors())
    assert not folder.share(NAME, tensors())
    found = load(folder.path).shared(NAME)
    assert sorted(found) == ["W", "n"]
    np.testing.assert_array_equal(found["W"], tensors()["W"])
    assert found["n"] == 3
    names = sorted(path.name for path in (folder.path / "shared").iterdir())
    assert names == [f"{NAME}.json", f"{NAME}.safetensors"]


def test_the_first_writer_wins_and_another_content_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    folder.share(NAME, tensors())
    with pytest.raises(PlanMismatchError, match=rf"{NAME}\.safetensors holds other tensors"):
        folder.share(NAME, tensors(1.0))
    np.testing.assert_array_equal(load(folder.path).shared(NAME)["W"], tensors()["W"])


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b"])
def test_a_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"shared file .*: allowed: letters, digits"):
        folder_of(tmp_path).share(name, tensors())


def test_without_its_record_there_is_no_file(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    (run.path / "shared" / f"{NAME}.json").unlink()
    assert run.folder.shared(NAME) is None
    with pytest.raises(IncompleteError, match=f"keeps no shared file '{NAME}'; there is none"):
        run.shared(NAME)


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_damaged_file_is_found_and_replaced(tmp_path: Path, suffix: str) -> None:
    run = run_of(tmp_path)
    assert run.folder.whole([0])
    path = damage(run, suffix)
    damaged = path.read_bytes()
    assert run.folder.shared_states(verify=True) == {NAME: "corrupt"}
    assert run.folder.shared(NAME) is None
    assert not run.folder.whole([0])
    with pytest.raises(IncompleteError, match=f"'{NAME}' of .* is damaged: train again"):
        run.shared(NAME)
    assert run.folder.share(NAME, tensors())
    np.testing.assert_array_equal(run.shared(NAME)["W"], tensors()["W"])
    aside = run.path / "shared" / "corrupt" / f"{NAME}-1"
    assert (aside / path.name).read_bytes() == damaged


def test_the_digest_is_about_the_models_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    digest = folder.digest()
    folder.share(NAME, tensors())
    assert folder.digest() == digest


def test_status_and_list_find_a_damaged_file(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    whole = CliRunner().invoke(app, ["status", str(run.path), "--json"])
    assert whole.exit_code == 0
    assert json.loads(whole.stdout)["shared"] == {NAME: "done"}
    damage(run, ".safetensors")
    found = CliRunner().invoke(app, ["status", str(run.path), "--json"])
    assert found.exit_code == 4
    facts = json.loads(found.stdout)
    assert (facts["complete"], facts["shared"]) == (False, {NAME: "corrupt"})
    text = CliRunner().invoke(app, ["status", str(run.path)])
    assert text.exit_code == 4
    assert f"shared  0 done, 1 corrupt (corrupt: {NAME})" in text.stdout
    (run.path / "shared" / f"{NAME}.safetensors").write_bytes(b"")
    assert [found.state for found in inventory(tmp_path)] == ["corrupt"]


def test_status_of_a_run_that_shares_nothing_says_nothing_of_it(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["status", str(folder_of(tmp_path).path), "--json"])
    assert "shared" not in json.loads(found.stdout)
