"""Benchmarks: all sides do the same work, what cannot run says why, and the documents show what was measured."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch._inductor import config as inductor
from typer.testing import CliRunner

from superpos.bench import measure, sides, table
from superpos.bench.measure import Report, Row, standard_errors
from superpos.bench.sides import COMPILED, EAGER, ENGINE, JAX, ONE_SEED, SIDES, EngineSide
from superpos.cli import app
from superpos.errors import ConfigError
from superpos.families.tms.bench import cases
from superpos.families.tms.bench.cases import Case
from superpos.families.tms.model import initial_params

DOCS = Path(__file__).parent.parent / "docs" / "benchmarks"
SMALL = Case(4, 2, models=240, batch_size=64)
LARGE = Case(20, 5, 100)
# Each distance is a mean over 240 models divided by its standard error: beyond 4.5 in one of 100,000 comparisons.
BOUND = 4.5
OF_TORCH = pytest.mark.filterwarnings("ignore:.torch.jit.*is deprecated:DeprecationWarning")  # Inductor's own imports


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of a few steps."""
    monkeypatch.setattr(measure, "STRETCH_SECONDS", 0.01)


def losses(name: str, case: Case = SMALL, steps: int = 48, lr: float = 1e-3) -> np.ndarray:
    """Loss of each model [M] after training with one side."""
    task = case.task()
    side = SIDES[name](replace(task, lr=np.full_like(task.lr, lr)), "cpu")
    side.advance(steps)
    judge = EngineSide(task, "cpu")
    return judge.engine.evaluate(task, side.params(), 2**12)[0]


@pytest.fixture(scope="module")
def eager() -> np.ndarray:
    """What the notebook's loop reaches."""
    return losses(EAGER)


@OF_TORCH
@pytest.mark.parametrize("name", [ENGINE, COMPILED, JAX])
def test_a_side_does_the_same_work_as_the_notebook(name: str, eager: np.ndarray) -> None:
    if name == JAX:
        pytest.importorskip("jax", reason="the extra superpos[bench] is not installed")
    distance = standard_errors(losses(name) - eager)
    assert distance is not None
    assert abs(distance) < BOUND


def test_the_sparse_sampler_does_the_same_work(eager: np.ndarray) -> None:
    distance = standard_errors(losses(ENGINE, SMALL._replace(sampler="sparse")) - eager)
    assert distance is not None
    assert abs(distance) < BOUND


@pytest.mark.parametrize("change", [{"steps": 53}, {"lr": 1.1e-3}, {"case": SMALL._replace(sparsity=0.88)}])
def test_other_work_is_told_apart(change: dict[str, object], eager: np.ndarray) -> None:
    """A tenth more steps, a tenth more learning rate, other data: each beyond the bound that equal work keeps."""
    distance = standard_errors(losses(ENGINE, **change) - eager)  # type: ignore[arg-type]
    assert distance is not None
    assert abs(distance) > BOUND


def test_steps_may_be_taken_in_any_stretches() -> None:
    pytest.importorskip("jax", reason="the extra superpos[bench] is not installed")
    at_once, in_parts = (SIDES[JAX](SMALL.task(), "cpu") for _ in range(2))
    at_once.advance(4)
    in_parts.advance(2)
    in_parts.advance(2)
    for name, value in at_once.params().items():
        np.testing.assert_allclose(in_parts.params()[name], value, rtol=1e-5, atol=1e-7)


def test_an_engine_begins_again_where_a_run_ends() -> None:
    side = EngineSide(Case(2, 1, 1, batch_size=4).task(), "cpu")
    side.advance(cases.RUN_STEPS - 1)
    side.advance(2)
    assert side.state.step == 2


def measured(*names: str, repeat: int = 2) -> Report:
    return measure.run([SMALL], lambda _: names, repeat)


def test_every_side_is_timed_in_every_run_and_survives_a_file() -> None:
    report = measured(EAGER, ENGINE, ONE_SEED)
    assert [row.side for row in report.rows] == [EAGER, ENGINE, ONE_SEED]
    assert all(len(row.ms) == 2 and min(row.ms) > 0 for row in report.rows)
    assert [row.engine for row in report.rows] == [None, "fused", "fused"]
    assert [row.z is None for row in report.rows] == [True, False, True]
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert report.to_json()["rows"][0].keys() == {*Case._fields, "side", "engine", "ms", "loss", "z"}


def test_a_side_that_is_not_installed_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    report = measured(EAGER, JAX, ENGINE, repeat=1)
    assert [row.side for row in report.rows] == [EAGER, ENGINE]
    assert "superpos[bench]" in report.skipped[JAX]
    assert "Left out: JAX is not installed" in table.markdown(report)


@OF_TORCH
def test_a_missing_compiler_is_a_reason_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()  # forgets what another test compiled
    with inductor.patch({"cpp.cxx": (None, "no-such-compiler"), "fx_graph_cache": False}):
        report = measured(EAGER, COMPILED, repeat=1)
    assert [row.side for row in report.rows] == [EAGER]
    assert "no-such-compiler" in report.skipped[COMPILED]


def row(side: str, ms: list[float], case: Case = LARGE) -> Row:
    return Row(case, side, "fused" if side == ENGINE else None, ms, 0.5, None if side == EAGER else 1.25)


def test_numbers_of_the_table() -> None:
    """60, 50 and 80 ms beside 1, 1 and 2 ms: 60, 50 and 40 times. 10 * 20 * 5 * 1024 * 100 operations in 1 ms."""
    report = Report({"cores": "2"}, 204.8, {}, [row(EAGER, [60.0, 50.0, 80.0]), row(ENGINE, [1.0, 1.0, 2.0])])
    speed, times, loss = table.markdown(report).split("\n\n")[1::2][:3]
    cells = [[cell.strip() for cell in text.splitlines()[2].split("|")[1:-1]] for text in (speed, times, loss)]
    assert cells[0] == ["20/5 × 100", "0.9", "dense", "1024", "50× (40–60)", "9.77", "102", "50%", "fused"]
    assert cells[1][4:] == ["60 (50–80)", "1 (1–2)"]
    assert cells[2][4:] == ["0.50000", "0.50000 (+1.2)"]
    assert len({len(line) for line in speed.splitlines()}) == 1


def test_other_work_is_said() -> None:
    other = row(ENGINE, [1.0])._replace(z=-6.5)
    report = Report({}, 1.0, {}, [row(EAGER, [60.0]), other])
    assert "something else, so that times do not compare**: engine at 20/5 × 100, S 0.9" in table.markdown(report)
    report = Report({}, 1.0, {}, [row(EAGER, [60.0]), other._replace(z=-5.5)])
    assert "something else" not in table.markdown(report)


def test_a_distance_in_standard_errors() -> None:
    """1, 2, 3: mean 2, standard deviation 1, standard error 1 / sqrt(3)."""
    assert standard_errors(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 * 3**0.5)
    assert standard_errors(np.array([1.0])) is None


def test_cases_are_chosen_by_shape() -> None:
    assert {case.shape for case in cases.chosen(cases.TABLE, ["5/2", "2/1"])} == {"5/2", "2/1"}
    assert cases.chosen(cases.TABLE, []) == cases.TABLE
    with pytest.raises(ConfigError, match="did you mean 20/5"):
        cases.chosen(cases.TABLE, ["20/55"])


@pytest.mark.parametrize("field", cases.AXES)
def test_along_an_axis_one_field_varies(field: str) -> None:
    values = {getattr(case, field) for case in cases.SCALING if case._replace(**{field: None}) == _blank(field)}
    assert values == set(cases.AXES[field])


def _blank(field: str) -> Case:
    return cases.BASE._replace(**{field: None})  # type: ignore[arg-type]


def test_the_command_prints_json_and_its_notes_go_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "TABLES", {"cpu": (SMALL,)})
    monkeypatch.setattr(sides, "for_table", lambda _: (EAGER, ENGINE))
    done = CliRunner().invoke(app, ["bench", "--json", "--case", "4/2"])
    assert done.exit_code == 0, done.stderr
    report = Report.from_json(json.loads(done.stdout))
    assert [row.case for row in report.rows] == [SMALL, SMALL]
    assert "run 1 of 1" in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_said() -> None:
    done = CliRunner().invoke(app, ["bench", "--device", "cuda"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "finds no CUDA device; allowed here: cpu" in done.stderr


def test_a_benchmark_needs_none_of_the_command_line() -> None:
    """On a machine with torch, numpy and the engine's compiler alone: a measurement, and the initial weights."""
    absent = ("typer", "hydra", "omegaconf", "rich", "pandas", "pyarrow", "matplotlib", "safetensors", "scipy", "yaml")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent}))\n"
        "import superpos.bench.__main__, superpos.bench.jit_scan\n"
        "from superpos import model\n"
        "from superpos.bench import cases, measure, sides\n"
        "case, measure.STRETCH_SECONDS = cases.Case(4, 2, 3, batch_size=16), 0.01\n"
        "report = measure.run([case], lambda _: (sides.EAGER, sides.ENGINE), 1)\n"
        "print(len(report.rows), model.initial_params(case.task())['W'].tolist())"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=DOCS.parent.parent, capture_output=True, text=True, check=False)
    weights = initial_params(Case(4, 2, 3, batch_size=16).task())["W"]
    assert done.returncode == 0, done.stderr
    rows, _, found = done.stdout.partition(" ")
    assert rows == "2"
    np.testing.assert_allclose(json.loads(found), weights, rtol=2e-7)


@pytest.fixture(scope="module")
def page() -> ModuleType:
    """The script that makes the page."""
    spec = importlib.util.spec_from_file_location("page", DOCS / "page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_what_was_measured(page: ModuleType) -> None:
    text = page.PAGE.read_text()
    assert page.sections().keys() == {"table", "scaling", "experiments"}
    assert page.rewritten(text, page.sections()) == text


def test_a_section_is_rewritten_and_nothing_else(page: ModuleType) -> None:
    before = "a\n<!-- table -->\nold\n<!-- end of table -->\nb"
    after = page.rewritten(before, {"table": r"new \1"})
    assert after == "a\n<!-- table -->\n\nnew \\1\n\n<!-- end of table -->\nb"
    assert page.rewritten(after, {"table": r"new \1"}) == after
    with pytest.raises(ValueError, match="0 sections scaling"):
        page.rewritten(before, {"scaling": ""})


def test_a_figure_of_scaling_shows_the_nanoseconds(page: ModuleType) -> None:
    rows = [row(side, [ms * n], cases.BASE._replace(n_features=n)) for n in (10, 20, 50) for side, ms in _MS.items()]
    [axes] = page.draw(Report({}, 1.0, {}, rows), "n_features").axes
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    assert drawn.keys() == {"eager loop", "engine"}
    np.testing.assert_allclose(drawn["engine"], [[n, 1e6 * n * 0.1 / 20480] for n in (10, 20, 50)])
    assert axes.get_xscale() == axes.get_yscale() == "log"


_MS = {EAGER: 5.0, ENGINE: 0.1}
