"""Names that only Linux, or only POSIX, has: superpos is imported and does its work without
them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import superpos

pytestmark = pytest.mark.slow

PACKAGE = Path(superpos.__file__).parents[1]
LINUX = [
    "os.sched_getaffinity",
    "os.sched_setaffinity",
    "signal.SIGPWR",
    "signal.SIGSTKFLT",
    "os.copy_file_range",
]
POSIX = [
    "os.getloadavg", "os.getuid", "os.geteuid", "os.getgid", "os.sysconf", "os.sysconf_names",
    "os.link", "os.fchmod", "os.chown", "os.uname", "os.getpgid", "signal.SIGUSR1",
    "signal.SIGUSR2", "signal.SIGHUP", "signal.SIGXCPU", "signal.SIGALRM", "signal.setitimer",
    "signal.pthread_sigmask",
]  # fmt: skip
# Packages of others come first: they have branches of their own for systems, which nobody has
# imitated here.
WORK = """
import os, signal, sys
import hydra, numba, pandas, pyarrow.parquet, rich.progress, torch, typer, yaml
import importlib, pkgutil, subprocess
import matplotlib.pyplot, scipy.optimize, plotly.graph_objects
for name in sys.argv.pop(1).split(","):
    module, _, attribute = name.partition(".")
    delattr(sys.modules[module], attribute)
import superpos
for module in pkgutil.walk_packages(superpos.__path__, "superpos."):
    if "__main__" not in module.name and ".gpu" not in module.name and ".bench" not in module.name:
        importlib.import_module(module.name)
from superpos.bench import machine
print(machine.facts("cpu")["processor"])
from superpos.cli import main
main()
"""


@pytest.mark.parametrize("names", [LINUX, LINUX + POSIX])
def test_a_system_without(names: list[str], tmp_path: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": str(PACKAGE),
        "NUMBA_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
    }
    train = [
        "train",
        "model.n_features=3",
        "model.n_hidden=2",
        "train.steps=3",
        "train.batch_size=8",
        "--quiet",
    ]
    done = subprocess.run(
        [sys.executable, "-c", WORK, ",".join(names), *train],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert superpos.load(tmp_path / done.stdout.splitlines()[-1]).complete
