"""Induction circuits: they work, and patching them gives the numbers that their making says."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from places import SUPPORT
from referees import python_with

from superpos.errors import ConfigError
from superpos.explain import estimates, induction, patching
from superpos.explain.patching import Pairs, Site

pytestmark = pytest.mark.slow

TOTAL = 0.7
"""What the K circuit writes of the answer: 1 by the match head, less 0.3 by the suppressing one."""


@cache
def some_pairs(kind: str, beta: float, how: str, metric: str = "logit_diff", n: int = 40) -> Pairs:
    """Clean and corrupt prompts of one circuit with an unread head in each layer."""
    rng = np.random.default_rng(0)
    made = induction.prompts(rng.integers(0, 2**32, (n, induction.N_TOKENS + 1)))
    weights = induction.build(kind, 1, beta)
    params = {name: torch.from_numpy(value)[None] for name, value in weights.items()}
    noise = rng.normal(size=(n, params["W_E"].shape[-1]))
    return induction.pairs(params, made, how, metric, noise)


def shares(pairs: Pairs, effects: torch.Tensor) -> dict[str, float]:
    """Mean effects over the mean total, by head."""
    found = patching.shares(effects, pairs.total)[:, 0].tolist()
    return dict(zip(pairs.parts, found, strict=True))


def share(pairs: Pairs, effects: torch.Tensor) -> float:
    """That of a single edge."""
    return float(patching.shares(effects, pairs.total)[0, 0])


def test_prompts_have_two_pairs_and_an_answer() -> None:
    made = induction.prompts(np.random.default_rng(1).integers(0, 2**32, (300, 17)))
    assert (made.tokens[:, 0] == induction.N_TOKENS).all()  # BOS: the first pair has a token before
    for row, (a, b, c, d), absent in zip(made.tokens, made.first, made.absent, strict=True):
        assert row[-1] == row[a]
        assert (b, d) == (a + 1, c + 1)
        assert len({a, b, c, d}) == 4
        assert len(set(row[:-1].tolist())) == induction.LENGTH - 1
        assert not set(absent.tolist()) & set(row.tolist())
    followers = made.tokens[np.arange(300), made.first[:, 1]]
    assert induction.answers(made).tolist() == followers.tolist()


@pytest.mark.parametrize("kind", induction.KINDS)
@pytest.mark.parametrize("how", ["query", "keys_swapped", "value"])
def test_circuits_answer_and_corrupt_prompts_have_the_other_answer(kind: str, how: str) -> None:
    pairs = some_pairs(kind, 20, how)
    one = torch.tensor(1.0, dtype=torch.float64)
    for inputs, sign in ((pairs.clean, one), (pairs.corrupt, -one)):
        assert torch.equal(pairs.value(inputs, {}).sign(), sign.expand_as(pairs.total))


def test_each_corruption_shows_its_own_heads() -> None:
    """The previous-token head is only seen where its keys differ."""
    for how in ("query", "query_absent", "value"):
        pairs = some_pairs("induction_k", 20, how)
        found = shares(pairs, patching.noising(pairs))
        assert found["0.0"] == pytest.approx(0, abs=1e-6)
        assert found["1.0"] == pytest.approx(1 / TOTAL, abs=0.015)
        assert found["1.1"] == pytest.approx(-0.3 / TOTAL, abs=0.005)
    for how in ("key", "keys_swapped"):
        pairs = some_pairs("induction_k", 20, how)
        for effects in (patching.noising(pairs), patching.denoising(pairs)):
            found = shares(pairs, effects)
            assert found["0.0"] == pytest.approx(1, abs=1e-3)
            assert found["1.0"] == pytest.approx(1 / TOTAL, abs=1e-3)


def test_the_weak_head_is_seen_where_a_token_is_missing() -> None:
    """It adds 0.05 of each of the ten tokens: 0.005 of B, and of what stands in its place."""
    pairs = some_pairs("induction_k", 20, "value")
    expected = 2 * 0.005 / (2 * (TOTAL + 0.005))
    assert shares(pairs, patching.noising(pairs))["0.1"] == pytest.approx(expected, rel=0.01)


def test_ablations_see_half_of_a_symmetric_pair() -> None:
    """Without a match nothing is said of B or D: that is half way."""
    pairs = some_pairs("induction_k", 20, "query")
    for kind, tolerance in (("zero", 0.001), ("mean", 0.1), ("resample", 0.05)):
        found = shares(pairs, patching.ablation(pairs, kind, pairs.clean))
        assert found["0.0"] == pytest.approx(0.5, abs=tolerance)
        assert found["1.0"] == pytest.approx(0.5 / TOTAL, abs=tolerance)


def test_probability_hides_the_negative_head_and_kl_turns_its_sign() -> None:
    prob = some_pairs("induction_k", 20, "query", "prob")
    assert shares(prob, patching.noising(prob))["1.1"] < -0.05
    assert abs(shares(prob, patching.denoising(prob))["1.1"]) < 0.02
    kl = some_pairs("induction_k", 20, "query", "kl")
    assert shares(kl, patching.noising(kl))["1.1"] > 0.02
    assert shares(kl, patching.denoising(kl))["1.1"] < -0.5


def test_q_composition_by_hand() -> None:
    for how, found_head in (("query", 1), ("key", 1), ("keys_swapped", 1), ("value", 0)):
        pairs = some_pairs("induction_q", 20, how)
        found = shares(pairs, patching.noising(pairs))
        assert found["0.0"] == pytest.approx(found_head, abs=1e-3)
        assert found["1.0"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kind", induction.KINDS)
@pytest.mark.parametrize("how", induction.CORRUPTIONS)
@pytest.mark.parametrize("metric", patching.METRICS)
def test_unread_heads_have_no_effect(kind: str, how: str, metric: str) -> None:
    pairs = some_pairs(kind, 20, how, metric, 8)
    roles = induction.roles(kind, 1)
    unread = [pairs.parts.index(head) for head, role in roles.items() if role == "unread"]
    assert len(unread) >= 2
    for effects in (patching.noising(pairs), patching.denoising(pairs)):
        assert float(effects[unread].abs().max()) < 1e-9
        assert metric != "logit_diff" or float(effects.abs().max()) > 0.1


K, Q = (Site("0.0", f"0.0->1.0:{made}") for made in "kq")


def test_only_edges_of_the_circuit_have_effects() -> None:
    """Path patching over all pairs of heads: no edge beside those of the making counts 5%."""
    for kind in induction.KINDS:
        pairs = some_pairs(kind, 20, "keys_swapped", n=10)
        edges = induction.head_edges(kind, 1)
        effects = patching.noising(pairs, [Site(edge.partition("->")[0], edge) for edge in edges])
        counted = patching.shares(effects, pairs.total)[:, 0].abs() >= 0.05
        found = {edge for edge, counts in zip(edges, counted.tolist(), strict=True) if counts}
        assert found == set(induction.true_edges(kind, 1))


@pytest.mark.parametrize(
    ("beta", "exact", "eap"),
    [(0.5, 1.17, 1.17), (2, 1.14, 1.13), (4, 1.15, 0.56), (8, 1.34, 0.022), (20, 1.43, 0)],
)
def test_attribution_patching_misses_the_key_edge_where_attention_is_sharp(
    beta: float, exact: float, eap: float
) -> None:
    pairs = some_pairs("induction_k", beta, "keys_swapped", n=12)
    assert share(pairs, patching.noising(pairs, [K])) == pytest.approx(exact, abs=0.01)
    assert share(pairs, estimates.gradient(pairs, "clean", [K])) == pytest.approx(eap, abs=0.06)
    assert share(pairs, estimates.ig_inputs(pairs, 100, [K])) == pytest.approx(exact, abs=0.01)


def test_no_gradient_and_no_integral_over_inputs_finds_the_query_edge() -> None:
    """Through two softmaxes: only what follows the source's own steps is complete."""
    pairs = some_pairs("induction_q", 20, "keys_swapped", n=4)
    assert share(pairs, patching.noising(pairs, [Q])) == pytest.approx(1, abs=1e-6)
    assert share(pairs, estimates.gradient(pairs, "clean", [Q])) == pytest.approx(0, abs=1e-6)
    for steps in (20, 100, 400):
        assert abs(share(pairs, estimates.ig_inputs(pairs, steps, [Q]))) < 0.2
    assert share(pairs, estimates.conductance(pairs, 400, [Q])) == pytest.approx(1, abs=0.02)
    assert share(pairs, estimates.ig_activations(pairs, 20, [Q])) == pytest.approx(1, abs=0.01)


def test_at_corrupt_a_missing_key_is_overrated() -> None:
    """It linearises at the uniform pattern, whose slope does not saturate."""
    for beta, factor in ((20, 2), (40, 4)):
        pairs = some_pairs("induction_k", beta, "key")
        exact = share(pairs, patching.noising(pairs, [K]))
        estimated = share(pairs, estimates.gradient(pairs, "corrupt", [K]))
        assert estimated == pytest.approx(factor * exact, rel=0.01)  # beta over the ten keys


def test_an_edge_and_the_whole_part_agree_where_there_is_one_reader() -> None:
    pairs = some_pairs("induction_q", 4, "key")
    head = Site("0.0", "0.0")
    exact = (patching.noising, patching.denoising)
    for effect in (*exact, estimates.conductance, estimates.ig_activations):
        assert torch.allclose(effect(pairs, sites=[Q]), effect(pairs, sites=[head]), atol=1e-9)
    for at in ("clean", "corrupt"):
        edge, whole = (estimates.gradient(pairs, at, [site]) for site in (Q, head))
        assert torch.allclose(edge, whole, atol=1e-9)


def test_all_heads_and_the_way_around_them_share_the_total() -> None:
    """Mean steps of a lattice add up to the total: the direct path says nothing of the answer."""
    pairs = some_pairs("induction_kq", 4, "keys_swapped", n=3)
    for recompute in ("clean", "corrupt"):
        added = patching.shapley(pairs, recompute).sum(0)
        assert torch.allclose(added, pairs.total, atol=1e-9)


def test_an_unknown_corruption_is_refused() -> None:
    with pytest.raises(ConfigError, match="corrupt: got 'first'; allowed: query, query_absent"):
        some_pairs("induction_k", 20, "first")


@pytest.mark.parametrize("kind", induction.KINDS)
@pytest.mark.parametrize("package", ["transformer_lens", "nnsight"])
def test_patched_heads_are_those_of_other_packages(package: str, kind: str, tmp_path: Path) -> None:
    """The same weights, every head: logits of clean runs with one head as on corrupt prompts."""
    referee = python_with(package)
    if referee is None:
        pytest.skip(f"{package} is installed neither here nor where SUPERPOS_REFEREES says")
    made = induction.prompts(np.random.default_rng(0).integers(0, 2**32, (12, 17)))
    weights = {name: torch.from_numpy(v) for name, v in induction.build(kind, 1, 6.0).items()}
    corrupt = induction.corrupt(made, "keys_swapped").tokens
    tokens = {"clean": torch.from_numpy(made.tokens), "corrupt": torch.from_numpy(corrupt)}
    torch.save({"weights": weights, **tokens}, tmp_path / "given.pt")
    script = SUPPORT / f"{package}_patching.py"
    command = [referee, script, tmp_path / "given.pt", tmp_path / "logits.pt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = torch.load(tmp_path / "logits.pt", weights_only=True)
    params = {name: value[None] for name, value in weights.items()}
    pairs = induction.pairs(params, made, "keys_swapped", "logit_diff")
    for head, expected in zip(pairs.parts, theirs, strict=True):
        replace = {head: pairs.corrupt_parts[head]}
        ours, _ = pairs.forward(pairs.clean, replace=replace)
        torch.testing.assert_close(ours[0], expected, rtol=0, atol=1e-9)
