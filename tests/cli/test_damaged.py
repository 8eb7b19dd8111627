"""What no checksum covers is read with doubt: notes of attempts, records, and manifests sealed by
something else.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.cluster import requeue
from superpos.errors import IncompleteError, SuperposError
from superpos.store import Run, RunFolder, manifest
from superpos.store.files import canonical_json

pytestmark = pytest.mark.slow

TINY = [
    "train.steps=2",
    "model.n_features=2",
    "model.n_hidden=1",
    "engine.backend=reference",
    "name=demo",
    "seed=0,1",
]
COMMANDS = (["status"], ["status", "--json"], ["plot", "--figure", "loss"], ["report"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return superpos.train(TINY, out=tmp_path_factory.mktemp("whole")).path


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    shutil.copytree(whole, tmp_path / "demo" / whole.name)
    return tmp_path / "demo" / whole.name


def cli(*arguments: str) -> Result:
    done = CliRunner().invoke(app, arguments, prog_name="superpos")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def content(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


DAMAGE: dict[str, Callable[[Path], None]] = {
    "nothing": content(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-9]) and None,
    "another kind": content(b"[1]"),
    "text": content(b'"x"'),
    "number": content(b"1e999"),
    "null": content(b"null"),
    "no UTF-8": content(b'{"a": "\xe9"}'),
    "nested": content(b"[" * 100_000),
    "digits": content(b'{"files": ' + b"9" * 10_000 + b"}"),
    "pipe": pipe,
    "folder": folder,
    "dangling link": link_to_nothing,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_note_of_an_attempt_is_left_out(damage: str, run: Path) -> None:
    [note] = (run / "attempts").glob("*.json")
    DAMAGE[damage](note)
    done = cli("status", str(run))
    assert done.exit_code == 0, done.stderr
    assert RunFolder.at(run).attempts() == []
    with pytest.raises(SuperposError, match=r"damaged|cannot read"):
        RunFolder.at(run).end_attempt(note, {"training": 1.0})


@pytest.mark.parametrize(
    "seconds",
    [
        "null",
        "5",
        "[1]",
        "{}",
        '{"training": "long"}',
        '{"training": NaN}',
        '{"training": -1}',
        '{"training": 1e308}',
    ],
)
def test_times_that_are_none_count_nothing(seconds: str, run: Path) -> None:
    [note] = (run / "attempts").glob("*.json")
    note.write_text('{"seconds": ' + seconds + "}")
    done = cli("status", str(run))
    assert done.exit_code == 0, done.stderr
    assert "\ntime" not in done.stdout
    assert cli("status", str(run), "--json").exit_code == 0


def test_progress_that_is_none_does_not_hinder_a_requeue(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(requeue.slurm, "call", lambda *_: "")
    opened = RunFolder.at(run)
    opened.record_attempt({"requeued": "7"})
    opened.record_attempt({"requeued": "7", "progress": "far"})
    assert requeue.again(opened, (0, 1)) == "job 7 is requeued"


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("suffix", ["json", "parquet", "safetensors"])
def test_a_damaged_chunk_is_named_and_trained_again(
    suffix: str, damage: str, run: Path, whole: Path
) -> None:
    [part] = (run / "chunks").glob(f"*.{suffix}")
    DAMAGE[damage](part)
    done = cli("status", str(run))
    assert done.exit_code == 4
    assert "1 corrupt" in done.stdout or "1 missing" in done.stdout
    assert superpos.train(TINY, out=run.parents[1]).digest() == superpos.load(whole).digest()


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_manifest_is_one_message(damage: str, run: Path) -> None:
    DAMAGE[damage](run / "manifest.json")
    for command, *options in COMMANDS:
        done = cli(command, str(run), *options)
        assert done.exit_code in (2, 4)
        assert (done.stdout, len(done.stderr.splitlines())) == ("", 1)
    assert cli("list", "--runs", "--out", str(run.parents[1])).exit_code == 0


# --- manifests with a checksum, and nonsense ------------------------------------------------------

SEED_AXIS = {"keys": ["seed"], "values": [[0], [1]]}
NONSENSE = (None, 5, 1e300, "x", "../../x", "", [], [1], {}, {"a": 1}, [[["x"]]])
PLANS: list[dict[str, Any]] = [
    {"own": {"model": 5}},
    {"own": {"model": {"name": 3}}},
    {"own": {"params": [["W", 5]]}},
    {"own": {"model": {"name": "f"}, "params": 5}},
    {"own": {"nothing": {"name": "f"}}},
    {"axes": [{"keys": ["seed"], "values": [[0]]}]},
    {"axes": [{"keys": ["seed"], "values": [["a"], ["b"]]}]},
    {"axes": [{"keys": ["seed"], "values": [[0], [10**30]]}]},
    {"axes": [{"keys": ["seed", "train.lr"], "values": [[0], [1]]}]},
    {"axes": [{"keys": ["nothing"], "values": [[0], [1]]}]},
    {"axes": [{"keys": [], "values": [[], []]}]},
    {"axes": [{"keys": [3], "values": [[0], [1]]}]},
    {"axes": [SEED_AXIS, {"keys": ["seed"], "values": [[0]]}]},
    {"axes": {"seed": [0, 1]}},
    {"values": {"model.n_features": "x"}},
    {"values": {"model.n_features": 10**9}},
    {"values": {"data.density": [0.5, "x"]}},
]
CHUNKS = (
    [[[0, 10**15, 1]]],
    [[[0, 3, 1]]],
    [[[0, 1, 1]], [[0, 1, 1]]],
    [[[-1, 2, 1]]],
    [[[0, 2, 5]]],
    [[[0, 2]]],
    [[0, 2, 1]],
    [[[0, -2, 1]]],
    [[[0, 2.0, 1]]],
)


def resealed(run: Path, **changes: Any) -> None:
    """Change fields of a manifest as somebody would who knows how to seal one; `...` takes a field
    away.

    The other fields are those of the run as it was.
    """
    original = run / "original"
    if not original.exists():
        original.mkdir()
        shutil.copy(run / "manifest.json", original)
    fields = {**manifest.read(original), **changes}
    fields = {key: value for key, value in fields.items() if value is not ...}
    fields["sha256"] = manifest.checksum_of(fields)
    (run / "manifest.json").write_text(canonical_json(fields))


def check_messages(run: Path, *codes: int) -> None:
    """Every command ends with one of the codes, and with one message where it is not 0."""
    commands = [["status", str(run)], ["plot", str(run), "--figure", "loss"], ["report", str(run)]]
    for command in commands if codes != (0,) else commands[::2]:  # drawing takes long
        done = cli(*command)
        assert done.exit_code in codes, (command, done.stderr)
        # `status` says all on stdout
        assert len(done.stderr.splitlines()) == (0 if done.stdout else 1)
    assert cli("list", "--runs", "--out", str(run.parents[1])).exit_code == 0


def test_training_goes_on_with_no_manifest_of_nonsense(run: Path) -> None:
    for changes in (
        {"plan": ...},
        {"plan": 5},
        {"chunks": []},
        {"chunks": 5},
        {"name": 5},
        {"run_id": ...},
    ):
        resealed(run, **changes)
        done = cli("train", *TINY, "--out", str(run.parents[1]))
        assert (done.exit_code in (3, 4), done.stdout, len(done.stderr.splitlines())) == (
            True,
            "",
            1,
        )


@pytest.mark.parametrize("key", ["own", "axes", "values"])
def test_a_plan_of_nonsense(key: str, run: Path) -> None:
    plan = manifest.read(run)["plan"]
    for value in NONSENSE:
        resealed(run, plan={**plan, key: value})
        harmless = key == "values" and value in ({}, {"a": 1})  # a key of another version
        check_messages(run, 0 if harmless else 4)


@pytest.mark.parametrize("change", PLANS, ids=repr)
def test_a_plan_that_does_not_fit(change: dict[str, Any], run: Path) -> None:
    resealed(run, plan={**manifest.read(run)["plan"], **change})
    check_messages(run, 4)
    with pytest.raises(IncompleteError, match=r"manifest\.json is damaged: (its|seed:|\w+\.\w+:) "):
        _ = superpos.load(run).plan


@pytest.mark.parametrize("key", ["name", "run_id", "chunks", "plan"])
def test_a_field_of_nonsense(key: str, run: Path) -> None:
    possible = {"name": ("x",), "run_id": ("x",)}.get(key, ())
    for value in (*NONSENSE, ...):
        if value not in possible:
            resealed(run, **{key: value})
            check_messages(run, 4)


def test_a_label_of_nonsense_is_refused_where_it_counts(run: Path) -> None:
    for value in NONSENSE[1::3]:
        resealed(run, label=value)
        check_messages(run, 0, 4)


def test_no_version_is_another_version(run: Path) -> None:
    for value in (*NONSENSE[:4], ..., 2):
        resealed(run, schema_version=value)
        check_messages(run, 3)


@pytest.mark.parametrize("value", CHUNKS, ids=repr)
def test_chunks_of_nonsense(value: object, run: Path) -> None:
    resealed(run, chunks=value)
    check_messages(run, 4)


def test_what_is_only_shown_hinders_nothing(run: Path) -> None:
    shown = ("command", "versions", "git", "engine", "config", "created", "reasons", "machine")
    for value in (*NONSENSE[::4], ...):
        resealed(run, **dict.fromkeys(shown, value))
        check_messages(run, 0)


def test_a_family_of_nonsense(run: Path) -> None:
    for value in (None, 5, [], "nothing", "../tms"):
        resealed(run, family=value)
        check_messages(run, 0, 2)


def test_the_name_of_a_run_leads_nowhere_else(run: Path, tmp_path: Path) -> None:
    resealed(run, name="../../elsewhere")
    assert cli("plot", str(run), "--figure", "loss", "--to", str(tmp_path / "a")).exit_code == 4
    assert not list(tmp_path.rglob("elsewhere*"))


def test_a_chunk_of_other_models_is_left_out(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    resealed(run, chunks=[[[1, 1, 1], [0, 1, 1]]])
    assert isinstance(superpos.load(run), Run)
    assert "holds other models than its manifest says" in caplog.text


@pytest.mark.parametrize("damage", [*DAMAGE, "no shards", "too many shards"])
def test_a_damaged_list_of_jobs_hinders_nothing(damage: str, run: Path) -> None:
    (run / "submit").mkdir()
    jobs = run / "submit" / "jobs"
    jobs.write_text({"no shards": "7 0\n", "too many shards": f"7 {10**12}\n"}.get(damage, "7 2\n"))
    DAMAGE.get(damage, lambda _: None)(jobs)
    for options in ([], ["--json"], ["--missing-shards", "2"]):
        done = cli("status", str(run), *options)
        assert done.exit_code == 0, done.stderr
