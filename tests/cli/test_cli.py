"""The command line: what goes to stdout and stderr, exit codes, signals.

Training itself is faked here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.compose.compose import compose
from superpos.engines.machine import available_threads
from superpos.errors import PlanMismatchError, TrainingInterruptedError
from superpos.plan.sweep import Sweep
from superpos.store import RunFolder
from superpos.terminal import progress as progress_module
from superpos.terminal.progress import Lines, Terminal
from superpos.units import duration, quantity

HEAVY = ("torch", "numpy", "pandas", "hydra", "omegaconf", "matplotlib", "numba", "scipy", "rich")


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="superpos")


def state(**changes: Any) -> Any:
    """Progress with two operations a step."""
    values = {
        "models_total": 10,
        "models_done": 0,
        "steps_done": 0,
        "steps_total": 100,
        "message": "",
        **changes,
    }
    work = {"work_done": 2.0 * values["steps_done"], "work_total": 2.0 * values["steps_total"]}
    return SimpleNamespace(**{**work, **values})


@dataclass
class FakeRunner:
    """Stands in for superpos.training.runner and superpos.training.estimate: keeps what it is
    called with.
    """

    during: Callable[..., None] = lambda **_: None
    calls: list[dict[str, Any]] = field(default_factory=list)

    def train(self, sweep: Sweep, **options: Any) -> Path:
        self.calls.append({"sweep": sweep, **options})
        self.during(**options)
        return options["out"] / sweep.base["name"] / sweep.run_id

    def estimate(self, sweep: Sweep, tell: Callable[[str], None]) -> Any:
        tell("compiling")
        return SimpleNamespace(
            models=sweep.n_models,
            chunks=len(sweep.plan.rows),
            flops=2.5e12,
            memory_bytes=3e6,
            seconds=42.0,
            engines=["fused: why"],
        )


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeRunner:
    fake = FakeRunner()
    monkeypatch.setattr("superpos.training.runner.train", fake.train)
    monkeypatch.setattr("superpos.training.estimate.estimate", fake.estimate)
    monkeypatch.chdir(tmp_path)
    return fake


def finished(out: Path, overrides: list[str], skip: tuple[int, ...] = ()) -> RunFolder:
    """A run on disk whose weights are all one and whose loss is zero; chunks in `skip` are left
    out.
    """
    sweep = compose(overrides).sweep
    facts = {
        "plan": sweep.to_json(),
        "chunks": sweep.plan.rows,
        "engine": "reference",
        "config": dict(sweep.base),
    }
    folder = RunFolder.open(out, sweep.base["name"], sweep.run_id, facts)
    for chunk, rows in enumerate(sweep.plan.rows):
        if chunk in skip:
            continue
        shapes = sweep.settings.structure(int(rows[0])).param_shapes
        tensors = {
            name: np.ones((len(rows), *shape), dtype=np.float32) for name, shape in shapes.items()
        }
        history = {
            "history/step": np.arange(3),
            "history/loss": np.ones((len(rows), 3), dtype=np.float32),
        }
        table = sweep.table(rows).assign(status="ok", loss=0.0, d_star=1.0)
        table.loc[table.index[0], "status"] = "diverged"
        folder.publish(chunk, tensors | history, table)
    return folder


def test_help_names_the_commands_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from superpos.cli import main; sys.argv = ['superpos', '--help']\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "[]"
    named = [line.split()[0] for line in lines[:-1] if line.startswith("  ") and line.strip()]
    assert [
        name for name in ("train", "plot", "status", "list", "config", "bench") if name not in named
    ] == []


def test_train_prints_the_run_folder_and_passes_everything_on(runner: FakeRunner) -> None:
    done = cli("train", "seed=0,1", "--out", "elsewhere", "--shard", "1/3")
    assert done.exit_code == 0, done.stderr
    [call] = runner.calls
    assert call["sweep"] == compose(["seed=0,1"]).sweep
    assert (call["shard"], call["fresh"], call["out"]) == ((1, 3), False, Path("elsewhere"))
    assert call["command"][0] == "superpos"
    assert done.stdout == f"elsewhere/custom/{call['sweep'].run_id}\n"


def test_train_alone_is_the_introduction(runner: FakeRunner) -> None:
    assert cli("train", "--fresh").exit_code == 0
    assert runner.calls[0]["sweep"].base["name"] == "intro"
    assert (runner.calls[0]["fresh"], runner.calls[0]["shard"], runner.calls[0]["out"]) == (
        True,
        None,
        Path("outputs"),
    )


def test_train_tells_of_a_replaced_zipped_axis(runner: FakeRunner) -> None:
    done = cli("train", "experiment=superposition", "data.density=0.5")
    assert "takes the place of the whole axis model.output,data.density" in done.stderr
    assert len(done.stdout.splitlines()) == len(runner.calls) == 1


@pytest.mark.parametrize(
    ("failure", "code"), [(PlanMismatchError, 3), (TrainingInterruptedError, 75)]
)
def test_failures_have_their_exit_codes(
    runner: FakeRunner, failure: type[Exception], code: int
) -> None:
    def fail(**_: Any) -> None:
        raise failure("what happened")

    runner.during = fail
    done = cli("train", "seed=1")
    assert (done.exit_code, done.stdout, done.stderr) == (code, "", "superpos: what happened\n")


def test_a_finished_run_is_not_given_to_the_runner(runner: FakeRunner) -> None:
    folder = finished(Path("outputs"), ["seed=0,1"])
    done = cli("train", "seed=0,1")
    assert (done.exit_code, done.stdout) == (0, f"outputs/custom/{folder.path.name}\n")
    assert done.stderr == "superpos: nothing to train: the run is complete\n"
    assert cli("train", "seed=0,1", "--quiet").stderr == ""
    assert "this shard is complete" in cli("train", "seed=0,1", "--shard", "1/2").stderr
    assert runner.calls == []
    assert cli("train", "seed=0,1", "--fresh").exit_code == 0
    assert [call["fresh"] for call in runner.calls] == [True]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("command", ["train", "status"])
def test_a_signal_before_there_is_anything_to_save(name: str, command: str, tmp_path: Path) -> None:
    """As while Python still imports: no traceback, and the exit code of an interruption."""
    code = (
        "import os, signal, sys; from superpos import cli; from superpos.cli import common\n"
        f"common.compose = common.load = lambda *_: os.kill(os.getpid(), signal.{name})\n"
        f"sys.argv = ['superpos', '{command}']; cli.main()"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(superpos.__file__).parents[1])}
    start = [sys.executable, "-c", code]
    done = subprocess.run(
        start, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (75, "", "superpos: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_only_set_a_flag(runner: FakeRunner, number: signal.Signals) -> None:
    seen: list[bool] = []

    def interrupt(stop: Callable[[], bool], **_: Any) -> None:
        seen.append(stop())
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        seen.append(stop())
        raise TrainingInterruptedError("stopped; the same command goes on")

    runner.during = interrupt
    before = signal.getsignal(number)
    assert cli("train", "seed=1").exit_code == 75
    assert seen == [False, True]
    assert signal.getsignal(number) is before


def test_dry_run_prints_the_size_and_trains_nothing(runner: FakeRunner, tmp_path: Path) -> None:
    done = cli("train", "experiment=phase_change", "--dry-run")
    assert (done.exit_code, done.stderr) == (0, "compiling\n")
    assert [line.split(maxsplit=1) for line in done.stdout.splitlines()] == [
        ["models", "25,000"],
        ["chunks", "25"],
        ["work", "2.5 TFLOP"],
        ["memory", "3 MB"],
        ["engine", "fused: why"],
        ["time", "about 42 s on this machine"],
    ]
    assert (runner.calls, list(tmp_path.iterdir())) == ([], [])


def test_dry_run_as_json(runner: FakeRunner) -> None:
    found = json.loads(cli("train", "experiment=phase_change", "--dry-run", "--json").stdout)
    assert found.pop("engines") == ["fused: why"]
    assert found == {
        "models": 25_000,
        "chunks": 25,
        "flops": 2.5e12,
        "memory_bytes": 3e6,
        "seconds": 42.0,
    }
    arguments = ["experiment=phase_change", "--shards", "5", "--cpus", "2", "--dry-run", "--json"]
    cost = json.loads(cli("submit", *arguments).stdout)
    assert [(shard["chunks"], shard["models"]) for shard in cost["shards"]] == [(5, 5000)] * 5
    assert cost["core_hours"] == pytest.approx(42 * available_threads() / 3600)
    assert [shard["hours"] for shard in cost["shards"]] == pytest.approx(
        [cost["core_hours"] / 5 / 2] * 5
    )


def test_progress_goes_to_stderr(runner: FakeRunner) -> None:
    def report(progress: Callable[[Any], None], **_: Any) -> None:
        progress(state(message="engine: fused"))

    runner.during = report
    done = cli("train", "seed=1")
    assert done.stderr == "engine: fused\n"
    assert cli("train", "seed=1", "--quiet").stderr == ""


def test_config_prints_keys_size_and_folder() -> None:
    done = cli("config", "experiment=phase_change", "data.density=0.5", "--out", "o")
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line)
    assert lines["model.n_hidden"] == "1"
    assert lines["data.density"] == "0.5"
    assert lines["importance.last"].startswith("swept: 0.1, ")
    assert lines["importance.last"].endswith("10.0 (50 values)")
    assert lines["models"] == "500 (50 x 10) in 1 chunk"
    run_id = compose(["experiment=phase_change", "data.density=0.5"]).sweep.run_id
    assert lines["run"] == f"folder          o/phase_change/{run_id}"


def test_list(runner: FakeRunner) -> None:
    experiments, figures = (part.splitlines() for part in cli("list").stdout.split("\n\n"))
    assert experiments[0].split() == ["#", "experiment", "models", "time", "description"]
    [intro] = [line for line in experiments if line.startswith(" 0  intro ")]
    # the calibration is of the introduction itself
    assert intro.split()[2:5] == ["100", "~42", "s"]
    assert figures[0].split() == ["figure", "description"]
    found = json.loads(cli("list", "--json").stdout)
    [entry] = [item for item in found["experiments"] if item["name"] == "phase_change"]
    assert entry["models"] == 25_000
    # phase_change: 2.5e4 models * 2500 steps * 256 * (10 * 2 * 1 + 60 * 2 = 140) nominal operations
    one = compose([]).sweep
    assert entry["seconds"] == pytest.approx(
        42.0 * (2.5e4 * 2500 * 256 * 140) / one.plan.work, rel=1e-6
    )
    assert {"name", "description"} == set(found["figures"][0])
    assert runner.calls == []


def test_config_as_json() -> None:
    found = json.loads(
        cli("config", "experiment=phase_change", "data.density=0.5", "--json").stdout
    )
    assert (found["models"], found["chunks"], found["config"]["model.n_hidden"]) == (500, 1, 1)
    assert [(axis["keys"], len(axis["values"])) for axis in found["axes"]] == [
        (["importance.last"], 50),
        (["seed"], 10),
    ]
    assert "importance.last" not in found["config"]
    run_id = compose(["experiment=phase_change", "data.density=0.5"]).sweep.run_id
    assert found["run"] == f"outputs/phase_change/{run_id}"


def test_train_status_and_plot_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = ["train.steps=3", "train.batch_size=4", "seed=0,1", "engine.backend=reference"]
    first = cli("train", *overrides, "--quiet")
    assert (first.exit_code, first.stderr) == (0, "")
    folder = Path(first.stdout.splitlines()[-1])
    results = {path: path.stat().st_mtime_ns for path in (folder / "chunks").iterdir()}
    assert cli("train", *overrides).stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in (folder / "chunks").iterdir()} == results
    assert "models  2 of 2 finished, 0 diverged" in cli("status").stdout
    drawn = cli("plot")
    assert drawn.exit_code == 0, drawn.stderr
    assert [Path(line).is_file() for line in drawn.stdout.splitlines()] == [True] * len(
        drawn.stdout.splitlines()
    )
    assert any(line.endswith("features.png") for line in drawn.stdout.splitlines())


def test_status_of_a_finished_run(tmp_path: Path) -> None:
    folder = finished(tmp_path, ["seed=0,1,2", "model.n_hidden=1,2"])
    done = cli("status", str(tmp_path / "custom"))
    assert done.exit_code == 0
    facts, settings = done.stdout.split("\n\n")
    assert facts.splitlines() == [
        f"run     {folder.path}",
        "chunks  2 done, 0 missing, 0 corrupt",
        "models  6 of 6 finished, 2 diverged (models 0, 3)",
        f"digest  {folder.digest()}",
        "loss    0 to 0: the best of each of 2 settings",
    ]
    assert [line.split()[:3] for line in settings.splitlines()[1:]] == [
        ["1", "3", "1"],
        ["2", "3", "1"],
    ]


def test_status_of_an_unfinished_run(tmp_path: Path) -> None:
    folder = finished(tmp_path, ["seed=0,1,2", "model.n_hidden=1,2"], skip=(1,))
    done = cli("status", str(folder.path), "--json")
    assert done.exit_code == 4
    facts = json.loads(done.stdout)
    assert facts["chunks"] == {"done": 1, "missing": 1, "corrupt": 0}
    assert facts["models"] == {"total": 6, "finished": 3, "diverged": 1}
    assert facts["diverged"] == [0]
    assert facts["best"] == {"model": 1, "loss": 0.0, "setting": {"model.n_hidden": 1, "seed": 1}}
    assert [(row["model.n_hidden"], row["models"], row["best"]) for row in facts["settings"]] == [
        (1, 3, 1)
    ]
    assert facts["complete"] is False
    assert "1 done, 1 missing" in cli("status", str(folder.path)).stdout


def test_a_run_that_is_named_without_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("another_much_shorter", "phase", "z"):
        finished(Path("outputs"), [f"name={name}"])
    done = cli("status", "phase")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "superpos: phase does not exist; there is outputs/phase/latest, outputs/phase/"
    )


def test_status_of_a_corrupt_run(tmp_path: Path) -> None:
    folder = finished(tmp_path, ["seed=0,1"])
    [tensors] = (folder.path / "chunks").glob("*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"\x01")
    done = cli("status", str(folder.path))
    assert done.exit_code == 4
    assert "1 corrupt (corrupt: 0)" in done.stdout
    assert "0 of 2 finished" in done.stdout


def test_plot_draws_what_the_run_can_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    finished(tmp_path / "outputs", ["seed=0,1", "name=older"])
    folder = finished(tmp_path / "outputs", ["seed=0,1"])
    done = cli("plot", "--figure", "loss", "--format", "svg")  # the latest run
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines() == [str(folder.path / "figures" / "loss.svg")]
    assert b"<svg" in (folder.path / "figures" / "loss.svg").read_bytes()
    elsewhere = cli("plot", "--figure", "loss", "--format", "svg", "--to", "a/b")
    assert elsewhere.stdout.splitlines() == ["a/b/custom_loss.svg"]
    assert (
        Path("a/b/custom_loss.svg").read_bytes()
        == (folder.path / "figures" / "loss.svg").read_bytes()
    )


def test_plot_of_a_run_that_no_figure_can_show_says_why(tmp_path: Path) -> None:
    folder = finished(tmp_path, ["model.tied=false"])  # its one model has diverged
    done = cli("plot", str(folder.path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "features needs model.tied=true in every model; " in done.stderr
    assert "loss has no model that finished without diverging" in done.stderr


def test_plot_of_a_run_without_models(tmp_path: Path) -> None:
    folder = finished(tmp_path, ["seed=0,1"], skip=(0,))
    done = cli("plot", str(folder.path))
    assert (done.exit_code, done.stdout) == (4, "")
    assert "no finished models" in done.stderr


def test_lines_come_at_intervals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    with Lines() as lines:
        for now[0], done in ((1.0, 100), (10.0, 1000), (11.0, 1100), (20.0, 2000)):
            lines(
                state(
                    steps_done=done,
                    steps_total=5000,
                    models_done=3,
                    models_total=1200,
                    message="fused engine",
                )
            )
    # At 10 s: 1000 steps / 10 s = 100 a second, 4000 left = 40 s; at 20 s: 3000 left = 30 s.
    assert capsys.readouterr().err.splitlines() == [
        "fused engine",
        "3 of 1,200 models, 100 model-steps/s, 40 s left",
        "3 of 1,200 models, 100 model-steps/s, 30 s left",
    ]


def test_the_clock_starts_with_the_first_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute of compiling says nothing of the speed."""
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    with Lines() as lines:
        for now[0], done in ((0.0, 0), (60.0, 0), (65.0, 1000), (70.0, 5000)):
            lines(state(steps_done=done, steps_total=5000))
    # At 60 s nothing is known; at 70 s: 5000 steps in 10 s, none left.
    assert capsys.readouterr().err.splitlines() == [
        "0 of 10 models",
        "0 of 10 models, 500 model-steps/s",
    ]


def test_the_time_left_goes_by_the_work_of_the_steps(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the steps are done, those of the small models: a tenth of the work in 10 s leaves 90
    s.
    """
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    with Lines() as lines:
        for now[0], done, work in ((0.0, 0, 0.0), (10.0, 50, 0.1)):
            lines(state(steps_done=done, work_done=work, work_total=1.0))
    assert capsys.readouterr().err == "0 of 10 models, 5 model-steps/s, 90 s left\n"


def test_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with Terminal() as bar:
        bar(state(steps_done=50, message="fused engine"))
        bar(state(steps_done=0, steps_total=0, models_done=10))  # nothing left to train is 100%
    shown = capsys.readouterr().err
    assert "fused engine" in shown
    assert "100%" in shown
    assert "10 of 10 models" in shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (7200, "2.0 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (950, "950"), (12_345, "12.3 k"), (4.5e6, "4.5 M")]
)
def test_quantities(number: float, text: str) -> None:
    assert quantity(number) == text


@pytest.mark.parametrize(("number", "text"), [(580, "580 B"), (3e6, "3 MB"), (2.5e12, "2.5 TB")])
def test_quantities_with_a_unit(number: float, text: str) -> None:
    assert quantity(number, "B") == text
