"""Autoencoders as files of other tools: the definitions applied to them give the codes, in SAELens
as well.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import SUPPORT
from referees import python_with
from safetensors.numpy import load
from typer.testing import CliRunner

import superpos
from superpos.cli import app
from superpos.store import Run
from superpos.store.suffixes import SUFFIXES

WORLD = [
    "world.n_features=12",
    "world.n_dims=8",
    "world.active=1.5",
    "train.steps=60",
    "train.batch_size=64",
]
KINDS = {
    "l1": ["sae.kind=l1", "sae.l1=0.1"],
    "tied": ["sae.kind=l1", "sae.tied=true"],
    "no b_d": ["sae.kind=l1", "sae.decoder_bias=false"],
    "matryoshka": ["sae.kind=l1", "sae.prefixes=[3,12]"],
    "topk": ["sae.kind=topk", "sae.k=2"],
    "batchtopk": ["sae.kind=batchtopk", "sae.k=1.5"],
    "jumprelu": ["sae.kind=jumprelu", "sae.l0=0.02"],
    "gated": ["sae.kind=gated", "sae.l1=0.1"],
}
CLASSES = {
    "topk": "TopKSAE",
    "batchtopk": "JumpReLUSAE",
    "jumprelu": "JumpReLUSAE",
    "gated": "GatedSAE",
}
REFEREE = python_with("sae_lens")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    out = tmp_path_factory.mktemp("outputs")
    name = {kind: f"name=kind{i}" for i, kind in enumerate(KINDS)}
    words = ["family=sae", "train.lr=0.01", *WORLD]
    return {
        kind: superpos.train([*words, *own, name[kind]], out=out) for kind, own in KINDS.items()
    }


@pytest.fixture(scope="module")
def files(
    runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, Path]]:
    """The SAELens folder and the plain file of each kind."""
    out = tmp_path_factory.mktemp("files")
    return {
        kind: (
            run.export("sae_lens", 0, out / f"lens{i}"),
            run.export("safetensors", 0, out / f"plain{i}.safetensors"),
        )
        for i, (kind, run) in enumerate(runs.items())
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_is_not_called_like_a_table(
    suffix: str, runs: dict[str, Run], tmp_path: Path
) -> None:
    arguments = ["--as=sae_lens", "--model=0", f"--to={tmp_path / 'L'}{suffix}"]
    done = CliRunner().invoke(app, ["export", str(runs["topk"].path), *arguments])
    assert done.exit_code == 2
    assert f"--as=sae_lens writes a folder; allowed: the name of a folder, without {suffix}" in (
        " ".join(done.stderr.split())
    )
    assert not list(tmp_path.iterdir())


def codes_of(config: dict[str, Any], weights: dict[str, Any], x: Any) -> Any:
    """What SAELens documents of the architectures, in numpy."""
    linear = (x - weights["b_dec"]) @ weights["W_enc"]
    match config["architecture"]:
        case "gated":
            magnitude = np.exp(weights["r_mag"]) * linear + weights["b_mag"]
            return np.maximum(magnitude, 0) * (linear + weights["b_gate"] > 0)
        case "jumprelu":
            z = linear + weights["b_enc"]
            return np.maximum(z, 0) * (z > weights["threshold"])
        case "topk":
            z = linear + weights["b_enc"]
            bound = np.sort(z, axis=1)[:, -config["k"], None]
            return np.maximum(z, 0) * (z >= bound)
        case "standard":
            return np.maximum(linear + weights["b_enc"], 0)
    raise AssertionError(config)


def dense(plain: dict[str, Any], name: str, place: str, width: int) -> Any:
    """Sparse codes as a matrix."""
    found = np.zeros((len(plain["x"]), width), np.float32)
    found[plain[f"{name}_sample"], plain[f"{name}_{place}"]] = plain[f"{name}_value"]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_definitions_give_the_codes(kind: str, files: dict[str, tuple[Path, Path]]) -> None:
    folder, file = files[kind]
    config = json.loads((folder / "cfg.json").read_text())
    weights = load((folder / "sae_weights.safetensors").read_bytes())
    plain = load(file.read_bytes())
    codes = codes_of(config, weights, plain["x"])
    expected = dense(plain, "code", "latent", config["d_sae"])
    assert expected.any()
    near = np.isclose(codes, expected, atol=1e-5).mean()
    # a code within rounding of its threshold may be on one side and on the other
    assert near > 0.9999


@pytest.mark.parametrize("kind", KINDS)
def test_the_plain_file_holds_world_and_dictionary(
    kind: str, runs: dict[str, Run], files: Any
) -> None:
    plain = load(files[kind][1].read_bytes())
    weights = runs[kind].weights(0)
    assert {name: value.tolist() for name, value in weights.items()} == {
        name: plain[name].tolist() for name in weights
    }
    features = dense(plain, "true", "feature", len(plain["A"]))
    np.testing.assert_allclose(features @ plain["A"], plain["x"], atol=1e-5)


@pytest.mark.skipif(
    REFEREE is None, reason="SAELens is installed neither here nor where SUPERPOS_REFEREES says"
)
def test_sae_lens_gives_the_same_codes(files: dict[str, tuple[Path, Path]]) -> None:
    script = SUPPORT / "sae_lens_codes.py"
    paths = [path for pair in files.values() for path in pair]
    done = subprocess.run(
        [str(REFEREE), script, *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for kind, line in zip(files, done.stdout.splitlines(), strict=True):
        name, gap, flips = line.split()
        assert name == CLASSES.get(kind, "StandardSAE")
        assert (float(gap) < 1e-5, int(flips)) == (True, 0)
