"""`superpos list --runs`: what is on disk, whatever else lies beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.others import as_another_user
from typer.testing import CliRunner, Result

from superpos.cli import app
from superpos.compose.compose import compose
from superpos.errors import SuperposError
from superpos.store import RunFolder, find_runs, latest_run, load, manifest
from superpos.store.inventory import inventory


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="superpos")


def run_on_disk(out: Path, *overrides: str, skip: int = 0) -> RunFolder:
    """A run whose last `skip` chunks are missing; a chunk for each value of model.n_hidden."""
    sweep = compose([*overrides]).sweep
    facts = {
        "plan": sweep.to_json(),
        "chunks": sweep.plan.rows,
        "engine": "reference",
        "config": dict(sweep.base),
    }
    folder = RunFolder.open(out, str(sweep.base["name"]), sweep.run_id, facts)
    for chunk, rows in enumerate(sweep.plan.rows[: folder.n_chunks - skip]):
        table = sweep.table(rows).assign(status="ok", loss=1.0)
        folder.publish(chunk, {"W": np.ones((len(rows), 5, 2), dtype=np.float32)}, table)
    return folder


def listed(out: Path) -> list[dict[str, Any]]:
    done = cli("list", "--runs", "--out", str(out), "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)["runs"]


def test_states_models_sizes_and_order(tmp_path: Path) -> None:
    half = run_on_disk(tmp_path, "seed=0,1,2", "model.n_hidden=1,2", "name=half", skip=1)
    whole = run_on_disk(tmp_path, "seed=0,1", "name=whole")
    broken = run_on_disk(tmp_path, "seed=5,6", "name=whole")
    [tensors] = (broken.path / "chunks").glob("*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:-1])
    for folder, when in ((half, 300), (whole, 200), (broken, 100)):
        for path in [folder.path / "manifest.json", *(folder.path / "chunks").glob("*.json")]:
            os.utime(path, (when, when))
    found = listed(tmp_path)
    assert [
        (run["name"], run["state"], run["models_done"], run["models_total"], run["latest"])
        for run in found
    ] == [
        ("half", "incomplete", 3, 6, True),
        ("whole", "complete", 2, 2, False),
        ("whole", "corrupt", 0, 2, True),
    ]
    assert [run["path"] for run in found] == [str(folder.path) for folder in (half, whole, broken)]
    assert [run["changed"] for run in found] == [
        f"1970-01-01T00:0{minute}:{second}+00:00"
        for minute, second in ((5, "00"), (3, "20"), (1, "40"))
    ]
    sizes = [
        sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
        for folder in (half, whole, broken)
    ]
    assert [run["bytes"] for run in found] == sizes


def test_foreign_things_are_passed_over_and_damaged_runs_are_named(tmp_path: Path) -> None:
    good = run_on_disk(tmp_path, "seed=0,1")
    damaged = run_on_disk(tmp_path, "seed=2,3")
    (damaged.path / "manifest.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "photos" / "summer").mkdir(parents=True)
    (tmp_path / "loop").symlink_to(tmp_path)
    (good.path / "figures" / "loop").symlink_to(tmp_path)
    (tmp_path / "photos" / "gone").symlink_to(tmp_path / "nowhere")
    found = {run["path"]: run for run in listed(tmp_path)}
    assert found.keys() == {str(good.path), str(damaged.path)}
    assert found[str(good.path)]["state"] == "complete"
    assert (
        found[str(damaged.path)] | {"state": "unreadable", "models_total": None}
        == found[str(damaged.path)]
    )
    done = cli("list", "--runs", "--out", str(tmp_path))
    assert f"{damaged.path}/manifest.json is damaged" in done.stderr
    assert "2 runs, " in done.stderr
    assert [line.split()[2] for line in done.stdout.splitlines()] == [
        "state",
        "unreadable",
        "complete",
    ]


def test_runs_moved_aside_are_listed_too(tmp_path: Path) -> None:
    first = run_on_disk(tmp_path, "seed=0,1")
    sweep = compose(["seed=0,1"]).sweep
    facts = {"plan": sweep.to_json(), "chunks": sweep.plan.rows, "engine": "reference"}
    RunFolder.open(tmp_path, "custom", sweep.run_id, facts, fresh=True)
    assert {(run["run_id"], run["state"], run["latest"]) for run in listed(tmp_path)} == {
        (first.path.name, "incomplete", True),
        (f"{first.path.name}.old-1", "complete", False),
    }


def test_no_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("list", "--runs")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "superpos: no runs in outputs: train one with `superpos train`\n"
    assert listed(tmp_path / "missing") == []
    assert inventory(tmp_path) == []


@pytest.fixture
def shared(open_folder: Path) -> Iterator[Path]:
    """A folder of runs that another user may read: one run each in three names that are closed, the
    last in "open".
    """
    for number, name in enumerate(("unread", "unentered", "closed", "open")):
        run_on_disk(open_folder, f"seed={number}", f"name={name}")
    [closed] = [path for path in (open_folder / "closed").iterdir() if not path.is_symlink()]
    modes = {open_folder / "unread": 0o311, open_folder / "unentered": 0o644, closed: 0o000}
    for path, mode in modes.items():
        path.chmod(mode)
    yield open_folder
    for path in modes:
        path.chmod(0o755)


def test_what_may_not_be_read_is_named(shared: Path) -> None:
    with as_another_user():
        done = cli("list", "--runs", "--out", str(shared))
        found = json.loads(cli("list", "--runs", "--json", "--out", str(shared)).stdout)
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 2)
    assert [run["name"] for run in found["runs"]] == ["open"]
    [closed] = [path for path in (shared / "closed").iterdir() if not path.is_symlink()]
    for path in (shared / "unread", shared / "unentered", closed):
        assert f"superpos: passed over {path}: Permission denied\n" in done.stderr
    assert len(found["passed_over"]) == done.stderr.count("passed over") == 3


def test_what_may_not_be_read_is_named_wherever_a_run_is_looked_for(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with as_another_user():
        assert latest_run(shared).parent.name == "open"
        assert f"passed over {shared / 'unread'}: Permission denied" in caplog.text
        caplog.clear()
        assert [run.parent.name for run in find_runs(shared)] == ["open"]
        assert f"passed over {shared / 'unread'}: Permission denied" in caplog.text
        caplog.clear()
        with pytest.raises(SuperposError, match="closed is not a run folder"):
            load(shared / "closed")
        assert "Permission denied" in caplog.text
        with pytest.raises(SuperposError, match=r"cannot read .*unentered/\w+: Permission denied"):
            load(shared / "unentered" / "0123456789ab")
        with pytest.raises(SuperposError, match=r"nothing does not exist; there is .*open"):
            load(shared / "nothing")


@pytest.mark.parametrize(
    ("name", "mode"), [("chunks", 0o000), ("chunks", 0o644), ("figures", 0o000)]
)
def test_a_run_of_which_a_part_may_not_be_read(name: str, mode: int, shared: Path) -> None:
    [run] = [path for path in (shared / "open").iterdir() if not path.is_symlink()]
    (run / name).chmod(mode)
    with as_another_user():
        done = cli("list", "--runs", "--out", str(shared))
        found = json.loads(cli("list", "--runs", "--json", "--out", str(shared)).stdout)["runs"]
    (run / name).chmod(0o755)
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 2)
    assert [seen["state"] for seen in found] == ["complete" if name == "figures" else "unreadable"]
    assert f"{run / name}" in found[0]["fault"]
    assert "Permission denied" in found[0]["fault"]
    assert found[0]["fault"] in done.stderr


def test_folders_that_are_links_are_looked_into_once(tmp_path: Path) -> None:
    """A name whose runs lie on another disk, and another name for the same folder."""
    run = run_on_disk(tmp_path / "scratch", "seed=0")
    (tmp_path / "outputs" / "mine").mkdir(parents=True)
    (tmp_path / "outputs" / "far").symlink_to(run.path.parent)
    (tmp_path / "outputs" / "near").symlink_to("far")
    (tmp_path / "outputs" / "loop").symlink_to("loop")
    (tmp_path / "outputs" / "mine" / "loop").symlink_to(tmp_path / "outputs")
    [found] = listed(tmp_path / "outputs")
    assert (found["run_id"], found["latest"]) == (run.path.name, True)


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = cli("list", "--runs", "--out", str(tmp_path / "file"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Not a directory" in done.stderr


def test_sizes_of_chunks_are_those_of_their_rows(tmp_path: Path) -> None:
    folder = run_on_disk(tmp_path, "model.n_hidden=1,2,3", "data.density=0.5,0.1", "seed=0,1,2")
    assert manifest.chunk_sizes(folder.manifest) == [len(rows) for rows in folder.rows]
    assert listed(tmp_path)[0]["models_total"] == 18
