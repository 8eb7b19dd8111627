"""Benchmarks: all sides do the same work, what cannot run says why, and the documents show what was
measured.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from places import ROOT
from torch._inductor import config as inductor
from typer.testing import CliRunner

from superpos import family
from superpos.bench import cases as shared
from superpos.bench import measure, table
from superpos.bench.cases import COMPARED_STEPS, Bench
from superpos.bench.measure import Report, Row, standard_errors
from superpos.bench.sides import ENGINE, ONE_SEED, EngineSide, sides_of
from superpos.cli import app
from superpos.engines.task import Structure, Task
from superpos.errors import ConfigError
from superpos.families.tms import FAMILY
from superpos.families.tms.bench import COMPILED, EAGER, JAX, bench, cases
from superpos.families.tms.bench.cases import Case
from superpos.families.tms.model import initial_params
from superpos.family import Exhibits, Family
from superpos.maths import streams

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs" / "benchmarks"
SMALL = Case(4, 2, models=240, batch_size=64)
LARGE = Case(20, 5, 100)
BENCH = bench()
SIDES = sides_of(FAMILY, BENCH.baselines, BENCH.together)
# Each distance is a mean over 240 models divided by its standard error: beyond 4.5 in one of
# 100,000 comparisons.
BOUND = 4.5
# Inductor's own imports
OF_TORCH = pytest.mark.filterwarnings("ignore:.torch.jit.*is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of a few steps."""
    monkeypatch.setattr(measure, "STRETCH_SECONDS", 0.01)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Callable[[Family], None]:
    """Makes a family known for the length of a test."""
    monkeypatch.setattr(family, "_registered", {})
    return family.register


def losses(name: str, case: Case = SMALL, steps: int = 48, lr: float = 1e-3) -> np.ndarray:
    """Loss of each model [M] after training with one side."""
    task = case.task()
    side = SIDES[name](replace(task, lr=np.full_like(task.lr, lr)), "cpu")
    side.advance(steps)
    judge = engine_side(task)
    return judge.engine.evaluate(task, side.params(), 2**12)[0]


def engine_side(task: Any) -> EngineSide:
    return EngineSide(FAMILY, task, "cpu")


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


@pytest.mark.parametrize(
    "change", [{"steps": 53}, {"lr": 1.1e-3}, {"case": SMALL._replace(sparsity=0.88)}]
)
def test_other_work_is_told_apart(change: dict[str, object], eager: np.ndarray) -> None:
    """A tenth more steps, a tenth more learning rate, other data: each beyond the bound that equal
    work keeps.
    """
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
    side = engine_side(Case(2, 1, 1, batch_size=4).task())
    side.advance(cases.RUN_STEPS - 1)
    side.advance(2)
    assert side.state.step == 2


def measured(*names: str, repeat: int = 2) -> Report:
    return measure.run(FAMILY, BENCH, [SMALL], lambda _: names, repeat)


def test_every_side_is_timed_in_every_run_and_survives_a_file() -> None:
    report = measured(EAGER, ENGINE, ONE_SEED)
    assert [row.side for row in report.rows] == [EAGER, ENGINE, ONE_SEED]
    assert all(len(row.ms) == 2 and min(row.ms) > 0 for row in report.rows)
    assert [row.engine for row in report.rows] == [None, "fused", "fused"]
    assert [row.z is None for row in report.rows] == [True, False, True]
    assert Report.from_json(json.loads(json.dumps(report.to_json())), Case) == report
    assert report.to_json()["rows"][0].keys() == {
        *Case._fields,
        "side",
        "engine",
        "ms",
        "loss",
        "z",
    }


def test_a_side_that_is_not_installed_is_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    report = measured(EAGER, JAX, ENGINE, repeat=1)
    assert [row.side for row in report.rows] == [EAGER, ENGINE]
    assert "superpos[bench]" in report.skipped[JAX]
    assert "Left out: JAX is not installed" in table.markdown(report, BENCH.standard)


@OF_TORCH
def test_a_missing_compiler_is_a_reason_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()  # forgets what another test compiled
    with inductor.patch({"cpp.cxx": (None, "no-such-compiler"), "fx_graph_cache": False}):
        report = measured(EAGER, COMPILED, repeat=1)
    assert [row.side for row in report.rows] == [EAGER]
    assert "no-such-compiler" in report.skipped[COMPILED]


@OF_TORCH
def test_inductor_s_code_is_not_kept_where_anybody_can_put_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own place is /tmp/torchinductor_USER, from which it loads whatever lies there."""
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    torch.compiler.reset()
    with inductor.patch({"cpp.cxx": (None, "no-such-compiler"), "fx_graph_cache": False}):
        measured(EAGER, COMPILED, repeat=1)
    assert [*tmp_path.glob("torchinductor_*")] == []
    assert Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).stat().st_mode & 0o077 == 0


def row(side: str, ms: list[float], case: Case = LARGE) -> Row:
    return Row(
        case, side, "fused" if side == ENGINE else None, ms, 0.5, None if side == EAGER else 1.25
    )


def test_numbers_of_the_table() -> None:
    """60, 50 and 80 ms beside 1, 1 and 2 ms: 60, 50 and 40 times.

    10 * 20 * 5 * 1024 * 100 operations in 1 ms.
    """
    report = Report(
        {"cores": "2"}, 204.8, {}, [row(EAGER, [60.0, 50.0, 80.0]), row(ENGINE, [1.0, 1.0, 2.0])]
    )
    speed, times, loss = table.markdown(report, BENCH.standard).split("\n\n")[1::2][:3]
    cells = [
        [cell.strip() for cell in text.splitlines()[2].split("|")[1:-1]]
        for text in (speed, times, loss)
    ]
    assert cells[0] == [
        "20/5 × 100",
        "0.9",
        "dense",
        "1024",
        "50× (40–60)",
        "9.77",
        "102",
        "50%",
        "fused",
    ]
    assert cells[1][4:] == ["60 (50–80)", "1 (1–2)"]
    assert cells[2][4:] == ["0.50000", "0.50000 (+1.2)"]
    assert len({len(line) for line in speed.splitlines()}) == 1


def test_other_work_is_said() -> None:
    other = row(ENGINE, [1.0])._replace(z=-6.5)
    report = Report({}, 1.0, {}, [row(EAGER, [60.0]), other])
    said = "something else, so that times do not compare**: engine at 20/5 × 100, S 0.9"
    assert said in table.markdown(report, BENCH.standard)


def test_a_distance_in_standard_errors() -> None:
    """1, 2, 3: mean 2, standard deviation 1, standard error 1 / sqrt(3)."""
    assert standard_errors(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 * 3**0.5)
    assert standard_errors(np.array([1.0])) is None


def test_cases_are_chosen_by_shape() -> None:
    assert {case.shape for case in shared.chosen(cases.TABLE, ["5/2", "2/1"])} == {"5/2", "2/1"}
    assert shared.chosen(cases.TABLE, []) == cases.TABLE
    with pytest.raises(ConfigError, match="did you mean 20/5"):
        shared.chosen(cases.TABLE, ["20/55"])


@pytest.mark.parametrize("field", cases.AXES)
def test_along_an_axis_one_field_varies(field: str) -> None:
    values = {
        getattr(case, field)
        for case in cases.SCALING
        if case._replace(**{field: None}) == _blank(field)
    }
    assert values == set(cases.AXES[field])


def _blank(field: str) -> Case:
    return cases.BASE._replace(**{field: None})  # type: ignore[arg-type]


def test_scaling_leaves_out_what_compiles_for_long_and_what_a_baseline_does_not_know() -> None:
    assert BENCH.for_scaling(SMALL) == (EAGER, JAX, ENGINE)
    assert BENCH.for_scaling(SMALL._replace(sampler="sparse")) == (ENGINE,)
    assert BENCH.for_table(SMALL) == (EAGER, COMPILED, JAX, ENGINE, ONE_SEED)


def test_the_command_prints_json_and_its_notes_go_elsewhere(
    registered: Callable[[Family], None],
) -> None:
    small = replace(BENCH, cases={"cpu": (SMALL,)}, baselines={EAGER: BENCH.baselines[EAGER]})
    registered(replace(FAMILY, name="small", shows=Exhibits(bench=lambda: small)))
    done = CliRunner().invoke(app, ["bench", "--family", "small", "--json", "--case", "4/2"])
    assert done.exit_code == 0, done.stderr
    report = Report.from_json(json.loads(done.stdout), Case)
    assert [(row.case, row.side) for row in report.rows] == [
        (SMALL, EAGER),
        (SMALL, ENGINE),
        (SMALL, ONE_SEED),
    ]
    assert "run 1 of 1" in done.stderr


def test_the_command_measures_toy_models_unless_told_otherwise() -> None:
    done = CliRunner().invoke(app, ["bench", "--case", "20/6"])
    assert done.exit_code == 2
    assert "--case: there is no '20/6'; did you mean 20/5? allowed: 5/2, 2/1, 20/5" in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_said() -> None:
    done = CliRunner().invoke(app, ["bench", "--device", "cuda"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "finds no CUDA device; allowed here: cpu" in done.stderr


def test_a_benchmark_needs_none_of_the_command_line() -> None:
    """On a machine with torch, numpy and the engine's compiler alone: a measurement, and the
    initial weights.
    """
    absent = (
        "typer",
        "hydra",
        "omegaconf",
        "rich",
        "pandas",
        "pyarrow",
        "matplotlib",
        "safetensors",
        "scipy",
        "yaml",
    )
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent}))\n"
        "from dataclasses import replace\n"
        "import superpos.bench.__main__\n"
        "from superpos.bench import cases, measure, table\n"
        "from superpos.families.tms.bench.cases import Case\n"
        "from superpos.family import find\n"
        "family, bench, measure.STRETCH_SECONDS = find('tms'), cases.bench_of('tms'), 0.01\n"
        "case = Case(4, 2, 3, batch_size=16)\n"
        "report = measure.run(family, bench, [case], lambda _: ('eager', 'engine'), 1)\n"
        "assert table.markdown(report, bench.standard)\n"
        "print(len(report.rows), family.init(case.task())['W'].tolist())"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=DOCS.parent.parent, capture_output=True, text=True, check=False
    )
    weights = initial_params(Case(4, 2, 3, batch_size=16).task())["W"]
    assert done.returncode == 0, done.stderr
    rows, _, found = done.stdout.partition(" ")
    assert rows == "2"
    np.testing.assert_allclose(json.loads(found), weights, rtol=2e-7)


# --- another family: lines through the origin, with the reference engine alone ---


@dataclass(frozen=True)
class LineStructure(Structure):
    """y = w x."""

    @property
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"w": (1,)}

    @property
    def n_outputs(self) -> int:
        return 1

    @property
    def width(self) -> int:
        return 2


class LineCase(NamedTuple):
    """So many lines."""

    models: int
    name: str = "line"

    @property
    def shape(self) -> str:
        return self.name

    label = shape

    @property
    def columns(self) -> dict[str, str]:
        return {"lines": str(self.models)}

    @property
    def samples(self) -> int:
        return self.models * 8

    flops = 4.0
    compared_steps = COMPARED_STEPS

    def task(self) -> Task:
        seed = np.arange(self.models, dtype=np.uint64)
        rates = np.full(self.models, 0.01)
        return Task(LineStructure(steps=100, batch_size=8, loss_every=0), seed, rates, 0 * rates)


def line_points(task: Task, step: int, samples: range, device: str) -> torch.Tensor:
    words = streams.draws(task.seed, 130, step, samples, 1, device)[..., 0]
    return words.float() / streams.RANGE


def line_losses(
    task: Task, params: Any, x: torch.Tensor, extra: Any, step: int | None
) -> torch.Tensor:
    return (params["w"] * x - 3 * x) ** 2


LINE = Family(
    name="line",
    keys={},
    rules=(),
    settings=lambda sweep: None,
    task=lambda settings, rows, shared: None,
    work=lambda structure: 4.0,
    init=lambda task: {"w": np.ones((len(task), 1), np.float32)},
    batch=lambda task, step, device: line_points(task, step, range(8), device),
    sample=lambda task, numbers, device: line_points(task, 10**6, numbers, device),
    forward=lambda task, params, inputs, replace=None: (params["w"] * inputs, {}),
    losses=line_losses,
    loss="E (3x − wx)²",
    shows=Exhibits(bench=lambda: Bench(cases={"cpu": (LineCase(5),)})),
)


@pytest.fixture
def lines(registered: Callable[[Family], None]) -> None:
    registered(LINE)
    registered(replace(LINE, name="unmeasured", shows=Exhibits()))


@pytest.mark.usefixtures("lines")
def test_another_family_is_measured_by_the_same_code() -> None:
    done = CliRunner().invoke(app, ["bench", "--family", "line", "--repeat", "2", "--json"])
    assert done.exit_code == 0, done.stderr
    report = Report.from_json(json.loads(done.stdout), LineCase)
    assert [(row.case, row.side, row.engine) for row in report.rows] == [
        (LineCase(5), ENGINE, "reference"),
        (LineCase(5), ONE_SEED, "reference"),
    ]
    assert all(len(row.ms) == 2 and row.z is None for row in report.rows)
    moved = 0.01 * COMPARED_STEPS  # by Adam, whose steps are as long as its rate
    assert report.rows[0].loss == pytest.approx((2 - moved) ** 2 / 3, rel=0.1)
    text = table.markdown(report, None)
    assert "Speed of the engine, median of 2 runs" in text
    assert "| lines | ns a sample |" in text
    assert f"Loss after {COMPARED_STEPS} steps, mean over the models:" in text
    assert "than" not in text


@pytest.mark.usefixtures("lines")
def test_an_unknown_family_is_told_all_that_there_are() -> None:
    done = CliRunner().invoke(app, ["bench", "--family", "lin"])
    assert (done.exit_code, done.stdout) == (2, "")
    allowed = ", ".join(family.names())
    assert {"tms", "sae", "line", "unmeasured"} <= set(family.names())
    assert (
        done.stderr
        == f"superpos: --family: there is no 'lin'; did you mean line? allowed: {allowed}\n"
    )


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--family", "unmeasured"], "--family: unmeasured has no benchmark"),
        (["--family", "line", "--scaling"], "--family: line has no cases for --scaling"),
        (["--family", "line", "--case", "lime"], "--case: there is no 'lime'; did you mean line?"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["bench", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


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
    assert page.sections().keys() == {path.stem for path in DOCS.glob("*.json")}
    assert page.rewritten(text, page.sections()) == text


def test_a_section_is_rewritten_and_nothing_else(page: ModuleType) -> None:
    before = "a\n<!-- table -->\nold\n<!-- end of table -->\nb"
    after = page.rewritten(before, {"table": r"new \1"})
    assert after == "a\n<!-- table -->\n\nnew \\1\n\n<!-- end of table -->\nb"
    assert page.rewritten(after, {"table": r"new \1"}) == after
    with pytest.raises(ValueError, match="0 sections scaling"):
        page.rewritten(before, {"scaling": ""})


def test_a_figure_of_scaling_shows_the_nanoseconds(page: ModuleType) -> None:
    rows = [
        row(side, [ms * n], cases.BASE._replace(n_features=n))
        for n in (10, 20, 50)
        for side, ms in _MS.items()
    ]
    [axes] = page.draw(Report({}, 1.0, {}, rows), "n_features").axes
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    assert drawn.keys() == {"eager loop", "engine"}
    np.testing.assert_allclose(drawn["engine"], [[n, 1e6 * n * 0.1 / 20480] for n in (10, 20, 50)])
    assert axes.get_xscale() == axes.get_yscale() == "log"


_MS = {EAGER: 5.0, ENGINE: 0.1}
