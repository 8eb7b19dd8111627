"""What there is to train with: of the machine, of a control group, of a job of SLURM."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import pytest
from cgroup import limited

import superpos
from superpos.compose.compose import compose
from superpos.engines import machine
from superpos.engines.machine import PROGRAM_BYTES, machine_bytes
from superpos.training.memory import process_bytes

pytestmark = pytest.mark.slow

PACKAGE = Path(superpos.__file__).parents[1]
MOUNTS, GROUPS = "proc/self/mounts", "proc/self/cgroup"
V2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"
V1 = "tmpfs /sys/fs/cgroup tmpfs ro 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,nosuid,memory 0 0\n"
GROUPS_V1 = "5:cpu,cpuacct:/elsewhere\n4:memory:/slurm/uid_0/job_7\n"


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def allowed(root: Path, **environment: str) -> float:
    return machine_bytes(root, environment) + PROGRAM_BYTES


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({MOUNTS: V2, GROUPS: "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "7000000000\n"}, 7e9),
        ({MOUNTS: V2, GROUPS: "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "6000000000\n",
          "sys/fs/cgroup/a/b/memory.max": "max\n"}, 6e9),
        ({MOUNTS: V2, GROUPS: "0::/\n", "sys/fs/cgroup/memory.max": "5000000000\n"}, 5e9),
        ({MOUNTS: V2, GROUPS: "0::/../job\n", "sys/fs/cgroup/memory.max": "4000000000\n"}, 4e9),
        ({MOUNTS: V1, GROUPS: GROUPS_V1,
          "sys/fs/cgroup/memory/slurm/uid_0/job_7/memory.limit_in_bytes": "9223372036854771712\n",
          "sys/fs/cgroup/memory/slurm/memory.limit_in_bytes": "3000000000\n"}, 3e9),
        # In a container the name of the group is the host's; the container's own is mounted at the
        # top.
        ({MOUNTS: V1, GROUPS: "4:memory:/docker/abc\n",
          "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000000\n"}, 2e9),
        ({MOUNTS: V1, GROUPS: "4:memory:/x\n",
          "sys/fs/cgroup/memory/memory.limit_in_bytes": "no number\n"}, math.inf),
        ({}, math.inf),
    ],
)  # fmt: skip
def test_limits_of_control_groups(
    files: dict[str, str], limit: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sysconf")  # nor is the memory of the machine known
    assert allowed(system(tmp_path, files)) == limit


@pytest.mark.parametrize(
    ("environment", "megabytes"),
    [
        ({"SLURM_MEM_PER_NODE": "3000"}, 3000),
        ({"SLURM_MEM_PER_CPU": "500", "SLURM_CPUS_ON_NODE": "4"}, 2000),
        ({"SLURM_MEM_PER_GPU": "9000", "SLURM_GPUS_ON_NODE": "2"}, 18000),
        ({"SLURM_MEM_PER_NODE": "0"}, math.inf),  # all of the node
        ({"SLURM_MEM_PER_NODE": "3000", "SLURM_MEM_PER_CPU": "1", "SLURM_CPUS_ON_NODE": "2"}, 3000),
        ({"SLURM_MEM_PER_CPU": "500"}, math.inf),
        ({"SLURM_MEM_PER_NODE": "lots"}, math.inf),
    ],
)
def test_memory_of_a_job(
    environment: dict[str, str], megabytes: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert allowed(tmp_path, **environment) == megabytes * 2**20


def test_the_smallest_limit_counts(tmp_path: Path) -> None:
    files = {MOUNTS: V2, GROUPS: "0::/\n", "sys/fs/cgroup/memory.max": "900000000\n"}
    root = system(tmp_path, files)
    assert allowed(root) == 9e8
    assert allowed(root, SLURM_MEM_PER_NODE="800") == 800 * 2**20
    assert machine_bytes(root, {"SLURM_MEM_PER_NODE": "1"}) == 0
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert allowed(tmp_path / "none") == physical


SMALL = 600_000_000
LARGE = ["model.n_features=3000", "model.n_hidden=500", "train.steps=1", "seed=range(0,20)"]


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_sweep_that_its_group_cannot_hold_is_refused(options: list[str], tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    command = [sys.executable, "-m", "superpos", "train", *LARGE, *options]
    with limited(SMALL) as group:
        done = group.run(command, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])
    assert (
        f"this machine has {(SMALL - PROGRAM_BYTES) / 1e6:.0f} MB for this process" in done.stderr
    )


def test_a_sweep_that_just_fits_its_group_is_trained(tmp_path: Path) -> None:
    """What a sweep is said to need is enough: the system does not end the process without a
    word.
    """
    recorded = [
        "train.steps=1000",
        "record.snapshots=1000",
        "train.batch_size=8",
        "engine.threads=1",
    ]
    words = ["model.n_features=50", "model.n_hidden=10", "seed=range(0,60)", *recorded]
    needed = process_bytes(compose(words).sweep.plan.chunks)
    environment = os.environ | {"PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"}
    with limited(math.ceil(needed / 4096) * 4096) as group:
        done = group.run(
            [sys.executable, "-m", "superpos", "train", *words, "--quiet"],
            env=environment,
            cwd=tmp_path,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert superpos.load(tmp_path / done.stdout.strip()).complete


def test_the_reference_engine_takes_what_its_group_has(tmp_path: Path) -> None:
    """Models whose batches together would take 2.2 GB; and one alone that does not fit."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    train = [
        sys.executable,
        "-m",
        "superpos",
        "train",
        "train.steps=1",
        "engine.backend=reference",
        "--quiet",
    ]
    many = ["model.n_features=5", "train.batch_size=40000", "seed=range(0,100)"]
    one = ["model.n_features=5", "train.batch_size=2000000"]
    with limited(SMALL) as group:
        done = group.run([*train, *many], env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        for options, code in (([], 4), (["--dry-run"], 2)):
            done = group.run([*train, *one, *options], env=environment, cwd=tmp_path)
            assert done.returncode == code
            assert (
                "2,000,000 samples of a model need about 1.12 GB at once, this process has 0.35 GB"
                in done.stderr
            )


def test_threads_where_no_affinity_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert machine.available_threads() == os.cpu_count()
