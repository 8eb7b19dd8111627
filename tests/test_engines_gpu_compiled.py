"""The GPU engine's kernels compile for devices that are not there, and fit: registers and memory of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton")
TESTS = Path(__file__).parent
ABSOLUTE = {"tied": False, "hidden": "relu", "target": "abs", "signed": True}
# at most this many registers a thread; 65,536 of a multiprocessor are 512 threads of 128, a quarter of what it can hold
CASES: list[tuple[int, int, dict[str, Any], int]] = [
    (2, 1, {}, 64),
    (5, 2, {}, 128),
    (20, 5, {"correlation": "anticorrelated", "set_size": 2, "optimizer": "sgd"}, 255),
    (6, 3, ABSOLUTE, 255),
]


def resources(n: int, m: int, structure: dict[str, Any], capability: int) -> dict[str, dict[str, int]]:
    """In a process of its own, where Triton compiles."""
    task = json.dumps({"n_features": n, "n_hidden": m, "batch_size": 1000, **structure})
    environment = os.environ | {"TRITON_INTERPRET": "0", "PYTHONPATH": str(TESTS.parent)}
    command = [sys.executable, str(TESTS / "gpu_resources.py"), str(capability), task]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, int]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("n", "m", "structure", "registers"), CASES)
def test_kernels_compile_and_fit(n: int, m: int, structure: dict[str, Any], registers: int, capability: int) -> None:
    found = resources(n, m, structure, capability)
    assert set(found) == {"train", "gradients", "evaluate"}
    for kernel, used in found.items():
        assert used["local"] == used["stack"] == 0, (kernel, used)  # nothing spilled
        assert 16 <= used["reg"] <= registers, (kernel, used)
        assert used["shared"] <= 48 * 1024, (kernel, used)
