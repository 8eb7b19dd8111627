"""`superpos note` and `superpos rm`: what users write of runs, and runs that go."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from explorer import Explorer
from terminals import OnTerminal
from test_list_runs import run_on_disk
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.errors import ConfigError
from superpos.store import RunFolder, latest_run, notes, remove
from superpos.store.inventory import inventory

pytestmark = pytest.mark.slow

ESCAPES = "\x1b]0;gotcha\x07\x1b[31mred\u202egnp\x85"


def cli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="superpos")


def texts(run: Path) -> list[str]:
    return [note.text for note in notes.read(run)]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A complete run without an attempt."""
    return run_on_disk(tmp_path / "outputs", "seed=0,1")


# --- notes ----------------------------------------------------------------------------------------


def test_a_note_is_shown_where_runs_are_shown(tmp_path: Path) -> None:
    run = superpos.train(
        ["name=noted", "seed=0,1", "train.steps=2", "engine.backend=reference"], out=tmp_path
    )
    digest = run.digest()
    for text in ("first <b>thought</b>", "second\nthought"):
        done = cli("note", run.path, text)
        assert (done.exit_code, done.output) == (0, "")
    run.note("third")
    assert [note.text for note in run.notes] == ["first <b>thought</b>", "second\nthought", "third"]
    lines = cli("note", run.path).stdout.splitlines()
    assert [line[18:] for line in lines] == ["first <b>thought</b>", "second", "thought", "third"]
    told = json.loads(cli("note", run.path, "--json").stdout)["notes"]
    assert [note["text"] for note in told] == texts(run.path)
    status = cli("status", run.path).stdout
    assert [line[26:] for line in status.splitlines() if line.startswith("note")] == [
        "first <b>thought</b>", "second thought", "third",
    ]  # fmt: skip
    assert json.loads(cli("status", run.path, "--json").stdout)["notes"] == told
    listed = cli("list", "--runs", "--out", tmp_path).stdout
    assert "third" in listed
    assert (
        json.loads(cli("list", "--runs", "--out", tmp_path, "--json").stdout)["runs"][0]["notes"]
        == told
    )
    assert "first &lt;b&gt;thought" in run._repr_html_()
    assert superpos.load(run.path).digest() == digest


def test_runs_without_notes_are_shown_as_ever(folder: RunFolder) -> None:
    listed = cli("list", "--runs", "--out", folder.path.parents[1]).stdout
    assert listed.splitlines()[0].split() == [
        "name",
        "models",
        "state",
        "size",
        "changed",
        "latest",
        "run",
    ]
    assert "notes" not in json.loads(cli("status", folder.path, "--json").stdout)
    done = cli("note", folder.path)
    assert (done.exit_code, done.stdout, done.stderr) == (
        0,
        "",
        f"superpos: no notes on {folder.path}\n",
    )


@pytest.mark.parametrize("text", ["", "  \n", "x" * (notes.MAX_LETTERS + 1)])
def test_what_is_no_note(text: str, folder: RunFolder) -> None:
    failed = cli("note", folder.path, text)
    assert failed.exit_code == ConfigError.exit_code
    assert "allowed: a text of at most 10,000 letters" in failed.stderr
    assert not (folder.path / notes.FOLDER).exists()


def test_the_longest_note_is_read_again(folder: RunFolder) -> None:
    longest = "\u202e" * notes.MAX_LETTERS  # three bytes each
    notes.add(folder.path, longest)
    assert texts(folder.path) == ["\ufffd" * notes.MAX_LETTERS]


def test_many_write_at_the_same_time(folder: RunFolder) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: notes.add(folder.path, f"note {number}"), range(64)))
    assert sorted(texts(folder.path)) == sorted(f"note {number}" for number in range(64))


def test_what_is_damaged_or_no_note_is_left_out_with_a_word(
    folder: RunFolder, tmp_path: Path
) -> None:
    notes.add(folder.path, "good")
    place = folder.path / notes.FOLDER
    [good] = place.iterdir()
    outside = tmp_path / "secret.json"
    shutil.copy(good, outside)
    whole = json.loads(good.read_text())
    bad = {
        "cut": good.read_text()[:-9],
        "list": "[1]",
        "number": json.dumps(whole | {"text": 5}),
        "no time": json.dumps(whole | {"time": "today"}),
        "time without a zone": json.dumps(whole | {"time": "2026-01-01T00:00:00"}),
        "deep": "[" * 100_000,
        "large": json.dumps(whole | {"text": "x" * 1_000_000}),
    }
    for name, content in bad.items():
        (place / f"{name}.json").write_text(content)
    (place / "bytes.json").write_bytes(b"\xff\xfe")
    (place / "link.json").symlink_to(outside)
    (place / "folder.json").mkdir()
    os.mkfifo(place / "pipe.json")
    (place / "mine.txt").write_text("not a note, and not looked at")
    started = [sys.executable, "-m", "superpos", "note", str(folder.path)]
    done = subprocess.run(started, capture_output=True, text=True, check=True)
    assert [line[18:] for line in done.stdout.splitlines()] == ["good"]
    said = done.stderr.splitlines()
    assert len(said) == len(bad) + 4
    assert all("it is no note, or damaged" in line for line in said)


def test_a_note_changes_no_terminal(folder: RunFolder) -> None:
    notes.add(folder.path, ESCAPES)
    for shown in (
        cli("note", folder.path),
        cli("status", folder.path),
        cli("list", "--runs", "--out", folder.path.parents[1]),
    ):
        assert "red" in shown.stdout
        assert not set(ESCAPES) & set(shown.stdout) - set("]0;gotcha[31mredgnp")


def test_notes_are_on_the_page(explore: object, tmp_path: Path) -> None:
    run = superpos.train(
        ["name=page", "seed=0,1", "train.steps=2", "engine.backend=reference"], out=tmp_path
    )
    run.note("<img src=x onerror=alert(1)> seen")
    shown: Explorer = explore(run.report().write())  # type: ignore[operator]
    assert "<img src=x onerror=alert(1)> seen" in shown.find("provenance").inner_text()


# --- rm -------------------------------------------------------------------------------------------


def test_a_run_goes_and_latest_leads_to_the_newest_other_one(tmp_path: Path) -> None:
    old, newer, newest = (run_on_disk(tmp_path, f"seed={seed},9") for seed in (1, 2, 3))
    other = run_on_disk(tmp_path, "name=other", "seed=0,1")
    for folder, when in ((old, 100), (newer, 300), (newest, 500)):
        os.utime(folder.path / "manifest.json", (when, when))
    size = sum(path.stat().st_size for path in newest.path.rglob("*") if path.is_file())
    done = cli("rm", "--purge", "--yes", newest.path)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == (
        f"superpos: removed {newest.path}, {size / 1e3:.3g} kB freed; custom/latest is now "
        f"{newer.path.name}\n"
    )
    assert sorted(path.name for path in newest.path.parent.iterdir()) == sorted(
        [old.path.name, newer.path.name, "latest"]
    )
    # twice the same is once
    assert cli("rm", "--purge", "--yes", old.path, old.path).exit_code == 0
    assert (newer.path.parent / "latest").resolve() == newer.path
    assert cli("rm", "--purge", "--yes", newer.path.parent / "latest").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert RunFolder.at(other.path).states(verify=True) == ["done"]


def test_a_run_goes_to_the_trash_and_can_be_moved_back(tmp_path: Path) -> None:
    """Nobody is asked, as nothing is lost; a run of the same id that is there already stays."""
    older, run = (run_on_disk(tmp_path, f"seed={seed},9") for seed in (1, 2))
    digest, name = run.digest(), run.path.parent
    place = tmp_path / ".trash" / name.name / run.path.name
    done = cli("rm", run.path)
    assert (
        done.stderr
        == f"superpos: moved {run.path} to {place}; custom/latest is now {older.path.name}\n"
    )
    assert RunFolder.at(place).digest() == digest
    assert [found.path for found in inventory(tmp_path)] == [older.path]
    assert latest_run(tmp_path) == older.path
    run_on_disk(tmp_path, "seed=2,9")
    assert cli("rm", run.path).exit_code == 0
    assert sorted(path.name for path in place.parent.iterdir()) == [place.name, f"{place.name}.2"]
    place.rename(run.path)
    assert RunFolder.at(run.path).digest() == digest
    assert cli("rm", "--purge", "--yes", place.with_name(f"{place.name}.2")).exit_code == 0
    assert not (tmp_path / ".trash" / name.name).exists()
    assert "without it nothing is lost" in cli("rm", "--yes", run.path).stderr


def test_what_fresh_moved_aside_goes_but_is_never_the_latest(tmp_path: Path) -> None:
    facts = {"plan": {}, "chunks": [[0]], "engine": "e"}
    RunFolder.open(tmp_path, "a", "0" * 12, facts)
    now = RunFolder.open(tmp_path, "a", "0" * 12, facts, fresh=True)
    [aside] = set(now.path.parent.iterdir()) - {now.path, now.path.parent / "latest"}
    assert cli("rm", "--purge", "--yes", now.path).exit_code == 0
    assert [*now.path.parent.iterdir()] == [aside]
    assert cli("rm", "--purge", "--yes", aside).exit_code == 0
    assert [*tmp_path.iterdir()] == []


def test_links_inside_are_never_followed(folder: RunFolder, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    (folder.path / "figures" / "mine").symlink_to(mine)
    (folder.path / "thesis.txt").symlink_to(mine / "thesis.txt")
    (folder.path / "up").symlink_to(tmp_path)
    assert cli("rm", "--purge", "--yes", folder.path).exit_code == 0
    assert not folder.path.exists()
    assert (mine / "thesis.txt").read_text() == "years"


def test_what_is_no_run_folder_is_left_alone(folder: RunFolder, tmp_path: Path) -> None:
    foreign = tmp_path / "extension"  # of a browser, which has a manifest.json too
    foreign.mkdir()
    (foreign / "manifest.json").write_text('{"manifest_version": 3}')
    link = tmp_path / "link"
    link.symlink_to(folder.path)
    lent = tmp_path / "lent"
    lent.mkdir()
    (lent / "manifest.json").symlink_to(folder.path / "manifest.json")
    before = sorted(tmp_path.rglob("*"))
    for path, words in [
        (folder.path.parent, f"is a folder of runs; name one of them, such as {folder.path}"),
        (foreign, "is damaged"),
        (link, "is a link; name the run folder itself, "),
        (lent, "is a link; name the run folder itself, "),
        (tmp_path / "nothing", "does not exist"),
        (folder.path / "chunks", "is not a run folder"),
        (folder.path / "manifest.json", "is not a run folder"),
        (folder.path.parents[1], "is not a run folder"),
    ]:
        # of several, all or none
        failed = cli("rm", "--purge", "--yes", "--force", folder.path, path)
        assert failed.exit_code != 0, path
        assert words in failed.stderr, path
        assert len(failed.stderr.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_nobody_is_asked_without_a_terminal(folder: RunFolder) -> None:
    failed = cli("rm", "--purge", folder.path)
    assert (failed.exit_code, failed.stderr) == (
        2,
        "superpos: --yes: is needed where nobody can be asked\n",
    )
    assert folder.path.exists()


@pytest.mark.parametrize(("answer", "left"), [("y", False), ("n", True), ("", True)])
def test_a_terminal_asks(answer: str, left: bool, folder: RunFolder) -> None:
    with OnTerminal(
        [sys.executable, "-m", "superpos", "rm", "--purge", str(folder.path)], columns=200
    ) as terminal:
        assert f"this removes\n  {folder.path}, " in terminal.read(until="Go on?")
        terminal.type(f"{answer}\n")
        terminal.read()
        assert terminal.process.wait() == (2 if left else 0)
    assert folder.path.exists() == left


def test_a_run_in_training_is_refused(tmp_path: Path) -> None:
    """A real one: while it runs, after it was killed, and once it is known to be over."""
    words = ["train.steps=1000000000", "engine.backend=reference", "--quiet"]
    process = subprocess.Popen([sys.executable, "-m", "superpos", "train", *words], cwd=tmp_path)
    try:
        while not (begun := [*tmp_path.glob("outputs/*/*/attempts/*.json")]):
            assert process.poll() is None
            time.sleep(0.05)
        run = begun[0].parents[1].resolve()
        refused = cli("rm", "--purge", "--yes", run)
        assert refused.exit_code == 2
        assert (
            f"process {process.pid} of this machine trains it; --force removes it all the same"
            in refused.stderr
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    killed = cli("rm", "--purge", "--yes", run)
    assert killed.exit_code == 2
    assert "has not ended and wrote" in killed.stderr
    copied = shutil.copytree(run, tmp_path / "copies" / "a")
    assert cli("rm", "--purge", "--yes", "--force", copied).exit_code == 0
    for path in [*run.rglob("*")]:
        os.utime(path, (0, time.time() - 2 * remove.FRESH_SECONDS))
    assert cli("rm", "--purge", "--yes", run).exit_code == 0
    assert not run.exists()


def test_an_attempt_that_has_ended_is_over(folder: RunFolder) -> None:
    attempt = folder.record_attempt({})
    assert remove.training(folder) == f"process {os.getpid()} of this machine trains it"
    folder.end_attempt(attempt, {"training": 1.0})
    assert remove.training(folder) is None
    (folder.path / "attempts" / "damaged.json").write_text("{")
    assert remove.training(folder) is None


def test_a_shard_on_another_machine_counts(folder: RunFolder) -> None:
    attempt = folder.record_attempt({"host": "node7", "pid": 1})
    assert "an attempt of node7 has not ended" in str(remove.training(folder))
    for path in (attempt, *folder.path.glob("*/*")):
        os.utime(path, (0, 0))
    assert remove.training(folder) is None
