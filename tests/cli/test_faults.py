"""Faults made for real, in processes of their own: killed, signalled, out of disk, out of memory,
without a folder.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from places import TESTS
from terminals import OnTerminal

import superpos
from superpos.compose.compose import compose

pytestmark = pytest.mark.slow

PACKAGE = Path(superpos.__file__).parents[1]
SWEEP = [
    "model.n_features=3", "model.n_hidden=1,2", "train.batch_size=64", "train.steps=4000",
    "train.lr=0.01,1e30", "train.optimizer=sgd", "record.snapshots=4", "record.loss_every=7",
    "seed=range(0,4)",
]  # fmt: skip
# The command line with looks at signals and checkpoints far more often than a user has them.
EAGER = (
    "from superpos.training import runner; runner.CHECKPOINT_SECONDS = runner.STRETCH_SECONDS = "
    "0.01; "
    "from superpos.cli import main; main()"
)


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"}


def python(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False, **options
    )


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    return superpos.train(SWEEP, out=tmp_path_factory.mktemp("undisturbed")).digest()


def test_killed_twenty_times_at_random_moments(tmp_path: Path, digest: str) -> None:
    script = str(TESTS / "kill_often.py")
    answer = python(script, "20", str(tmp_path), "11", *SWEEP)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert (found["kills"], found["digests"]) == (20, [digest])


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_signals_at_any_moment_save_and_leave(name: str, tmp_path: Path, digest: str) -> None:
    """From the start of the program to the publishing of a chunk: exit code 75, and nothing is
    lost.
    """
    number = getattr(signal, name)
    command = [sys.executable, "-c", EAGER, "train", *SWEEP, "--out", str(tmp_path)]
    codes = []
    for delay in (0, 0.05, 0.3, 1):
        process = subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        end = time.monotonic() + 60
        while (
            not _catches(process.pid, signal.SIGTERM)
            and process.poll() is None
            and time.monotonic() < end
        ):
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        codes.append(process.returncode)
        if process.returncode == 75 and name == "SIGUSR1":
            assert (
                "USR1 requeues a SLURM job, and this is none" in err
                or "trained so far is kept" in err
            )
    assert set(codes) <= {75, 0}  # 0: it was done
    assert 75 in codes
    assert superpos.train(SWEEP, out=tmp_path).digest() == digest


HANG_UPS = pytest.mark.skipif(
    signal.getsignal(signal.SIGHUP) == signal.SIG_IGN,
    reason="was started to ignore hang-ups, as by nohup",
)


@pytest.mark.parametrize("name", [pytest.param("SIGHUP", marks=HANG_UPS), "SIGUSR2", "SIGXCPU"])
def test_what_other_queues_send_saves_too(name: str, tmp_path: Path, digest: str) -> None:
    command = [sys.executable, "-c", EAGER, "train", *SWEEP, "--out", str(tmp_path)]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _wait_for_checkpoints(tmp_path)
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=120)
    assert process.returncode == 75, err
    assert "The same command goes on" in err
    assert superpos.train(SWEEP, out=tmp_path).digest() == digest


@pytest.mark.parametrize(
    ("wrapper", "code"), [pytest.param([], 75, marks=HANG_UPS), (["nohup"], 0)]
)
def test_a_terminal_that_is_closed(wrapper: list[str], code: int, tmp_path: Path) -> None:
    """Training saves, though nothing it says can be shown; where it is told to ignore a hang-up it
    goes on.
    """
    longer = [text.replace("=64", "=512") for text in SWEEP]
    command = [*wrapper, sys.executable, "-c", EAGER, "train", *longer, "--out", str(tmp_path)]
    with OnTerminal(command, env=environment(), cwd=tmp_path) as terminal:
        _wait_for_checkpoints(tmp_path)
        terminal.hang_up()
        assert terminal.process.wait(timeout=120) == code
    assert superpos.load(tmp_path / "custom" / "latest").complete == (code == 0)


def _wait_for_checkpoints(out: Path) -> None:
    end = time.monotonic() + 60
    while not list(out.glob("custom/*/checkpoints/*")) and time.monotonic() < end:
        time.sleep(0.01)


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal by now; for SIGTERM, superpos installs it
    last.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    caught = next(
        int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt")
    )
    return bool(caught >> (number - 1) & 1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)], check=False
    ).returncode:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_up(small_disk: Path, digest: str) -> None:
    """Training ends with the reason; what was published is whole; with more room the same command
    goes on.
    """
    (small_disk / "other").write_bytes(bytes(40_000))
    answer = python("-c", EAGER, "train", *SWEEP, "--out", str(small_disk))
    assert (answer.returncode, answer.stdout) == (4, ""), answer.stderr
    assert "No space left on device" in answer.stderr
    assert "Traceback" not in answer.stderr
    run = superpos.load(small_disk / "custom" / compose(SWEEP).sweep.run_id)
    assert set(run.folder.states(verify=True)) <= {"done", "missing"}
    (small_disk / "other").unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert superpos.train(SWEEP, out=small_disk).digest() == digest


def test_a_run_folder_that_vanishes(tmp_path: Path) -> None:
    longer = [text.replace("=64", "=4096") for text in SWEEP]
    command = [sys.executable, "-c", EAGER, "train", *longer, "--out", str(tmp_path)]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _wait_for_checkpoints(tmp_path)
    shutil.rmtree(tmp_path / "custom", ignore_errors=True)
    shutil.rmtree(tmp_path / "custom", ignore_errors=True)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (4, ""), err
    assert "cannot write" in err
    assert "Traceback" not in err


MEMORY = """
import resource, sys
import superpos
from superpos.engines.reference import ReferenceEngine
from superpos.compose.compose import compose
sys.argv = ["superpos"]
overrides, out, megabytes = {overrides!r}, {out!r}, {megabytes!r}
superpos.train(["engine.backend=reference", "train.steps=2", "name=warm"], out=out)
if megabytes:
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    limit = int(status["VmData"].split()[0]) * 2**10 + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
from superpos.cli import app
app(["train", *overrides, "--out", out], prog_name="superpos")
"""
WIDE = [
    "engine.backend=reference", "engine.threads=1", "train.batch_size=8192", "train.steps=3",
    "seed=range(0,64)", "train.optimizer=sgd", "record.loss_every=1",
]  # fmt: skip


def trained_in(megabytes: int, out: Path, overrides: list[str]) -> subprocess.CompletedProcess[str]:
    """Train in a process that may take so much more memory than it has after its imports; 0 is no
    limit.
    """
    return python("-c", MEMORY.format(overrides=overrides, out=str(out), megabytes=megabytes))


def test_too_little_memory_for_the_chunk_takes_it_in_parts(tmp_path: Path) -> None:
    """The whole takes about 300 MB at once; models stacked in other numbers differ by the rounding
    of BLAS.
    """
    folders = []
    for megabytes in (0, 120):
        answer = trained_in(megabytes, tmp_path / str(megabytes), WIDE)
        assert answer.returncode == 0, answer.stderr
        folders.append(answer.stdout.splitlines()[-1])
    whole, parts = map(superpos.load, folders)
    assert np.allclose(parts.tensor("W"), whole.tensor("W"), rtol=0, atol=1e-6)
    assert np.allclose(parts.table["loss"], whole.table["loss"], rtol=1e-5)


def test_too_little_memory_for_one_model_is_said(tmp_path: Path) -> None:
    larger = [text.replace("8192", "1000000") for text in WIDE]
    answer = trained_in(30, tmp_path, larger)
    assert (answer.returncode, answer.stdout) == (4, ""), answer.stderr
    assert "does not fit into the memory that is left" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_three_copies_at_once(tmp_path: Path, digest: str) -> None:
    command = [sys.executable, "-c", EAGER, "train", *SWEEP, "--out", str(tmp_path)]
    copies = [
        subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    answers = [copy.communicate(timeout=120) for copy in copies]
    assert [copy.returncode for copy in copies] == [0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1  # the run folder
    run = superpos.load(tmp_path / "custom")
    assert run.digest() == digest
    assert not list(run.path.glob("chunks/corrupt/*"))


def test_an_output_folder_that_is_a_link(tmp_path: Path, digest: str) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "outputs").symlink_to("scratch")
    assert superpos.train(SWEEP, out=tmp_path / "outputs").digest() == digest
    assert superpos.load(tmp_path / "scratch" / "custom").complete
    (tmp_path / "gone").symlink_to("nowhere")
    answer = python("-m", "superpos", "train", *SWEEP, "--out", str(tmp_path / "gone"))
    assert (answer.returncode, answer.stdout) == (2, "")
    assert f"cannot write the run folder {tmp_path}/gone" in answer.stderr
    assert "Traceback" not in answer.stderr
