"""Wrong input of sparse autoencoders: one message, exit code 2, nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import superpos
from superpos.cli import app
from superpos.compose.compose import compose
from superpos.config.schema import schema_of
from superpos.errors import ConfigError
from superpos.families.sae import FAMILY
from superpos.families.sae.keys import OF_KIND

pytestmark = pytest.mark.slow

TREE = "world.tree=[{p:0.3,exclusive:true,children:[0.6,0.5]}]"
SMALL = ["world.n_features=4", "world.n_dims=3", "world.active=1"]

WRONG: dict[str, tuple[list[str], str]] = {
    "k above the latents": (
        ["sae.kind=topk", "sae.k=5", "sae.latents=4"],
        "sae.k: 5 of 4 latents; allowed: at most that many",
    ),
    ("k above G"): (
        ["sae.kind=batchtopk", "sae.k=4.5", *SMALL],
        "sae.k: 4.5 of 4 latents; allowed: at most that many",
    ),
    "k of which a batch has none": (
        ["sae.kind=batchtopk", "sae.k=0.01,0.25", "train.batch_size=32"],
        "sae.k: 0.01 keeps nothing of a batch of 32 (train.batch_size); allowed: at least 0.015625",
    ),
    "a penalty of topk": (
        ["sae.kind=topk", "sae.k=2", "sae.l1=0.1"],
        "sae.l1: 0.1 with sae.kind=topk; it belongs to sae.kind=l1 and gated",
    ),
    ("k of l1"): (
        ["sae.k=3"],
        "sae.k: 3.0 with sae.kind=l1; it belongs to sae.kind=topk and batchtopk",
    ),
    "l0 of l1": (["sae.l0=0.1"], "sae.l0: 0.1 with sae.kind=l1; it belongs to sae.kind=jumprelu"),
    "theta of topk": (
        ["sae.kind=topk", "sae.k=2", "sae.theta=0.2"],
        "sae.theta: 0.2 with sae.kind=topk; it belongs to sae.kind=jumprelu",
    ),
    ("bandwidth of l1"): (
        ["sae.bandwidth=0.2"],
        "sae.bandwidth: 0.2 with sae.kind=l1; it belongs to sae.kind=jumprelu",
    ),
    "annealed l1": (["sae.anneal_k=5"], "sae.anneal_k: 5.0 with sae.kind=l1"),
    "aux of l1": (["sae.aux_k=5"], "sae.aux_k: 5 with sae.kind=l1"),
    "aux above the latents": (
        ["sae.kind=topk", "sae.k=1", "sae.aux_k=5", *SMALL],
        "sae.aux_k: 5 of 4 latents; allowed: at most that many",
    ),
    "topk without k": (["sae.kind=topk"], "sae.k: not given; sae.kind=topk needs it"),
    "a part of a latent": (
        ["sae.kind=topk", "sae.k=1.5"],
        "sae.k: 1.5 with sae.kind=topk; allowed: an integer (batchtopk takes fractions)",
    ),
    "a factor of 1": (
        ["sae.kind=topk", "sae.k=1", "sae.anneal_k=1"],
        "sae.anneal_k: 1; allowed: 0, or above 1",
    ),
    "a penalty of topk that grows": (
        ["sae.kind=topk", "sae.k=1", "train.penalty_warmup=0.2"],
        "train.penalty_warmup: 0.2 with sae.kind=topk, which has no penalty; leave it out",
    ),
    "a decay beside exactly": (
        ["world.exactly=2", "world.decay=0.5"],
        "world.decay: given beside world.exactly, where all are equally often active",
    ),
    "a law beside a tree of all": (
        ["world.tree=[{p:0.3,children:[0.6]}]", "world.n_features=2", "world.active=1"],
        "world.active: given beside world.tree, which names all 2 features; leave it out",
    ),
    "a factor below 1": (
        ["sae.kind=topk", "sae.k=1", "sae.anneal_k=0.5"],
        "sae.anneal_k: 0.5; allowed: 0, or above 1",
    ),
    "a tree above 1": (
        [TREE],
        "world.tree: exclusive children of probabilities that sum to 1.1; allowed: at most 1",
    ),
    "a tree above G": (
        ["world.tree=[{p:0.3,children:[0.6,0.5,0.1,0.2]}]", *SMALL],
        "world.tree: 5 features; allowed: at most world.n_features=4",
    ),
    ("no tree"): (
        ["world.tree=3"],
        "world.tree: got 3; allowed: a list of {p, exclusive, alone, children: [q or",
    ),
    ("a tree with another word"): (
        ["world.tree=[{q:0.3}]"],
        "world.tree: got [{'q': 0.3}]; allowed: a list of {p,",
    ),
    ("a probability above 1"): (
        ["world.tree=[{p:1.3}]"],
        "world.tree: got [{'p': 1.3}]; allowed: a list of {p,",
    ),
    "more than G": (
        ["world.exactly=5", "world.n_features=4"],
        "world.exactly: 5 of 4 features; allowed: at most world.n_features",
    ),
    "a law beside exactly": (
        ["world.exactly=2", "world.active=2"],
        "world.active: given beside world.exactly, where all are equally often active",
    ),
    "two laws": (
        ["world.exactly=2", "world.tree=[{p:0.3}]"],
        "world.tree: given beside world.exactly; give one of the two",
    ),
    "correlations twice": (
        ["world.rho=[1,0.5]", "world.n_features=2", "world.active=1", "world.correlation=pairs"],
        "world.correlation: given beside world.rho; give one of the two",
    ),
    "orthonormal with too many": (
        ["world.dictionary=orthonormal"],
        "world.dictionary: orthonormal with 128 features in 64 dimensions; allowed: at most 64 "
        "(world.n_features)",
    ),
    "cosine infeasible": (
        ["world.dictionary=cosine", "world.cosine=-0.5", *SMALL],
        "world.cosine: -0.5 between all of 4 features; allowed: at least -0.3333",
    ),
    "cosine of a sphere": (
        ["world.cosine=0.5"],
        "world.cosine: 0.5 with world.dictionary=sphere; it belongs to cosine",
    ),
    ("exponent of geometric"): (
        ["world.exponent=2"],
        "world.exponent: 2.0 with world.frequency=geometric",
    ),
    ("decay of zipf"): (
        ["world.frequency=zipf", "world.decay=0.5"],
        "world.decay: 0.5 with world.frequency=zipf",
    ),
    "sigma of uniform": (["world.sigma=1"], "world.sigma: 1.0 with world.magnitude=uniform"),
    ("rank of none"): (
        ["world.rank=2"],
        "world.rank: 2 with world.correlation=none; it belongs to low_rank",
    ),
    "strength of none": (["world.strength=0.2"], "world.strength: 0.2 with world.correlation=none"),
    "too many active": (
        ["world.frequency=constant", "world.active=5", "world.n_features=4"],
        "world.active: 5 of 4 features by world.frequency=constant gives one probability 1.25; "
        "allowed: at most 1",
    ),
    "a first feature that is too frequent": (
        ["world.frequency=zipf", "world.active=10"],
        "world.active: 10 of 128 features by world.frequency=zipf gives one probability 1.84; "
        "allowed: at most 1",
    ),
    ("rho of another size"): (
        ["world.rho=[1,0.5]", *SMALL],
        "world.rho: 2 features; allowed: world.n_features=4",
    ),
    "rho with another diagonal": (
        ["world.rho=[0.5,0.5]", "world.n_features=2", "world.active=1"],
        "world.rho: a feature has another correlation with itself than 1",
    ),
    "rho that cannot be": (
        ["world.rho=[1,0.8,0.8]", "world.n_features=3", "world.active=1"],
        "world.rho: the squares of the row sum above 1; no features have such correlations",
    ),
    "a matrix that cannot be": (
        [
            "world.rho=[[1,0.9,-0.9],[0.9,1,0.9],[-0.9,0.9,1]]",
            "world.n_features=3",
            "world.active=1",
        ],
        "world.rho: not positive semidefinite; no features have it",
    ),
    "a matrix that is not symmetric": (
        ["world.rho=[[1,0.9],[0.8,1]]", "world.n_features=2", "world.active=1"],
        "world.rho: not symmetric",
    ),
    ("latents twice"): (
        ["sae.latents=4", "sae.expansion=2"],
        "sae.expansion: 2 beside sae.latents=4; give one",
    ),
    ("prefixes that end early"): (
        ["sae.prefixes=[2,3]", *SMALL],
        "sae.prefixes: the last is 3; allowed: all 4 latents",
    ),
    ("prefixes that fall"): (
        ["sae.prefixes=[3,2,4]", *SMALL],
        "sae.prefixes: got [3, 2, 4]; allowed: rising integers",
    ),
    ("weights without prefixes"): (
        ["sae.prefix_weights=2"],
        "sae.prefix_weights: 2.0 without sae.prefixes",
    ),
    "weights of another number": (
        ["sae.prefixes=[2,4]", "sae.prefix_weights=[1,2,3]", *SMALL],
        "sae.prefix_weights: a list of 3; allowed: 2 numbers, one a prefix",
    ),
    "tied gates": (["sae.kind=gated", "sae.tied=true"], "sae.tied: true with sae.kind=gated"),
    ("all frozen"): (
        ["sae.tied=true", "sae.frozen=decoder"],
        "sae.tied: true with sae.frozen=decoder",
    ),
    ("models of nothing"): (
        ["sae.models=[1]"],
        "sae.models: [1] without sae.source; they are models of it",
    ),
    ("a model of nothing"): (
        ["sae.model=1"],
        "sae.model: 1 without sae.source; it is a model of that run",
    ),
    "a key of toy models": (
        ["model.n_features=3"],
        "model.n_features: a key of another kind",
    ),
    "no source": (["sae.source=nowhere"], "sae.source: "),
    **{
        f"{name} for {key}": ([f"{name}=0.2"], f"{name}: unknown key; did you mean {key}?")
        for name, key in {
            "sae.lambda": "sae.l1",
            "sae.lamda": "sae.l1",
            "lambda": "sae.l1",
            "sae.sparsity": "sae.l1",
            "sae.l1_coefficient": "sae.l1",
            "sae.top_k": "sae.k",
        }.items()
    },
    "no active latents": (["sae.kind=topk", "sae.k=0"], "sae.k: got 0; allowed: a number, above 0"),
}


def refused(overrides: list[str], out: Path) -> str:
    """What a training says that is refused; it wrote nothing."""
    before = sorted(out.rglob("*"))
    found = CliRunner().invoke(
        app, ["train", "family=sae", *overrides, "--out", str(out)], prog_name="superpos"
    )
    assert found.exit_code == 2, found.output
    assert sorted(out.rglob("*")) == before
    return " ".join(found.output.split())


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input(case: str, tmp_path: Path) -> None:
    overrides, message = WRONG[case]
    said = refused(overrides, tmp_path)
    assert f"superpos: {message}" in said
    assert "faults" not in said  # one message, not the same said twice


def test_one_message_for_a_sweep(tmp_path: Path) -> None:
    said = refused(["sae.kind=l1,topk,batchtopk", "sae.l1=0.1,0.2", "sae.k=2"], tmp_path)
    assert (
        "sae.l1: 0.1 with sae.kind=topk; it belongs to sae.kind=l1 and gated (and 3 more "
        "combinations)" in said
    )


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of toy models."""
    overrides = ["name=toys", "model.n_features=4", "model.n_hidden=2", "train.steps=5", "seed=0,1"]
    return superpos.train(overrides, out=tmp_path_factory.mktemp("toys")).path


def own(x: torch.Tensor) -> torch.Tensor:
    """Data of a user's own."""
    return 2 * x


def test_sources_that_do_not_fit(toys: Path, tmp_path: Path) -> None:
    source = f"sae.source={toys}"
    cases = {
        "follows from sae.source; leave it out": [source, "world.n_features=5"],
        "given beside sae.source, whose models have their own data": [source, "world.active=2"],
        ("sae.model: follows from sae.source; leave it out; give sae.models"): [
            source,
            "sae.model=1",
        ],
        "is none of its results": [source, "sae.models=[0,7]"],
        "world beside a run; give one of the two": [f"sae.source=world,{toys}"],
        "sae.k: 5 of 4 latents; allowed: at most that many": [source, "sae.kind=topk", "sae.k=5"],
        "sae.models: cannot be swept; give one list": [source, "sae.models=all,best:1"],
        "sae.models: got 'best'; allowed: all, best:K": [source, "sae.models=best"],
        ("where the run of digest 0123456789abcdef lies is not known"): [
            "sae.source=0123456789abcdef"
        ],
    }
    for message, overrides in cases.items():
        said = refused(overrides, tmp_path)
        assert message in said, said


def test_an_unfinished_source_is_refused(tmp_path: Path) -> None:
    sweep = ["name=toys", "model.n_features=4,5", "train.steps=5", "train.batch_size=8"]
    part = superpos.train(sweep, out=tmp_path / "toys", shard=(0, 2))
    assert "is not finished; train it first" in refused([f"sae.source={part.path}"], tmp_path)


def test_a_source_with_own_functions_is_refused(tmp_path: Path) -> None:
    run = superpos.train(
        ["name=own", "train.steps=2", "train.batch_size=8"], data=own, out=tmp_path / "toys"
    )
    assert "was trained with functions of one's own (data=own)" in refused(
        [f"sae.source={run.path}"], tmp_path
    )


def test_a_source_without_a_hidden_layer_is_refused(tmp_path: Path) -> None:
    run = superpos.train(
        ["family=sae", *SMALL, "train.steps=1", "train.batch_size=8"], out=tmp_path / "saes"
    )
    said = refused([f"sae.source={run.path}"], tmp_path)
    assert "(family=sae) have no features in a hidden layer" in said


def test_a_source_with_fixed_points_is_refused(tmp_path: Path) -> None:
    run = superpos.train(["name=points", "data.n_points=8", "train.steps=2"], out=tmp_path / "toys")
    assert "has a fixed set of points; autoencoders need fresh batches" in refused(
        [f"sae.source={run.path}"], tmp_path
    )


@pytest.mark.parametrize(
    "task", [["model.output=linear"], ["model.target=abs", "model.tied=false", "model.hidden=relu"]]
)
def test_a_source_with_signed_data_is_refused(task: list[str], tmp_path: Path) -> None:
    """A latent is W_i or −W_i: on data of both signs it would be scored on half of a feature."""
    quick = ["train.steps=2", "train.batch_size=8", "name=signed"]
    source = superpos.train([*task, "data.signed=true", *quick], out=tmp_path / "toys")
    said = refused([f"sae.source={source.path}"], tmp_path)
    assert "has signed data; autoencoders need features that are never below 0" in said


# --- what is right --------------------------------------------------------------------------------


RIGHT: dict[str, list[str]] = {
    "nothing": [],
    "as many as there are": ["sae.kind=topk", "sae.k=4", *SMALL],
    "every law": ["world.frequency=constant,linear,zipf,loguniform,geometric"],
    "exactly all": ["world.exactly=4", "world.n_features=4"],
    "a singular row": ["world.rho=[1,0.5,-0.5,0.5,-0.5]", "world.n_features=5", "world.active=2"],
    "a singular matrix": ["world.rho=[[1,1],[1,1]]", "world.n_features=2", "world.active=1"],
    ("children of all probability"): [
        "world.tree=[{p:0.3,exclusive:true,children:[0.6,0.4],alone:0.5}]"
    ],
    ("a tree of all features"): [
        "world.tree=[{p:0.3,children:[0.6,{p:0.5,children:[0.1]}]}]",
        "world.n_features=4",
    ],
    "prefixes": ["sae.prefixes=[1,4]", "sae.prefix_weights=[0.5,1]", *SMALL],
    "the lowest cosine": ["world.dictionary=cosine", "world.cosine=-0.3333333333333", *SMALL],
}


@pytest.mark.parametrize("case", RIGHT)
def test_right_input_is_trained(case: str, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["config", "family=sae", *RIGHT[case]], prog_name="superpos")
    assert shown.exit_code == 0, shown.output
    quick = ["train.steps=2", "train.batch_size=8"]
    run = superpos.train(["family=sae", *RIGHT[case], *quick], out=tmp_path)
    assert (run.table["status"] == "ok").all()
    assert np.isfinite(run.table["loss"].astype(float)).all()


def test_values_have_one_form() -> None:
    schema = schema_of(FAMILY)
    tree = schema.canonical("world.tree", [{"p": 1, "children": [0.5, {"p": 0.2}]}])
    assert tree == ((1.0, False, 0.0, (0.5, (0.2, False, 0.0, ()))),)
    assert schema.canonical("world.tree", tree) == tree
    assert schema.canonical("sae.models", [3, 1.0]) == (3, 1)
    assert schema.canonical("sae.models", "best:03") == "best:3"
    assert schema.canonical("sae.prefix_weights", 1) == 1.0
    assert schema.canonical("world.rho", [[1, 0], [0, 1.0]]) == ((1.0, 0.0), (0.0, 1.0))
    for key, value in {
        "sae.models": [1, 1],
        "sae.prefixes": [0, 2],
        "world.rho": [1, 2],
        "sae.prefix_weights": -1,
    }.items():
        with pytest.raises(ValueError, match="allowed"):
            schema.canonical(key, value)


def test_a_plan_is_read_back() -> None:
    overrides = [
        "family=sae",
        "world.tree=[{p:0.3,children:[0.6,{p:0.5}]}]",
        "sae.prefixes=[64,128]",
    ]
    sweep: Any = compose([*overrides, "sae.latents=128", "sae.l1=0.1,0.2"]).sweep
    again = type(sweep).from_json(sweep.to_json())
    assert again.run_id == sweep.run_id
    assert again.row(1) == sweep.row(1)


def test_defaults_of_the_family() -> None:
    defaults = schema_of(FAMILY).defaults
    expected = {
        "sae.source": "world", "world.n_features": 128, "world.n_dims": 64,
        "world.dictionary": "sphere", "world.frequency": "geometric", "world.decay": 0.99,
        "world.exponent": None, "world.active": 3.0, "world.correlation": "none",
        "world.tree": None, "world.exactly": None, "world.magnitude": "uniform", "sae.kind": "l1",
        "sae.latents": None, "sae.expansion": 1.0, "sae.tied": False, "sae.decoder_bias": True,
        "sae.prefixes": None, "sae.prefix_weights": 1.0, "sae.frozen": "none",
        "sae.start": "random", "sae.restart_every": 0, "sae.anneal_k": 0.0, "sae.aux_k": 0,
        "seed": 0, "world.seed": 0, "sae.theta": 0.1, "sae.bandwidth": 0.1,
        "train.optimizer": "adam", "train.weight_decay": 0.0, "train.decay_share": 0.2,
        "train.penalty_warmup": 0.1,
    }  # fmt: skip
    assert {key: defaults[key] for key in expected} == expected
    assert set(OF_KIND) <= {key.removeprefix("sae.") for key in defaults}
    with pytest.raises(ConfigError):
        compose(["sae.l1=0.1"])  # toy models have no such key
