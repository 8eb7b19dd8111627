"""A finished sweep is known without an engine, and only a finished one."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import superpos
from superpos.compose.compose import compose
from superpos.errors import ConfigError, IncompleteError
from superpos.plan.sweep import Sweep
from superpos.store import RunFolder
from superpos.training.already_trained import finished, part

OVERRIDES = ["model.n_hidden=1,2,3", "seed=0,1"]  # three chunks
HEAVY = ("torch", "numba", "matplotlib", "scipy")


@pytest.fixture
def sweep() -> Sweep:
    return compose(OVERRIDES).sweep


def stored(sweep: Sweep, out: Path, chunks: tuple[int, ...] = (0, 1, 2)) -> RunFolder:
    """A run with weights of one in some of its chunks."""
    facts = {"plan": sweep.to_json(), "chunks": sweep.plan.rows, "engine": "none"}
    folder = RunFolder.open(out, sweep.base["name"], sweep.run_id, facts)
    for chunk in chunks:
        rows = folder.rows[chunk]
        shapes = sweep.settings.structure(int(rows[0])).param_shapes
        tensors = {
            name: np.ones((len(rows), *shape), dtype=np.float32) for name, shape in shapes.items()
        }
        folder.publish(chunk, tensors, sweep.table(rows).assign(status="ok", loss=0.0))
    return folder


@pytest.mark.parametrize(
    ("shard", "chunks"),
    [(None, [0, 1, 2]), ((0, 1), [0, 1, 2]), ((0, 2), [0, 2]), ((1, 2), [1]), ((3, 4), [])],
)
def test_parts(shard: tuple[int, int] | None, chunks: list[int]) -> None:
    assert list(part(3, shard)) == chunks


@pytest.mark.parametrize("shard", [(3, 3), (-1, 3), (0, 0)])
def test_a_shard_that_is_none_is_refused_before_anything_is_written(
    shard: tuple[int, int], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="k from 0 to n - 1"):
        superpos.train(["train.steps=0"], out=tmp_path / "o", shard=shard)
    assert not (tmp_path / "o").exists()


def test_only_what_is_complete_is_finished(sweep: Sweep, tmp_path: Path) -> None:
    assert finished(sweep, tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    folder = stored(sweep, tmp_path, (0, 2))
    assert finished(sweep, tmp_path) is None
    assert finished(sweep, tmp_path, (1, 2)) is None  # chunk 1
    assert finished(sweep, tmp_path, (0, 2)) == folder.path  # chunks 0 and 2
    stored(sweep, tmp_path)
    assert finished(sweep, tmp_path) == folder.path
    assert finished(compose([*OVERRIDES, "train.steps=5"]).sweep, tmp_path) is None


@pytest.mark.parametrize("suffix", ["safetensors", "parquet", "json"])
def test_one_wrong_bit_and_it_is_not_finished(suffix: str, sweep: Sweep, tmp_path: Path) -> None:
    [victim] = (stored(sweep, tmp_path).path / "chunks").glob(f"*00001.{suffix}")
    data, at = victim.read_bytes(), victim.stat().st_size // 2
    victim.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert finished(sweep, tmp_path) is None
    assert finished(sweep, tmp_path, (0, 2)) is not None


def test_a_folder_of_another_plan_is_not_finished(sweep: Sweep, tmp_path: Path) -> None:
    stored(sweep, tmp_path)
    other = compose([*OVERRIDES, "train.steps=5"]).sweep
    (tmp_path / "custom" / sweep.run_id).rename(tmp_path / "custom" / other.run_id)
    assert finished(other, tmp_path) is None


def test_a_damaged_manifest_is_an_error(sweep: Sweep, tmp_path: Path) -> None:
    path = stored(sweep, tmp_path).path / "manifest.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(IncompleteError, match=r"manifest\.json is damaged"):
        finished(sweep, tmp_path)


def test_latest_follows_and_may_fail(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = stored(sweep, tmp_path), compose(["seed=7"]).sweep
    stored(other, tmp_path, (0,))
    latest = tmp_path / "custom" / "latest"
    assert str(latest.readlink()) == other.run_id
    assert finished(sweep, tmp_path) == folder.path
    assert str(latest.readlink()) == sweep.run_id

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "read-only file system")

    monkeypatch.setattr(os, "symlink", refuse)
    assert finished(other, tmp_path) is not None


def test_a_finished_run_imports_nothing_heavy(sweep: Sweep, tmp_path: Path) -> None:
    folder = stored(sweep, tmp_path)
    code = (
        "import sys; from superpos.cli import main; sys.argv = ['superpos', 'train', "
        f"*{OVERRIDES!r}]\n"
        f"try: main()\nfinally: print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    command = [
        sys.executable,
        "-c",
        code + "; import superpos; print(superpos.train(sys.argv[2:], out='.').path)",
    ]
    root = str(Path(superpos.__file__).parents[1])
    (tmp_path / "outputs").symlink_to(".")
    environment = os.environ | {"PYTHONPATH": root}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [f"outputs/custom/{sweep.run_id}", "[]", str(folder.path)]
    assert done.stderr == "superpos: nothing to train: the run is complete\n"
    assert done.returncode == 0
