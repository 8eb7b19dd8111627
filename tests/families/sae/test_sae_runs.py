"""Runs of sparse autoencoders: bits that depend on the row alone, columns, sources, stops and
shards, wrong input.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import superpos
from superpos.cli import app
from superpos.compose.compose import compose
from superpos.engines.machine import torch_threads
from superpos.errors import TrainingInterruptedError
from superpos.families.sae import metrics, theory
from superpos.families.sae.analysis.worlds import world as world_of
from superpos.families.sae.counts import MOST, edges_of
from superpos.families.sae.world.taken import Taken
from superpos.store import Run
from superpos.training import runner

pytestmark = pytest.mark.slow

ROOT = Path(superpos.__file__).parents[1]
SMALL = [
    "family=sae",
    "world.n_features=6",
    "world.n_dims=4",
    "world.active=1",
    "train.batch_size=32",
    "train.lr=0.01",
]
SHORT = [*SMALL, "train.steps=40", "record.loss_every=10"]
KINDS: dict[str, list[str]] = {
    "l1": ["sae.l1=0.01,0.1"],
    "tied": [
        "sae.l1=0.01,0.1",
        "sae.tied=true",
        "sae.decoder_bias=false",
        "sae.start=truth,random,truth+noise",
    ],
    "topk": ["sae.kind=topk", "sae.k=1,2", "sae.anneal_k=2"],
    "batchtopk": ["sae.kind=batchtopk", "sae.k=0.7,1.5", "sae.restart_every=10", "sae.aux_k=2"],
    "jumprelu": ["sae.kind=jumprelu", "sae.l0=0.001,0.02", "sae.theta=0.05"],
    "gated": [
        "sae.kind=gated",
        "sae.l1=0.01,0.1",
        "sae.prefixes=[2,6]",
        "sae.prefix_weights=[0.5,1]",
    ],
    "noise": ["world.noise=0,0.1", "world.correlation=low_rank", "sae.expansion=2"],
    "tree": [
        "world.tree=[{p:0.3,children:[0.5,0.2],exclusive:true}]",
        "world.magnitude=lognormal",
        "world.active=0.5",
    ],
    "exactly": ["world.exactly=2", "world.active=3", "sae.frozen=decoder", "sae.start=truth"],
}
TOY = [
    "name=toys", "model.n_features=4", "model.n_hidden=2", "train.steps=300", "train.batch_size=64",
    "train.lr=0.01", "data.density=0.1,0.3", "seed=0,1,2",
]  # fmt: skip


def cli(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="superpos")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def toys(out: Path) -> Run:
    """A run of toy models."""
    return superpos.train(TOY, out=out)


def given(options: list[str]) -> list[str]:
    """The small setting with other values of some keys, or their defaults."""
    own = {option.partition("=")[0] for option in options}
    kept = [option for option in SHORT if option.partition("=")[0] not in own]
    return kept + [option for option in options if not option.endswith("=default")]


# --- a result depends on its row alone ------------------------------------------------------------


ENGINES = [
    *((kind, "auto") for kind in KINDS),
    *((kind, "reference") for kind in ("l1", "batchtopk", "jumprelu")),
]


@pytest.mark.parametrize(("kind", "backend"), ENGINES)
def test_a_row_alone_is_the_row_in_the_sweep(kind: str, backend: str, tmp_path: Path) -> None:
    own = [f"engine.backend={backend}", "record.snapshots=2"]
    sweep = given([*KINDS[kind], "world.seed=0,1", "seed=0,1", "name=many", *own])
    many = superpos.train(sweep, out=tmp_path)
    assert many.complete
    row = many.n_models - 2
    values = many.table.loc[row]
    swept = [f"{key}={values[key]}" for key in many.swept]
    alone = superpos.train(given([*_last(KINDS[kind]), *swept, *own]), out=tmp_path)
    assert alone.n_models == 1
    assert alone.table["row_id"][0] == values["row_id"]
    assert_same(alone, 0, many, row)


def _last(options: list[str]) -> list[str]:
    """Options without those that are swept."""
    return [option for option in options if "," not in option or "[" in option]


def assert_same(run: Run, model: int, other: Run, row: int) -> None:
    """Two models with equal tensors, histories and results, bit for bit."""
    expected = other.weights(row)
    found = run.weights(model)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    np.testing.assert_array_equal(run.history(model)[1], other.history(row)[1])
    results = [name for name in other.table.columns if "." not in name and name != "model"]
    pd.testing.assert_series_equal(
        run.table.loc[model, results],
        other.table.loc[row, results],
        check_names=False,
        check_dtype=False,
    )


@pytest.mark.parametrize("kind", ["batchtopk", "jumprelu"])
def test_stretches_and_stops_change_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = given([*KINDS[kind], "seed=0,1,2"])
    whole = superpos.train(sweep, out=tmp_path / "whole")
    monkeypatch.setattr("superpos.training.runner.STRETCH_SECONDS", 0.0)  # a look after every step
    looks = iter(range(1000))
    with pytest.raises(TrainingInterruptedError):
        runner.train(compose(sweep).sweep, out=tmp_path / "parts", stop=lambda: next(looks) > 17)
    again = superpos.train(sweep, out=tmp_path / "parts")
    assert again.digest() == whole.digest()


# --- what a run holds -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(out: Path) -> Run:
    """Autoencoders that find most features of orthonormal worlds, of two sizes."""
    overrides = [
        "family=sae", "name=trained", "world.n_features=6", "world.n_dims=6",
        "world.dictionary=orthonormal", "world.active=0.6", "world.frequency=constant",
        "sae.latents=4,8", "sae.l1=0.05", "sae.start=truth", "train.steps=150",
        "train.batch_size=64", "train.lr=0.01", "seed=0,1", "train.lr_schedule=linear",
    ]  # fmt: skip
    return superpos.train(overrides, out=out)


def test_columns_and_tensors(trained: Run) -> None:
    table = trained.table
    columns = [
        *(
            "mmcs",
            "chance",
            "mcc",
            "found_90",
            "found_95",
            "f1",
            "precision",
            "recall",
            "l0",
            "l0_train",
            "fvu",
        ),
        *("dead", "gamma", "unique", "c_dec", "absorption", "loss_recovered"),
    ]
    assert list(table.columns[table.columns.get_loc("backend") + 1 :][: len(columns)]) == columns
    assert table["absorption"].isna().all()
    assert table["loss_recovered"].isna().all()
    assert (table["mmcs"] > table["chance"]).all()
    assert table["sae.expansion"].isna().all()
    names = {"E", "D", "b_e", "b_d", "theta", "best_cos", "best_latent", "f1", "recall", "rate"}
    for model in range(trained.n_models):
        found = trained.weights(model)
        m = table["sae.latents"][model]
        assert found.keys() == names
        assert {name: value.shape for name, value in found.items()} == {
            **dict.fromkeys(("E", "D"), (m, 6)),
            **dict.fromkeys(("b_e", "theta", "rate"), (m,)),
            **dict.fromkeys(("best_cos", "best_latent", "f1", "recall", "b_d"), *[(6,)]),
        }
        np.testing.assert_allclose(np.linalg.norm(found["D"], axis=1), 1, rtol=1e-5)


def test_columns_are_what_the_tensors_say(trained: Run) -> None:
    for model in (0, 3):
        row, found = trained.table.loc[model], trained.weights(model)
        alive = found["rate"] > 0
        C = metrics.cosines(world_of(trained, model).features, found["D"], alive)
        np.testing.assert_allclose(found["best_cos"], C.max(1), rtol=1e-6)
        assert row["mmcs"] == pytest.approx(found["best_cos"].mean())
        assert row["found_90"] == (found["best_cos"] > 0.9).mean()
        assert row["l0"] == pytest.approx(found["rate"].sum())
        assert row["dead"] == 1 - alive.mean()
        assert row["f1"] == pytest.approx(found["f1"].mean())


def test_scores_are_those_of_a_count_by_hand(trained: Run) -> None:
    world, found, row = world_of(trained, 0), trained.weights(0), trained.table.loc[0]
    samples = range(MOST)
    x, c = (
        made(True, 0, samples, "cpu").double().numpy() for made in (world.activations, world.codes)
    )
    f = np.maximum((x - found["b_d"]) @ found["E"].T + found["b_e"], 0)
    out = f @ found["D"] + found["b_d"]
    assert row["l0"] == pytest.approx((f > 0).sum(1).mean(), rel=1e-3)
    assert row["fvu"] == pytest.approx(
        ((x - out) ** 2).sum() / ((x - x.mean(0)) ** 2).sum(), rel=1e-4
    )
    assert row["gamma"] == pytest.approx((x * out).sum() / (out**2).sum(), rel=1e-4)
    fires, active = f[:, found["best_latent"]] > 0, c > 0
    np.testing.assert_allclose(found["recall"], (fires & active).sum(0) / active.sum(0), rtol=1e-3)
    f1 = 2 * (fires & active).sum(0) / (fires.sum(0) + active.sum(0))
    np.testing.assert_allclose(found["f1"], f1, rtol=1e-3)


def test_a_table_of_the_features(trained: Run) -> None:
    table = trained.features(0)
    columns = ["feature", "p", "represented", "best_latent", "cosine", "f1", "recall"]
    assert list(table.columns) == columns
    assert table["represented"].all()
    np.testing.assert_allclose(table["p"], 0.1, atol=1e-8)
    assert table["best_latent"].tolist()[:4] == [0, 1, 2, 3]
    assert (table["cosine"][:4] > 0.95).all()
    assert (table["cosine"][4:] < 0.7).all()  # four latents


def test_scores_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    """Threads take one model each; five models are no multiple of two or three threads."""
    digests = set()
    for threads in (1, 2, 3):
        with torch_threads(threads):
            run = superpos.train(
                [*SMALL, "train.steps=3", "name=threads", "seed=range(5)"],
                out=tmp_path / str(threads),
            )
        digests.add(run.digest())
    assert len(digests) == 1


def test_seeds_are_compared(trained: Run) -> None:
    by_setting = trained.by_setting()
    assert by_setting["models"].tolist() == [2, 2]
    D, rate = (trained.tensor(name, [2, 3]) for name in ("D", "rate"))
    assert by_setting["pw_mcc"][1] == pytest.approx(metrics.pairwise_mcc(D, rate > 0))
    assert by_setting["pw_mcc"][0] > 0.9  # both start at the truth


def test_the_threshold_of_a_kind_is_public(out: Path) -> None:
    run = superpos.train([*given(["sae.kind=batchtopk", "sae.k=1"]), "name=threshold"], out=out)
    found = run.weights(0)
    assert len(set(found["theta"].tolist())) == 1
    assert found["theta"][0] > 0
    assert "threshold" not in found


def test_untrained_autoencoders_are_at_chance(out: Path) -> None:
    control = given(
        [
            "train.steps=0",
            "world.n_dims=16",
            "world.n_features=32",
            "seed=range(0,8)",
            "name=untrained",
        ]
    )
    run = superpos.train(control, out=out)
    spread = run.table["mmcs"].std() / 8**0.5
    assert abs(run.table["mmcs"].mean() - run.table["chance"][0]) < 5 * spread + 0.01


def test_absorption_is_measured_where_there_is_a_tree(out: Path) -> None:
    tree = [
        "world.tree=[{p:0.3,children:[0.5]}]",
        "world.n_features=2",
        "world.n_dims=4",
        "world.magnitude=one",
    ]
    tree += ["world.active=default"]
    run = superpos.train(
        given(
            [*tree, "world.dictionary=orthonormal", "sae.start=truth", "train.steps=0", "name=tree"]
        ),
        out=out,
    )
    edges = edges_of(world_of(run, 0))
    assert (edges.parents.tolist(), edges.children.tolist()) == ([0], [1])
    # the truth's parent latent is on with its child, too
    assert run.table["absorption"].tolist() == [0]


def test_a_latent_that_is_off_with_a_child_and_on_without_any_is_absorbed(out: Path) -> None:
    """Nabeshima's tree in small: exclusive children of a parent, whose latent they take over."""
    tree = [
        "world.tree=[{p:0.4,exclusive:true,children:[0.3,0.3]}]",
        "world.n_features=3",
        "world.n_dims=3",
    ]
    tree += ["world.active=default"]
    own = [
        "world.dictionary=orthonormal",
        "world.magnitude=one",
        "sae.l1=0.05",
        "sae.decoder_bias=false",
        "seed=0,1,2",
    ]
    longer = ["train.steps=2000", "train.batch_size=128", "train.lr_schedule=linear"]
    run = superpos.train([*given([*tree, *own, *longer]), "name=absorbed"], out=out)
    absorbed = run.table["loss"] < run.table["loss"].min() * 1.01
    both = 0.4 * 0.6  # a parent with a child
    exact = (
        0.4 * theory.code_cost(1, 0.05)
        + both * theory.code_cost(1, 0.05)
        - theory.absorption_gain(0.05, both)
    )
    assert run.table["loss"].min() == pytest.approx(exact, rel=0.01)
    assert (run.table["absorption"][absorbed] > 0.99).all()
    cosines = run.tensor("D") @ world_of(run, 0).features.T  # of latents and features
    for model in np.flatnonzero(absorbed):
        of_child = cosines[model][cosines[model][:, 1].argmax()]
        np.testing.assert_allclose(of_child[:2], 0.5**0.5, atol=0.01)


def test_batchtopk_ends_at_its_exact_threshold(out: Path) -> None:
    """From the truth, with k 10% and 30% below the number of active features."""
    world = [
        "world.n_features=8",
        "world.n_dims=8",
        "world.dictionary=orthonormal",
        "world.frequency=constant",
    ]
    kind = [
        "world.active=0.8",
        "sae.kind=batchtopk",
        "sae.k=0.72,0.56",
        "sae.decoder_bias=false",
        "sae.start=truth",
    ]
    long = ["train.steps=600", "train.batch_size=512", "train.lr=0.003", "train.lr_schedule=linear"]
    run = superpos.train(["family=sae", *world, *kind, *long, "name=least"], out=out)
    theta, error = theory.batchtopk_threshold(0.8, [0.72, 0.56])
    np.testing.assert_allclose(run.tensor("theta")[:, 0], theta, rtol=0.02)
    np.testing.assert_allclose(run.table["loss"], error, rtol=0.03)


def test_worlds_are_kept_once(trained: Run, out: Path) -> None:
    assert list(trained.folder.shared_states()) == ["worlds"]
    assert [value.shape for value in trained.shared("worlds").values()] == [(6, 6)]
    run = superpos.train(
        given(["world.seed=0,1", "sae.l1=0.1,0.2", "train.steps=1", "name=two"]), out=out
    )
    assert len(run.shared("worlds")) == 2


def test_near_cosines_are_two_worlds(out: Path) -> None:
    """They agree in six digits, yet each has its own dictionary, whatever stands beside it."""
    near = ["0.1234561", "0.1234564"]
    world = given(
        ["world.dictionary=cosine", "world.n_dims=6", "train.steps=2", "record.loss_every=1"]
    )
    both = superpos.train([*world, f"world.cosine={','.join(near)}", "name=near"], out=out)
    for row, cosine in enumerate(near):
        alone = superpos.train([*world, f"world.cosine={cosine}", "name=near"], out=out)
        assert_same(alone, 0, both, row)


@pytest.mark.parametrize("backend", ["reference", "fused"])
def test_a_diverged_autoencoder_is_marked_and_disturbs_none(backend: str, out: Path) -> None:
    overrides = given(
        ["train.lr=0.01,1e30", f"engine.backend={backend}", f"name=diverged-{backend}"]
    )
    run = superpos.train(overrides, out=out)
    assert run.table["status"].tolist() == ["ok", "diverged"]
    assert run.table["diverged_at"][1] == 0
    assert all(np.isfinite(value).all() for value in run.weights(1).values())


# --- other runs' models ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def decoded(toys: Run, out: Path) -> Run:
    """Autoencoders of the best toy model of each density."""
    overrides = [
        "family=sae",
        f"sae.source={toys.path}",
        "sae.models=best:1",
        "sae.l1=0.03,0.3",
        "name=decoded",
    ]
    return superpos.train(
        [*overrides, "train.steps=200", "train.lr=0.01", "train.batch_size=64"], out=out
    )


def test_a_source_becomes_an_axis_of_its_models(decoded: Run, toys: Run) -> None:
    best = toys.by_setting()["best"].tolist()
    assert decoded.swept == ["sae.model", "sae.l1"]
    assert decoded.table["sae.model"].tolist() == [best[0], best[0], best[1], best[1]]
    assert set(decoded.table["sae.source"]) == {toys.digest()[:16]}
    assert set(decoded.table["world.n_features"]) == {4}
    assert set(decoded.table["world.n_dims"]) == {2}
    assert not any(str(toys.path) in str(value) for value in json.dumps(decoded.manifest["plan"]))


def test_features_of_a_source_are_its_rows_and_their_activations(decoded: Run, toys: Run) -> None:
    world = world_of(decoded, 3)
    assert isinstance(world, Taken)
    model = int(decoded.table["sae.model"][3])
    W = toys.weights(model)["W"]
    np.testing.assert_array_equal(world.features, W)
    for evaluation in (False, True):
        codes, x = (
            made(evaluation, 2, range(64), "cpu") for made in (world.codes, world.activations)
        )
        np.testing.assert_allclose(x, codes.numpy() @ W, atol=1e-6)
        p = toys.table["data.density"][model]
        assert abs((codes > 0).double().mean() - p) < 5 * (p / 256) ** 0.5
    assert (world.codes(False, 0, range(64)) != world.codes(False, 1, range(64))).any()
    scored = np.linalg.norm(W, axis=1) > 0.5
    cosines = decoded.weights(3)["best_cos"]
    assert decoded.table["mmcs"][3] == pytest.approx(cosines[scored].mean())
    table = decoded.features(3)
    np.testing.assert_array_equal(table["represented"], scored)


def test_features_that_a_source_does_not_represent_are_marked(out: Path) -> None:
    dense = ["model.n_features=3", "model.n_hidden=1", "data.density=1", "importance.decay=0.3"]
    toy = superpos.train([*dense, "train.steps=300", "train.lr=0.03", "name=dense"], out=out)
    short = ["train.steps=5", "sae.latents=3", "name=of_dense"]
    table = superpos.train(["family=sae", f"sae.source={toy.path}", *short], out=out).features(0)
    assert table["represented"].tolist() == [True, False, False]


def test_the_loss_that_is_recovered_is_the_toy_models(decoded: Run, toys: Run) -> None:
    row, world = decoded.table.loc[0], world_of(decoded, 0)
    assert isinstance(world, Taken)
    found, toy = decoded.weights(0), toys.weights(row["sae.model"])
    c = world.codes(True, 0, range(MOST)).double().numpy()
    x = c @ toy["W"]
    f = np.maximum((x - found["b_d"]) @ found["E"].T + found["b_e"], 0)

    def loss(hidden: np.ndarray) -> float:
        return float(((c - np.maximum(hidden @ toy["W"].T + toy["b"], 0)) ** 2).sum(1).mean())

    mean, own = loss(x.mean(0)), loss(x)
    assert row["loss_recovered"] == pytest.approx(
        (mean - loss(f @ found["D"] + found["b_d"])) / (mean - own), rel=1e-3
    )


def test_a_run_of_a_source_stands_alone(decoded: Run, toys: Run, tmp_path: Path) -> None:
    """Trained again from its own folder's file, by the digest: the source is not there any more."""
    copy = tmp_path / "decoded" / decoded.path.name
    shutil.copytree(decoded.path, copy)
    for chunk in (copy / "chunks").iterdir():
        chunk.unlink()
    digest = toys.digest()[:16]
    models = sorted(set(decoded.table["sae.model"]))
    overrides = [
        f"sae.source={digest}",
        f"sae.model={','.join(map(str, models))}",
        "sae.l1=0.03,0.3",
        "name=decoded",
    ]
    sizes = ["world.n_features=4", "world.n_dims=2"]
    again = superpos.train(
        [
            "family=sae",
            *overrides,
            *sizes,
            "train.steps=200",
            "train.lr=0.01",
            "train.batch_size=64",
        ],
        out=tmp_path,
    )
    assert again.path.name == decoded.path.name
    assert again.digest() == decoded.digest()


def test_batches_of_a_source_are_keyed_by_the_seed_of_the_world(toys: Run, out: Path) -> None:
    overrides = [
        "family=sae",
        f"sae.source={toys.path}",
        "sae.models=[0]",
        "train.steps=2",
        "train.batch_size=8",
    ]
    run = superpos.train([*overrides, "seed=0,1", "world.seed=0,1", "name=keyed"], out=out)
    batches = [world_of(run, model).codes(False, 0, range(8)).numpy() for model in range(4)]
    seeds = run.table["world.seed"].tolist()
    for i in range(4):
        for j in range(4):
            assert (batches[i] == batches[j]).all() == (seeds[i] == seeds[j])


# --- stops, shards --------------------------------------------------------------------------------


def test_killed_resumed_and_sharded_it_is_the_same(tmp_path: Path) -> None:
    sweep = [
        *SMALL,
        "train.steps=60",
        "sae.kind=batchtopk",
        "sae.k=0.7,1.5",
        "sae.restart_every=20",
    ]
    sweep += ["sae.latents=range(4,7)", "world.seed=0,1", "name=stopped"]
    whole = superpos.train(sweep, out=tmp_path / "whole")
    command = [
        sys.executable,
        "-m",
        "superpos",
        "train",
        *sweep,
        "--quiet",
        "--out",
        str(tmp_path / "killed"),
    ]
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
    )
    while process.poll() is None and not list(
        (tmp_path / "killed").glob("stopped/*/chunks/00001.json")
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not superpos.load(tmp_path / "killed" / "stopped").complete
    assert superpos.train(sweep, out=tmp_path / "killed").digest() == whole.digest()
    for shard in range(2):
        superpos.train(sweep, out=tmp_path / "sharded", shard=(shard, 2))
    assert superpos.load(tmp_path / "sharded" / "stopped").digest() == whole.digest()
