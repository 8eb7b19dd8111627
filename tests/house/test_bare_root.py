"""The wheel is installed, trains and draws where there is next to nothing: no home, no name, no
/tmp, no /proc.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bare_root import BareRoot, bare_root
from test_wheel import wheel  # noqa: F401 - a fixture

import superpos

pytestmark = pytest.mark.slow

INTRO = ["experiment=intro", "train.steps=20", "record.loss_every=10", "engine.threads=1"]


@pytest.fixture
def root(wheel: Path, tmp_path: Path) -> BareRoot:  # noqa: F811
    """With superpos, installed from its wheel as the user without a name."""
    made = bare_root(tmp_path)
    shutil.copy(wheel, made.data)
    target = ["--no-deps", "--no-index", "--quiet", "--target", "/data/site", f"/data/{wheel.name}"]
    done = made.run("-m", "pip", "install", *target)
    assert done.returncode == 0, done.stderr
    return made


def test_it_trains_and_draws(root: BareRoot, tmp_path: Path) -> None:
    """Without a home, and then with one that can be read alone."""

    def told(*arguments: str, **home: str) -> tuple[str, str]:
        done = root.run(
            "-m", "superpos", *arguments, PYTHONPATH="/data/site:/site", OMP_NUM_THREADS="1", **home
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    trained, said = told("train", *INTRO)
    assert "trained  100 models" in said
    run = superpos.load(root.data / trained.strip())
    assert run.digest() == superpos.train(INTRO, out=tmp_path / "elsewhere").digest()
    again, said = told("train", *INTRO, HOME="/site")
    assert (again, said) == (trained, "superpos: nothing to train: the run is complete\n")
    drawn, _ = told("plot", "--figure", "features", HOME="/site")
    assert drawn == f"/data/{trained.strip()}/figures/features.png\n"
