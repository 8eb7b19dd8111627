"""Models, data and targets of a user's own, from Python."""

from __future__ import annotations

import ast
import functools
import json
import linecache
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tasks import make_task, start
from typer.testing import CliRunner

import superpos
from superpos.cli import app
from superpos.compose.compose import compose
from superpos.engines.reference import ReferenceEngine
from superpos.errors import ConfigError, TrainingInterruptedError
from superpos.families.tms.own import with_functions
from superpos.figures import registry
from superpos.plan.sweep import Sweep
from superpos.terminal.progress import Lines
from superpos.training import runner
from superpos.user.functions import Own

pytestmark = pytest.mark.slow

UNTRAINED = ["model.n_features=4", "train.steps=0", "data.sparsity=0.5"]
SMALL = [
    "model.n_features=4",
    "train.steps=20",
    "train.batch_size=32",
    "data.sparsity=0.5",
    "record.loss_every=5",
]
SEEDS = [*SMALL, "seed=range(0,4)"]
SLOPE = 0.1
TABLE = torch.eye(4)


def relu_model(params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The model of the paper."""
    h = x @ params["W"]
    return (h @ params["W"].mT + params["b"][:, None, :]).relu()


def leaky(params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.leaky_relu(
        x @ params["W"] @ params["W"].mT + params["b"][:, None], SLOPE
    )


def gated(params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return (x @ params["encoder"] * (1 + params["gate"][:, None])) @ params["decoder"]


GATED = {"encoder": ("n", "m"), "decoder": ("m", "n"), "gate": ("m",)}


def constant(params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return 0 * x + params["b"][:, None]


def doubled(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


def squared(x: torch.Tensor) -> torch.Tensor:
    return x**2


# --- what they compute ----------------------------------------------------------------------------


def test_the_models_own_equation_gives_the_same_bits(tmp_path: Path) -> None:
    plain = superpos.train([*SEEDS, "engine.backend=reference"], out=tmp_path)
    own = superpos.train(SEEDS, model=relu_model, out=tmp_path)
    for name in ("W", "b", "history/loss"):
        np.testing.assert_array_equal(own.tensor(name), plain.tensor(name))
    assert own.path != plain.path
    assert set(own.table["row_id"]) & set(plain.table["row_id"]) == set()
    assert own.table["d_star"].tolist() == plain.table["d_star"].tolist()


def test_data_and_target_enter_the_loss(tmp_path: Path) -> None:
    # x uniform on [0, 1], so the inputs are x² and the targets 2x²: the outputs 0 leave 3 E (2x²)²
    # = 12 / 5.
    overrides = ["model.n_features=3", "data.sparsity=0", "train.steps=0", "seed=range(0,3)"]
    run = superpos.train(
        overrides, model=constant, data=squared, target=doubled, params={"b": ("n",)}, out=tmp_path
    )
    assert (run.table["loss_kind"] == "sampled").all()
    assert (np.abs(run.table["loss"] - 12 / 5) < 5 * run.table["loss_se"]).all()
    assert (run.table["loss_se"] < 0.01).all()


def test_parameters_of_ones_own(tmp_path: Path) -> None:
    run = superpos.train(
        [*UNTRAINED, "model.n_hidden=2,3"], model=gated, params=GATED, out=tmp_path
    )
    for i, m in enumerate((2, 3)):
        shapes = {name: value.shape for name, value in run.weights(i).items()}
        assert shapes == {"encoder": (4, m), "decoder": (m, 4), "gate": (m,)}
        assert not run.weights(i)["gate"].any()
        assert run.weights(i)["decoder"].std() > 0.1
    assert {"loss", "status", "model.n_hidden"} <= set(run.table)
    assert {"d_star", "geometry"} & set(run.table) == set()
    assert registry.available(run) == []  # no loss was recorded


def test_a_model_depends_on_its_own_row_alone(tmp_path: Path) -> None:
    together = superpos.train(SEEDS, model=gated, data=squared, params=GATED, out=tmp_path)
    alone = superpos.train(
        [*SMALL, "seed=2"], model=gated, data=squared, params=GATED, out=tmp_path
    )
    assert alone.table["row_id"].item() == together.table["row_id"][2]
    for name, value in alone.weights(0).items():
        np.testing.assert_allclose(value, together.weights(2)[name], rtol=1e-4, atol=1e-6)


def test_a_key_that_a_function_replaces_no_longer_forbids_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be negative"):
        superpos.train([*SMALL, "data.signed=true"], out=tmp_path)
    run = superpos.train([*SMALL, "data.signed=true"], target=squared, out=tmp_path)
    assert run.table["loss"].item() > 0


def test_small_tensors_are_left_to_one_thread() -> None:
    seen: list[int] = []

    def spy(x: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return x

    own, before = Own.of({"data": spy}), torch.get_num_threads()
    assert own is not None
    torch.set_num_threads(2)
    for models, threads in ((1, None), (300, None), (1, 2)):
        task = make_task(8, 1, models, batch_size=128)
        ReferenceEngine(with_functions(own), threads=threads).advance(task, start(task), 1)
    assert seen == [1, 2, 2]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


# --- what they are named by -----------------------------------------------------------------------


def test_a_finished_run_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = superpos.train(SEEDS, model=leaky, out=tmp_path)
    monkeypatch.setattr(runner, "train", lambda *_, **__: pytest.fail("trained again"))
    assert superpos.train(SEEDS, model=leaky, out=tmp_path).path == first.path


def named(function: Callable[..., Any]) -> str:
    own = Own.of({"data": function})
    assert own is not None
    return own.record


def with_slope(slope: Any) -> Callable[..., torch.Tensor]:
    def data(x: torch.Tensor) -> torch.Tensor:
        return x.relu() * slope

    return data


def steep(x: torch.Tensor) -> torch.Tensor:
    return x * SLOPE


def test_what_a_function_uses_is_part_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named(with_slope(1.0)) == named(with_slope(1.0))
    values = [
        1.0,
        2.0,
        "1.0",
        True,
        None,
        [1.0],
        {"a": 1.0},
        np.ones(2),
        np.ones((2, 1)),
        torch.ones(2),
        torch.relu,
    ]
    assert len({named(with_slope(value)) for value in values}) == len(values)
    before = named(steep)
    monkeypatch.setattr(sys.modules[__name__], "SLOPE", 0.2)
    assert named(steep) != before


def module_of(folder: Path, text: str) -> dict[str, Any]:
    """The names that a file defines."""
    path = folder / f"functions_{len(list(folder.iterdir()))}.py"
    path.write_text(text)
    names: dict[str, Any] = {"__name__": "functions"}
    exec(compile(text, path, "exec"), names)
    return names


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("def f(x):\n    # a comment\n    return (helper(x))\ndef helper(x): return x", True),
        ("def f(x):\n    return helper(x)\ndef helper(x):\n    return x + 1", False),
        ("def f(x, shift=0):\n    return helper(x)\ndef helper(x):\n    return x", False),
        ("def g(x):\n    return helper(x)\ndef helper(x):\n    return x\nf = g", False),
    ],
)
def test_comments_do_not_count_and_helpers_do(tmp_path: Path, text: str, same: bool) -> None:
    plain = module_of(tmp_path, "def f(x):\n    return helper(x)\n\ndef helper(x):\n    return x\n")
    assert (named(plain["f"]) == named(module_of(tmp_path, text)["f"])) is same


def test_names_inside_inner_functions_count_and_recursion_ends(tmp_path: Path) -> None:
    text = (
        "K = {}\ndef f(x, n=2):\n    def inner(y):\n        return y * K\n    return f(inner(x), n "
        "- 1) if n else x\n"
    )
    records = {named(module_of(tmp_path, text.format(k))["f"]) for k in (1, 2)}
    assert len(records) == 2


def test_a_file_that_changed_since_it_was_imported_is_refused(tmp_path: Path) -> None:
    text = (
        'def f(x, k=(1, 2)):\n    """Two\n    lines."""\n'
        "    return [x + (lambda y: y)(k[0]) for i in k][0]\n"
    )
    names = module_of(tmp_path, text)
    assert "lambda" in named(names["f"])
    Path(names["f"].__code__.co_filename).write_text(text.replace("y: y", "y: y + 1"))
    with pytest.raises(ConfigError, match="the file of f has changed since it was imported"):
        named(names["f"])


def test_a_cell_of_a_notebook_has_a_source() -> None:
    text = (
        "import math\n\ndef f(x):\n    # one\n    return math.sqrt(2) * g(x)\n\ndef g(x):\n    "
        "return x\n"
    )
    linecache.cache["<cell>"] = (len(text), None, text.splitlines(keepends=True), "<cell>")
    names: dict[str, Any] = {"__name__": "__main__"}
    # as IPython does, and `math` is then no known module to the compiler
    for statement in ast.parse(text).body:
        exec(compile(ast.Module([statement], []), "<cell>", "exec"), names)
    assert json.loads(named(names["f"]))["data"]["uses"]["g"]["source"] == "def g(x):\n    return x"


def test_loading_needs_and_runs_no_code(tmp_path: Path) -> None:
    script = (
        "import superpos\n"
        "def squares(x):\n"
        "    return x**2\n"
        f"superpos.train({SEEDS!r}, data=squares, out={str(tmp_path)!r})\n"
    )
    (tmp_path / "script.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(Path(superpos.__file__).parent.parent)}
    subprocess.run([sys.executable, tmp_path / "script.py"], check=True, env=environment)
    (tmp_path / "script.py").unlink()
    run = superpos.load(tmp_path / "custom" / "latest")
    assert len(run.table) == 4
    assert str(run.require_family().functions) == "data=squares"
    assert run.manifest["plan"]["own"]["data"]["source"] == "def squares(x):\n    return x ** 2"
    assert {path.suffix for path in run.path.rglob("*") if path.is_file()} == {
        ".json",
        ".safetensors",
        ".parquet",
    }


# --- runs -----------------------------------------------------------------------------------------


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    own = Own.of({"model": leaky, "data": squared})
    overrides = [*SEEDS, "record.snapshots=3"]
    sweep = compose(overrides, own=own).sweep
    whole = superpos.load(runner.train(sweep, out=tmp_path / "whole"))
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(TrainingInterruptedError, match="is kept at step"):
        runner.train(sweep, out=tmp_path / "parts", stop=stop)
    again = superpos.train(overrides, model=leaky, data=squared, out=tmp_path / "parts")
    assert again.digest() == whole.digest()


def test_the_command_line_shows_such_a_run_and_cannot_train_it(tmp_path: Path) -> None:
    run = superpos.train(SEEDS, model=gated, params=GATED, out=tmp_path)
    status = CliRunner().invoke(app, ["status", str(run.path), "--json"])
    assert status.exit_code == 0
    assert json.loads(status.stdout)["models"]["finished"] == 4
    assert json.loads(status.stdout)["own"] == "model=gated"
    assert (
        "superpos.train(..., model=gated)"
        in CliRunner().invoke(app, ["status", str(run.path)]).stdout
    )
    plot = CliRunner().invoke(app, ["plot", str(run.path)])
    assert plot.exit_code == 0
    assert [Path(line).name for line in plot.stdout.split()] == ["loss.png"]
    refused = CliRunner().invoke(app, ["plot", str(run.path), "--figure", "features"])
    assert refused.exit_code == 2
    sweep = Sweep.from_json(run.manifest["plan"])
    assert sweep.run_id == run.path.name
    with pytest.raises(
        ConfigError,
        match=r"trained with them: superpos\.train\(\.\.\., model=gated\), or --config-dir",
    ):
        runner.train(sweep, out=tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_figures_compare_no_theory_with_functions_of_ones_own(tmp_path: Path) -> None:
    overrides = [
        "train.steps=20",
        "train.batch_size=32",
        "record.loss_every=5",
        "record.snapshots=5",
    ]
    run = superpos.train([*overrides, "data.sparsity=0.5,0.7,0.9"], target=squared, out=tmp_path)
    shown = registry.available(run)
    assert {"features", "superposition", "loss"} <= set(shown)
    assert {"dynamics", "training_movie", "phase_diagram", "vulnerability"} & set(shown) == set()
    for name in shown:
        registry.picture(run, name, "svg")


def test_progress_is_told_where_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # a line at every report, not every ten seconds
    monkeypatch.setattr(Lines.__init__, "__defaults__", (0.0,))
    superpos.train(SEEDS, model=leaky, out=tmp_path / "quiet")
    assert capsys.readouterr() == ("", "")
    superpos.train(SEEDS, model=leaky, out=tmp_path / "told", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("4 of 4 models")


# --- what is refused ------------------------------------------------------------------------------


def refuse(
    message: str, tmp_path: Path, overrides: list[str] | None = None, **functions: Any
) -> None:
    with pytest.raises(ConfigError, match=message):
        superpos.train(overrides or SEEDS, out=tmp_path, **functions)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "model", [3, "relu", torch.nn.ReLU(), functools.partial(relu_model), lambda p, x: x]
)
def test_only_functions_with_a_source_are_accepted(model: Any, tmp_path: Path) -> None:
    refuse("model: got .*; allowed: a function made with def", tmp_path, model=model)


def test_a_function_without_a_source_or_with_something_unknown_is_refused(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec("def f(x):\n    return x", names)
    refuse("data: the source of f is not to be had", tmp_path, data=names["f"])
    thing = object()

    def data(x: torch.Tensor) -> torch.Tensor:
        return x + int(thing is None)

    refuse("data: data uses thing, an object of type object; allowed: numbers", tmp_path, data=data)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda p, x: x @ p["W"], r"gives float32 \[3, 7, 2\]; allowed: float32 \[3, 7, 4\]"),
        (lambda p, x: relu_model(p, x).double(), "gives float64"),
        (lambda p, x: relu_model(p, x).numpy(), "gives a ndarray; allowed: a tensor"),
        (lambda p, x: relu_model(p, x) / p["b"].norm(), "not finite, before any training"),
        (lambda p, x: relu_model(p, x).detach(), "no parameter leads to"),
        (lambda p, x: x @ p["W"] @ p["W"].mT, "does not use b"),
        (lambda p, x: relu_model(p, x) + p["V"], "raises KeyError: 'V'; its parameters are W, b"),
        (lambda p, x: relu_model(p, x) + p["W"].mean(), "lets models .* change each other"),
        (lambda p, x: relu_model(p, x) / x.max(), "lets models .* change each other"),
        (lambda p, x: relu_model(p, x) + torch.rand(()), "something else when it is called again"),
        (lambda p, x: relu_model(p, x.mul_(2)), "changes x in place"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused(
    result: Callable[..., Any], message: str, tmp_path: Path
) -> None:
    def model(params: dict[str, torch.Tensor], x: torch.Tensor) -> Any:
        return result(params, x)

    refuse(f"^model: model .*{message}", tmp_path, model=model)


def test_coupling_is_found_on_sparse_data(tmp_path: Path) -> None:
    def change(x: torch.Tensor) -> torch.Tensor:
        return x * x.mean()

    refuse(
        "data: change lets models .* change each other",
        tmp_path,
        ["data.density=1e-9"],
        data=change,
    )


@pytest.mark.parametrize("name", ["data", "target"])
@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda x: x[0], r"gives float32 \[7, 4\]"),
        (lambda x: x / x.mean(), "lets models .* change each other"),
        (lambda x: x.long(), "gives int64"),
        (lambda x: x.log(), "not finite"),
        (lambda x: x @ torch.ones(3, 3), "raises RuntimeError"),
    ],
)
def test_data_and_targets_that_cannot_be_used_are_refused(
    name: str, result: Callable[..., Any], message: str, tmp_path: Path
) -> None:
    def change(x: torch.Tensor) -> Any:
        return result(x)

    refuse(f"^{name}: change .*{message}", tmp_path, **{name: change})


@pytest.mark.parametrize(
    "params",
    [
        {},
        ["W"],
        {"W": ("n", "k")},
        {"W": (0,)},
        {"W": ()},
        {"W": "n"},
        {"a/b": (1,)},
        {3: (1,)},
        {"W": (True,)},
    ],
)
def test_shapes_that_are_none_are_refused(params: Any, tmp_path: Path) -> None:
    refuse("params: got .*; allowed: {name: shape}", tmp_path, model=gated, params=params)


def test_parameters_without_a_model_are_refused(tmp_path: Path) -> None:
    refuse("params: given without model", tmp_path, params=GATED)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    refuse(
        "model: got an object of type int.*\ndata: got an object of type str",
        tmp_path,
        model=3,
        data="x",
    )
    keys = [
        *SEEDS,
        "model.hidden=relu",
        "model.output=linear,relu",
        "model.target=abs",
        "model.tied=false",
    ]
    for key in ("model.hidden", "model.output", "model.target", "model.tied"):
        message = f"{key}: given beside .*, which takes its place"
        refuse(message, tmp_path, keys, model=gated, params=GATED, target=squared)


def test_an_engine_that_cannot_do_it_is_refused(tmp_path: Path) -> None:
    refuse(
        "only the reference engine runs functions",
        tmp_path,
        [*SEEDS, "engine.backend=fused"],
        model=leaky,
    )
