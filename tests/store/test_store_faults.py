"""Faults: killed writers, two writers at once, damaged chunks and checkpoints."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import superpos
from superpos.errors import IncompleteError
from superpos.store import RunFolder, file_group, load

pytestmark = pytest.mark.slow

MODELS, CHUNKS = 50, 8
FACTS: dict[str, Any] = {
    "plan": "p",
    "engine": "e",
    "chunks": [range(first, first + MODELS) for first in range(0, MODELS * CHUNKS, MODELS)],
}

# A process that publishes chunks. Argument 4 is added to the numbers: writers may differ, as on two
# kinds of processor.
WRITER = """
import sys
from pathlib import Path
import numpy as np
import pandas as pd
from superpos.store import RunFolder

def results(rows, offset):
    W = np.random.default_rng(int(rows[0])).random((len(rows), 100, 20), dtype=np.float32) + offset
    return {"W": W}, pd.DataFrame({"model": rows, "loss": W.sum((1, 2), dtype=np.float64)})

models, chunks, offset = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
rows = [range(first, first + models) for first in range(0, models * chunks, models)]
print("ready", flush=True)
sys.stdin.readline()
facts = {"plan": "p", "engine": "e", "chunks": rows}
run = RunFolder.open(Path(sys.argv[1]), "demo", "0123456789ab", facts)
for chunk in range(chunks):
    run.save_checkpoint(chunk, {"step": np.array(chunk)})
    print(int(run.publish(chunk, *results(run.rows[chunk], offset))), flush=True)
    run.drop_checkpoints(chunk)
"""

# The same chunk published in one folder after another, each time killed at the next call that
# touches the disk.
DIES_EVERYWHERE = (
    WRITER.split("models, chunks")[0]
    + """
import os, signal
TOUCHES = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.symlink"}

def die_at(last):
    left = [last]
    def hook(event, _):
        if event in TOUCHES:
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
    sys.addaudithook(hook)

models = int(sys.argv[2])
status, kills = 1, 0
while status:
    process = os.fork()
    if not process:
        die_at(kills)
        facts = {"plan": "p", "engine": "e", "chunks": [range(models)]}
        run = RunFolder.open(Path(sys.argv[1]) / str(kills), "demo", "0123456789ab", facts)
        run.publish(0, *results(run.rows[0], 0.0))
        os._exit(0)
    _, status = os.waitpid(process, 0)
    kills += 1
print(kills - 1)
"""
)


def expected(rows: np.ndarray, offset: float = 0.0) -> tuple[dict[str, Any], pd.DataFrame]:
    W = np.random.default_rng(int(rows[0])).random(
        (len(rows), 100, 20), dtype=np.float32
    ) + np.float32(offset)
    return {"W": W}, pd.DataFrame({"model": rows, "loss": W.sum((1, 2), dtype=np.float64)})


def start(
    script: str, out: Path, *, models: int = MODELS, offset: float = 0.0
) -> subprocess.Popen[str]:
    paths = [str(Path(superpos.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-c", script, str(out), str(models), str(CHUNKS), str(offset)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )


def release(process: subprocess.Popen[str]) -> None:
    """Let a waiting writer begin."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def wait_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def undisturbed(out: Path) -> RunFolder:
    run = RunFolder.open(out, "demo", "0123456789ab", FACTS)
    for chunk, rows in enumerate(run.rows):
        run.publish(chunk, *expected(rows))
    return run


def published(tmp_path: Path) -> RunFolder:
    """A run of one small chunk."""
    run = RunFolder.open(tmp_path, "demo", "0123456789ab", {**FACTS, "chunks": [range(3)]})
    run.publish(0, *expected(run.rows[0]))
    return run


def damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes({"truncated": whole[:middle], "flipped": flipped, "empty": b""}[how])


def test_kill_at_random_moments_leaves_whole_chunks_or_none(tmp_path: Path) -> None:
    draw = random.Random(0)
    path = tmp_path / "demo" / "0123456789ab"
    for _ in range(5):
        with start(WRITER, tmp_path) as process:
            wait_ready(process)
            release(process)
            time.sleep(draw.uniform(0.0, 0.04))
            process.kill()
        if (path / "manifest.json").exists():
            run = RunFolder.at(path)
            assert "corrupt" not in run.states(verify=True)
            for chunk, state in enumerate(run.states()):
                if state == "done":
                    np.testing.assert_array_equal(
                        run.read(chunk)[0]["W"], expected(run.rows[chunk])[0]["W"]
                    )
    with start(WRITER, tmp_path) as process:
        process.communicate("\n")
    run = RunFolder.at(path)
    assert run.states(verify=True) == ["done"] * CHUNKS
    assert run.digest() == undisturbed(tmp_path / "undisturbed").digest()


def test_kill_at_every_touch_of_the_disk(tmp_path: Path) -> None:
    with start(DIES_EVERYWHERE, tmp_path, models=3) as process:
        kills = int(process.communicate()[0])
    assert kills > 10  # the manifest and three files: each opened, linked and unlinked
    digest = published(tmp_path / "undisturbed").digest()
    for number in range(kills):
        path = tmp_path / str(number) / "demo" / "0123456789ab"
        if (path / "manifest.json").exists():
            assert RunFolder.at(path).state(0, verify=True) in ("missing", "done"), number
        run = RunFolder.open(
            tmp_path / str(number), "demo", "0123456789ab", {**FACTS, "chunks": [range(3)]}
        )
        run.publish(0, *expected(run.rows[0]))
        assert run.digest() == digest, number


@pytest.mark.parametrize("offset", [0.0, 1.0], ids=["equal", "different"])
def test_two_writers_at_once(tmp_path: Path, offset: float) -> None:
    with start(WRITER, tmp_path) as one, start(WRITER, tmp_path, offset=offset) as two:
        for process in (one, two):
            wait_ready(process)
        for process in (one, two):
            release(process)
        wins = [process.communicate()[0].split() for process in (one, two)]
    assert one.returncode == two.returncode == 0
    # Every chunk has exactly one first writer; where writers differ, one may move the other's
    # unsealed parts aside.
    assert all("1" in pair for pair in zip(*wins, strict=True))
    assert offset or all(set(pair) == {"0", "1"} for pair in zip(*wins, strict=True))
    run = RunFolder.at(tmp_path / "demo" / "0123456789ab")
    assert run.states(verify=True) == ["done"] * CHUNKS
    for chunk, rows in enumerate(run.rows):
        tensors, table = run.read(chunk)
        choices = [expected(rows, 0.0), expected(rows, offset)]
        whole = [
            np.array_equal(tensors["W"], W["W"]) and np.array_equal(table["loss"], frame["loss"])
            for W, frame in choices
        ]
        assert any(whole), chunk


@pytest.mark.parametrize("how", ["truncated", "flipped", "empty"])
@pytest.mark.parametrize("suffix", ["safetensors", "parquet", "json"])
def test_a_damaged_chunk_is_found_moved_aside_and_replaced(
    tmp_path: Path, suffix: str, how: str
) -> None:
    run = published(tmp_path)
    digest = run.digest()
    [path] = (run.path / "chunks").glob(f"*00000.{suffix}")
    damage(path, how)
    damaged = path.read_bytes()
    assert run.state(0, verify=True) == "corrupt"
    assert run.digest() != digest
    with pytest.raises(IncompleteError, match=r"00000\..*train again"):
        run.read(0)
    aside = run.quarantine(0)
    assert aside == run.path / "chunks" / "corrupt" / "00000-1"
    assert (aside / path.name).read_bytes() == damaged
    assert len(list(aside.iterdir())) == 3
    assert run.state(0) == "missing"
    assert run.publish(0, *expected(run.rows[0]))
    assert run.digest() == digest


def test_quarantine_leaves_good_and_missing_chunks_alone(tmp_path: Path) -> None:
    run = published(tmp_path)
    assert run.quarantine(0) is None
    assert run.state(0, verify=True) == "done"
    for path in (run.path / "chunks").iterdir():
        path.unlink()
    assert run.quarantine(0) is None


def test_publishing_over_a_damaged_chunk_moves_it_aside(tmp_path: Path) -> None:
    run = published(tmp_path)
    for number in (1, 2):
        damage(run.path / "chunks" / "00000.safetensors", "flipped")
        assert run.state(0) == "done"  # sizes fit: only checksums can tell
        assert run.publish(0, *expected(run.rows[0]))
        assert run.state(0, verify=True) == "done"
        assert (run.path / "chunks" / "corrupt" / f"00000-{number}" / "00000.safetensors").exists()


@pytest.mark.parametrize("suffix", ["safetensors", "parquet"])
def test_a_missing_part_makes_a_chunk_corrupt(tmp_path: Path, suffix: str) -> None:
    run = published(tmp_path)
    [path] = (run.path / "chunks").glob(f"*00000.{suffix}")
    path.unlink()
    assert run.state(0) == "corrupt"
    assert run.publish(0, *expected(run.rows[0]))
    assert run.state(0, verify=True) == "done"


def test_loose_parts_of_a_killed_writer_do_not_enter_a_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_group, "ABANDONED_SECONDS", 0.05)
    run = published(tmp_path)
    (run.path / "chunks" / "00000.json").unlink()
    loose = (run.path / "chunks" / "00000.parquet").read_bytes()
    damage(run.path / "chunks" / "00000.safetensors", "truncated")
    assert run.state(0) == "missing"
    with pytest.raises(IncompleteError, match="does not hold chunk 0 yet"):
        run.read(0)
    assert run.publish(0, *expected(run.rows[0]))
    assert (run.path / "chunks" / "00000.parquet").read_bytes() == loose
    np.testing.assert_array_equal(run.read(0)[0]["W"], expected(run.rows[0])[0]["W"])
    assert [path.name for path in (run.path / "chunks" / "corrupt" / "00000-1").iterdir()] == [
        "00000.safetensors"
    ]


def test_a_living_writer_is_waited_for(tmp_path: Path) -> None:
    """A writer stops for a moment between its first and its second link; another one has different
    results.
    """
    slow = published(tmp_path / "slow")
    run = RunFolder.open(tmp_path, "demo", "0123456789ab", {**FACTS, "chunks": [range(3)]})
    names = ["00000.safetensors", "00000.parquet", "00000.json"]
    os.link(slow.path / "chunks" / names[0], run.path / "chunks" / names[0])

    def go_on() -> None:
        for name in names[1:]:
            os.link(slow.path / "chunks" / name, run.path / "chunks" / name)

    timer = threading.Timer(file_group.ABANDONED_SECONDS / 4, go_on)
    timer.start()
    assert not run.publish(0, *expected(run.rows[0], offset=1.0))
    timer.join()
    assert run.digest() == slow.digest()
    assert sorted(path.name for path in (run.path / "chunks").iterdir()) == sorted(names)


def test_a_run_with_a_damaged_table_loads_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = undisturbed(tmp_path)
    damage(run.path / "chunks" / "00002.parquet", "flipped")
    loaded = load(run.path)
    assert not loaded.complete
    assert len(loaded.table) == MODELS * (CHUNKS - 1)
    assert "00002.parquet does not match its checksum" in caplog.text
    with pytest.raises(IncompleteError, match=f"model {2 * MODELS} .*not finished"):
        loaded.weights(2 * MODELS)


def test_damaged_weights_are_never_returned(tmp_path: Path) -> None:
    run = published(tmp_path)
    damage(run.path / "chunks" / "00000.safetensors", "flipped")
    with pytest.raises(IncompleteError, match=r"00000\.safetensors does not match its checksum"):
        load(run.path).weights(0)


def checkpoints(run: RunFolder) -> list[Path]:
    return sorted((run.path / "checkpoints").glob("*.safetensors"))


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    run = published(tmp_path)
    assert run.load_checkpoint(0) is None
    run.save_checkpoint(1, {"step": np.array(99)})
    for step in range(5):
        run.save_checkpoint(
            0, {"step": np.array(step), "params/W": np.full((2, 3), step, dtype=np.float32)}
        )
        loaded = run.load_checkpoint(0)
        assert loaded is not None
        assert loaded["step"] == step
        assert loaded["step"].shape == ()
        np.testing.assert_array_equal(loaded["params/W"], np.full((2, 3), step, dtype=np.float32))
    assert len(checkpoints(run)) == 2 + 1
    run.drop_checkpoints(0)
    assert run.load_checkpoint(0) is None
    assert len(checkpoints(run)) == 1


@pytest.mark.parametrize("how", ["truncated", "flipped", "empty"])
def test_a_damaged_checkpoint_falls_back_to_the_older_then_to_none(
    tmp_path: Path, how: str
) -> None:
    run = published(tmp_path)
    for step in (1, 2):
        run.save_checkpoint(0, {"step": np.array(step)})
    older, newer = checkpoints(run)
    damage(newer, how)
    loaded = run.load_checkpoint(0)
    assert loaded is not None
    assert loaded["step"] == 1
    assert checkpoints(run) == [older]
    assert (run.path / "checkpoints" / "corrupt" / "00000-1" / newer.name).exists()
    damage(older, how)
    assert run.load_checkpoint(0) is None
    assert checkpoints(run) == []
    run.save_checkpoint(0, {"step": np.array(3)})
    assert run.load_checkpoint(0) == {"step": np.array(3)}
