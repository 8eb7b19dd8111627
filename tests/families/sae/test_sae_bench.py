"""The benchmark of autoencoders: all sides do the same work."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from places import ROOT, SUPPORT
from referees import python_with
from typer.testing import CliRunner

from superpos import family
from superpos.bench import measure, table
from superpos.bench.measure import Report, standard_errors
from superpos.bench.sides import ENGINE, EngineSide, MissingError, sides_of
from superpos.cli import app
from superpos.families.sae import FAMILY
from superpos.families.sae.bench import BATCHED, LOOP, ONE_WORLD, SAE_LENS, bench
from superpos.families.sae.bench.cases import Case
from superpos.family import Exhibits

pytestmark = pytest.mark.slow

BENCH = bench()
SIDES = sides_of(FAMILY, BENCH.baselines, BENCH.together)
SMALL = Case(4, 6, models=60, active=1.5, batch_size=32)
# A mean over 60 models divided by its standard error: beyond 4.5 in one of 100,000 comparisons.
BOUND = 4.5
REFEREE = python_with("sae_lens")


@pytest.mark.parametrize("kind", ["l1", "topk", "batchtopk", "jumprelu"])
def test_all_sides_reach_the_same_loss(kind: str) -> None:
    """The dictionary is the model's own, draws are each side's own: losses differ by chance
    alone.
    """
    case = SMALL._replace(kind=kind, active=2)
    judge = EngineSide(FAMILY, case.task(), "cpu")

    def losses(name: str, lr: float = 3e-3) -> np.ndarray:
        task = case.task()
        side = SIDES[name](replace(task, lr=np.full_like(task.lr, lr)), "cpu")
        side.advance(120)  # with the whole penalty in the last 20
        return judge.engine.evaluate(judge.task, side.params(), 2**12)[0]

    expected = losses(LOOP)
    for name in (BATCHED, ENGINE):
        assert abs(standard_errors(losses(name) - expected)) < BOUND, name
    # work that is not the same
    assert abs(standard_errors(losses(ENGINE, lr=1e-3) - expected)) > 2 * BOUND


@pytest.mark.skipif(
    REFEREE is None, reason="SAELens is installed neither here nor where SUPERPOS_REFEREES says"
)
def test_sae_lens_trains_the_same_autoencoders() -> None:
    """It clips gradients and lets D have any length, so its losses are near the loop's, not the
    same.
    """
    script = SUPPORT / "sae_lens_trains.py"
    done = subprocess.run(
        [str(REFEREE), str(script)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    for kind, losses in json.loads(done.stdout).items():
        gain = losses["start"] - losses[LOOP]
        assert gain > 0.02, kind
        assert abs(losses[SAE_LENS] - losses[LOOP]) < 0.05 * gain, (kind, losses)


def test_rows_of_the_torch_sides_are_of_length_1() -> None:
    for name in (LOOP, BATCHED):
        side = SIDES[name](SMALL.task(), "cpu")
        side.advance(3)
        lengths = np.linalg.norm(side.params()["D"], axis=-1)
        np.testing.assert_allclose(lengths, 1, rtol=1e-6)


def test_one_world_is_that_of_the_first() -> None:
    task = BENCH.together[ONE_WORLD](SMALL.task())
    assert (task.world == 0).all()
    assert len(np.unique(task.seed)) == len(task)


def test_what_the_torch_sides_cannot_do_is_said() -> None:
    with pytest.raises(MissingError, match="on a CPU only"):
        SIDES[LOOP](SMALL.task(), "cuda")
    task = SMALL.task()
    other = replace(task.worlds[0], magnitude="one")
    with pytest.raises(MissingError, match="uniform magnitudes"):
        SIDES[BATCHED](replace(task, worlds=(other, *task.worlds[1:])), "cpu")


def test_the_command_measures_autoencoders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "STRETCH_SECONDS", 0.01)
    monkeypatch.setattr(family, "_registered", {})
    small = replace(BENCH, cases={"cpu": (SMALL._replace(models=4),)})
    family.register(replace(FAMILY, name="small", shows=Exhibits(bench=lambda: small)))
    done = CliRunner().invoke(app, ["bench", "--family", "small", "--json"])
    assert done.exit_code == 0, done.stderr
    report = Report.from_json(json.loads(done.stdout), Case)
    assert (SAE_LENS in report.skipped) == (find_spec("sae_lens") is None)
    rows = [row for row in report.rows if row.side != SAE_LENS]
    assert [row.side for row in rows] == [LOOP, BATCHED, ENGINE, ONE_WORLD]
    assert [row.engine for row in rows] == [None, None, "fused", "fused"]
    assert [row.z is None for row in rows] == [True, False, False, True]
    text = " ".join(table.markdown(report, BENCH.standard).split())
    assert "| than loop | than batched |" in text
    assert "| one world, than loop |" in text
