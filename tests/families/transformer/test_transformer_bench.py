"""The benchmark of transformers: all sides do the same work."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from superpos import family
from superpos.bench import measure, table
from superpos.bench.measure import Report, standard_errors
from superpos.bench.sides import ENGINE, EngineSide, MissingError, sides_of
from superpos.cli import app
from superpos.families.transformer import FAMILY
from superpos.families.transformer.bench import JAX, LOOP, REFERENCE, bench
from superpos.families.transformer.bench.cases import Case
from superpos.families.transformer.work import work
from superpos.family import Exhibits

pytestmark = pytest.mark.slow

BENCH = bench()
SIDES = sides_of(FAMILY, BENCH.baselines, BENCH.together)
SMALL = Case(8, 3, 4, 8, models=24, d_head=4, n_layers=1)
# A mean over 24 models divided by its standard error: beyond 4.5 in one of some 10,000 comparisons.
BOUND = 4.5


def losses(name: str, lr: float = 3e-3) -> np.ndarray:
    """Loss of each model [M] after training with one side."""
    task = SMALL.task()
    side = SIDES[name](replace(task, lr=np.full_like(task.lr, lr)), "cpu")
    side.advance(80)
    judge = EngineSide(FAMILY, task, "cpu")
    return judge.engine.evaluate(task, side.params(), 2**12)[0]


@pytest.fixture(scope="module")
def of_loop() -> np.ndarray:
    """What the loop reaches."""
    return losses(LOOP)


@pytest.mark.parametrize("name", [REFERENCE, JAX, ENGINE])
def test_all_sides_reach_the_same_loss(name: str, of_loop: np.ndarray) -> None:
    """From the same weights, on draws of their own: losses differ by chance alone."""
    if name == JAX:
        pytest.importorskip("jax", reason="the extra superpos[bench] is not installed")
    assert abs(standard_errors(losses(name) - of_loop)) < BOUND


def test_other_work_is_told_apart(of_loop: np.ndarray) -> None:
    assert abs(standard_errors(losses(ENGINE, lr=2e-3) - of_loop)) > 2 * BOUND


def test_operations_are_those_of_the_estimate_but_what_needs_none() -> None:
    """That counts embeddings as products, keys that no query sees, and draws."""
    case = Case(32, 8, 8, 32, 1)
    structure = case.task().structure
    heads = 2 * 6.0 * (structure.context - 1) * 16  # half the keys, less those on the diagonal
    needless = structure.context * (6.0 * 32 * 17 + heads + 60)
    assert case.flops == work(structure) - needless


def test_what_the_baselines_cannot_do_is_said() -> None:
    task = SMALL.task()
    with pytest.raises(MissingError, match="on a CPU only"):
        SIDES[LOOP](task, "cuda")
    with pytest.raises(MissingError, match="on the CPU only"):
        SIDES[JAX](task, "cuda")
    other = replace(task, structure=replace(task.structure, positions="none"))
    for name in (LOOP, JAX):
        with pytest.raises(MissingError, match="relative positions"):
            SIDES[name](other, "cpu")


def test_the_command_measures_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "STRETCH_SECONDS", 0.01)
    monkeypatch.setattr(family, "_registered", {})
    small = replace(BENCH, cases={"cpu": (SMALL._replace(models=4),)})
    family.register(replace(FAMILY, name="small", shows=Exhibits(bench=lambda: small)))
    done = CliRunner().invoke(app, ["bench", "--family", "small", "--json"])
    assert done.exit_code == 0, done.stderr
    report = Report.from_json(json.loads(done.stdout), Case)
    rows = [row for row in report.rows if row.side != JAX]
    assert [row.side for row in rows] == [LOOP, REFERENCE, ENGINE]
    assert [row.engine for row in rows] == [None, "reference", "fused"]
    assert [row.z is None for row in rows] == [True, False, False]
    text = " ".join(table.markdown(report, BENCH.standard).split())
    assert "| than loop | than reference |" in text
