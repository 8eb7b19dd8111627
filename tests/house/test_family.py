"""The seam holds: a second family, which lives in the tests alone, does all that toy models do.

`support/auto` is that family: autoencoders of inputs that are made of the features of a run of toy
models. It uses every slot of `superpos.family`, and nothing of superpos is changed for it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from auto import FAMILY
from auto.engine import LinearEngine
from auto.keys import KEYS, AutoConfig
from auto.model import RESTART
from auto.purposes import Purpose
from auto.results import FOUND, cosines, dictionaries
from browser import chromium
from explorer import Explorer as Page
from launcher import command
from places import ROOT, SUPPORT, TESTS
from playwright.sync_api import expect
from typer.testing import CliRunner, Result

import superpos
from superpos import family as seam
from superpos.cli import app, suggestions
from superpos.compose.compose import compose
from superpos.config.schema import key, schema_of
from superpos.engines.reference import ReferenceEngine
from superpos.engines.task import Stepped
from superpos.errors import ConfigError, SuperposError
from superpos.family import Exhibits, Explorer, Family
from superpos.plan.sweep import Sweep
from superpos.store import Run
from superpos.training import runner, sources
from superpos.user.functions import Own

pytestmark = pytest.mark.slow

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
TOY = [
    "name=world", "model.n_features=4", "model.n_hidden=2", "train.steps=100",
    "train.batch_size=64", "seed=0,1", "engine.backend=reference",
]  # fmt: skip
KINDS = ["learned", "learned", "dictionary", "identity", "identity"]
SEEDS = 3


@pytest.fixture(scope="module", autouse=True)
def known() -> Iterator[None]:
    """This process knows the family, as a program that registers it does."""
    superpos.register(FAMILY)
    yield
    seam.forget("auto")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the runs that several tests read."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def source(out: Path) -> Path:
    """A run of toy models."""
    return superpos.train(TOY, out=out).path


@pytest.fixture(scope="module")
def sweep(source: Path) -> list[str]:
    """The overrides of a sweep over structures and seeds: two axes."""
    return ["experiment=auto_kinds", f"auto.source={source}"]


@pytest.fixture(scope="module")
def run(sweep: list[str], out: Path) -> Run:
    """That sweep, trained by one process."""
    return superpos.train(sweep, out=out)


def cli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="superpos")


def done(*arguments: str | Path) -> Result:
    """The result of a command that succeeds."""
    result = cli(*arguments)
    assert result.exit_code == 0, result.output
    return result


def started(arguments: list[str]) -> subprocess.Popen[str]:
    paths = os.pathsep.join(map(str, (ROOT, TESTS, SUPPORT)))
    environment = os.environ | {"PYTHONPATH": paths}
    return subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def training(*arguments: str | Path) -> subprocess.Popen[str]:
    """`superpos train` in a process of its own that knows the family."""
    return started(command("auto.registered", "train", *map(str, arguments)))


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=120)
    return process.returncode, stdout, stderr


def resolved(overrides: list[str]) -> Sweep:
    return sources.resolve(compose(overrides).sweep)


# --- every slot has its proof ---------------------------------------------------------------------


def defaults(kind: type) -> dict[str, Any]:
    return {
        slot.name: slot.default_factory() if callable(slot.default_factory) else slot.default  # type: ignore[misc]
        for slot in fields(kind)
    }


def data(x: torch.Tensor) -> torch.Tensor:
    """Inputs of a user's own."""
    return 2 * x


def narrow(x: torch.Tensor) -> torch.Tensor:
    """Inputs of a user's own that do not fit."""
    return x[..., :1]


@pytest.mark.parametrize("kind", [Family, Exhibits, Explorer])
def test_every_slot_is_used(kind: type) -> None:
    own = Own.of({"data": data})
    assert own is not None
    read = FAMILY.with_functions(Own.from_json(own.to_json()))  # as from a run folder
    values = {
        Family: (FAMILY, read),
        Exhibits: (FAMILY.shows,),
        Explorer: (FAMILY.shows.explorer,),
    }[kind]
    for slot, default in defaults(kind).items():
        given = [getattr(value, slot) for value in values]
        assert any(found is not default and found != default for found in given), slot


def test_the_family_stands_in_the_tests_alone() -> None:
    for file in ROOT.glob("superpos/**/*.py"):
        assert "auto." not in file.read_text(encoding="utf-8").replace("n_auto.", ""), file
    assert all(
        128 <= purpose + added < 256
        for purpose in set(Purpose) - {Purpose.NOISE}
        for added in (0, Purpose.NOISE)
    )


# --- it trains ------------------------------------------------------------------------------------


def test_a_sweep_is_trained(run: Run) -> None:
    table = run.table
    assert run.complete
    assert run.family is FAMILY
    assert len(run.folder.rows) == len(KINDS)
    assert table["auto.decoder"].tolist() == [kind for kind in KINDS for _ in range(SEEDS)]
    assert (table["status"] == "ok").all()
    built = table["auto.decoder"] == "identity"
    assert table["train.steps"].tolist() == [0 if made else 60 for made in built]
    assert table["loss_kind"].tolist() == [
        "exact" if kind == "linear" else "sampled" for kind in table["auto.activation"]
    ]
    assert table["backend"].tolist() == [
        "fused" if kind == "linear" else "reference" for kind in table["auto.activation"]
    ]
    assert (table["train.optimizer"] == "adam").all()  # the family's default
    assert (table["train.latent_l1"] == 0.01).all()  # its own key in a shared group
    assert (table["auto.density"] == 0.2).all()
    assert (table["auto.sparsity"] == 0.8).all()
    assert table["loss"][table["auto.decoder"] == "learned"].max() < 0.1


def test_models_that_are_made_are_as_they_are_made(run: Run) -> None:
    made = run.table["model"][run.table["auto.decoder"] == "identity"]
    assert len(made) == 2 * SEEDS
    for model in made:
        weights = run.weights(model)
        np.testing.assert_array_equal(
            np.maximum(weights["E"], 0) @ np.maximum(weights["D"], 0), np.eye(2)
        )
        assert not weights["active"].any()
        steps, _ = run.snapshots(model)
        assert steps.tolist() == [0]
        assert len(run.history(model)[0]) == 0
    exact = run.table.loc[made[run.table.loc[made, "auto.activation"] == "linear"], "loss"]
    assert exact.nunique() == 1  # E |x|² times l1: nothing is lost


def test_frozen_tensors_stay_and_others_are_projected(run: Run) -> None:
    for model in run.table["model"][run.table["auto.decoder"] != "identity"]:
        weights, (_, snapshots) = run.weights(model), run.snapshots(model)
        np.testing.assert_allclose(np.linalg.norm(weights["D"], axis=1), 1, rtol=1e-6)
        is_frozen = run.table.loc[model, "auto.decoder"] == "dictionary"
        assert (snapshots["D"] == weights["D"]).all() == is_frozen
        assert (snapshots["E"][0] != weights["E"]).any()
        if is_frozen:
            [dictionary] = dictionaries(run, [model])
            np.testing.assert_allclose(cosines(dictionary, weights["D"]).diagonal(), 1, rtol=1e-6)


def test_counters_are_published(run: Run) -> None:
    counts = run.tensor("active", run.table["auto.activation"] == "relu")
    assert counts.dtype == np.int64
    trained = run.table["auto.decoder"][run.table["auto.activation"] == "relu"] != "identity"
    assert (counts[trained].sum(1) > 0).all()
    assert counts.max() <= 60 * 32
    assert (run.tensor("active", [SEEDS]) == 60 * 32).all()  # linear latents are never 0


def test_a_row_alone_is_the_row_in_the_sweep(run: Run, sweep: list[str], tmp_path: Path) -> None:
    row = run.table.iloc[SEEDS * 2 + 1]
    kinds = [
        f"auto.{name}={row[f'auto.{name}']}" for name in ("decoder", "activation", "n_latents")
    ]
    alone = superpos.train([*sweep, *kinds, "seed=1"], out=tmp_path)
    assert alone.n_models == 1
    assert alone.table["row_id"][0] == row["row_id"]
    for name, value in run.weights(row["model"]).items():
        np.testing.assert_array_equal(alone.weights(0)[name], value)
    np.testing.assert_array_equal(alone.history(0)[1], run.history(row["model"])[1])
    results = [name for name in alone.table.columns if "." not in name and name != "model"]
    assert pd.isna(row["longest"])  # a column of linear latents, which this model has not
    pd.testing.assert_series_equal(alone.table.loc[0, results], row[results], check_names=False)


def test_the_fused_engine_is_the_reference(run: Run) -> None:
    rows = run.folder.rows[1]
    files = {name: run.shared(name) for name in run.folder.shared_states()}
    task = Sweep.from_json(run.manifest["plan"]).task(rows, files)
    params = {name: run.tensor(name, rows) for name in ("E", "b", "D")}
    (loss, grads), (expected, wanted) = (
        engine.gradients(task, params, 3) for engine in (LinearEngine(1), ReferenceEngine(FAMILY))
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for name in ("E", "b", "D"):
        np.testing.assert_allclose(grads[name], wanted[name], rtol=1e-3, atol=1e-6)
    sampled, error = ReferenceEngine(FAMILY).evaluate(task, params, 2**15)
    exact = FAMILY.exact_loss.loss(task, params)  # type: ignore[union-attr]
    assert (np.abs(sampled - exact) < 5 * error).all()


def test_parts_of_the_forward_pass_can_be_replaced(run: Run) -> None:
    task = SimpleNamespace(structure=SimpleNamespace(activation="relu"))
    params = {name: torch.from_numpy(run.tensor(name, [0])) for name in ("E", "b", "D")}
    x = torch.ones(1, 2, 2)
    outputs, parts = FAMILY.forward(task, params, x)
    assert set(parts) == {"latents", "output"}
    again, _ = FAMILY.forward(task, params, 5 * x, replace={"latents": parts["latents"]})
    assert torch.equal(again, outputs)
    zeros, parts = FAMILY.forward(task, params, x, replace={"output": 0 * x})
    assert not zeros.any()
    assert not parts["output"].any()


def test_parts_are_patched(run: Run) -> None:
    """Everything goes through the latents: theirs is the whole effect."""
    found = run.patch(0, direction=["noising", "denoising", "shapley"], prompts=20)
    assert found["part"].tolist() == ["latents"] * 3
    assert found["share"].tolist() == pytest.approx([1, 1, 1])
    assert found["recall"].tolist() == [1, 1, 1]
    with pytest.raises(ConfigError, match=r"patch\.corrupt: autoencoders have no prompts"):
        run.patch(0, corrupt="query")


def test_a_diverged_model_keeps_its_counters(sweep: list[str], tmp_path: Path) -> None:
    kinds = [
        "auto.decoder=learned",
        "auto.activation=relu,linear",
        "auto.n_latents=4",
        "seed=0",
        "train.lr=1e30,0.01",
    ]
    found = superpos.train([*sweep, *kinds, "record.snapshots=0"], out=tmp_path)
    assert found.table["status"].tolist() == ["diverged", "ok"] * 2
    for model in (0, 2):
        assert (
            found.weights(model)["active"].max() <= 32 * found.table["diverged_at"][model] < 60 * 32
        )
        assert all(np.isfinite(value).all() for value in found.weights(model).values())


def test_a_users_own_data(source: Path, tmp_path: Path) -> None:
    overrides = [
        "family=auto",
        f"auto.source={source}",
        "auto.activation=linear",
        "train.steps=3",
        "name=own",
    ]
    found = superpos.train(overrides, data=data, out=tmp_path)
    assert found.table["backend"].tolist() == ["reference"]
    assert found.table["loss_kind"].tolist() == ["sampled"]
    assert found.family is not None
    assert str(found.family.functions) == "data=data"
    # as its source has
    assert found.table[["auto.n_features", "auto.n_inputs"]].to_numpy().tolist() == [[4, 2]]
    assert found.manifest["plan"]["values"]["auto.n_inputs"] == 2
    with pytest.raises(ConfigError, match="autoencoders take no such function; allowed: data"):
        superpos.train(overrides, target=data, out=tmp_path)
    with pytest.raises(ConfigError, match=r"auto\.noise: given beside data="):
        superpos.train([*overrides, "auto.noise=0.1"], data=data, out=tmp_path)
    with pytest.raises(ConfigError, match="models x samples x inputs"):
        superpos.train(overrides, data=narrow, out=tmp_path)


# --- what happens on the way does not matter ------------------------------------------------------

LONG = [
    "auto.decoder=learned",
    "auto.activation=relu",
    "auto.n_latents=4,5",
    "train.steps=500",
    "seed=0,1",
]


def test_three_shards_are_the_whole(run: Run, sweep: list[str], tmp_path: Path) -> None:
    shards = [training(*sweep, "--shard", f"{k}/3", "--out", tmp_path, "--quiet") for k in range(3)]
    for process in shards:
        code, stdout, stderr = finished(process)
        assert code == 0, stderr
    whole = superpos.load(stdout.strip())
    assert whole.digest() == run.digest()
    assert whole.path.name == run.path.name


def test_killed_again_and_again(run: Run, sweep: list[str], tmp_path: Path) -> None:
    script = (
        "import auto.registered, runpy, sys; runpy.run_module('kill_often', run_name='__main__', "
        "alter_sys=True)"
    )
    code, stdout, stderr = finished(
        started([sys.executable, "-c", script, "5", str(tmp_path), "1", *sweep])
    )
    assert code == 0, stderr
    found = json.loads(stdout.splitlines()[-1])
    assert found["kills"] == 5
    assert found["digests"] == [run.digest()]


def test_interrupted_and_its_source_gone(source: Path, tmp_path: Path) -> None:
    """Stopped in the middle of its second chunk; then nothing but the run's own folder is
    needed.
    """
    moved = tmp_path / "away" / "moved"
    shutil.copytree(source, moved)
    elsewhere = ["experiment=auto_kinds", f"auto.source={moved}", *LONG]
    process = training(*elsewhere, "--out", tmp_path, "--quiet")
    folder = tmp_path / "auto_kinds" / resolved(elsewhere).run_id
    until(lambda: (folder / "chunks/00000.json").exists())
    process.send_signal(signal.SIGTERM)
    code, _, stderr = finished(process)
    assert code == 75, stderr
    assert any(folder.glob("checkpoints/*")), stderr
    shutil.rmtree(moved)
    with pytest.raises(ConfigError, match=f"auto.source: {moved} does not exist"):
        superpos.train(elsewhere, out=tmp_path)
    digest = superpos.load(source).digest()[: sources.DIGITS]
    again = superpos.train(["experiment=auto_kinds", f"auto.source={digest}", *LONG], out=tmp_path)
    assert again.path == folder
    undisturbed = superpos.train(
        ["experiment=auto_kinds", f"auto.source={source}", *LONG], out=tmp_path / "other"
    )
    assert again.digest() == undisturbed.digest()
    assert again.tensor("active", [0]).any()


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- other runs -----------------------------------------------------------------------------------


def test_a_run_is_named_by_its_digest(
    run: Run, source: Path, sweep: list[str], tmp_path: Path
) -> None:
    moved = tmp_path / "away" / "moved"
    shutil.copytree(source, moved)
    digest = superpos.load(source).digest()[: sources.DIGITS]
    plans = [
        resolved(overrides).to_json()
        for overrides in (sweep, ["experiment=auto_kinds", f"auto.source={moved}"])
    ]
    assert plans[0] == plans[1] == run.manifest["plan"]
    assert plans[0]["values"]["auto.source"] == digest
    assert str(source) not in json.dumps([plans, run.manifest["plan"], run.manifest["config"]])
    assert (run.table["auto.source"] == digest).all()
    one = resolved(["experiment=auto_kinds", f"auto.source={moved}:1"])
    assert one.base["auto.source"] == f"{digest}:1"
    other = superpos.train([*TOY, "train.lr=0.003"], out=tmp_path)
    ids = {
        plan.run_id
        for plan in (
            resolved(sweep),
            one,
            resolved(["experiment=auto_kinds", f"auto.source={other.path}"]),
        )
    }
    assert len(ids) == 3


def test_a_source_that_does_not_fit_is_refused(run: Run, source: Path, tmp_path: Path) -> None:
    faults = {
        str(tmp_path / "nowhere"): "auto.source: .*nowhere does not exist",
        f"{source}:7": "has no model 7; allowed: 0 to 1",
        str(run.path): "is not a run of tied toy models",
        "0123456789abcdef": "where 0123456789abcdef lies is not known; "
        "give auto.n_features and auto.n_inputs",
    }
    for given, words in faults.items():
        with pytest.raises(ConfigError, match=words):
            superpos.train(["family=auto", f"auto.source={given}"], out=tmp_path)
    with pytest.raises(
        SuperposError,
        match="the run of digest 0123456789abcdef is needed, and where it lies is not known",
    ):
        superpos.train(["experiment=auto_kinds", "auto.source=0123456789abcdef"], out=tmp_path)
    with pytest.raises(
        ConfigError, match=r"auto.n_inputs: got \[3\]; allowed: 2, as auto.source has"
    ):
        superpos.train(["family=auto", f"auto.source={source}", "auto.n_inputs=3"], out=tmp_path)
    copy = tmp_path / "away" / "copy"
    shutil.copytree(source, copy)
    with pytest.raises(ConfigError, match="are the same run; give one of the two"):
        superpos.train(["family=auto", f"auto.source={source},{copy}"], out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["away"]  # nothing was written


def test_only_the_models_that_are_named_are_kept(source: Path, tmp_path: Path) -> None:
    best = int(superpos.load(source).table["loss"].idxmin())
    worst = 1 - best
    few = ["family=auto", "auto.activation=linear", "train.steps=1", "name=few"]
    for given, models in (
        (f"{source}:{worst}", [0, 1]),
        (f"{source}:{best}", [best]),
        (str(source), [best]),
    ):
        found = superpos.train([*few, f"auto.source={given}"], out=tmp_path)
        [name] = found.folder.shared_states()
        assert found.shared(name)["model"].tolist() == models


def learner(run: Run) -> tuple[Any, dict[str, np.ndarray]]:
    """The task of a model with latents that cannot be negative and a decoder that is learned, and
    its tensors.
    """
    chosen = (run.table["auto.activation"] == "relu") & (run.table["auto.decoder"] == "learned")
    model = int(run.table["model"][chosen].iloc[0])
    files = {name: run.shared(name) for name in run.folder.shared_states()}
    task = Sweep.from_json(run.manifest["plan"]).task(np.array([model]), files)
    return task, {
        name: run.tensor(name, [model]) for name in (*task.structure.param_shapes, "active")
    }


def test_evaluation_sees_the_extra_state_and_training_the_step(run: Run) -> None:
    task, params = learner(run)
    active = params.pop("active")
    engine = ReferenceEngine(FAMILY)
    none, every = ({"active": np.full_like(active, count)} for count in (0, 1))
    empty = engine.evaluate(task, params, 1000, none)[0]
    # the power of the inputs, which nothing explains
    assert engine.evaluate(task, params, 1000, every)[0] < empty
    x = FAMILY.batch(task, 0, "cpu")
    tensors = {name: torch.from_numpy(value) for name, value in params.items()}
    first, last = (FAMILY.losses(task, tensors, x, {}, step).mean() for step in (0, 10**6))
    assert first < last  # the penalty grows


def test_a_latent_begins_anew_without_moments(run: Run) -> None:
    task, found = learner(run)
    params = {name: torch.from_numpy(value) for name, value in found.items()}
    counts = {"active": torch.zeros_like(params.pop("active"))}
    params["b"][:, 0] = -1e6  # never active
    ones = {name: torch.ones_like(value) for name, value in params.items()}
    x = FAMILY.batch(task, 0, "cpu")
    assert FAMILY.after_step is not None
    before = FAMILY.after_step(task, Stepped(params, ones, ones, counts, params), x, RESTART - 2)
    assert before.params["b"][0, 0] == -1e6
    after = FAMILY.after_step(task, Stepped(params, ones, ones, counts, params), x, RESTART - 1)
    assert after.params["b"][0, 0] == 0
    assert after.first["b"][0, 0] == after.second["b"][0, 0] == 0
    assert (after.first["E"][0, :, 0] == 0).all()
    torch.testing.assert_close(after.params["E"][0, :, 0], after.params["D"][0, 0])
    assert after.first["D"].all()


def test_shared_files_are_checked(sweep: list[str], tmp_path: Path) -> None:
    overrides = [
        *sweep,
        "auto.decoder=identity",
        "auto.activation=linear",
        "auto.n_latents=2",
        "seed=0",
    ]
    found = superpos.train(overrides, out=tmp_path)
    [file] = found.path.glob("shared/auto.source-*.safetensors")
    assert set(found.shared(file.stem)) == {"W", "model", "best"}
    done("status", found.path)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    damaged = cli("status", found.path)
    assert damaged.exit_code == 4
    assert file.stem in damaged.output
    assert superpos.train(overrides, out=tmp_path).path == found.path
    done("status", found.path)
    assert file.read_bytes() == content


def test_drawn_dictionaries_are_shared(tmp_path: Path) -> None:
    """Without a source, each dictionary is drawn once for all models of a run."""
    overrides = ["family=auto", "auto.world=0,1", "seed=0,1", "train.steps=0"]
    found = superpos.train(overrides, out=tmp_path)
    assert set(found.shared("dictionaries")) == {"5x3.0", "5x3.1"}
    drawn = dictionaries(found, range(4))
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
    for world, model in enumerate((0, 2)):
        share = (cosines(drawn[model], found.weights(model)["D"]).max(-1) >= FOUND).mean()
        assert found.table["found"][model] == share, world


# --- it is shown ----------------------------------------------------------------------------------


def test_status_counts_by_the_label(run: Run) -> None:
    told = json.loads(done("status", run.path, "--json").stdout)
    assert told["complete"]
    assert told["digest"] == run.digest()
    assert sum(told["dictionaries"].values()) == run.n_models
    assert told["dictionaries"]["whole"] >= SEEDS
    assert "geometries" not in told
    assert {"agreement", "dictionaries"} <= told["settings"][0].keys()
    assert "dictionaries" in done("status", run.path).output


def test_settings_have_columns_of_the_family(run: Run) -> None:
    found = run.by_setting()
    assert found.columns[-3:].tolist() == ["found", "agreement", "dictionaries"]
    assert found["found"][2] == run.table.loc[run.table["dictionary"] == "whole", "found"].max()
    assert found["agreement"].between(0, 1 + 1e-9).all()
    # decoders that are frozen or made
    np.testing.assert_allclose(found["agreement"][2:], 1, rtol=1e-6)
    assert found["dictionaries"][2] == f"whole {SEEDS}"


def test_a_run_has_methods_of_its_family(run: Run, source: Path) -> None:
    found = run.latents(0)
    assert found["active"].tolist() == run.weights(0)["active"].tolist()
    assert len(found) == 4
    with pytest.raises(AttributeError, match="has no 'latents'"):
        superpos.load(source).latents(0)


def test_a_model_is_exported(run: Run, tmp_path: Path) -> None:
    file = run.export("json", 1, tmp_path / "model.json")
    assert {name: np.shape(value) for name, value in json.loads(file.read_text()).items()} == {
        name: value.shape for name, value in run.weights(1).items()
    }


def test_a_model_is_exported_from_the_command_line(run: Run, tmp_path: Path) -> None:
    wanted = run.export("json", 1, tmp_path / "model.json").read_bytes()
    target = tmp_path / "again.json"
    done("export", run.path, "--as", "json", "--model", "1", "--to", target)
    assert target.read_bytes() == wanted
    default = done("export", run.path, "--as", "json", "--model", "1").stdout.strip()
    assert Path(default) == run.path / "export" / "json-1"
    assert "--model: is missing" in cli("export", run.path, "--as", "json").stderr
    assert "did you mean json" in cli("export", run.path, "--as", "jsn", "--model", "1").stderr
    assert "allowed: 0 to" in cli("export", run.path, "--as", "json", "--model", "999").stderr


def test_figures_are_drawn_and_listed(run: Run, tmp_path: Path) -> None:
    drawn = done("plot", run.path, "--to", tmp_path).stdout.split()
    assert [Path(path).name for path in drawn] == [
        "auto_kinds_dictionary.png",
        "auto_kinds_loss.png",
    ]
    assert all(Path(path).stat().st_size > 1000 for path in drawn)
    refused = cli("plot", run.path, "--figure", "polytopes")
    assert refused.exit_code == 2
    assert "polytopes" in refused.output
    listed = json.loads(done("list", "--json").stdout)
    assert "dictionary" in {figure["name"] for figure in listed["figures"]}
    assert {"auto_kinds": 15, "auto_density": 6}.items() <= {
        e["name"]: e["models"] for e in listed["experiments"]
    }.items()


@pytest.mark.skipif(chromium() is None and not REQUIRED, reason="Chromium is not here")
def test_the_page_has_the_card_of_the_family(
    explore: Callable[..., Page], out: Path, tmp_path: Path
) -> None:
    shown = superpos.train(["experiment=auto_density", "train.steps=20", "name=shown"], out=out)
    page = explore(Path(done("report", shown.path, "--to", tmp_path / "page.html").stdout.strip()))
    model = page.model
    [heat] = page.drawn("dictionary")
    np.testing.assert_allclose(
        heat["z"], cosines(dictionaries(shown, [model])[0], shown.weights(model)["D"]), atol=2e-3
    )
    assert page.ask("state")["metric"] == "lost"
    assert float(page.shown("found")) == pytest.approx(shown.table["found"][model])
    expect(page.find("map-card")).to_contain_text("p")
    assert page.find("matrix").count() == 0  # of toy models


def test_config_and_dry_run(sweep: list[str], run: Run, out: Path) -> None:
    told = json.loads(done("config", *sweep, "--json", "--out", out).stdout)
    assert told["config"]["family"] == "auto"
    assert told["config"]["auto.n_inputs"] == 2
    assert (told["models"], told["chunks"], told["run"]) == (15, len(KINDS), str(run.path))
    dry = json.loads(done("train", *sweep, "--dry-run", "--json").stdout)
    assert dry["models"] == 15
    steps = 60 * 32 * SEEDS
    assert dry["flops"] == steps * sum(60 * 4 + 2 * (2 * 4 + 12 * latents) for latents in (4, 3, 4))


def test_a_claim_is_verified(tmp_path: Path) -> None:
    told = done("verify", "auto_density", "--quick", "--json", "--out", tmp_path, "--quiet")
    [found] = json.loads(told.stdout)
    assert found["verdict"] == "holds"
    assert found["expected"] == 0.75
    assert found["control"] < found["low"] <= found["measured"]


def test_its_engine_is_benchmarked() -> None:
    told = json.loads(done("bench", "--family", "auto", "--json").stdout)
    rows = {row["side"]: row for row in told["rows"]}
    assert rows.keys() == {"autograd", "engine", "engine, one seed"}
    assert rows["engine"]["engine"] == "fused"
    assert rows["engine"]["n_latents"] == 4
    assert abs(rows["engine"]["z"]) < 5


def test_completion_knows_the_keys(run: Run, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [word for word, _ in suggestions.overrides("auto.", ["family=auto"])]
    assert "auto.decoder=" in keys
    assert [word for word, _ in suggestions.overrides("auto.", []) if word.startswith("auto")] == []
    assert ("auto.decoder=learned", "") in suggestions.overrides("auto.decoder=l", ["family=auto"])
    assert ("auto.decoder=learned", "") in suggestions.overrides(
        "auto.decoder=l", ["experiment=auto_kinds"]
    )
    monkeypatch.chdir(out.parent)
    (out.parent / "outputs").symlink_to(out)
    assert (f"auto.source=outputs/auto_kinds/{run.path.name}", "") in suggestions.overrides(
        "auto.source=", ["family=auto"]
    )
    assert ("family=auto", "") in suggestions.overrides("family=")
    assert "auto_kinds" in dict(suggestions.experiments())


# --- what cannot be is refused --------------------------------------------------------------------

REFUSED = {
    ("wrong value"): (
        ["family=auto", "auto.decoder=frozen"],
        "auto.decoder: got 'frozen'; allowed: learned or",
    ),
    "broken rule": (
        ["family=auto", "auto.decoder=dictionary"],
        "auto.n_latents: 6 with auto.decoder=dictionary; allowed: 5",
    ),
    ("both of two"): (
        ["family=auto", "auto.density=0.1", "auto.sparsity=0.9"],
        "given beside auto.density",
    ),
    "misspelt": (
        ["family=auto", "auto.n_latent=3"],
        "auto.n_latent: unknown key; did you mean auto.n_latents?",
    ),
    "key of toy models": (
        ["family=auto", "data.density=0.1"],
        "data.density: a key of another kind of models",
    ),
    "key of autoencoders": (
        ["auto.density=0.1"],
        "auto.density: a key of another kind of models",
    ),
    "its key in a shared group": (["train.latent_l1=0.1"], "it needs family=auto"),
    "family swept": (["family=tms,auto"], "family: cannot be swept"),
    "unknown family": (
        ["family=autos"],
        "family: there is no 'autos'; did you mean auto? allowed: tms, circuit, sae, transformer, "
        "auto",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_input(name: str, tmp_path: Path) -> None:
    overrides, words = REFUSED[name]
    refused = cli("train", *overrides, "--out", tmp_path)
    assert refused.exit_code == 2
    assert words in refused.output
    assert "Traceback" not in refused.output
    assert not list(tmp_path.iterdir())


STRANGER = """
import json, sys
import superpos
from typer.testing import CliRunner
from superpos.cli import app

path, overrides = json.loads(sys.argv[1])
run = superpos.load(path)
words = {}
for command in (["plot", path], ["report", path], ["train", *overrides], ["status", path]):
    result = CliRunner().invoke(app, command, prog_name="superpos")
    words[command[0]] = [result.exit_code, result.output]
print(json.dumps({
    "family": run.family, "digest": run.digest(), "loss": run.table["loss"].tolist(),
    "active": run.tensor("active", [0]).tolist(),
    "settings": run.by_setting()["dictionaries"].tolist(), "words": words,
}))
"""


def test_a_program_that_does_not_know_the_family(run: Run, sweep: list[str]) -> None:
    given = json.dumps([str(run.path), [f"auto.source={sweep[1]}", "family=auto"]])
    code, stdout, stderr = finished(started([sys.executable, "-c", STRANGER, given]))
    assert code == 0, stderr
    found = json.loads(stdout.splitlines()[-1])
    assert found["family"] is None
    assert found["digest"] == run.digest()
    assert found["loss"] == run.table["loss"].tolist()
    assert found["active"] == run.tensor("active", [0]).tolist()
    assert found["settings"] == run.by_setting()["dictionaries"].tolist()
    for name in ("plot", "report"):
        exit_code, words = found["words"][name]
        assert exit_code == 2
        assert "a run of the family 'auto', which this program does not know" in words
        assert len(words.splitlines()) == 1
    exit_code, words = found["words"]["train"]
    assert exit_code == 2
    assert "family: there is no 'auto'" in words
    assert found["words"]["status"][0] == 0


# --- names and identities -------------------------------------------------------------------------


def test_a_key_that_was_added_later_changes_no_result(
    run: Run, sweep: list[str], tmp_path: Path
) -> None:
    assert "auto.noise" not in pq.read_schema(run.path / "chunks/00000.parquet").names
    assert (run.table["auto.noise"] == 0).all()  # filled in as it is read

    @dataclass(frozen=True)
    class Later(AutoConfig):
        spare: int = key("int", 7, "added after everything else", per_model=True, later=True)

    longer = replace(FAMILY, keys={**KEYS, "auto": Later})
    plain = resolved([*sweep, "seed=0"])
    more = replace(plain, family=longer, base={**plain.base, "auto.spare": 7})
    rows = np.arange(plain.n_models)
    assert "auto.spare" in schema_of(longer).axis_keys
    assert more.run_id == plain.run_id
    assert more.row_ids(rows) == plain.row_ids(rows)
    first, second = (
        superpos.load(runner.train(one, out=tmp_path / name))
        for one, name in ((plain, "a"), (more, "b"))
    )
    assert first.digest() == second.digest()
    noisy = superpos.train([*sweep, "seed=0", "auto.noise=0.1"], out=tmp_path)
    assert "auto.noise" in pq.read_schema(noisy.path / "chunks/00000.parquet").names
    assert (noisy.table["loss"] > first.table["loss"]).all()


def test_keys_that_say_the_same(run: Run, sweep: list[str]) -> None:
    density, sparsity = (
        resolved([*sweep, f"auto.{name}"]) for name in ("density=0.2", "sparsity=0.8")
    )
    assert density.run_id == run.path.name  # what neither says
    assert sparsity.settings.columns(np.arange(15))["auto.density"].tolist() == [0.2] * 15
    assert (sparsity.base["auto.density"], sparsity.base["auto.sparsity"]) == (None, 0.8)
    told = compose(["experiment=auto_density", "auto.sparsity=0.5"]).sweep
    assert told.swept == ("seed",)  # in the place of the axis that says the same


def test_names_of_families() -> None:
    superpos.register(FAMILY)
    assert seam.names() == ["tms", "circuit", "sae", "transformer", "auto"]
    with pytest.raises(ValueError, match="there is a family 'auto' already"):
        superpos.register(replace(FAMILY, loss="another"))
    with pytest.raises(ValueError, match="there is a family 'tms' already"):
        superpos.register(replace(FAMILY, name="tms"))
    for name in ("../auto", "class", "a b"):
        with pytest.raises(ValueError, match="a family cannot be called"):
            superpos.register(replace(FAMILY, name=name))
    with pytest.raises(TypeError, match=r"got 3; allowed: a superpos\.family\.Family"):
        superpos.register(3)  # type: ignore[arg-type]


def test_a_family_of_this_process_alone_is_not_submitted(tmp_path: Path) -> None:
    refused = cli("submit", "family=auto", "--shards", "1", "--print", "--out", tmp_path)
    assert refused.exit_code == 2
    assert "auto is registered in this process alone" in refused.output
    assert not list(tmp_path.iterdir())
    seam.forget("auto")
    assert seam.names() == ["tms", "circuit", "sae", "transformer"]
    with pytest.raises(seam.UnknownFamilyError):
        seam.forget("tms")
    superpos.register(FAMILY)


def test_the_manifest_says_what_a_run_of_any_family_means(run: Run) -> None:
    sealed = {name: run.manifest[name] for name in ("family", "label", "loss")}
    assert sealed == {
        "family": "auto",
        "label": ["dictionary", "dictionaries"],
        "loss": FAMILY.loss,
    }


def test_toy_models_are_what_they_were() -> None:
    kept = json.loads((TESTS / "ids.json").read_text())["intro"]
    toy = compose(["experiment=intro"]).sweep
    assert toy.run_id == kept["run"]
    assert "family" not in toy.to_json()["values"]
    assert not [
        name for name in toy.columns(np.arange(1)) if "auto" in name or name == "train.latent_l1"
    ]
    assert toy.base["train.optimizer"] == "adamw"
