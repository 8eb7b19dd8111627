"""Time whole commands: `superpos train experiment=NAME` for every NAME given, each in a process and
folder of its own.

python docs/benchmarks/experiments.py phase_change geometry > docs/benchmarks/experiments.json
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from typing import Any

from superpos.bench import machine

SUPERPOS = [sys.executable, "-m", "superpos"]


def timed(experiment: str) -> dict[str, Any]:
    """Wall time of the command, and its seconds by phase as the run folder tells them."""
    with tempfile.TemporaryDirectory() as out:
        command = [*SUPERPOS, "train", f"experiment={experiment}", "--out", out, "--quiet"]
        start = time.perf_counter()
        folder = subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.splitlines()[-1]
        wall = time.perf_counter() - start
        told = json.loads(
            subprocess.run(
                [*SUPERPOS, "status", folder, "--json"], check=True, capture_output=True, text=True
            ).stdout
        )
    return {
        "experiment": experiment,
        "models": told["models"]["total"],
        "wall": wall,
        "seconds": told["seconds"],
    }


if __name__ == "__main__":
    facts = machine.facts("cpu")
    found = {"machine": facts, "rows": [timed(name) for name in sys.argv[1:]]}
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
