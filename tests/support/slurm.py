"""A private SLURM cluster for tests: daemons of its own on 127.0.0.1, in a folder of its own,
stopped by pid.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
CPUS = 2

CONFIG = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={root}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={port}
StateSaveLocation={root}/state
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmdSpoolDir={root}/spool-%n
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0,requeue_delay=0
ReturnToService=2
MinJobAge=300
KillWait=5
SlurmdTimeout=5
SlurmctldTimeout=10
MessageTimeout=5
JobRequeue=1
MaxArraySize=101
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
"""
PARTITIONS = """\
PartitionName=main Nodes={nodes} Default=YES MaxTime=2:00:00 State=UP PriorityTier=1 GraceTime=3
PartitionName=high Nodes={nodes} MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def missing_programs() -> list[str]:
    """What a cluster needs and is not here."""
    return [
        program
        for program in PROGRAMS
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None
    ]


def wait_until(condition: Callable[[], object], what: str, seconds: float = 90) -> None:
    """Look again and again until `condition()` is true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds:g} s still not: {what}")
        time.sleep(0.1)


class Cluster:
    """Three pretend nodes of two cores each on this machine."""

    nodes = ("n1", "n2", "n3")

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = os.environ | {"SLURM_CONF": str(root / "slurm.conf")}
        self.environment["PATH"] += ":/usr/sbin"
        self._daemons: list[subprocess.Popen[bytes]] = []

    def call(self, *command: str) -> str:
        """What a command prints; its failure is an error with what it said."""
        answer = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, f"{command}: {answer.stdout}{answer.stderr}"
        return answer.stdout

    def tasks(self) -> dict[str, str]:
        """{job or job_index: state} of everything that has not ended."""
        lines = self.call("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)  # type: ignore[misc]

    def node_of(self, task: str) -> str:
        """The node that a running task is on."""
        return self.call("squeue", "--noheader", "--format=%N", f"--jobs={task}").strip()

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        (self.root / f"spool-{node}").mkdir(exist_ok=True)
        self._start("slurmd", "-D", "-N", node)

    def hang(self, node: str) -> None:
        """Only the daemon of a node dies: for SLURM the node is lost, its jobs live on."""
        os.kill(int((self.root / f"slurmd-{node}.pid").read_text()), signal.SIGKILL)

    def kill(self, node: str) -> None:
        """A node dies: its daemon and every process of its jobs at once."""
        self.hang(node)
        for pid in self._processes_of(node):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def start(self) -> None:
        """Write the configuration and start all daemons; returns when every node is idle."""
        root, ports = self.root, _free_ports(len(self.nodes) + 1)
        (root / "state").mkdir()
        (root / "munge.key").write_bytes(secrets.token_bytes(128))
        (root / "munge.key").chmod(0o600)
        lines = [CONFIG.format(root=root, port=ports[0], user=_user())]
        lines += [
            (
                f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} "
                f"CPUs={CPUS} "
                "RealMemory=2000\n"
            )
            for node, port in zip(self.nodes, ports[1:], strict=True)
        ]
        (root / "slurm.conf").write_text(
            "".join([*lines, PARTITIONS.format(nodes=",".join(self.nodes))])
        )
        munge = (
            "key-file=munge.key",
            "socket=munge.socket",
            "pid-file=munged.pid",
            "log-file=munged.log",
        )
        files = [f"--{name}={root / file}" for name, file in (pair.split("=") for pair in munge)]
        self._start(
            "munged", "--foreground", "--force", f"--seed-file={root / 'munged.seed'}", *files
        )
        wait_until((root / "munge.socket").exists, "munged listens", 20)
        self._start("slurmctld", "-D", "-c")
        for node in self.nodes:
            self.start_node(node)
        wait_until(lambda: self._idle() == len(self.nodes), "all nodes are idle", 30)

    def stop(self) -> None:
        """Cancel every job and stop every process of the cluster, whatever state it is in."""
        with suppress(AssertionError, TimeoutError):
            for task in self.tasks():
                self.call("scancel", task)
            wait_until(lambda: not self.tasks(), "no jobs", 15)
        leftover = [pid for node in self.nodes for pid in self._processes_of(node)]
        for daemon in reversed(self._daemons):
            daemon.kill()
            daemon.wait()
        for pid in [*leftover, *self._stepds()]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _idle(self) -> int:
        answer = subprocess.run(
            ["sinfo", "-h", "-N", "-p", "main", "-t", "idle", "-o", "%N"],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return len(answer.stdout.split())

    def _start(self, *command: str) -> None:
        log = (self.root / f"{command[0]}.out").open("ab")
        with log:
            self._daemons.append(
                subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
            )

    def _processes_of(self, node: str) -> list[int]:
        """The processes of the jobs on a node of this cluster, and the daemons that watch them."""
        marks = {
            f"SLURMD_NODENAME={node}".encode(),
            f"SLURM_CONF={self.root / 'slurm.conf'}".encode(),
        }
        return [pid for pid, env in _environments() if marks <= env] + self._stepds(node)

    def _stepds(self, node: str = "") -> list[int]:
        spool = f"{self.root}/spool-{node}"
        with suppress(FileNotFoundError):
            lines = subprocess.run(
                ["ss", "-xlpH"], capture_output=True, text=True, check=False
            ).stdout.splitlines()
            found = [line for line in lines if spool in line and "slurmstepd" in line]
            return [int(part.split(",")[0]) for line in found for part in line.split("pid=")[1:]]
        return []


def _environments() -> Iterator[tuple[int, set[bytes]]]:
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            yield int(path.parent.name), set(path.read_bytes().split(b"\0"))


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster for as long as the `with` block lasts; its folder is short, as sockets allow 108
    letters.
    """
    with tempfile.TemporaryDirectory(
        prefix="slurm-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        root = Path(folder)
        root.chmod(0o755)
        cluster = Cluster(root)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
