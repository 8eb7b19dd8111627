"""Runs of circuits: they are made, not trained, and `superpos patch` tells what their parts do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import superpos
from superpos.cli import app
from superpos.errors import ConfigError
from superpos.families.circuit import FAMILY
from superpos.families.circuit.structure import Structure
from superpos.store import Run

GATES = ("and", "or", "xor", "add", "inhibit", "backup", "random_gates", "illusion")
KINDS = (*GATES, "induction_k", "induction_q")
SWEEP = ["family=circuit", f"circuit.kind={','.join(KINDS)}", "seed=0,1,2"]
FIRST = {kind: 3 * place for place, kind in enumerate(KINDS)}
"""Number of the first model of a kind."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return superpos.train(SWEEP, out=tmp_path_factory.mktemp("circuits"))


def command(*words: str) -> tuple[int, str]:
    """Exit code and output of a command line."""
    result = CliRunner().invoke(app, words)
    return result.exit_code, result.output


def test_circuits_are_made_at_once(run: Run) -> None:
    assert len(run.table) == 3 * len(KINDS)
    assert set(run.table["status"]) == {"ok"}
    assert set(run.table["train.steps"]) == {0}
    induction = run.table[run.table["circuit.kind"].str.startswith("induction")]
    assert set(induction["accuracy"]) == {1.0}
    assert set(induction["circuit.beta"]) == {20.0}
    gates = run.table.drop(induction.index)
    assert set(gates["circuit.always_on"]) == {1}
    assert gates["circuit.beta"].isna().all()
    formula = gates.set_index("circuit.kind")["formula"]
    assert set(formula["xor"]) == {"xor(x0, x1)"}
    assert set(formula["backup"]) == {"g0 + 0.5 inhibit(x0, g0)"}
    assert formula["random_gates"].nunique() > 1


def test_gates_have_their_truth_tables(run: Run) -> None:
    rows = {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "xor": [0, 1, 1, 0], "add": [0, 1, 1, 2]}
    rows["inhibit"] = [0, 0, 1, 0]
    x = torch.tensor([[[0, 0], [0, 1], [1, 0], [1, 1]]]).double()
    for kind, expected in rows.items():
        weights = run.weights(FIRST[kind])
        params = {name: torch.from_numpy(value)[None] for name, value in weights.items()}
        structure = Structure(kind=kind, distractors=2, always_on=1, steps=0)
        task = type("Task", (), {"structure": structure})()
        logits, parts = FAMILY.forward(task, params, x)
        y = logits[0, :, 1] - parts["on0"][0]
        assert y.tolist() == expected, kind
        assert logits[0, :, 0].tolist() == [1.5] * 4  # 1/2 above what is always on


def test_shards_and_restarts_make_the_same_run(run: Run, tmp_path: Path) -> None:
    for shard in ((0, 2), (1, 2)):
        superpos.train(SWEEP, out=tmp_path, shard=shard)
    assert superpos.train(SWEEP, out=tmp_path).digest() == run.digest()


def test_a_circuit_is_what_it_is_alone(run: Run, tmp_path: Path) -> None:
    number = FIRST["random_gates"] + 1
    alone = superpos.train(["family=circuit", "circuit.kind=random_gates", "seed=1"], out=tmp_path)
    for name, value in alone.weights(0).items():
        assert np.array_equal(value, run.weights(number)[name])
    assert alone.table["row_id"][0] == run.table["row_id"][number]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.steps=10"], "train.steps: 10 with family=circuit; allowed: 0, circuits are made"),
        (["circuit.beta=3"], "circuit.beta: 3.0 with circuit.kind=and; it belongs to circuit."),
        (["circuit.rho=1", "circuit.kind=or"], "circuit.rho: 1.0 with circuit.kind=or; it belongs"),
        (
            ["circuit.kind=induction_k", "circuit.always_on=1"],
            "circuit.always_on: 1 with circuit.kind=induction_k",
        ),
        (["circuit.kind=nand"], "circuit.kind: got 'nand'; allowed: and or or"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    overrides: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        superpos.train(["family=circuit", *overrides], out=tmp_path)
    assert not list(tmp_path.iterdir())


# --- superpos patch ------------------------------------------------------------------------------


def test_patch_tells_what_is_true(run: Run) -> None:
    """AND over its three pairs from on to off: each input is true in two of them."""
    found = run.patch(FIRST["and"], direction=["noising", "denoising"])
    noising = found[found["direction"] == "noising"].set_index("part")
    expected = {"x0": 2 / 3, "x1": 2 / 3, "on0": 0, "g1": 0, "g2": 0}
    assert noising["true"].to_dict() == pytest.approx(expected)
    assert noising["found"].to_dict() == noising["true"].to_dict()
    assert set(noising["recall"]) == {1.0}
    denoising = found[found["direction"] == "denoising"].set_index("part")
    assert denoising.loc["x0", "found"] == pytest.approx(1 / 3)
    assert denoising["recall"].iloc[0] == pytest.approx(2 / 3)


def test_what_patching_found_is_kept_and_no_part_of_the_digest(run: Run, tmp_path: Path) -> None:
    run = superpos.train(["family=circuit", "circuit.kind=and,or"], out=tmp_path)
    digest = run.digest()
    first = run.patch(1, direction=["noising", "denoising"])
    kept = {path: path.stat().st_mtime_ns for path in (run.path / "patch").rglob("*")}
    assert sorted(path.name for path in kept if path.is_file()) == sorted(
        ["facts", "00001.json", "00001.parquet"] * 2
    )
    pd.testing.assert_frame_equal(run.patch(1, direction=["noising", "denoising"]), first)
    assert {path: path.stat().st_mtime_ns for path in (run.path / "patch").rglob("*")} == kept
    run.patch(0, direction=["noising", "shapley"])  # another model of one question, and a new one
    names = [path.name for path in (run.path / "patch").rglob("*.parquet")]
    assert sorted(names) == ["00000.parquet"] * 2 + ["00001.parquet"] * 2
    assert superpos.load(run.path).digest() == digest


def test_a_damaged_answer_is_moved_aside_and_found_again(tmp_path: Path) -> None:
    run = superpos.train(["family=circuit", "circuit.kind=and"], out=tmp_path)
    first = run.patch(0)
    [part] = (run.path / "patch").rglob("*.parquet")
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    pd.testing.assert_frame_equal(run.patch(0), first)
    assert (part.parent / "corrupt").is_dir()


def test_questions_of_which_one_cannot_be_answered_keep_nothing(tmp_path: Path) -> None:
    run = superpos.train(["family=circuit", "circuit.kind=induction_k"], out=tmp_path)
    with pytest.raises(ConfigError, match="total effect"):
        run.patch(0, metric=["logit_diff", "prob"], min_total=2.0, prompts=4)
    assert not (run.path / "patch").exists()


def test_patch_of_prompts(run: Run) -> None:
    model = FIRST["induction_k"]
    found = run.patch(model, corrupt=["query", "key"], prompts=20).set_index(["corrupt", "part"])
    assert found.loc[("query", "0.0"), "share"] == pytest.approx(0, abs=1e-6)
    assert found.loc[("key", "0.0"), "share"] == pytest.approx(1, abs=1e-3)
    assert found.loc["query", "recall"].iloc[0] == pytest.approx(2 / 3)
    assert found.loc["key", "recall"].iloc[0] == 1
    zero = run.patch(model, ablation="zero", prompts=20).set_index("part")
    assert zero.loc["1.0", "share"] == pytest.approx(0.5 / 0.7, abs=0.01)
    noise = run.patch(model, corrupt="noise", prompts=20)
    unread = noise["part"].isin(["0.2", "0.3", "1.2", "1.3"])
    assert set(noise.loc[unread, "found"]) == {0.0}
    assert set(noise.loc[~unread, "found"]) != {0.0}


def test_patch_of_edges(run: Run) -> None:
    asked = {"sites": "edges", "corrupt": "keys_swapped", "prompts": 5}
    exact = run.patch(FIRST["induction_q"], **asked).set_index("part")
    assert len(exact) == 4 * 4 * 3  # heads of layer 0, of layer 1, and q, k, v
    assert exact.loc["0.0->1.0:q", "share"] == pytest.approx(1, abs=1e-6)
    assert exact["share"].drop("0.0->1.0:q").abs().max() < 1e-6
    eap = run.patch(FIRST["induction_q"], estimate="gradient_clean", **asked).set_index("part")
    assert eap["share"].abs().max() < 1e-6


def test_the_command_prints_tables_and_json(run: Run) -> None:
    model = f"--model={FIRST['induction_k']}"
    asked = ("patch", str(run.path), model, "patch.prompts=9")
    code, text = command(*asked, "patch.corrupt=query,key")
    assert code == 0
    assert "noising, query, logit_diff, total" in text
    assert "recall 0.667" in text
    code, text = command(*asked, "patch.corrupt=key", "--json")
    assert code == 0
    facts = json.loads(text)
    assert facts["model"] == FIRST["induction_k"]
    assert [row["part"] for row in facts["parts"]] == [f"{i}.{j}" for i in (0, 1) for j in range(4)]
    assert facts["parts"][0]["share"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        (
            "and",
            ["patch.corrupt=key"],
            "patch.corrupt: key with circuit.kind=and, whose inputs are",
        ),
        (
            "and",
            ["patch.direct=noising"],
            "patch.direct: unknown key; did you mean patch.direction",
        ),
        ("and", ["patch.sites=edges"], "patch.sites: these models have no edges with names"),
        ("and", ["patch.min_total=5"], "total effect: 1 between clean and corrupt; allowed: at l"),
        ("and", ["patch.threshold=0.1,0.2"], "patch.threshold: got 2 values; allowed: one"),
        ("and", ["patch.corrupt=first"], "patch.corrupt: got 'first'; allowed: query or"),
        (
            "induction_k",
            ["patch.metric=top1", "patch.estimate=conductance"],
            "patch.estimate: conductance with patch.metric=top1, which has no gradient",
        ),
        (
            "induction_k",
            ["patch.direction=denoising", "patch.ablation=zero"],
            "patch.ablation: zero with patch.direction=denoising",
        ),
        ("backup", ["patch.sites=edges", "patch.direction=shapley"], "patch.sites: edges have"),
        ("induction_k", ["experiment=gates"], "experiment: "),
    ],
)
def test_what_cannot_be_asked_is_refused(
    run: Run, kind: str, words: list[str], message: str
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    code, text = command("patch", str(run.path), f"--model={FIRST[kind]}", *words)
    assert code == 2
    assert message in text
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_models_without_named_parts_are_refused(tmp_path: Path) -> None:
    trained = superpos.train(["train.steps=1", "train.batch_size=8"], out=tmp_path)
    code, text = command("patch", str(trained.path))
    assert code == 2
    assert "models of the family 'tms' have no parts that can be patched" in text
    code, text = command("patch", str(trained.path), "--model=99")
    assert code == 2
    assert "--model: got 99; allowed: 0 to" in text
