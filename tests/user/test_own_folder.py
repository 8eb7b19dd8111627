"""Functions of a folder of configs: `own:` in YAML, `own.*` as overrides, and that nothing else
ever runs them.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.compose.compose import compose
from superpos.errors import ConfigError
from superpos.plan.sweep import Sweep
from superpos.store import manifest
from superpos.store.files import canonical_json
from superpos.training import runner
from superpos.user.functions import FILE

pytestmark = pytest.mark.slow

FUNCTIONS = """
    from pathlib import Path

    import torch

    POWER = 4


    def power(out, target, params):
        return (out - target).abs().pow(POWER).sum(-1)


    def square(out, target, params):
        return (out - target).pow(2).sum(-1)


    def unit_rows(params, lr, step):
        W = params["W"]
        return {"W": W - lr[:, None, None] * W * (1 - 1 / W.norm(dim=-1, keepdim=True))}


    def still(params, lr, step):
        return params


    Path(__file__).with_name("ran").touch()
"""
EXPERIMENT = """
    # The fourth power of errors.
    model: {n_features: 4, n_hidden: 2}
    train: {steps: 30, batch_size: 32}
    record: {loss_every: 10}
    own: {loss: power, after_step: unit_rows}
    sweep: {seed: {range: [3]}}
"""


def cli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="superpos")


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with functions and an experiment, in an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "paper"
    (folder / "experiment").mkdir(parents=True)
    (folder / FILE).write_text(dedent(FUNCTIONS))
    (folder / "experiment" / "fourth.yaml").write_text(dedent(EXPERIMENT))
    return folder


def train(*overrides: str) -> Path:
    done = cli(
        "train",
        "experiment=fourth",
        *overrides,
        "--config-dir",
        "paper",
        "--quiet",
        "engine.threads=1",
    )
    assert done.exit_code == 0, done.stderr
    return Path(done.stdout.strip())


POWER = 4


def power(out, target, params):  # type: ignore[no-untyped-def]  # as it is in the file, which names the run
    return (out - target).abs().pow(POWER).sum(-1)


# --- what they do ---------------------------------------------------------------------------------


def test_a_run_of_the_folder_is_trained_resumed_and_read(paper: Path) -> None:
    folder = train()
    run = superpos.load(folder)
    own = run.manifest["plan"]["own"]
    assert (
        own["loss"]["source"]
        == "def power(out, target, params):\n    return (out - target).abs().pow(POWER).sum(-1)"
    )
    assert own["loss"]["uses"] == {"POWER": "4"}
    assert (run.table["loss_kind"] == "sampled").all()
    again = cli("train", "experiment=fourth", "--config-dir", "paper")
    assert "nothing to train" in again.stderr
    assert Path(again.stdout.strip()) == folder
    shutil.rmtree(folder / "chunks")
    assert cli("status", folder).exit_code == 4
    assert train() == folder
    assert superpos.load(folder).digest() == run.digest()


def test_the_loss_is_that_of_the_function(paper: Path) -> None:
    # Weights and biases 0 put out 0: the fourth power of 4 features that are uniform on [0, 1] is 4
    # / 5 on average.
    run = superpos.load(
        train("own.after_step=null", "train.steps=0", "model.init_std=0", "data.sparsity=0")
    )
    assert (np.abs(run.table["loss"] - 4 / 5) < 5 * run.table["loss_se"]).all()
    assert run.manifest["loss"] == "E power(out, target, params)"


def test_the_gradient_is_that_of_the_loss_as_it_is(paper: Path) -> None:
    # SGD on the sum of squares, which superpos itself takes as a mean over features unless told
    # otherwise.
    steps = ["train.optimizer=sgd", "train.steps=3", "train.weight_decay=0", "train.lr=0.1"]
    own = superpos.load(train("own.after_step=null", "own.loss=square", *steps))
    small = ["model.n_features=4", "model.n_hidden=2", "train.batch_size=32", "seed=range(0,3)"]
    superposes = superpos.train([*small, *steps, "train.reduction=sum", "engine.backend=reference"])
    np.testing.assert_allclose(own.tensor("W"), superposes.tensor("W"), rtol=1e-6)


def test_what_happens_after_a_step(paper: Path) -> None:
    # With a learning rate lr, rows of length r become r - lr (r - 1): shorter or longer by the same
    # step from 1.
    still = superpos.load(
        train("own.loss=null", "own.after_step=still", "train.steps=1", "train.lr=0.5")
    )
    pulled = superpos.load(train("own.loss=null", "train.steps=1", "train.lr=0.5"))
    length = np.linalg.norm(still.tensor("W"), axis=-1)
    np.testing.assert_allclose(
        np.linalg.norm(pulled.tensor("W"), axis=-1), length - 0.5 * (length - 1), rtol=1e-5
    )
    np.testing.assert_array_equal(pulled.tensor("b"), still.tensor("b"))
    assert (still.table["loss_kind"] == "exact").all()  # superpos's own loss is what it was
    assert still.path != pulled.path


def test_from_python_and_from_yaml_it_is_the_same_run(paper: Path) -> None:
    overrides = ["model.n_features=4", "model.n_hidden=2", "train.steps=30", "train.batch_size=32"]
    from_yaml = superpos.load(train("own.after_step=null"))
    python = superpos.train(
        [*overrides, "record.loss_every=10", "seed=range(0,3)"], loss=power, out="elsewhere"
    )
    assert python.path.name == from_yaml.path.name
    assert python.digest() == from_yaml.digest()


def test_the_source_names_the_run(paper: Path) -> None:
    def run_id() -> str:
        return compose(["experiment=fourth"], paper).sweep.run_id

    before, text = run_id(), (paper / FILE).read_text()
    (paper / FILE).write_text(
        text.replace("import torch\n", "import torch  # a comment\n\nUNUSED = 1\n")
    )
    assert run_id() == before
    (paper / FILE).write_text(text.replace("POWER = 4", "POWER = 6"))
    assert run_id() != before


def test_functions_from_python_and_from_yaml_are_not_mixed(paper: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"own: .*loss=power, beside the arguments loss=power of superpos.train"
    ):
        superpos.train(["experiment=fourth"], config_dir=paper, loss=power)


def test_outputs_of_another_shape_need_a_loss_of_ones_own(paper: Path) -> None:
    (paper / FILE).write_text(
        dedent(
            """
            import torch


            def total(params, x):
                return x @ params["v"][..., None]


            def sums(x):
                return x.sum(-1, keepdim=True)


            def square(out, target, params):
                return (out - target).pow(2).sum(-1)
            """
        )
    )
    functions = [
        "own.loss=square",
        "own.target=sums",
        "own.model=total",
        "own.params={v: [n]}",
        "own.after_step=null",
    ]
    run = superpos.load(
        train(*functions, "train.steps=300", "train.lr=0.05", "train.weight_decay=0")
    )
    np.testing.assert_allclose(run.tensor("v"), 1, atol=0.05)
    refused = cli(
        "train", "experiment=fourth", *functions[1:], "own.loss=null", "--config-dir", "paper"
    )
    assert refused.exit_code == 2
    assert "gives float32 [3, 7, 1]; allowed: float32 [3, 7, 4]" in refused.stderr
    assert "other outputs need a loss of one's own" in refused.stderr


# --- what never runs ------------------------------------------------------------------------------

READERS = (["status"], ["plot"], ["report"], ["export", "--to", "run.npz"], ["status", "--json"])


@pytest.mark.parametrize(
    "where", ["as it was", "beside the run", "inside the run", "in the working folder"]
)
def test_a_run_folder_runs_nothing(paper: Path, tmp_path: Path, where: str) -> None:
    folder = train()
    (paper / "ran").unlink()
    places = {
        "beside the run": folder.parent,
        "inside the run": folder,
        "in the working folder": tmp_path,
    }
    if where in places:
        shutil.copy(paper / FILE, places[where])
    for command, *options in READERS:
        done = cli(command, folder, *options)
        assert done.exit_code == 0, (command, done.stderr)
    run = superpos.load(folder)
    assert not run.require_family().functions.trainable
    assert list(tmp_path.rglob("ran")) == []
    assert "power" in cli("status", folder).stdout
    assert f"--config-dir and the folder whose {FILE} has them" in cli("status", folder).stdout


@pytest.mark.parametrize(
    "record",
    [
        {"loss": {"name": "power", "source": "import os; os.system('touch ran')", "uses": {}}},
        {"loss": {"name": "__import__('os').system('touch ran')", "source": "", "uses": {}}},
        {"after_step": {"name": "os.system", "source": "touch ran", "uses": {"x": "module os"}}},
    ],
)
def test_a_tampered_run_folder_runs_nothing(
    paper: Path, tmp_path: Path, record: dict[str, Any]
) -> None:
    folder = train()
    (paper / "ran").unlink()
    reseal(folder, record)
    for command, *options in READERS:
        cli(command, folder, *options)
    with pytest.raises(ConfigError, match="its folder holds their text alone"):
        runner.train(Sweep.from_json(superpos.load(folder).manifest["plan"]), out=tmp_path)
    assert list(tmp_path.rglob("ran")) == []


def reseal(folder: Path, record: dict[str, Any]) -> None:
    """Put other functions into a run's plan, sealed as by somebody who knows how to seal one."""
    fields = manifest.read(folder)
    fields["plan"] = {**fields["plan"], "own": record}
    checksum = manifest.checksum_of(fields)
    (folder / "manifest.json").write_text(canonical_json({**fields, "sha256": checksum}))


# --- the command line -----------------------------------------------------------------------------


def test_submit_passes_the_folder_on(paper: Path, tmp_path: Path) -> None:
    done = cli(
        "submit",
        "experiment=fourth",
        "own.loss=square",
        "--config-dir",
        "paper",
        "--print",
        "--shards",
        "1",
    )
    assert done.exit_code == 0, done.stderr
    [line] = [line for line in done.stdout.splitlines() if line.startswith("exec ")]
    assert "train experiment=fourth own.loss=square" in line
    assert f"--config-dir {tmp_path / 'paper'}" in line


def test_a_job_that_starts_after_an_edit_trains_nothing(paper: Path) -> None:
    script = cli(
        "submit", "experiment=fourth", "--config-dir", "paper", "--print", "--shards", "1"
    ).stdout
    [line] = [line for line in script.splitlines() if line.startswith("exec ")]
    arguments = shlex.split(line.rstrip("\\"))
    command = arguments[arguments.index("train") :]
    text = (paper / FILE).read_text()
    (paper / FILE).write_text(text.replace("POWER = 4", "POWER = 6"))
    refused = cli(*command)
    assert refused.exit_code == 2
    assert "has changed since; put it back" in refused.stderr
    assert not Path("outputs").exists()
    (paper / FILE).write_text(text)
    assert cli(*command, "--quiet").exit_code == 0


def test_the_list_passes_over_an_experiment_whose_functions_cannot_be_used(paper: Path) -> None:
    (paper / "experiment" / "wrong.yaml").write_text("own: {loss: half}\n")
    (paper / FILE).write_text(
        dedent(FUNCTIONS) + "\n\ndef half(out, target, params):\n    return out\n"
    )
    (paper / "experiment" / "missing.yaml").write_text("own: {loss: nothing}\n")
    said = json.loads(cli("list", "--json", "--config-dir", "paper").stdout)
    [fourth] = [found for found in said["experiments"] if found["name"] == "fourth"]
    assert fourth["seconds"] > 0
    missing, wrong = sorted(said["passed_over"])
    assert "experiment missing: own.loss: " in missing
    assert "experiment wrong: loss: half gives float32" in wrong


def test_dry_run_says_which_engine_and_why(paper: Path) -> None:
    said = cli(
        "train", "experiment=fourth", "--config-dir", "paper", "--dry-run", "engine.threads=1"
    ).stdout
    why = "only the reference engine runs functions of one's own (after_step=unit_rows, loss=power)"
    assert f"engine  reference: {why}\n" in said


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["own.loss=fifth"],
            r"own.loss: .*paper/superpos_functions.py has no function 'fifth' of its own; it has "
            r"power",
        ),
        (["own.loss=Path"], "has no function 'Path' of its own"),
        (
            ["own.loss=os.system"],
            "own.loss: got 'os.system'; allowed: the name of a function in superpos_functions.py",
        ),
        (
            ["own.loss=3"],
            "own.loss: got 3; allowed: the name of a function in superpos_functions.py",
        ),
        (["own.lost=power"], "own.lost: unknown key; did you mean own.loss?"),
        (["own.loss=power,square"], "own.loss: one function a run"),
        (["own=power"], "own: a group of keys; allowed: own.model, "),
        (["own.params=3"], "own.params: got 3; allowed: {name: shape}"),
        (["own.params={W: [n, k]}"], r"own.params: given without model"),
        (
            ["own.loss=null", "own.after_step=no_dict"],
            "after_step: no_dict gives a Tensor; allowed: a dict of some of W, b",
        ),
        (
            ["own.loss=null", "own.after_step=others"],
            "after_step: others gives a dict of V; allowed: a dict of some of W, b",
        ),
        (
            ["own.loss=null", "own.after_step=smaller"],
            "gives W as float32 [3, 4]; allowed: float32 [3, 4, 2]",
        ),
        (
            ["own.loss=null", "own.after_step=in_place"],
            "after_step: in_place changes a parameter in place",
        ),
        (
            ["own.loss=null", "own.after_step=mixed"],
            "after_step: mixed lets models .* change each other",
        ),
        (["own.loss=null", "own.after_step=raises"], "after_step: raises raises ZeroDivisionError"),
        (
            ["own.loss=null", "own.after_step=power3"],
            r"own.after_step: got power3(params, lr); allowed: power3(params, lr, s",
        ),
        (
            ["own.loss=total"],
            "loss: total gives float32 [3]; allowed: float32 [3, 7], a number for each sample",
        ),
        (["own.loss=centred"], "loss: centred lets models .* change each other"),
        (["own.loss=constant"], "loss: constant gives what no parameter leads to"),
        (["own.loss=chance"], "loss: chance gives something else when it is called again"),
        (
            ["own.loss=number"],
            "loss: number gives a float; allowed: float32 [3, 7], a number for each sample",
        ),
        (["importance.decay=0.5"], "importance.decay: given beside loss=, which takes its place"),
        (["train.reduction=sum"], "train.reduction: given beside loss=, which takes its place"),
        (
            ["engine.backend=fused"],
            "engine.backend: fused was asked for, but only the reference engine runs functions",
        ),
    ],
)
def test_what_cannot_be_used_is_one_message(
    paper: Path, overrides: list[str], message: str
) -> None:
    wrong = """
        import os

        import torch


        def no_dict(params, lr, step):
            return params["W"]


        def others(params, lr, step):
            return {"V": params["W"]}


        def smaller(params, lr, step):
            return {"W": params["W"][..., 0]}


        def in_place(params, lr, step):
            params["W"].mul_(2)
            return {}


        def mixed(params, lr, step):
            return {"W": params["W"] - params["W"].mean()}


        def raises(params, lr, step):
            return {"W": params["W"] / (1 // 0)}


        def power3(params, lr):
            return params


        def total(out, target, params):
            return (out - target).pow(2).sum(-1).mean(-1)


        def centred(out, target, params):
            return (out - target.mean()).pow(2).sum(-1)


        def constant(out, target, params):
            return (target**2).sum(-1)


        def chance(out, target, params):
            return (out - target).pow(2).sum(-1) * torch.rand(())


        def number(out, target, params):
            return 1.0
    """
    (paper / FILE).write_text(dedent(FUNCTIONS) + dedent(wrong))
    refused = cli(
        "train",
        "experiment=fourth",
        *overrides,
        "--config-dir",
        "paper",
        "--quiet",
        "engine.threads=1",
    )
    assert refused.exit_code == 2, refused.stdout
    assert len(refused.stderr.splitlines()) == 1
    assert re.search(re.escape(message).replace(r"\.\*", ".*"), refused.stderr), refused.stderr
    assert not Path("outputs").exists()


def test_without_the_folder_nothing_is_trained(paper: Path) -> None:
    refused = cli("train", "experiment=intro", "own.loss=power")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "superpos: own: loss=power needs --config-dir and the folder whose superpos_functions.py "
        "has them\n"
    )
    (paper / FILE).unlink()
    refused = cli("train", "experiment=fourth", "--config-dir", "paper")
    assert refused.stderr == (
        "superpos: own: power, unit_rows: there is no paper/superpos_functions.py, "
        "which is to have what own names\n"
    )
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def power(:\n", "line 1: SyntaxError: invalid syntax"),
        (
            "import nothing_of_this_name\n",
            "line 1: ModuleNotFoundError: No module named 'nothing_of_this_name'",
        ),
        ("\n\nraise ValueError('two\\nlines')\n", "line 3: ValueError: two"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_run_is_one_message(
    paper: Path, text: str | bytes, message: str
) -> None:
    (paper / FILE).write_bytes(text if isinstance(text, bytes) else text.encode())
    refused = cli("train", "experiment=fourth", "--config-dir", "paper")
    assert refused.exit_code == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "superpos_functions.py: " + message in refused.stderr


def test_a_family_without_a_place_for_functions_refuses_them(paper: Path) -> None:
    refused = cli("train", "family=sae", "own.loss=power", "--config-dir", "paper")
    assert refused.exit_code == 2
    assert "family=sae takes no functions of one's own (loss=power)" in refused.stderr


def test_a_folder_with_functions_alone_is_enough(paper: Path) -> None:
    shutil.rmtree(paper / "experiment")
    small = ["model.n_features=3", "train.steps=2", "engine.threads=1", "--quiet"]
    done = cli("train", "own.loss=power", *small, "--config-dir", "paper")
    assert done.exit_code == 0, done.stderr
