"""Batch scripts and what goes into them, without a cluster."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import ROOT
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.cluster import requeue, scripts, shards, slurm
from superpos.cluster.scripts import Job
from superpos.cluster.site import Site, limit_minutes, memory_bytes, read_site, site_files
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


# --- options of a site ----------------------------------------------------------------------------


def test_the_command_line_changes_what_the_file_says(tmp_path: Path) -> None:
    text = (
        "partition: main\ncpus: 4\nextra: [--constraint=icelake, -q low]\nsetup: [module load "
        "python]"
    )
    site = site_of(tmp_path, text, cpus=8, time="1-12", account=None)
    assert site == Site(
        "main",
        None,
        "1-12",
        8,
        extra=("--constraint=icelake", "-q low"),
        setup=("module load python",),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("partitoin: x", "unknown key partitoin; did you mean partition?"),
        ('partition: "a;b"', "partition: got 'a;b'"),
        ('account: "a b"', "account"),
        ('time: "1:00\\n#SBATCH --mail=x"', "time"),
        ("time: 1.5", "time: got 1.5"),
        ("time: 1:2:3:4", "time: got '1:2:3:4'; allowed: a text such as '1:30:00'"),
        ("time: -5", "time: got -5"),
        ("partition: -x", "partition: got '-x'"),
        ("account: no", "account: got false"),
        ("cpus: 010", "cpus: got '010'"),
        ("constraint: a b", "constraint: got 'a b'"),
        ("memory: 1G\nmem_per_cpu: 1G", "mem_per_cpu: given beside memory; give one of the two"),
        ("extra: [mem=1]", "extra: got 'mem=1'; allowed: an option of sbatch"),
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


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("account: abc@v100", "account", "abc@v100"),
        ("account: 0123", "account", "0123"),
        ("partition: gpu_p13,prepost", "partition", "gpu_p13,prepost"),
        ("partition: Süd/2.x+y", "partition", "Süd/2.x+y"),
        ("qos: qos_gpu-t3", "qos", "qos_gpu-t3"),
        ("constraint: '[rack1|rack2]&(a100*2)'", "constraint", "[rack1|rack2]&(a100*2)"),
        ("time: 90", "time", "90"),
        ("time: 1:30:00", "time", "1:30:00"),
        ("time: 2-0", "time", "2-0"),
        ("time: 0", "time", "0"),
        ("time: unlimited", "time", "unlimited"),
        ("memory: 0", "memory", "0"),
        ("memory: 500mb", "memory", "500mb"),
        ("mem_per_cpu: 2G", "mem_per_cpu", "2G"),
        ("mail_user: me+x@there.org", "mail_user", "me+x@there.org"),
    ],
)
def test_what_slurm_allows_is_allowed(text: str, key: str, value: str, tmp_path: Path) -> None:
    assert getattr(site_of(tmp_path, text), key) == value


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ("--chdir=~/w", "--chdir={}/w"),
        ("--chdir ~", "--chdir={}"),
        ("-D ~/w", "-D{}/w"),
        ("--chdir='~/a b'", "--chdir={}/a b"),
        ("--comment=a~/b", "--comment=a~/b"),
    ],
)
def test_a_tilde_is_the_home_folder_as_no_shell_reads_it(
    option: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    site = site_of(tmp_path, json.dumps({"extra": [option]}))
    job = Job("crowd", tmp_path, 2, ["superpos"], [])
    for options in (scripts.array_options(site, job, "0-1"), scripts.finish_options(site, job)):
        assert options[0] == word.format("/home/me")


def test_a_home_folder_that_is_not_known_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "")
    with pytest.raises(ConfigError, match="extra: ~/w: the home folder is not known; set HOME"):
        site_of(tmp_path, "extra: ['--chdir=~/w']")


def test_either_memory_takes_the_place_of_the_other(tmp_path: Path) -> None:
    assert site_of(tmp_path, "memory: 4G", mem_per_cpu="1G") == Site(mem_per_cpu="1G")
    assert site_of(tmp_path, "mem_per_cpu: 4G", memory="1G") == Site(memory="1G")
    with pytest.raises(ConfigError, match="--mem-per-cpu: given beside memory"):
        site_of(tmp_path, "", memory="1G", mem_per_cpu="1G")


def test_who_gets_mail_gets_some(tmp_path: Path) -> None:
    assert site_of(tmp_path, "mail_user: me").mail_type == "END,FAIL"
    assert site_of(tmp_path, "mail_user: me", mail_type="BEGIN").mail_type == "BEGIN"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"cpus: [", "is not YAML in UTF-8"),
        (b"a: b: c", "is not YAML in UTF-8"),
        (b"account: caf\xe9", "is not YAML in UTF-8"),
        (b"account: !!python/name:os.system", "is not YAML in UTF-8"),
        (b"? [1]\n: 2", "is not YAML in UTF-8"),
        (b"--- 1\n--- 2", "is not YAML in UTF-8"),
        (b"just words", "allowed: keys with values"),
        (b"1: 2", "unknown key 1"),
        (None, "cannot be read: Is a directory"),
    ],
)
def test_faults_of_a_site_file_are_messages(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "cluster" / "s.yaml"
    path.parent.mkdir()
    path.mkdir() if content is None else path.write_bytes(content)
    done = cli("submit", "--config-dir", str(tmp_path), "--cluster", "s", "--print")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"superpos: {path}: " in done.stderr
    assert words in done.stderr


def test_a_folder_with_a_site_alone_is_enough(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    site = tmp_path / "cluster" / "s.yaml"
    site.write_text("account: abc@v100")
    (tmp_path / "cluster" / "._s.yaml").write_bytes(b"\0\xff")
    done = cli(
        "submit", "--config-dir", str(tmp_path), "--cluster", "s", "--print", "--out", str(tmp_path)
    )
    assert done.exit_code == 0
    assert "#SBATCH --account=abc@v100\n" in done.stdout
    site.rename(site.with_suffix(".yml"))
    done = cli(
        "submit", "--config-dir", str(tmp_path), "--cluster", "s", "--print", "--out", str(tmp_path)
    )
    assert (done.exit_code, done.stdout) == (2, "")
    assert "s.yml is not read; name it s.yaml" in done.stderr


def test_shipped_sites_are_good_and_own_ones_are_found(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "ours.yaml").write_text("cpus: 2")
    files = site_files(tmp_path, shipped_folder())
    assert {"default", "gpu", "ours"} == set(files)
    assert all(isinstance(read_site(path, {}), Site) for path in files.values())


@pytest.mark.parametrize(
    ("time", "minutes"),
    [
        *[
            ("90", 90),
            ("5:00", 5),
            ("5:01", 6),
            ("1:30:00", 90),
            ("1-0", 1440),
            ("1-12:30", 2190),
            ("2-", 2880),
        ],
        *[
            ("2-01:02:03", 2943),
            ("0", math.inf),
            ("0:00", math.inf),
            ("UNLIMITED", math.inf),
            ("infinite", math.inf),
        ],
    ],
)
def test_minutes(time: str, minutes: float) -> None:
    assert limit_minutes(time) == minutes


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("4G", 2**32),
        ("500", 500 * 2**20),
        ("7kb", 7 * 2**10),
        ("2T", 2**41),
        ("0", math.inf),
        ("0G", math.inf),
    ],
)
def test_memory_in_bytes(text: str, amount: float) -> None:
    assert memory_bytes(text) == amount


# --- scripts --------------------------------------------------------------------------------------


def job(tmp_path: Path, **changes: Any) -> Job:
    values = {
        "name": "a",
        "run": tmp_path,
        "shards": 4,
        "program": ["py", "-m", "superpos"],
        "train": ["x='a b'"],
    }
    return Job(**(values | changes))


def options_of(script: str) -> list[str]:
    lines = [
        line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")
    ]
    return [word for line in lines for word in shlex.split(line)]


def test_an_array_script(tmp_path: Path) -> None:
    site = Site(
        "main", "lab", "20:00", 2, "3G", "a100:1", 5, ("--constraint=x",), ("module load python",)
    )
    script = scripts.array(site, job(tmp_path), "0-3")
    asked = {
        "--array=0-3%5",
        "--partition=main",
        "--account=lab",
        "--cpus-per-task=2",
        "--mem=3G",
        "--constraint=x",
    }
    asked |= {
        "--gpus-per-task=a100:1",
        "--ntasks=1",
        "--open-mode=append",
        "--requeue",
        "--signal=B:USR1@120",
    }
    assert asked <= set(options_of(script))
    lines = script.splitlines()
    assert lines.index("module load python") < lines.index("trap '' USR1")
    command = (
        script[script.index("\nexec ") :].replace("\\\n", "").replace("$SLURM_ARRAY_TASK_ID", "3")
    )
    assert shlex.split(command) == [
        "exec",
        "py",
        "-m",
        "superpos",
        "train",
        "x='a b'",
        "--shard",
        "3/4",
    ]


@pytest.mark.parametrize(("time", "seconds"), [(None, 120), ("1:00:00", 120), ("5", 60), ("1", 12)])
def test_a_short_job_is_warned_late(tmp_path: Path, time: str | None, seconds: int) -> None:
    assert f"--signal=B:USR1@{seconds}" in options_of(
        scripts.array(Site(time=time), job(tmp_path), "0")
    )


def test_the_finishing_job_asks_for_no_more_than_a_shard(tmp_path: Path) -> None:
    site = Site(
        "main",
        "lab",
        "0:10:00",
        8,
        gpus="1",
        mem_per_cpu="1G",
        qos="low",
        constraint="a&b",
        extra=("-H",),
    )
    options = scripts.finish_options(site, job(tmp_path))
    asked = {
        "--partition=main",
        "--account=lab",
        "--qos=low",
        "--constraint=a&b",
        "-H",
        "--mem-per-cpu=1G",
    }
    assert asked | {"--time=0:10:00", "--cpus-per-task=8"} <= set(options)
    assert not [option for option in options if "gpus" in option or "array" in option]
    for time, limit in (
        ("2-0", "--time=60"),
        ("UNLIMITED", "--time=60"),
        ("59", "--time=59"),
        (None, None),
    ):
        options = scripts.finish_options(Site(time=time, cpus=8, memory="1G"), job(tmp_path))
        assert "--cpus-per-task=1" in options
        assert [option for option in options if "time" in option] == ([limit] if limit else [])


def test_options_of_a_site_come_before_those_of_superpos(tmp_path: Path) -> None:
    """Of two that say the same sbatch takes the last."""
    site = Site(
        qos="high", extra=("-q low", "--comment=it's #1", '--constraint="a|b"', "--output=x")
    )
    options = scripts.array_options(site, job(tmp_path), "0")
    assert options[:4] == ["-qlow", "--comment=it's #1", "--constraint=a|b", "--output=x"]
    assert options.index("--qos=high") > 3
    assert options_of(scripts.array(site, job(tmp_path), "0")) == options


def test_variables_that_would_be_added_to_what_is_asked_for() -> None:
    assert set(scripts.COMPETING) == set(
        scripts.competing(Site(partition="main", account="a", time="5"))
    )
    assert "SBATCH_MEM_PER_CPU" in scripts.competing(Site(memory="1G"))
    assert "SBATCH_MEM_PER_NODE" in scripts.competing(Site(mem_per_cpu="1G"))
    assert "SBATCH_GPUS" in scripts.competing(Site(gpus="1"))


ODD = [
    "plain",
    "with space",
    "with 'quote",
    'two "quotes"',
    "$(touch pwned)",
    "`x`",
    "#1",
    "100%A %%",
    "-lead",
    "ü☃",
]


@pytest.mark.parametrize("run", ODD)
def test_scripts_are_good_bash_whatever_the_folder(tmp_path: Path, run: str) -> None:
    made = job(tmp_path, run=tmp_path / run)
    for script in (scripts.array(Site(), made, "0"), scripts.finish(Site(), made)):
        answer = subprocess.run(
            ["bash", "-n"], input=script, text=True, capture_output=True, check=False
        )
        assert (answer.returncode, answer.stderr) == (0, "")
        [log] = [option for option in options_of(script) if option.startswith("--output=")]
        assert log.startswith(f"--output={tmp_path}/{run.replace('%', '%%')}/logs/")


def run_program(program: list[str], arguments: list[str], folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(Path(superpos.__file__).parents[1])}
    command = [*program, *arguments]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_modules_in_the_folder_of_the_user_are_none_of_pythons(tmp_path: Path) -> None:
    """In the programs of jobs, and where a user calls `python -m superpos`."""
    for name in ("random", "secrets", "queue", "logging", "yaml", "numpy", "typer"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')")
    printed = run_program([sys.executable, "-m", "superpos"], ["submit", *TWO, "--print"], tmp_path)
    [line] = [line for line in printed.splitlines() if line.startswith("exec ")]
    program = shlex.split(line.removesuffix("\\"))[1:]
    program = program[: program.index("train")]
    assert f'superpos() {{ {shlex.join(program)} "$@"; }}' in printed
    (tmp_path / "superpos.py").write_text("raise SystemExit('shadowed')")
    assert json.loads(run_program(program, ["config", *TWO, "--json"], tmp_path))["models"] == 2


FAKE = """#!/bin/bash
case "$*" in *missing-shards*) cat {folder}/missing;; *) echo "superpos $*" >> {folder}/log;; esac
"""
CHATTY = """#!/bin/bash
echo "$(env | grep ^SBATCH) sbatch $*" >> {folder}/log
echo "*** Welcome ***"; echo; echo "{number}"; echo "Have a nice day"; echo "a warning" >&2
"""


def finish(
    tmp_path: Path, missing_shards: str, *arguments: str, number: str = "17;here"
) -> list[str]:
    """Run the finishing script with programs that only note how they are called; what they
    noted.
    """
    made = job(tmp_path, run=tmp_path / "it's a #1 run", program=[str(tmp_path / "superpos")])
    (made.run / "submit").mkdir(parents=True)
    (tmp_path / "missing").write_text(missing_shards)
    program, sbatch = tmp_path / "superpos", tmp_path / "sbatch"
    program.write_text(FAKE.format(folder=tmp_path))
    sbatch.write_text(CHATTY.format(folder=tmp_path, number=number))
    for file in (program, sbatch):
        file.chmod(0o755)
    site = Site(max_parallel=2, memory="1G")
    (made.run / "submit" / "array.sbatch").write_text(scripts.array(site, made, "0-3"))
    script = made.run / "submit" / "finish.sbatch"
    script.write_text(scripts.finish(site, made))
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "SBATCH_MEM_PER_CPU": "1",
        "SBATCH_WAIT": "1",
    }
    done = subprocess.run(
        ["bash", str(script), *arguments], env=environment, check=False, capture_output=True
    )
    assert done.returncode == (0 if number else 1)
    return (tmp_path / "log").read_text().replace(str(made.run), "RUN").splitlines()


@pytest.mark.parametrize(
    "number", ["17", "17;here", "Submitted batch job 17", "Submitted batch job 17 on cluster b"]
)
def test_the_finishing_job_submits_what_is_missing_and_itself(tmp_path: Path, number: str) -> None:
    array, last = finish(tmp_path, "0,2", "1", number=number)
    assert array.startswith(
        " sbatch --parsable --job-name=superpos-a --array=0-3%2 --output=RUN/logs/%A_%a.log "
    )
    assert array.endswith(" --mem=1G --array=0,2%2 RUN/submit/array.sbatch 2")
    assert last.startswith(
        " sbatch --parsable --job-name=superpos-a-finish --output=RUN/logs/finish-%j.log "
    )
    assert last.endswith(" --dependency=afterany:17 RUN/submit/finish.sbatch 2")
    noted = "17;here" if ";" in number else "17"
    assert (
        tmp_path / "it's a #1 run" / "submit" / "jobs"
    ).read_text() == f"{noted} 4\n{noted} finishes\n"


def test_the_finishing_job_ends_where_sbatch_gives_no_number(tmp_path: Path) -> None:
    assert len(finish(tmp_path, "0,2", number="")) == 1
    assert not (tmp_path / "it's a #1 run" / "submit" / "jobs").exists()


@pytest.mark.parametrize(("left", "arguments"), [("", []), ("0", [str(scripts.ROUNDS)])])
def test_the_finishing_job_plots_when_nothing_is_missing_or_enough_was_tried(
    tmp_path: Path, left: str, arguments: list[str]
) -> None:
    assert finish(tmp_path, left, *arguments) == ["superpos plot RUN", "superpos status RUN"]


# --- shards ---------------------------------------------------------------------------------------


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


def test_shards_of_a_run_where_no_slurm_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = superpos.train(TWO, out=tmp_path, shard=(1, 2))
    assert shards.shards(run.folder) == []  # never submitted
    run.folder.write("submit/array.sbatch", b"")
    run.folder.write("submit/jobs", b"12 2\n")
    run.folder.write("logs/12_0.log", b"a\n\nb\x1b[31m\nc\nd\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shards.shards(run.folder) == [
        shards.Shard(0, "unknown", "b[31m\nc\nd"),
        shards.Shard(1, "done"),
    ]
    done = cli("status", str(run.path))
    assert done.exit_code == 4
    assert "shards  1 unknown, 1 done\nshard 0:\n    b[31m\n    c\n    d\n" in done.stdout


def test_a_shard_that_left_the_queue_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = superpos.train(TWO, out=tmp_path, shard=(1, 2)).folder
    folder.write("submit/jobs", b"12 2\n")
    for queue, state in (
        ({}, "failed"),
        ({"0": "RUNNING"}, "running"),
        ({"0": "PENDING"}, "pending"),
    ):
        monkeypatch.setattr(slurm, "tasks", lambda _job, queue=queue: queue)
        assert shards.shards(folder)[0].state == state


def test_pace_by_hand(tmp_path: Path) -> None:
    """Four models in the first chunk, published 8 s after the submission: the other four take 8
    s.
    """
    run = superpos.train([*TWO, "seed=range(0,4)"], out=tmp_path, shard=(0, 2))
    script = run.folder.write("submit/array.sbatch", b"")
    run.folder.write("submit/jobs", b"12 2\n")
    published = run.folder.chunk_files.published_at(0)
    assert published is not None
    os.utime(script, (published - 8, published - 8))
    pace = shards.pace(run.folder)
    assert pace is not None
    assert (pace.models_per_second, pace.seconds_left) == pytest.approx((0.5, 8), rel=1e-3)


# --- the commands ---------------------------------------------------------------------------------


def test_print_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "a b"
    done = cli(
        "submit",
        *TWO,
        "--shards",
        "9",
        "--print",
        "--out",
        str(out),
        "--cpus",
        "3",
        "--cluster",
        "gpu",
    )
    assert done.exit_code == 0
    assert done.stdout.count("#!/bin/bash") == 2
    assert "#SBATCH --array=0-1\n" in done.stdout  # no more shards than chunks
    assert "engine.threads=3" in done.stdout
    assert "#SBATCH --gpus-per-task=1" in done.stdout
    assert not out.exists()


def test_threads_that_are_asked_for_stay(tmp_path: Path) -> None:
    done = cli("submit", *TWO, "engine.threads=7", "--print", "--out", str(tmp_path))
    assert "engine.threads=4" not in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--gpus", "1"], "gpus 1: nothing uses them; add engine.device=cuda"),
        (["--cluster", "gpu"], "gpus 1: nothing uses them"),
        (["--gpus", "a100:4", "engine.device=cuda"], "gpus a100:4: a shard trains on one"),
        (["engine.device=cuda"], "engine.device=cuda: no GPU is asked for; add --gpus 1"),
        (["engine.threads=2", "--cpus", "8"], "cpus 8: engine.threads=2 leaves some of them idle"),
        (["engine.threads=8", "--cpus", "2"], "engine.threads=8: a shard has cpus 2"),
        (["--gpus", "1", "engine.device=cuda"], ""),
        (["--cpus", "8"], ""),
    ],
)
def test_what_is_asked_for_and_not_used_is_said(
    options: list[str], said: str, tmp_path: Path
) -> None:
    done = cli("submit", *TWO, "--shards", "2", "--print", "--out", str(tmp_path), *options)
    assert done.exit_code == 0
    assert said in done.stderr if said else done.stderr == ""


def test_less_memory_than_a_shard_needs(tmp_path: Path) -> None:
    for options in (["--memory", "100M"], ["--mem-per-cpu", "50", "--cpus", "2"]):
        done = cli("submit", *TWO, "--print", "--out", str(tmp_path), *options)
        assert (done.exit_code, done.stdout) == (2, "")
        assert f"a shard needs about 250 MB: ask for more with {options[0]}" in done.stderr
    assert cli("submit", *TWO, "--print", "--memory", "0", "--out", str(tmp_path)).exit_code == 0


def test_a_machine_without_a_gpu_submits_to_one_that_has_it(fake: FakeSlurm) -> None:
    assert "job 17 trains" in fake.submit("--time", "20", "--gpus", "1", "engine.device=cuda")


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
def test_wrong_submissions(
    options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


# --- SLURM's programs: what sites make of them ----------------------------------------------------

BANNER = "echo; echo '*** Welcome to 2 clusters ***'; printf 'caf\\xe9\\n'"
LIMITS = "echo 'MaxArraySize = 1001'; echo 'PartitionName=main Default=YES MaxTime=00:30:00'"


class FakeSlurm:
    """Programs with the names of SLURM's, for what a real one does not do; they note how they are
    called.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.out = folder, folder / "out"
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        self.script("scontrol", f"{BANNER}; {LIMITS}; {BANNER}")
        self.script("squeue", f"{BANNER}")
        self.script("sbatch", "echo 17")

    def script(self, program: str, body: str) -> None:
        path = self.folder / program
        path.write_text(f'#!/bin/bash\necho "$*" >> {self.folder}/{program}.log\n{body}\ntrue\n')
        path.chmod(0o755)

    def submit(self, *options: str, code: int = 0) -> str:
        """What `superpos submit` says on stderr."""
        done = cli("submit", *TWO, "--shards", "2", "--out", str(self.out), *options)
        assert done.exit_code == code, done.stderr
        return done.stderr

    def asked(self, program: str = "sbatch") -> list[str]:
        log = self.folder / f"{program}.log"
        return log.read_text().splitlines() if log.exists() else []

    def jobs(self) -> str:
        return (self.out / "custom" / "latest" / "submit" / "jobs").read_text()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return FakeSlurm(tmp_path, monkeypatch)


def test_a_site_prints_more_than_the_number(fake: FakeSlurm) -> None:
    fake.script(
        "sbatch",
        f"{BANNER}; echo 'low budget' >&2; echo '17;here '; echo; echo 'Good luck, 5 jobs left.'",
    )
    said = fake.submit("--time", "20")
    assert "superpos: low budget\n" in said
    assert "job 17 trains, job 17 finishes the run" in said
    assert fake.jobs() == "17;here 2\n17;here finishes\n"
    assert "--dependency=afterany:17 " in f"{fake.asked()[1]} "
    fake.script("sbatch", "echo nothing to see")
    (fake.out.parent / "sbatch.log").unlink()
    said = fake.submit("--time", "20", "--partition", "main", code=2)
    assert (
        "sbatch printed no number of a job but 'nothing to see': see whether there is one by "
        "squeue --me" in said
    )


def test_a_finishing_job_that_is_refused_is_submitted_alone_later(fake: FakeSlurm) -> None:
    fake.script("sbatch", "[[ $* == *afterany* ]] && { echo 'QOS policy' >&2; exit 1; }; echo 17")
    said = fake.submit("--time", "20", code=2)
    assert (
        "the array is job 17, but its finishing job was refused: sbatch: QOS policy. Ask for less"
        in said
    )
    assert fake.jobs() == "17 2\n"
    fake.script("sbatch", "echo 18")
    fake.script(
        "squeue",
        f"{BANNER}; [[ $* == *jobs=17* ]] && {{ echo 0 PENDING; echo 1 RUNNING; }}; {BANNER}",
    )
    said = fake.submit("--time", "20")
    assert "job 17 holds 2 shards of 2 already; scancel 17 takes them back" in said
    assert "no other shard is to be trained, job 18 finishes the run" in said
    assert fake.jobs() == "17 2\n18 finishes\n"
    assert "--dependency=afterany:17 " in f"{fake.asked()[-1]} "


def test_shards_that_wait_are_not_submitted_again(fake: FakeSlurm) -> None:
    fake.submit("--time", "20")
    waits = "{ echo 1 PENDING; echo 0 COMPLETING; }"
    fake.script(
        "squeue", f"[[ $* == *jobs=17* ]] && {waits}; [[ $* == *jobs=19* ]] && echo N/A PENDING"
    )
    fake.script("sbatch", "[[ $* == *finish.sbatch ]] && echo 19 || echo 18")
    said = fake.submit("--time", "20")
    assert "job 17 holds 1 shard of 2 already" in said
    assert "job 18 trains, job 19 finishes the run" in said
    assert "--array=0 " in fake.asked()[-2]
    assert "--dependency=afterany:17:18 " in f"{fake.asked()[-1]} "
    asked = len(fake.asked())
    fake.script(
        "squeue", f"[[ $* == *jobs=17* ]] && {{ {waits}; echo 0 RUNNING; }}; echo N/A PENDING"
    )
    assert "no other shard is to be trained, a job waits that finishes the run" in fake.submit(
        "--time", "20"
    )
    assert len(fake.asked()) == asked
    fake.script("squeue", "echo no >&2; exit 1")
    assert "shards that wait already may be submitted twice: squeue: no" in fake.submit(
        "--time", "20"
    )


def test_options_of_superpos_reach_no_variable_of_another_meaning(
    fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SBATCH_WAIT", "SBATCH_MEM_PER_CPU", "SBATCH_ACCOUNT", "SQUEUE_STATES"):
        monkeypatch.setenv(name, "x")
    fake.script("sbatch", f"env | grep ^SBATCH >> {fake.folder}/variables; echo 17")
    fake.submit("--time", "20", "--partition", "main")
    assert (fake.folder / "variables").read_text() == "SBATCH_ACCOUNT=x\n" * 2
    for asked in fake.asked():
        assert "--partition=main" in asked.split()
        assert "--time=20" in asked.split()
    fake.script("squeue", f"env | grep ^SQUEUE >> {fake.folder}/variables")
    fake.submit("--time", "20")
    assert "SQUEUE" not in (fake.folder / "variables").read_text()


def test_limits_of_the_default_partition(fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default time is an hour: a site with less names its limit before anything is written."""
    for options in (
        [],
        ["--partition", "main"],
        ["--time", "2-0"],
        ["--time", "UNLIMITED"],
        ["--time", "31"],
    ):
        said = fake.submit(*options, code=2)
        assert "jobs in partition main end after 00:30:00: ask for less with --time" in said
        assert not fake.out.exists()
    assert "--all show partition --oneliner" in fake.asked("scontrol")
    fake.submit("--time", "0:30:00")
    fake.submit("--time", "31", "--qos", "long")  # which may have a limit of its own


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Memory specification can not be satisfied", "Ask for less with --memory"),
        (
            "CPU count per node can not be satisfied\nsbatch: error: Batch job submission failed",
            "less with --cpus",
        ),
        (
            "Batch job submission failed: Requested node configuration is not available",
            "no node has all of it",
        ),
        (
            "Invalid account or account/partition combination specified",
            "name another --account or --partition",
        ),
        ("Invalid qos specification", "name another --qos"),
        ("Invalid feature specification", "name another --constraint"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "less with --time"),
        (
            "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            "fewer --shards",
        ),
        ("Invalid generic resource (gres) specification", "other --gpus"),
    ],
)
def test_a_refusal_says_which_option_to_change(fake: FakeSlurm, said: str, hint: str) -> None:
    fake.script("sbatch", f'echo "sbatch: error: {said}" >&2; exit 1')
    assert hint.lower() in fake.submit("--time", "20", code=2).lower()


@pytest.mark.parametrize("there", [".", "out", "out/other"])
def test_nothing_is_left_of_what_slurm_refuses(there: str, fake: FakeSlurm) -> None:
    """Folders that were there stay."""
    (fake.folder / there).mkdir(parents=True, exist_ok=True)
    before = sorted(fake.folder.rglob("*"))
    fake.script("sbatch", f"{BANNER}; echo 'sbatch: error: Invalid qos specification' >&2; exit 1")
    assert "name another --qos" in fake.submit("--time", "20", code=2).lower()
    (fake.folder / "sbatch.log").unlink()
    (fake.folder / "scontrol.log").unlink()
    (fake.folder / "squeue.log").unlink(missing_ok=True)
    assert sorted(fake.folder.rglob("*")) == before


def test_a_run_that_was_there_before_a_refusal_stays(fake: FakeSlurm) -> None:
    superpos.train([*TWO, "engine.backend=reference"], out=fake.out, shard=(0, 2))
    run = (fake.out / "custom" / "latest").resolve()
    before = {path for path in run.rglob("*") if "submit" not in path.parts}
    fake.script("sbatch", "exit 1")
    fake.submit("engine.backend=reference", "--time", "20", code=2)
    assert {path for path in run.rglob("*") if "submit" not in path.parts} == before


@pytest.mark.parametrize(
    "said", ["echo 17; exit 1", "echo; echo Submitted batch job 17; exit 1", "echo nothing"]
)
def test_a_run_whose_jobs_may_be_there_stays(said: str, fake: FakeSlurm) -> None:
    """sbatch, or what a site put in its place, fails after it took the job."""
    fake.script("sbatch", said)
    fake.submit("--time", "20", code=2)
    assert (fake.out / "custom" / "latest" / "submit" / "array.sbatch").exists()


@pytest.mark.parametrize(("state", "word"), [("PENDING", "pending"), ("RUNNING", "running")])
def test_a_run_whose_shards_are_in_the_queue_is_not_removed(
    state: str, word: str, fake: FakeSlurm
) -> None:
    fake.submit("--time", "20")
    run = (fake.out / "custom" / "latest").resolve()
    fake.script("squeue", f"[[ $* == *jobs=17* ]] && {{ echo 0 {state}; echo 1 {state}; }}")
    for how in ([], ["--purge", "--yes"]):
        failed = cli("rm", str(run), *how)
        assert failed.exit_code == 2
        assert (
            failed.stderr
            == f"superpos: {run} is in training: 2 shards {word}; --force removes it all the same\n"
        )
    assert run.is_dir()
    fake.script("squeue", "true")  # the jobs have ended
    assert cli("rm", str(run)).exit_code == 0


# --- scripts by hand ------------------------------------------------------------------------------

DOCUMENT = ROOT / "docs" / "slurm.md"
BY_HAND = [
    textwrap.dedent(found[0])
    for found in re.finditer(r"^    #!/bin/bash\n(?:    .*\n)+", DOCUMENT.read_text(), re.MULTILINE)
]
VARIABLES = {
    **{"SLURM_ARRAY_TASK_ID": "3", "SLURM_PROCID": "3", "PBS_ARRAY_INDEX": "3"},
    **{"LSB_JOBINDEX": "4", "SGE_TASK_ID": "4"},  # from 1
}


@pytest.mark.parametrize("script", BY_HAND)
def test_scripts_of_the_document(script: str, tmp_path: Path) -> None:
    """Every shard once, whatever the queue counts from; srun, parallel and ssh run what they are
    told to here.
    """
    stubs = {
        "superpos": 'echo "$@"',
        "srun": 'exec "$@"',
        "ssh": 'exec bash -c "$2 wait"',
        "nohup": 'exec "$@"',
        "parallel": 'for k in {0..15}; do echo "${*/\\{\\}/$k}"; done',
    }
    for program, body in stubs.items():
        (tmp_path / program).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / program).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PBS_O_WORKDIR": str(tmp_path)} | VARIABLES
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout + "".join(path.read_text() for path in tmp_path.glob("shard-*.log"))
    shards = [
        (int(found[1]), int(found[2]))
        for found in re.finditer(r"train .* --shard (\d+)/(\d+)", said)
    ]
    count = shards[0][1]
    assert sorted(shards) == (
        [(3, count)] if len(shards) == 1 else [(k, count) for k in range(count)]
    )


# --- back into the queue --------------------------------------------------------------------------


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
    assert [json.dumps(a["progress"]) for a in folder.attempts() if a.get("requeued") == "7_4"] == [
        "[1, 0]",
        "[9, 9]",
    ]
