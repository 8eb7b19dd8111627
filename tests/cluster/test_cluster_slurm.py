"""Shards on a real SLURM, disturbed in every way that was seen there: one digest, that of a run
without SLURM.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slurm import CPUS, Cluster, missing_programs, running_cluster, wait_until

import superpos
from superpos.compose.compose import compose
from superpos.store import Run

# a machine that can have SLURM must not skip these
REQUIRED = "SUPERPOS_REQUIRE_SLURM" in os.environ
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(missing_programs()) and not REQUIRED,
        reason=f"SLURM is not here: no {', '.join(missing_programs())}",
    ),
]

SHARDS = 3
# Six chunks, as each batch size is a structure of its own; about two seconds each.
SWEEP = [
    "model.n_features=5,6", "model.n_hidden=2", "train.batch_size=512,513,514", "train.steps=60000",
    "record.loss_every=0", "seed=range(0,12)",
]  # fmt: skip
# What a user's profile may set: all of it would break what superpos asks for, were it to count.
VARIABLES = {
    **{
        "SBATCH_PARTITION": "high",
        "SBATCH_TIMELIMIT": "1",
        "SBATCH_MEM_PER_CPU": "900",
        "SBATCH_CPUS_PER_GPU": "1",
    },
    **{"SBATCH_ERROR": "/nowhere/e", "SBATCH_OUTPUT": "/nowhere/o", "SBATCH_OPEN_MODE": "truncate"},
    **{
        "SBATCH_ARRAY_INX": "7",
        "SBATCH_NO_REQUEUE": "1",
        "SBATCH_SIGNAL": "USR2@9",
        "SBATCH_WAIT": "1",
    },
}
FOLDER = 'it\'s a "run" #1, 100%A ü'  # a name that SLURM's scripts could trip over


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as started:
        yield started


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return superpos.train(SWEEP, out=tmp_path_factory.mktemp("undisturbed"))


class Submitted:
    """A run on the cluster."""

    def __init__(self, cluster: Cluster, out: Path) -> None:
        self.cluster, self.out = cluster, out
        self.path = Path()
        self.said = ""
        (out / "random.py").write_text("raise SystemExit('not the random of Python')")

    def superpos(self, *arguments: str, code: int = 0) -> str:
        """A command of superpos where SLURM is; what it prints."""
        environment = (
            self.cluster.environment
            | {"PYTHONPATH": str(Path(superpos.__file__).parents[1])}
            | VARIABLES
        )
        command = [sys.executable, "-m", "superpos", *arguments]
        answer = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd=self.out
        )
        assert answer.returncode == code, answer.stdout + answer.stderr
        self.said = answer.stderr
        return answer.stdout

    def submit(self, *options: str, shards: int = SHARDS) -> str:
        """Submit the sweep; the number of the array's job."""
        asked = ["--shards", str(shards), "--cpus", "1", "--memory", "600M", "--partition", "main"]
        asked += ["--time", "0:30:00", "--out", str(self.out)]
        printed = self.superpos("submit", *SWEEP, *asked, *options)
        self.path = Path(printed.splitlines()[-1])
        return self.jobs()[-1]

    def by_hand(self, options: str, shard: str, srun: bool = False) -> None:
        """Submit a batch script as a user writes it."""
        train = [
            sys.executable,
            "-m",
            "superpos",
            "train",
            *SWEEP,
            "engine.threads=1",
            "--out",
            str(self.out),
        ]
        command = f"exec {shlex.join(train)} --shard {shard}"
        start = f"srun bash -c {shlex.quote(command)}" if srun else command
        script = self.out / "by_hand.sbatch"
        script.write_text(f"#!/bin/bash\n#SBATCH {options}\n{start}\n")
        environment = self.cluster.environment | {
            "PYTHONPATH": str(Path(superpos.__file__).parents[1])
        }
        subprocess.run(
            ["sbatch", str(script)], env=environment, cwd=self.out, check=True, capture_output=True
        )
        self.path = self.out / "custom" / compose(SWEEP).sweep.run_id

    def jobs(self) -> list[str]:
        """The arrays."""
        lines = (self.path / "submit" / "jobs").read_text().splitlines()
        return [line.split()[0] for line in lines if not line.endswith("finishes")]

    def status(self) -> dict[str, Any]:
        answer = subprocess.run(
            [sys.executable, "-m", "superpos", "status", str(self.path), "--json"],
            env=self.cluster.environment | {"PYTHONPATH": str(Path(superpos.__file__).parents[1])},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(answer.stdout)
        return found

    def processes(self, shard: int) -> list[int]:
        """Processes that began to train a shard, the oldest first."""
        attempts = [
            json.loads(path.read_text()) for path in sorted((self.path / "attempts").glob("*.json"))
        ]
        of = f"{shard}/{SHARDS}"
        return [attempt["pid"] for attempt in attempts if of in attempt.get("command", [])]

    def wait_for_training(self, shard: int, attempts: int = 1) -> None:
        wait_until(
            lambda: len(self.processes(shard)) >= attempts, f"shard {shard} trains ({attempts})"
        )

    def release(self, task: str) -> None:
        """A requeued task waits for two minutes unless it is told not to."""
        wait_until(
            lambda: self.cluster.tasks().get(task) in ("PENDING", None), f"{task} is requeued"
        )
        if task in self.cluster.tasks():
            self.cluster.call("scontrol", "update", f"JobId={task}", "StartTime=now")

    def wait_for_the_end(self) -> None:
        wait_until(lambda: not self.cluster.tasks(), "all jobs have ended", 150)

    def log(self, name: str) -> str:
        return "".join(path.read_text() for path in sorted((self.path / "logs").glob(name)))


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path) -> Iterator[Submitted]:
    (tmp_path / FOLDER).mkdir()
    yield Submitted(cluster, tmp_path / FOLDER)

    def cancelled() -> bool:
        tasks = cluster.tasks()  # a finishing job may have added some
        for task in tasks:
            subprocess.run(
                ["scancel", task], env=cluster.environment, check=False, capture_output=True
            )
        return not tasks

    wait_until(cancelled, "no jobs")


def assert_undisturbed(run: Submitted, undisturbed: Run) -> None:
    found = superpos.load(run.path)
    assert found.complete
    assert found.digest() == undisturbed.digest()


def test_an_array_with_a_throttle_and_its_finishing_job(run: Submitted, undisturbed: Run) -> None:
    job = run.submit("--max-parallel", "2")
    most = 0

    def ended() -> bool:
        nonlocal most
        states = run.cluster.tasks()
        most = max(
            most,
            sum(state == "RUNNING" for task, state in states.items() if task.startswith(f"{job}_")),
        )
        return not states

    run.wait_for_training(0)
    assert {"running", "pending", "done"} >= set(run.status()["shards"])
    facts = run.cluster.call("scontrol", "show", "job", job, "--oneliner")
    assert "Partition=main " in facts
    assert "TimeLimit=00:30:00 " in facts
    assert "MinMemoryNode=600M " in facts
    [finishing] = [task for task in run.cluster.tasks() if not task.startswith(f"{job}_")]
    facts = run.cluster.call("scontrol", "show", "job", finishing, "--oneliner")
    assert "TimeLimit=00:30:00 " in facts
    assert "ArrayTaskId" not in facts
    # what is in the queue stays alone
    run.superpos("submit", *SWEEP, "--shards", str(SHARDS), "--out", str(run.out))
    assert f"job {job} holds" in run.said
    assert run.jobs() == [job]
    wait_until(ended, "all jobs have ended", 150)
    assert_undisturbed(run, undisturbed)
    assert most == 2
    assert run.status()["shards"] == {"done": SHARDS}
    assert "features.png" in run.log("finish-*.log")
    assert list((run.path / "figures").glob("*.png"))
    again = run.superpos("submit", *SWEEP, "--shards", "2", "--out", str(run.out))
    # all is done: nothing is submitted
    assert (again.splitlines()[-1], run.jobs()) == (str(run.path), [job])


def test_requeued_by_hand_and_warned_before_the_end(run: Submitted, undisturbed: Run) -> None:
    """Shard 0 is requeued, shard 1 gets the warning that comes before the time limit."""
    job = run.submit()
    run.wait_for_training(0)
    run.cluster.call("scontrol", "requeue", f"{job}_0")
    run.wait_for_training(1)
    run.cluster.call("scancel", "--batch", "--signal=USR1", f"{job}_1")
    run.release(f"{job}_0")
    run.release(f"{job}_1")
    run.wait_for_training(0, attempts=2)
    run.wait_for_training(1, attempts=2)
    run.wait_for_the_end()
    assert_undisturbed(run, undisturbed)
    assert run.jobs() == [job]  # the finishing job found nothing missing
    assert f"superpos: job {job}_1 is requeued" in run.log(f"{job}_1.log")


@pytest.mark.parametrize("warned", [True, False])
def test_preempted(warned: bool, run: Submitted, undisturbed: Run) -> None:
    """With the warning that the script asks for, and in a script written by hand that asks for
    none.
    """
    if warned:
        run.submit()
    else:
        run.by_hand(
            "--array=0-2 --cpus-per-task=1 --requeue --output=/dev/null", "$SLURM_ARRAY_TASK_ID/3"
        )
    run.wait_for_training(0)
    # it shall not end before; SLURM wakes it up to tell it
    os.kill(run.processes(0)[0], signal.SIGSTOP)
    tasks = [
        task for task, state in run.cluster.tasks().items() if "_" in task and state == "RUNNING"
    ]
    whole = [
        "--partition=high",
        "--nodes=3",
        f"--ntasks-per-node={CPUS}",
        "--mem=1",
        "--wrap=sleep 1",
    ]
    run.cluster.call("sbatch", "--output=/dev/null", *whole)
    for task in tasks:
        run.release(task)
    run.wait_for_the_end()
    assert_undisturbed(run, undisturbed)
    assert len(run.processes(0)) > 1


def test_cancelled_then_submitted_again_in_other_shards(run: Submitted, undisturbed: Run) -> None:
    job = run.submit()
    run.superpos("rm", str(run.path), code=2)  # whether its shards wait or run
    assert "is in training" in run.said
    run.wait_for_training(0)
    run.cluster.call("scancel", job)
    wait_until(
        lambda: not any(task.startswith(f"{job}_") for task in run.cluster.tasks()), "cancelled"
    )
    assert "superpos: interrupted" in run.log(f"{job}_*.log")
    for task in run.cluster.tasks():  # nor does the finishing job go on
        run.cluster.call("scancel", task)
    other = run.submit(shards=50)  # more shards than chunks
    assert other != job
    run.wait_for_the_end()
    assert_undisturbed(run, undisturbed)


def test_the_time_limit(run: Submitted, undisturbed: Run) -> None:
    """The end of one task is moved to now: it is told to end, saves, and is trained to the end by
    another job.

    SLURM looks at limits twice a minute: until then the process is stopped, and SLURM wakes it up.
    """
    job = run.submit()
    run.wait_for_training(0)
    os.kill(run.processes(0)[0], signal.SIGSTOP)
    run.cluster.call("scontrol", "update", f"JobId={job}_0", "EndTime=now+2seconds")
    wait_until(
        lambda: run.cluster.tasks().get(f"{job}_0") not in ("RUNNING", "COMPLETING"),
        "the task is stopped",
    )
    assert "DUE TO TIME LIMIT" in run.log(f"{job}_0.log")
    assert "superpos: interrupted" in run.log(f"{job}_0.log")
    if f"{job}_0" in run.cluster.tasks():
        run.release(f"{job}_0")
    run.wait_for_the_end()
    assert_undisturbed(run, undisturbed)


def test_killed_by_the_system_and_picked_up_by_the_finishing_job(
    run: Submitted, undisturbed: Run
) -> None:
    job = run.submit()
    run.wait_for_training(1)
    os.kill(run.processes(1)[0], signal.SIGKILL)
    wait_until(lambda: len(run.jobs()) == 2, "shard 1 is submitted again")
    run.wait_for_the_end()
    assert_undisturbed(run, undisturbed)
    assert len(run.processes(1)) == 2
    assert len(run.processes(0)) == 1
    assert run.jobs()[0] == job


def test_a_node_dies_and_another_one_hangs(run: Submitted, undisturbed: Run) -> None:
    """The tasks of both are requeued; the process on the second lives on beside its copy."""
    job = run.submit()
    for shard in (0, 2):
        run.wait_for_training(shard)
    dead, hung = run.cluster.node_of(f"{job}_0"), run.cluster.node_of(f"{job}_2")
    run.cluster.kill(dead)
    if hung != dead:
        run.cluster.hang(hung)
    wait_until(lambda: run.cluster.tasks().get(f"{job}_0") != "RUNNING", "the loss is noticed")
    for node in {dead, hung}:
        run.cluster.start_node(node)
    for shard in (0, 1, 2):
        run.release(f"{job}_{shard}") if run.cluster.tasks().get(
            f"{job}_{shard}"
        ) != "RUNNING" else None
    run.wait_for_the_end()
    assert_undisturbed(run, undisturbed)


def test_several_tasks_of_one_job_by_hand(run: Submitted, undisturbed: Run) -> None:
    run.by_hand("--ntasks=2 --mem=500M --output=/dev/null", "$SLURM_PROCID/2", srun=True)
    run.wait_for_the_end()
    assert_undisturbed(run, undisturbed)
    attempts = superpos.load(run.path).folder.attempts()
    assert sorted(attempt["command"][-1] for attempt in attempts) == ["0/2", "1/2"]


def test_limits_of_the_site(run: Submitted) -> None:
    before = list(run.out.iterdir())

    def refused(*options: str) -> str:
        environment = run.cluster.environment | {
            "PYTHONPATH": str(Path(superpos.__file__).parents[1])
        }
        command = [sys.executable, "-m", "superpos", "submit", "--out", str(run.out), *options]
        answer = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        assert (answer.returncode, answer.stdout, list(run.out.iterdir())) == (2, "", before)
        return answer.stderr

    assert "there is no 'mian'; did you mean main?" in refused("--partition", "mian")
    assert "time: got 3:00:00; jobs in partition main end after 02:00:00" in refused(
        "--partition", "main", "--time", "3:00:00"
    )
    assert "jobs in partition main end after 02:00:00" in refused("--time", "UNLIMITED")
    many = [
        "seed=range(0,2)",
        f"train.batch_size={','.join(map(str, range(1, 103)))}",
        "--shards",
        "102",
    ]
    assert "up to 100 (MaxArraySize=101)" in refused(*many)


def test_what_slurm_refuses(run: Submitted) -> None:
    for option, value in (("--cpus", "3"), ("--memory", "3G"), ("--constraint", "nothing")):
        asked = ["--out", str(run.out), "--partition", "main", "--time", "9", option, value]
        run.superpos("submit", *SWEEP, *asked, code=2)
        assert "\nsuperpos: sbatch: " in run.said
        assert option in run.said
        assert not (run.out / "custom").exists()  # nothing is left
    assert not run.cluster.tasks()
