"""Batch scripts and what goes into them, without a cluster."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.cluster import requeue, scripts, shards, slurm
from superpos.cluster.scripts import Job
from superpos.cluster.site import Site, limit_minutes, read_site, site_files
from superpos.cluster.submit import missing, ranges
from superpos.compose.experiments import shipped_folder
from superpos.errors import ConfigError, SuperposError

TWO = ["model.n_hidden=1,2", "train.steps=2", "train.batch_size=4"]  # two chunks


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def site_of(tmp_path: Path, text: str, **changes: Any) -> Site:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return read_site(path, changes)


# --- options of a site ----------------------------------------------------------------------------------------------


def test_the_command_line_changes_what_the_file_says(tmp_path: Path) -> None:
    text = "partition: main\ncpus: 4\nextra: [--constraint=icelake, -q low]\nsetup: [module load python]"
    site = site_of(tmp_path, text, cpus=8, time="1-12", account=None)
    assert site == Site(
        "main", None, "1-12", 8, extra=("--constraint=icelake", "-q low"), setup=("module load python",)
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("partitoin: x", "unknown key partitoin; did you mean partition?"),
        ('partition: "a;b"', "partition: got 'a;b'"),
        ('account: "a b"', "account"),
        ('time: "1:00\\n#SBATCH --mail=x"', "time"),
        ("time: 1.5", "time: got 1.5"),
        ("time: 1:30:00", "time: got 5400; allowed: a text such as '1:30:00'"),
        ("cpus: 0", "cpus: got 0; allowed: a number from 1"),
        ("cpus: true", "cpus: got true"),
        ("memory: lots", "memory"),
        ("gpus: $(rm)", "gpus"),
        ("extra: --mem=1", "extra: got '--mem=1'; allowed: a list"),
        ('extra: ["--comment=`rm`"]', "extra"),
        ('extra: ["--a\\n--b"]', "one line each"),
        ('setup: ["a\\nb"]', "setup"),
        ("[1, 2]", "allowed: keys with values"),
    ],
)
def test_wrong_options(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        site_of(tmp_path, text)
    [fault] = caught.value.faults
    assert words in fault


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        site_of(tmp_path, "cpus: 0\ncolour: red", memory="x")
    assert len(caught.value.faults) == 3


def test_shipped_sites_are_good_and_own_ones_are_found(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "ours.yaml").write_text("cpus: 2")
    files = site_files(tmp_path, shipped_folder())
    assert {"default", "gpu", "ours"} == set(files)
    assert all(isinstance(read_site(path, {}), Site) for path in files.values())


@pytest.mark.parametrize(
    ("time", "minutes"),
    [("90", 90), ("5:00", 5), ("5:01", 6), ("1:30:00", 90), ("1-0", 1440), ("1-12:30", 2190), ("2-01:02:03", 2943)],
)
def test_minutes(time: str, minutes: int) -> None:
    assert limit_minutes(time) == minutes


# --- scripts ----------------------------------------------------------------------------------------------------------


def job(tmp_path: Path, **changes: Any) -> Job:
    values = {"name": "a", "run": tmp_path, "shards": 4, "program": ["py", "-m", "superpos"], "train": ["x='a b'"]}
    return Job(**(values | changes))


def options_of(script: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")]


def test_an_array_script(tmp_path: Path) -> None:
    site = Site("main", "lab", "20:00", 2, "3G", "a100:1", 5, ("--constraint=x",), ("module load python",))
    script = scripts.array(site, job(tmp_path), "0-3")
    asked = {"--array=0-3%5", "--partition=main", "--account=lab", "--cpus-per-task=2", "--mem=3G", "--constraint=x"}
    asked |= {"--gpus-per-task=a100:1", "--ntasks=1", "--open-mode=append", "--requeue", "--signal=B:USR1@120"}
    assert asked <= set(options_of(script))
    lines = script.splitlines()
    assert lines.index("module load python") < lines.index("trap '' USR1")
    command = script[script.index("\nexec ") :].replace("\\\n", "").replace("$SLURM_ARRAY_TASK_ID", "3")
    assert shlex.split(command) == ["exec", "py", "-m", "superpos", "train", "x='a b'", "--shard", "3/4"]


@pytest.mark.parametrize(("time", "seconds"), [(None, 120), ("1:00:00", 120), ("5", 60), ("1", 12)])
def test_a_short_job_is_warned_late(tmp_path: Path, time: str | None, seconds: int) -> None:
    assert f"--signal=B:USR1@{seconds}" in options_of(scripts.array(Site(time=time), job(tmp_path), "0"))


@pytest.mark.parametrize("run", ["plain", "with space", "with 'quote", "$(touch pwned)"])
def test_scripts_are_good_bash_whatever_the_folder(tmp_path: Path, run: str) -> None:
    made = job(tmp_path, run=tmp_path / run)
    for script in (scripts.array(Site(), made, "0"), scripts.finish(Site(), made)):
        answer = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert (answer.returncode, answer.stderr) == (0, "")


FAKE = """#!/bin/bash
case "$*" in *missing-shards*) cat {folder}/missing;; *) echo "superpos $*" >> {folder}/log;; esac
"""


def finish(tmp_path: Path, missing_shards: str, *arguments: str) -> list[str]:
    """Run the finishing script with programs that only note how they are called; what they noted."""
    (tmp_path / "submit").mkdir()
    (tmp_path / "missing").write_text(missing_shards)
    program, sbatch = tmp_path / "superpos", tmp_path / "sbatch"
    program.write_text(FAKE.format(folder=tmp_path))
    sbatch.write_text(f'#!/bin/bash\necho "sbatch $*" >> {tmp_path}/log\necho "17;here"\n')
    for file in (program, sbatch):
        file.chmod(0o755)
    script = scripts.finish(Site(max_parallel=2), job(tmp_path, program=[str(program)]))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(
        ["bash", "-s", *arguments], input=script, text=True, env=environment, check=True, capture_output=True
    )
    return (tmp_path / "log").read_text().replace(str(tmp_path), "RUN").splitlines()


def test_the_finishing_job_submits_what_is_missing_and_itself(tmp_path: Path) -> None:
    assert finish(tmp_path, "0,2", "1") == [
        "sbatch --parsable --array=0,2%2 RUN/submit/array.sbatch",
        "sbatch --dependency=afterany:17 RUN/submit/finish.sbatch 2",
    ]
    assert (tmp_path / "submit" / "jobs").read_text() == "17 4\n"


@pytest.mark.parametrize(("left", "arguments"), [("", []), ("0", [str(scripts.ROUNDS)])])
def test_the_finishing_job_plots_when_nothing_is_missing_or_enough_was_tried(
    tmp_path: Path, left: str, arguments: list[str]
) -> None:
    assert finish(tmp_path, left, *arguments) == ["superpos plot RUN", "superpos status RUN"]


# --- shards -----------------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 60)))
def test_ranges_name_the_numbers(numbers: set[int]) -> None:
    named = ranges(sorted(numbers))
    pairs = [part.split("-") for part in named.split(",") if part]
    assert {n for pair in pairs for n in range(int(pair[0]), int(pair[-1]) + 1)} == numbers
    assert ranges([0, 1, 2, 7]) == "0-2,7"


def test_missing_shards(tmp_path: Path) -> None:
    run = superpos.train(TWO, out=tmp_path, shard=(1, 2))
    assert [missing(run.folder, n) for n in (1, 2, 9)] == [[0], [0], [0]]
    done = cli("status", str(run.path), "--missing-shards", "2")
    assert (done.exit_code, done.stdout) == (0, "0\n")
    superpos.train(TWO, out=tmp_path)
    assert cli("status", str(run.path), "--missing-shards", "2").stdout == "\n"


def test_shards_of_a_run_where_no_slurm_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = superpos.train(TWO, out=tmp_path, shard=(1, 2))
    assert shards.shards(run.folder) == []  # never submitted
    run.folder.write("submit/array.sbatch", b"")
    run.folder.write("submit/jobs", b"12 2\n")
    run.folder.write("logs/12_0.log", b"a\n\nb\x1b[31m\nc\nd\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shards.shards(run.folder) == [shards.Shard(0, "unknown", "b[31m\nc\nd"), shards.Shard(1, "done")]
    done = cli("status", str(run.path))
    assert done.exit_code == 4
    assert "shards  1 unknown, 1 done\nshard 0:\n    b[31m\n    c\n    d\n" in done.stdout


def test_a_shard_that_left_the_queue_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = superpos.train(TWO, out=tmp_path, shard=(1, 2)).folder
    folder.write("submit/jobs", b"12 2\n")
    for queue, state in (({}, "failed"), ({0: "RUNNING"}, "running"), ({0: "PENDING"}, "pending")):
        monkeypatch.setattr(slurm, "tasks", lambda _job, queue=queue: queue)
        assert shards.shards(folder)[0].state == state


def test_pace_by_hand(tmp_path: Path) -> None:
    """Four models in the first chunk, published 8 s after the submission: the other four take 8 s."""
    run = superpos.train([*TWO, "seed=range(0,4)"], out=tmp_path, shard=(0, 2))
    script = run.folder.write("submit/array.sbatch", b"")
    run.folder.write("submit/jobs", b"12 2\n")
    published = run.folder.chunk_files.published_at(0)
    assert published is not None
    import os

    os.utime(script, (published - 8, published - 8))
    pace = shards.pace(run.folder)
    assert pace is not None
    assert (pace.models_per_second, pace.seconds_left) == pytest.approx((0.5, 8), rel=1e-3)


# --- the commands ---------------------------------------------------------------------------------------------------


def test_print_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "a b"
    done = cli("submit", *TWO, "--shards", "9", "--print", "--out", str(out), "--cpus", "3", "--cluster", "gpu")
    assert done.exit_code == 0
    assert done.stdout.count("#!/bin/bash") == 2
    assert "#SBATCH --array=0-1\n" in done.stdout  # no more shards than chunks
    assert "engine.threads=3" in done.stdout
    assert "#SBATCH --gpus-per-task=1" in done.stdout
    assert not out.exists()


def test_threads_that_are_asked_for_stay(tmp_path: Path) -> None:
    done = cli("submit", *TWO, "engine.threads=7", "--print", "--out", str(tmp_path))
    assert "engine.threads=4" not in done.stdout


def test_dry_run_shares_out_the_work(tmp_path: Path) -> None:
    done = cli("submit", *TWO, "--shards", "2", "--dry-run", "--out", str(tmp_path / "out"))
    assert done.exit_code == 0
    first, second, last = done.stdout.splitlines()
    assert first.split()[:6] == ["shard", "0", "1", "chunks", "1", "models"]
    assert second.split()[1] == "1"
    assert "core-hours" in last
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--shards", "0"], "--shards: got 0"),
        (["--cluster", "gpo"], "--cluster: there is no 'gpo'; did you mean gpu?"),
        (["--time", "soon"], "time: got 'soon'"),
        (["--out", "a\nb"], "cannot stand in a batch script"),
        (["nmae=x"], "nmae: unknown key"),
    ],
)
def test_wrong_submissions(options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("submit", *options)
    assert (done.exit_code, done.stdout, list(tmp_path.iterdir())) == (2, "", [])
    assert words in done.stderr


def test_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = cli("submit", *TWO, "--out", str(tmp_path / "out"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "is not here" in done.stderr
    assert not (tmp_path / "out").exists()


# --- back into the queue ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "job"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "5"}, "5"),
        ({"SLURM_JOB_ID": "5", "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "0"}, "5_0"),
    ],
)
def test_the_name_of_this_very_task(environment: dict[str, str], job: str | None) -> None:
    assert requeue.job_of(environment) == job


def test_a_job_that_gets_nowhere_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = superpos.train(TWO, out=tmp_path).folder
    assert "this is none" in requeue.again(folder, (0, 5))
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    called: list[Any] = []
    monkeypatch.setattr(slurm, "call", lambda *command: called.append(command))
    for step in (5, 5, 5):
        assert requeue.again(folder, (0, step)) == "job 7_3 is requeued"
    assert "not requeued" in requeue.again(folder, (0, 5))
    assert requeue.again(folder, (1, 0)) == "job 7_3 is requeued"
    assert called == [("scontrol", "requeue", "7_3")] * 4
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")  # another task knows nothing of that
    assert requeue.again(folder, (1, 0)) == "job 7_4 is requeued"

    def refuse(*_command: str) -> str:
        raise SuperposError("scontrol: no")

    monkeypatch.setattr(slurm, "call", refuse)
    assert requeue.again(folder, (9, 9)) == "job 7_4 was not requeued: scontrol: no"
    assert [json.dumps(a["progress"]) for a in folder.attempts() if a.get("requeued") == "7_4"] == ["[1, 0]", "[9, 9]"]
