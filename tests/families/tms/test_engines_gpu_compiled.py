"""The GPU engine's kernels compile for devices that are not there, and fit: registers and memory of
each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from places import ROOT, SUPPORT

pytestmark = pytest.mark.slow

pytest.importorskip("triton")
ABSOLUTE = {"tied": False, "hidden": "relu", "target": "abs", "signed": True}
# At most this many registers a thread. Of a multiprocessor's 65,536, three programs of 128 threads
# can have 168 each.
CASES: list[tuple[int, int, dict[str, Any], int]] = [
    (2, 1, {}, 128),
    (5, 2, {"sampler": "sparse"}, 168),
    (20, 5, {}, 168),
    (6, 3, ABSOLUTE, 168),
    (80, 20, {}, 255),
    (80, 20, {"sampler": "sparse", "correlation": "anticorrelated", "set_size": 2}, 255),
]
LANES, TILES = {"train", "gradients", "evaluate"}, {"gradients", "apply", "evaluate"}


def resources(
    n: int, m: int, structure: dict[str, Any], capability: int
) -> dict[str, dict[str, int]]:
    """In a process of its own, where Triton compiles."""
    task = json.dumps({"n_features": n, "n_hidden": m, "batch_size": 1000, **structure})
    environment = os.environ | {"TRITON_INTERPRET": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(SUPPORT / "gpu_resources.py"), str(capability), task]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, int]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("n", "m", "structure", "registers"), CASES)
def test_kernels_compile_and_fit(
    n: int, m: int, structure: dict[str, Any], registers: int, capability: int
) -> None:
    found = resources(n, m, structure, capability)
    assert set(found) == (TILES if n == 80 else LANES)
    # bytes: four registers of the tiles, where there is no wgmma
    spilled = 16 if (capability, n) == (80, 80) else 0
    for kernel, used in found.items():
        assert used["local"] == 0, (kernel, used)
        assert used["stack"] <= spilled, (kernel, used)
        # the sparse sampler's logarithm rounds as on the host
        assert used["fused64"] == 0, (kernel, used)
        assert 16 <= used["reg"] <= registers, (kernel, used)
        assert used["shared"] <= 96 * 1024, (kernel, used)
