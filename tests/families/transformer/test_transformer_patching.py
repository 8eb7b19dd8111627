"""Patching trained transformers: the same as in circuits made by hand, where the weights are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from support.transformer_tasks import KINDS, make_task
from typer.testing import CliRunner

import superpos
from superpos.cli import app
from superpos.explain import estimates, induction, patching
from superpos.explain.patched import Asked, find
from superpos.families.transformer.measures import patching as measures
from superpos.families.transformer.patched import (
    CORRUPTIONS,
    Prompts,
    drawn,
    patched_models,
    prompt_of,
)
from superpos.families.transformer.structure import Structure
from superpos.store import Run

BETA = 20.0


def made_by_hand(kind: str) -> tuple[Structure, dict[str, torch.Tensor]]:
    """An induction circuit as the weights of a transformer that reads repeated blocks."""
    weights = induction.build(kind, 1, BETA)
    _, n_heads, d_model, d_head = weights["W_Q"].shape
    structure = Structure(
        kind="repeats",
        context=induction.LENGTH,
        tokens=induction.N_TOKENS,
        positions="stream",
        n_heads=n_heads,
        d_model=d_model,
        d_head=d_head,
        steps=0,
    )
    assert {name: value.shape for name, value in weights.items()} == structure.param_shapes
    return structure, {name: torch.from_numpy(value)[None] for name, value in weights.items()}


def as_sequences(structure: Structure, made: induction.Prompts, how: str) -> Prompts:
    """Prompts of circuits as sequences of the language, the answer the last token."""
    whole = np.column_stack([made.tokens, induction.answers(made)])
    determined = np.arange(structure.context) == structure.context - 1
    found = [prompt_of(structure, tokens, determined, how) for tokens in whole]
    return Prompts(*(np.array(values) for values in zip(*found, strict=True)))


@pytest.mark.parametrize("kind", ["induction_k", "induction_q"])
@pytest.mark.parametrize("how", CORRUPTIONS)
def test_weights_made_by_hand_have_the_effects_of_their_circuit(kind: str, how: str) -> None:
    structure, params = made_by_hand(kind)
    made = induction.prompts(np.random.default_rng(0).integers(0, 2**32, (10, 17)))
    theirs = induction.pairs(params, made, how, "logit_diff")
    ours = patched_models(structure, params, [as_sequences(structure, made, how)], "logit_diff")
    assert ours.pairs.parts == theirs.parts
    for effect in (patching.noising, patching.denoising, estimates.conductance):
        shares = [patching.shares(effect(pairs), pairs.total) for pairs in (ours.pairs, theirs)]
        torch.testing.assert_close(*shares, rtol=0, atol=0.01)  # another C and D


@pytest.mark.parametrize("kind", induction.KINDS[:2])
def test_effects_tell_which_heads_and_edges_were_made(kind: str) -> None:
    """Where keys differ, both circuits are seen whole; the weak head is below the threshold."""
    structure, params = made_by_hand(kind)
    made = induction.prompts(np.random.default_rng(1).integers(0, 2**32, (4, 17)))
    prompts = as_sequences(structure, made, "key")
    patched = patched_models(structure, params, [prompts], "logit_diff")
    found = find(Asked(corrupt="key"), patched)
    assert found.graded.all()
    for here in found.true[:, 0].unbind(-1):
        true = [name for name, is_true in zip(found.names, here, strict=True) if is_true]
        assert tuple(true) == induction.true_heads(kind, 1)
    some = [site for site in patched.edges if site.source == "0.0" and "->1.2" not in site.name]
    keys = find(Asked(sites="edges", corrupt="key"), patched._replace(edges=tuple(some)))
    true = {name for name, one in zip(keys.names, keys.true, strict=True) if one.all()}
    assert true == set(induction.true_edges(kind, 1))


PAIRS = Structure(kind="pairs", keys=4, values=4, context=10, steps=0)
SEQUENCE = np.array([8, 0, 4, 1, 5, 0, 4, 2, 6, 0, 4])
"""BOS, then keys 0 to 3 with values 4 to 7; key 0 stands at 1, 5 and 9, its value is 4."""
CORRUPT = {
    "query": [8, 0, 4, 1, 5, 0, 4, 2, 6, 1],
    "query_absent": [8, 0, 4, 1, 5, 0, 4, 2, 6, 3],
    "key": [8, 3, 4, 1, 5, 3, 4, 2, 6, 0],
    "value": [8, 0, 5, 1, 5, 0, 5, 2, 6, 0],
    "keys_swapped": [8, 1, 4, 0, 5, 1, 4, 2, 6, 0],
}


@pytest.mark.parametrize("how", CORRUPTIONS)
def test_sequences_are_made_corrupt_as_they_say(how: str) -> None:
    determined = np.isin(np.arange(10), [5, 9])
    found = prompt_of(PAIRS, SEQUENCE, determined, how)
    assert found is not None
    assert found.corrupt.tolist() == CORRUPT[how]
    assert found.clean.tolist() == SEQUENCE[:-1].tolist()
    assert (found.place, found.answer, found.other) == (9, 4, 5)


def test_sequences_that_do_not_fit_are_left_out() -> None:
    nothing_asked = np.zeros(10, dtype=bool)
    assert prompt_of(PAIRS, SEQUENCE, nothing_asked, "query") is None
    last = np.arange(10) == 9
    same = np.where(SEQUENCE >= 5, 4, SEQUENCE)  # every value is 4: there is no D
    assert prompt_of(PAIRS, same, last, "query") is None
    full = SEQUENCE.copy()
    full[5:7] = (3, 7)  # all keys are there
    assert prompt_of(PAIRS, full, last, "key") is None
    assert prompt_of(PAIRS, full, last, "value") is not None


@pytest.mark.parametrize("kind", ["repeats", "distinct", "pairs", "triggers"])
def test_corrupt_sequences_have_the_other_answer(kind: str) -> None:
    """By the language's own rule: what came after the token when it stood there before."""
    one = make_task(1, languages=1, **KINDS[kind], context=16)
    for how in ("query", "value", "keys_swapped"):
        found = drawn(one, how, 20)
        for clean, corrupt, place, answer, other in zip(*found, strict=True):
            for tokens, expected in ((clean, answer), (corrupt, other)):
                before = np.flatnonzero(tokens[:place] == tokens[place])
                assert set(tokens[before + 1]) == {expected}
            assert answer != other


# --- runs ----------------------------------------------------------------------------------------

SMALL = ["family=transformer", "train.steps=2", "model.d_model=8", "model.d_head=4", "seed=0"]


def run_of(out: Path, *words: str) -> Run:
    return superpos.train([*SMALL, "record.snapshots=0", *words], out=out)


def test_trained_models_have_no_answer_key_but_their_effects(tmp_path: Path) -> None:
    run = run_of(tmp_path, "model.n_heads=7")
    asked = {"prompts": 4, "min_total": 1e-9, "corrupt": "value"}
    many = run.patch(0, **asked)
    assert len(many) == 14  # more heads than a lattice has room for
    assert many["share"].notna().all()
    assert many[["true", "precision", "recall"]].isna().all(axis=None)
    assert set(many["graded"]) == {0}
    few = run_of(tmp_path, "model.n_heads=2").patch(0, **asked, threshold=0.5)
    assert few["graded"].min() > 0
    assert few["true"].notna().all()
    assert set(few["key"]) == {"exact effects from 0.5 of the total"}


def test_the_command_says_what_is_called_true(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    words = [str(run.path), "patch.prompts=4", "patch.min_total=1e-9", "patch.sites=edges"]
    result = CliRunner().invoke(app, ["patch", *words])
    assert result.exit_code == 0, result.output
    assert "true parts: exact effects from 0.05 of the total" in result.output
    assert "0.0->1.0:k" in result.output
    facts = json.loads(CliRunner().invoke(app, ["patch", *words, "--json"]).output)
    assert [row["part"] for row in facts["parts"]] == [f"0.0->1.0:{made}" for made in "qkv"]


@pytest.mark.parametrize(
    ("words", "asked", "message"),
    [
        (["language.kind=chain"], [], "language.kind=chain, whose answers do not stand earlier"),
        (["model.n_layers=0"], [], "model.n_layers=0, so that there are no heads to patch"),
        ([], ["patch.corrupt=noise"], "patch.corrupt: noise with family=transformer; allowed: q"),
        (["model.n_layers=1"], ["patch.sites=edges"], "patch.sites: these models have no edges"),
        (["language.keys=1"], [], "patch.corrupt: query fits 0 of 3200 sequences; allowed: anoth"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    words: list[str], asked: list[str], message: str, tmp_path: Path
) -> None:
    run = run_of(tmp_path, *words)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    result = CliRunner().invoke(app, ["patch", str(run.path), *asked])
    assert result.exit_code == 2
    assert message in result.output
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_gradients_miss_the_edge_of_a_trained_model(tmp_path: Path) -> None:
    """A trained induction head is as sharp as one made by hand."""
    words = ["experiment=pairs", "language.targets=determined", "seed=205", "record.snapshots=0"]
    run = superpos.train([*words, "engine.threads=1"], out=tmp_path)
    assert run.table["circuit"].tolist() == ["induction"]

    def share(corrupt: str) -> float:
        return float(measures.share(run, "0.0", corrupt, prompts=20).values[0])

    assert abs(share("query")) < 0.02
    assert share("keys_swapped") == pytest.approx(1, abs=0.02)

    def ratio(estimate: str) -> float:
        return float(measures.ratio(run, "0.0->1.0:k", estimate, prompts=20).values[0])

    assert abs(ratio("gradient_clean")) < 0.05
    assert ratio("ig_activations") == pytest.approx(1, abs=0.05)
