"""`superpos plot --figure training_movie` on a trained run."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.figures import registry

SMALL = [
    "model.n_features=4",
    "train.steps=40",
    "train.batch_size=32",
    "engine.backend=reference",
    "record.loss_every=10",
]


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="superpos")


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return superpos.train([*SMALL, "record.snapshots=5"], out=tmp_path_factory.mktemp("runs")).path


def test_a_movie_is_a_gif_whatever_the_format_and_its_path_is_printed(filmed: Path) -> None:
    done = cli("plot", str(filmed), "--figure", "training_movie", "--format", "svg")
    assert (done.exit_code, done.stderr) == (0, "")
    path = Path(done.stdout.strip())
    assert path == filmed / "figures" / "training_movie.gif"
    assert path.read_bytes().startswith(b"GIF89a")


def test_a_plain_plot_leaves_the_movie_out(filmed: Path) -> None:
    done = cli("plot", str(filmed))
    drawn = [Path(line).name for line in done.stdout.splitlines()]
    assert "features.png" in drawn
    assert not [name for name in drawn if name.startswith("training_movie")]


def test_a_run_without_snapshots_says_what_it_needs(tmp_path: Path) -> None:
    run = superpos.train(SMALL, out=tmp_path)
    done = cli("plot", str(run.path), "--figure", "training_movie")
    assert done.exit_code != 0
    assert "'training_movie' needs record.snapshots of at least 2, found 0" in done.stderr
    assert not list((run.path / "figures").iterdir())


def test_its_description_says_how_to_make_it() -> None:
    description = registry.every_figure()["training_movie"].description
    assert "GIF" in description
    assert "--figure" in description
