"""The fused engine gives the same bits whatever vectors a processor has: one order of sums,
explicit multiply-adds.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

OVERRIDES = ("model.n_features=5,7,33", "model.n_hidden=2,5", "train.steps=50", "seed=1,2")


def digest_of_a_run(folder: Path, **environment: str) -> str:
    """Train in a process of its own, with a kernel cache of its own; the digest of the results."""
    script = "import superpos, sys; print(superpos.train(sys.argv[2:], out=sys.argv[1]).digest())"
    command = [sys.executable, "-c", script, str(folder), *OVERRIDES]
    answer = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="compiles for an x86-64 processor without AVX-512"
)
def test_kernels_for_shorter_vectors_give_the_same_bits(tmp_path: Path) -> None:
    shorter = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi2,+f16c,+sse4.2"}
    here = digest_of_a_run(tmp_path / "here")
    assert (
        digest_of_a_run(tmp_path / "shorter", XDG_CACHE_HOME=str(tmp_path / "cache"), **shorter)
        == here
    )
