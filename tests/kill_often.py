"""Kill training again and again at random moments: python tests/kill_often.py TIMES OUT SEED
[OVERRIDE]...

Each round forks a process that has everything imported, lets it train for a random time and kills
it with -9; the next one goes on. When the run is complete before all kills are done, the next round
starts it in another folder. Prints the digests of all runs as JSON: they must be one.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import superpos
from superpos.training import runner


def begin(overrides: list[str], out: Path) -> int:
    """The pid of a new process that trains."""
    pid = os.fork()
    if pid:
        return pid
    runner.CHECKPOINT_SECONDS = runner.STRETCH_SECONDS = 0.01  # far more often than a user has them
    code = 1
    try:
        superpos.train(overrides, out=out)
        code = 0
    finally:
        os._exit(code)


def kill_often(times: int, out: Path, seed: int, overrides: list[str]) -> dict[str, object]:
    """The digests of the runs, how many kills hit a living process and how many runs were
    needed.
    """
    # also compiles, and says how long a run takes
    superpos.train([*overrides, "name=undisturbed"], out=out)
    began = time.monotonic()
    superpos.train([*overrides, "name=clock"], out=out)
    whole = time.monotonic() - began
    chance = random.Random(seed)
    hits, folder = 0, 0
    while hits < times:
        pid = begin(overrides, out / str(folder))
        time.sleep(chance.uniform(0, whole) * chance.choice((0.02, 0.3, 1)))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            hits += 1
        elif status:
            raise SystemExit(f"training failed with status {status}")
        else:
            folder += 1
    digests = {superpos.train([*overrides, "name=undisturbed"], out=out).digest()}
    digests |= {
        superpos.train(overrides, out=out / str(number)).digest() for number in range(folder + 1)
    }
    return {"kills": hits, "runs": folder + 1, "digests": sorted(digests)}


if __name__ == "__main__":
    count, place, start, *given = sys.argv[1:]
    sys.stdout.write(json.dumps(kill_often(int(count), Path(place), int(start), given)) + "\n")
