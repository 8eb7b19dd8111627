"""The run folder: made once, sealed, continued, and refused where something else is in the way."""

from __future__ import annotations

import errno
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.others import as_another_user

from superpos.errors import IncompleteError, PlanMismatchError, SuperposError
from superpos.store import RunFolder, files, latest_run
from superpos.store.manifest import chunk_rows

CHUNKS = [[0, 2, 4], [1, 3, 5, 6]]
FACTS: dict[str, Any] = {
    "plan": {"base": {"seed": 2**64 - 1}},
    "chunks": CHUNKS,
    "engine": {"backend": "fused"},
}


def open_run(out: Path, fresh: bool = False, **changes: Any) -> RunFolder:
    return RunFolder.open(out, "demo", "0123456789ab", {**FACTS, **changes}, fresh=fresh)


def results(rows: list[int], seed: int = 0) -> tuple[dict[str, Any], pd.DataFrame]:
    rng = np.random.default_rng([seed, *rows])
    tensors = {
        "W": rng.random((len(rows), 5, 2), dtype=np.float32),
        "b": rng.random((len(rows), 5), dtype=np.float32),
    }
    return tensors, pd.DataFrame({"model": rows, "loss": rng.random(len(rows))})


def names(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def test_open_makes_the_folder_and_seals_the_manifest(tmp_path: Path) -> None:
    run = open_run(tmp_path, command=["train"], config=Path("x"))
    assert run.path == tmp_path / "demo" / "0123456789ab"
    written = json.loads((run.path / "manifest.json").read_text())
    assert written["schema_version"] == 1
    assert (written["name"], written["run_id"], written["command"]) == (
        "demo",
        "0123456789ab",
        ["train"],
    )
    assert written["plan"] == FACTS["plan"]
    assert written["created"].endswith("+00:00")
    # [first, count, step]: 0 2 4; then 1 3 5 and 6
    assert written["chunks"] == [[[0, 3, 2]], [[1, 3, 2], [6, 1, 1]]]
    assert [rows.tolist() for rows in run.rows] == CHUNKS
    assert (run.n_chunks, run.n_models) == (2, 7)


def test_manifest_is_canonical(tmp_path: Path) -> None:
    first = open_run(tmp_path / "a", created="then", plan={"b": 1, "a": [1, 2]})
    second = open_run(tmp_path / "b", plan={"a": (1, np.int64(2)), "b": 1}, created="then")
    assert (first.path / "manifest.json").read_bytes() == (
        second.path / "manifest.json"
    ).read_bytes()


@pytest.mark.parametrize("rows", [[], [7], [3, 1, 2], [0, 1, 2, 3], [5, 5, 5], [9, 7, 5, 0, 100]])
def test_chunk_rows_survive_the_manifest(tmp_path: Path, rows: list[int]) -> None:
    run = open_run(tmp_path, chunks=[rows, np.array(rows, dtype=np.intp)])
    assert [found.tolist() for found in chunk_rows(run.manifest)] == [rows, rows]


def test_the_same_plan_continues_and_keeps_the_first_manifest(tmp_path: Path) -> None:
    first = open_run(tmp_path, created="then", host="a")
    again = open_run(tmp_path, created="now", host="b")
    assert again.manifest == first.manifest
    assert again.manifest["host"] == "a"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("plan", {"base": {"seed": 1}}),
        ("chunks", [list(range(7))]),
        ("engine", {"backend": "reference"}),
    ],
)
def test_another_plan_is_refused_and_changes_nothing(
    tmp_path: Path, key: str, value: object
) -> None:
    run = open_run(tmp_path)
    before = names(tmp_path), (run.path / "manifest.json").read_bytes()
    with pytest.raises(PlanMismatchError, match=f"{key}: there .*, now .*--fresh") as caught:
        open_run(tmp_path, **{key: value})
    assert caught.value.exit_code == 3
    assert (names(tmp_path), (run.path / "manifest.json").read_bytes()) == before


def test_another_schema_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("superpos.store.manifest.SCHEMA_VERSION", 2)
        path = open_run(tmp_path).path
    with pytest.raises(PlanMismatchError, match="schema version 2; this superpos reads version 1"):
        RunFolder.at(path)


def test_damaged_manifest_names_the_file(tmp_path: Path) -> None:
    path = open_run(tmp_path).path / "manifest.json"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"[0,3,2]") + 1] ^= 1
    for damaged in (b"", whole[: len(whole) // 2], bytes(flipped), b"[]", b"\xff\xfe"):
        path.write_bytes(damaged)
        with pytest.raises(IncompleteError, match=r"manifest\.json is damaged.*--fresh"):
            open_run(tmp_path)
        with pytest.raises(IncompleteError, match=r"manifest\.json is damaged"):
            RunFolder.at(path.parent)
    assert open_run(tmp_path, fresh=True).manifest["plan"] == FACTS["plan"]


def test_fresh_moves_the_old_runs_aside(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    run.publish(0, *results(CHUNKS[0]))
    for number in (1, 2):
        run = open_run(tmp_path, fresh=True)
        assert run.state(0) == "missing"
        assert (run.path.parent / f"0123456789ab.old-{number}" / "manifest.json").exists()
    assert RunFolder.at(run.path.with_name("0123456789ab.old-1")).state(0, verify=True) == "done"


def test_latest_is_a_relative_link_to_the_run_started_last(tmp_path: Path) -> None:
    for run_id in ("aaa", "bbb", "aaa"):
        RunFolder.open(tmp_path, "demo", run_id, FACTS)
        assert (tmp_path / "demo" / "latest").readlink() == Path(run_id)
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["aaa", "bbb", "latest"]


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_what_has_the_name_of_the_link_is_named_and_stays(
    make: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "demo").mkdir()
    make(tmp_path / "demo" / "latest")
    run = open_run(tmp_path)
    assert "cannot set the link" in caplog.text
    assert not (tmp_path / "demo" / "latest").is_symlink()
    assert latest_run(tmp_path) == run.path


def test_find_reads_what_is_there_and_writes_nothing(tmp_path: Path) -> None:
    assert RunFolder.find(tmp_path, "demo", "0123456789ab") is None
    assert list(tmp_path.iterdir()) == []
    run = open_run(tmp_path)
    found = RunFolder.find(tmp_path, "demo", run.path.name)
    assert found is not None
    assert (found.path, found.manifest) == (run.path, run.manifest)


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "0123456789ab").write_text("mine")
    with pytest.raises(SuperposError, match="0123456789ab is a file"):
        open_run(tmp_path)
    (tmp_path / "other").write_text("mine")
    with pytest.raises(SuperposError, match=r"cannot write the run folder .*other"):
        open_run(tmp_path / "other")
    assert names(tmp_path) == ["demo/0123456789ab", "other"]


@pytest.mark.parametrize("fresh", [False, True])
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path, fresh: bool) -> None:
    foreign = tmp_path / "demo" / "0123456789ab"
    foreign.mkdir(parents=True)
    (foreign / "thesis.tex").write_text("mine")
    with pytest.raises(
        SuperposError, match=r"not a run folder: it holds thesis\.tex but no manifest\.json"
    ):
        open_run(tmp_path, fresh=fresh)
    assert names(tmp_path) == ["demo/0123456789ab/thesis.tex"]


def test_what_a_killed_start_leaves_is_not_foreign(tmp_path: Path) -> None:
    left = tmp_path / "demo" / "0123456789ab" / ".manifest.json.0f.tmp"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"{")
    open_run(tmp_path)
    assert left.exists()  # it may be another process's, still writing
    long_ago = time.time() - 2 * files.STALE_SECONDS
    os.utime(left, (long_ago, long_ago))
    open_run(tmp_path)
    assert not left.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_a_name_cannot_leave_the_output_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(SuperposError, match="cannot be the name of a folder"):
        RunFolder.open(tmp_path, name, "0123456789ab", FACTS)
    assert list(tmp_path.iterdir()) == []


@contextmanager
def _read_only_folder() -> Iterator[Path]:
    """A folder that this process may not write to; root gives up its rights for the time."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o555)
        with as_another_user():
            yield folder
        folder.chmod(0o755)


def test_a_read_only_output_folder_is_an_error_with_the_reason() -> None:
    with (
        _read_only_folder() as folder,
        pytest.raises(SuperposError, match="Permission denied") as caught,
    ):
        open_run(folder)
    assert str(folder) in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_full_disk_leaves_no_chunk_and_says_so(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    before = names(run.path)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
    try:
        with pytest.raises(IncompleteError, match=r"cannot write .*File too large"):
            run.publish(0, *results(CHUNKS[0]))
        with pytest.raises(IncompleteError, match=r"cannot write a checkpoint .*File too large"):
            run.save_checkpoint(0, results(CHUNKS[0])[0])
        with pytest.raises(SuperposError, match=r"cannot write .*report\.html: File too large"):
            run.write("report.html", b"x" * 101)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert names(run.path) == before
    assert run.state(0) == "missing"
    assert run.publish(0, *results(CHUNKS[0]))


def test_publish_writes_three_files_and_the_first_writer_wins(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    assert run.states() == ["missing", "missing"]
    assert run.publish(0, *results(CHUNKS[0]))
    assert names(run.path / "chunks") == ["00000.json", "00000.parquet", "00000.safetensors"]
    assert not run.publish(0, *results(CHUNKS[0], seed=1))
    tensors, table = run.read(0)
    expected, expected_table = results(CHUNKS[0])
    np.testing.assert_array_equal(tensors["W"], expected["W"])
    pd.testing.assert_frame_equal(table, expected_table)
    assert run.states(verify=True) == ["done", "missing"]


def test_results_that_do_not_fit_the_chunk_are_refused(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    tensors, table = results(CHUNKS[0])
    with pytest.raises(ValueError, match="not those of chunk 1"):
        run.publish(1, tensors, table)
    with pytest.raises(
        ValueError, match=r"tensor W has shape \(2, 5, 2\), expected 3 models first"
    ):
        run.publish(0, {"W": tensors["W"][:2]}, table)
    run.publish(0, {**tensors, "history/step": np.arange(9)}, table)
    assert run.read(0)[0]["history/step"].shape == (9,)


@pytest.mark.parametrize("works", [False, True], ids=["no-hard-links", "nfs-error-though-linked"])
def test_file_systems_with_odd_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    link = os.link

    def odd(source: Path, target: Path) -> None:
        if works:
            link(source, target)
        raise OSError(errno.EIO if works else errno.EPERM, "odd")

    run = open_run(tmp_path)
    monkeypatch.setattr(os, "link", odd)
    assert run.publish(0, *results(CHUNKS[0]))
    assert not run.publish(0, *results(CHUNKS[0], seed=1))
    assert run.states(verify=True) == ["done", "missing"]
    assert names(run.path / "chunks") == ["00000.json", "00000.parquet", "00000.safetensors"]


def test_attempts_are_kept_in_order(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    for version in ("1", "2"):
        run.record_attempt({"versions": {"torch": version}})
    found = run.attempts()
    assert [attempt["versions"]["torch"] for attempt in found] == ["1", "2"]
    assert [attempt["pid"] for attempt in found] == [os.getpid()] * 2
    assert all({"time", "host"} <= attempt.keys() for attempt in found)


def test_the_end_of_an_attempt_is_added_to_it(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    first, second = run.record_attempt({"command": ["a"]}), run.record_attempt({"command": ["b"]})
    run.end_attempt(second, {"training": 1.23456, "writing": 0.0})
    found = run.attempts()
    assert [attempt["command"] for attempt in found] == [["a"], ["b"]]
    assert "seconds" not in found[0]
    assert found[1]["seconds"] == {"training": 1.235, "writing": 0.0}
    first.unlink()
    with pytest.raises(SuperposError, match="cannot read"):
        run.end_attempt(first, {})


def test_other_files_are_replaced_whole(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    for data in (b"old", b"new"):
        assert run.write("figures/deep/a.png", data).read_bytes() == data
    assert names(run.path / "figures") == ["deep/a.png"]


def test_patience_ends_with_the_error(tmp_path: Path) -> None:
    late = tmp_path / "late"
    tries: list[int] = []

    def read() -> bytes:
        tries.append(1)
        if len(tries) == 3:
            late.write_bytes(b"x")
        return late.read_bytes()

    assert files.patiently(read) == b"x"
    assert len(tries) == 3
    with pytest.raises(FileNotFoundError):
        files.patiently((tmp_path / "never").read_bytes)
