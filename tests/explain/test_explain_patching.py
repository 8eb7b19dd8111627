"""Patching against hand values of gates, identities of the lattice, and its refusals."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from superpos.errors import ConfigError
from superpos.explain import circuits, estimates, patching
from superpos.explain.patching import Pairs, Site

WORDS = np.arange(7, 40)


def circuit(kind: str, rho: float = 0.5, distractors: int = 2, words=WORDS):
    """Wires and forward pass of one circuit."""
    wires = circuits.wires_of(kind, distractors, 1)
    made = circuits.build(kind, distractors, 1, rho, words)
    params = {name: torch.from_numpy(value)[None].double() for name, value in made.items()}
    return wires, partial(circuits.forward, wires, params)


def pair(kind: str, clean, corrupt, **options) -> Pairs:
    """One pair of inputs of a circuit, of which the logit difference of on and off is measured."""
    wires, forward = circuit(kind, **options)
    x, y = (torch.tensor([[row]], dtype=torch.float64) for row in (clean, corrupt))
    on = torch.ones(1, 1, dtype=torch.long)
    measure = patching.measure("logit_diff", on, 0 * on)
    return Pairs(forward, x, y, measure, wires.parts, wires.inputs)


def of_inputs(effects: torch.Tensor, pairs: Pairs) -> list[float]:
    """Effects of the inputs x0 and x1."""
    return [float(effects[pairs.parts.index(name)]) for name in ("x0", "x1")]


ON, OFF = (1.0, 1.0), (0.0, 0.0)


@pytest.mark.parametrize(
    ("kind", "clean", "corrupt", "noising", "denoising", "shapley"),
    [
        # AND is lost with either input, and neither brings it back; OR is the other way round.
        ("and", ON, OFF, [1, 1], [0, 0], [0.5, 0.5]),
        ("or", ON, OFF, [0, 0], [1, 1], [0.5, 0.5]),
        # A sum of 2 loses and gains 1 by each.
        ("add", ON, OFF, [1, 1], [1, 1], [1, 1]),
        ("xor", (1.0, 0.0), OFF, [1, 0], [1, 0], [1, 0]),
        # a and not b, from (1, 0) to (0, 1): either change is enough, neither alone brings it back.
        ("inhibit", (1.0, 0.0), (0.0, 1.0), [1, 1], [0, 0], [0.5, 0.5]),
    ],
)
def test_gates_have_the_effects_of_their_truth_tables(
    kind,
    clean,
    corrupt,
    noising,
    denoising,
    shapley,
):
    pairs = pair(kind, clean, corrupt)
    assert of_inputs(patching.noising(pairs), pairs) == noising
    assert of_inputs(patching.denoising(pairs), pairs) == denoising
    assert of_inputs(patching.shapley(pairs), pairs) == pytest.approx(shapley, abs=1e-12)


def test_the_words_need_the_direction_of_the_pair():
    """AND from on to off is OR from off to on."""
    forth, back = pair("and", ON, OFF), pair("and", OFF, ON)
    assert of_inputs(patching.noising(back), back) == [0, 0]
    assert of_inputs(patching.denoising(back), back) == [-1, -1]
    assert of_inputs(patching.noising(forth), forth) == [1, 1]


def test_xor_has_no_total_to_share():
    pairs = pair("xor", ON, OFF)
    assert float(pairs.total) == 0
    assert of_inputs(patching.noising(pairs), pairs) == [-1, -1]
    message = r"total effect: 0 between clean and corrupt; allowed: at least 0\.02"
    with pytest.raises(ConfigError, match=message):
        patching.shares(patching.noising(pairs), pairs.total)


@pytest.mark.parametrize("rho", [0.0, 0.25, 0.5, 1.0])
def test_a_backup_has_its_closed_forms(rho):
    """P = x, Q = (x - P)+, y = P + rho Q, from x = 1 to x = 0."""
    pairs = pair("backup", (1.0,), (0.0,), rho=rho)

    def of(effects):
        return [float(effects[pairs.parts.index(name)]) for name in ("g0", "g1")]

    assert of(patching.noising(pairs)) == [1 - rho, 0]
    assert of(patching.denoising(pairs)) == [1, 0]
    assert of(patching.shapley(pairs)) == pytest.approx([1 - rho / 4, rho / 4], abs=1e-12)
    assert of(patching.shapley(pairs, "clean")) == pytest.approx([1 - rho / 2, rho / 2], abs=1e-12)
    assert of(estimates.gradient(pairs, "clean"))[0] == 1  # Q sleeps, and has no gradient
    assert of(patching.true_parts(pairs)) == [1, rho > 0]


@pytest.mark.parametrize(
    ("kind", "clean", "corrupt", "at_clean", "at_corrupt"),
    [
        ("and", ON, OFF, [1, 1], [0, 0]),
        ("or", ON, OFF, [0, 0], [1, 1]),
        ("add", ON, OFF, [1, 1], [1, 1]),
    ],
)
def test_gradients_are_those_of_the_kinks(kind, clean, corrupt, at_clean, at_corrupt):
    pairs = pair(kind, clean, corrupt)
    assert of_inputs(estimates.gradient(pairs, "clean"), pairs) == at_clean
    assert of_inputs(estimates.gradient(pairs, "corrupt"), pairs) == at_corrupt
    for method in ("ig_inputs", "conductance"):  # both run along (1, 1) to (0, 0), half of it flat
        found = estimates.estimate(pairs, method, 20)
        assert of_inputs(found, pairs) == pytest.approx([float(pairs.total) / 2] * 2, abs=1e-12)


# --- identities, on random circuits and all of their pairs -------------------------------------


def some_circuits(seed: int, models: int = 3) -> tuple[Pairs, torch.Tensor]:
    """Random circuits with all pairs of different inputs, and all inputs."""
    words = np.random.default_rng(seed).integers(0, 2**31, (models, circuits.words_needed(2)))
    wires = circuits.wires_of("random_gates", 2, 1)
    made = [circuits.build("random_gates", 2, 1, 0.5, row) for row in words]
    params = {}
    for name in made[0]:
        params[name] = torch.from_numpy(np.stack([one[name] for one in made])).double()
    x = circuits.all_inputs(4)
    clean, corrupt = circuits.all_pairs(4)
    on = torch.ones(models, len(clean), dtype=torch.long)
    return (
        Pairs(
            partial(circuits.forward, wires, params),
            clean.expand(models, -1, -1),
            corrupt.expand(models, -1, -1),
            patching.measure("logit_diff", on, 0 * on),
            wires.parts,
            wires.inputs,
        ),
        x.expand(models, -1, -1),
    )


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_noising_and_denoising_are_the_first_and_the_last_step_of_the_lattice(seed):
    pairs, _ = some_circuits(seed)
    forth, back = patching.lattice(pairs, "clean"), patching.lattice(pairs, "corrupt")
    every = 2 ** len(pairs.parts) - 1
    for i in range(len(pairs.parts)):
        assert torch.equal(patching.noising(pairs)[i], forth[0] - forth[1 << i])
        assert torch.equal(patching.denoising(pairs)[i], back[every - (1 << i)] - back[every])
    # The parts cut the circuit, so nothing is lost beside them, and mean steps add up to the total.
    for values in (forth, back):
        assert torch.allclose(values[0], pairs.clean_value, atol=1e-12)
        assert torch.allclose(values[every], pairs.corrupt_value, atol=1e-12)
        assert torch.allclose(patching.shapley_values(values).sum(0), pairs.total, atol=1e-12)


def test_shapley_values_are_those_of_every_order_of_the_parts():
    """By another method: all orders of four players of a random game."""
    from itertools import permutations

    values = torch.from_numpy(np.random.default_rng(0).normal(size=(16, 2, 1)))
    expected = torch.zeros(4, 2, 1, dtype=torch.float64)
    orders = list(permutations(range(4)))
    for order in orders:
        joined = 0
        for part in order:
            expected[part] += (values[joined] - values[joined | 1 << part]) / len(orders)
            joined |= 1 << part
    assert torch.allclose(patching.shapley_values(values), expected, atol=1e-12)


def test_conductance_and_integrals_are_complete_where_they_should_be():
    """Conductance of the inputs, which cut the circuit, is the total; IG of a part its noising."""
    pairs, _ = some_circuits(5, models=1)
    inputs = [Site(name, name) for name in pairs.path]
    steps = 64  # a step that a kink halves is wrong by 1/64 at most for each input
    through = estimates.conductance(pairs, steps, inputs).sum(0)
    assert (through - pairs.total).abs().max() < 4 / steps
    straight = estimates.ig_activations(pairs, steps)
    assert (straight - patching.noising(pairs)).abs().max() < 4 / steps


def test_what_nothing_reads_has_no_effect_by_any_method():
    pairs, donors = some_circuits(11, models=1)
    unread = [pairs.parts.index(name) for name in ("g3", "g4")]
    assert not patching.true_parts(pairs)[unread].any()
    found = [patching.noising(pairs), patching.denoising(pairs), patching.shapley(pairs)]
    found += [patching.ablation(pairs, kind, donors) for kind in patching.ABLATIONS]
    found += [estimates.estimate(pairs, method, 3) for method in estimates.ESTIMATES]
    assert max(float(effects[unread].abs().max()) for effects in found) == 0
    assert min(float(effects.abs().max()) for effects in found) > 0.1  # there is something to find


def test_only_zero_ablation_blames_what_is_always_on():
    pairs, donors = some_circuits(12, models=1)
    constant = pairs.parts.index("on0")
    effects = {}
    for kind in patching.ABLATIONS:
        effects[kind] = patching.ablation(pairs, kind, donors)[constant]
    assert (effects.pop("zero") == 1).all()
    assert all((effect.abs() < 1e-7).all() for effect in effects.values())


def test_ablations_have_hand_values():
    """AND of (1, 1) over all four inputs: an input is 0 in half of them, and 1/2 on average."""
    pairs = pair("and", ON, OFF)
    donors = circuits.all_inputs(2)[None]
    for kind, expected in {
        "corrupt": 1,
        "zero": 1,
        "mean": 0.5,
        "resample": 0.5,
        "optimal": 0,
    }.items():
        effects = patching.ablation(pairs, kind, donors)
        assert of_inputs(effects, pairs) == pytest.approx([expected] * 2, abs=1e-5), kind


def test_a_model_in_a_batch_is_what_it_is_alone():
    pairs, _ = some_circuits(3)
    wires, params = pairs.forward.args
    effects = [patching.noising, patching.denoising, estimates.conductance]
    for_all = [effect(pairs) for effect in effects]
    on = torch.ones(1, pairs.clean.shape[1], dtype=torch.long)
    for m in range(3):
        own = {name: value[m : m + 1] for name, value in params.items()}
        alone = Pairs(
            partial(circuits.forward, wires, own),
            pairs.clean[m : m + 1],
            pairs.corrupt[m : m + 1],
            patching.measure("logit_diff", on, 0 * on),
            wires.parts,
            wires.inputs,
        )
        for effect, found in zip(effects, for_all, strict=True):
            assert torch.allclose(effect(alone)[:, 0], found[:, m], atol=1e-12)


def test_replacing_parts_by_their_own_values_changes_nothing():
    pairs, _ = some_circuits(2)
    outputs, parts = pairs.forward(pairs.clean)
    again, _ = pairs.forward(pairs.clean, replace=parts)
    assert torch.equal(outputs, again)


def test_table_of_random_circuits():
    """Both directions find more than one; zero ablation blames what is innocent."""
    pairs, donors = some_circuits(0, models=12)
    true, total = patching.true_parts(pairs), pairs.total
    on_to_off = total > 0.02

    def scores(effects):
        found = effects.abs() >= 0.05 * total.abs()
        precision, recall = patching.score(found, true)
        return float(precision[on_to_off].nanmean()), float(recall[on_to_off].nanmean())

    noising, denoising = patching.noising(pairs), patching.denoising(pairs)
    assert scores(noising)[0] == scores(denoising)[0] == 1
    assert max(scores(noising)[1], scores(denoising)[1]) < 0.9
    assert 0.85 < scores(torch.maximum(noising.abs(), denoising.abs()))[1] < 1
    assert scores(patching.ablation(pairs, "zero", donors))[0] < 0.6


# --- what is measured --------------------------------------------------------------------------


def test_metrics_have_hand_values():
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]]], dtype=torch.float64))
    clean = torch.log(torch.tensor([[[0.25, 0.5, 0.25], [0.2, 0.2, 0.6]]], dtype=torch.float64))
    answer, other = torch.tensor([[0, 2]]), torch.tensor([[1, 0]])
    expected = {
        "logit_diff": [np.log(2), np.log(3)],
        "prob": [0.5, 0.6],
        "log_prob": [np.log(0.5), np.log(0.6)],
        "kl": [-(0.25 * np.log(0.5) + 0.5 * np.log(2)), 0],
        "top1": [1, 1],
    }
    assert expected.keys() == set(patching.METRICS)
    for metric, values in expected.items():
        found = patching.measure(metric, answer, other, clean)(logits)
        assert found[0].tolist() == pytest.approx(values, abs=1e-12), metric
    assert patching.measure("top1", other, answer)(logits).tolist() == [[0, 0]]


def test_score_counts_parts():
    found = torch.tensor([[True, False], [True, False], [False, False]])
    true = torch.tensor([[True, True], [False, True], [True, False]])
    precision, recall = patching.score(found, true)
    assert precision[0] == recall[0] == 0.5
    assert precision[1].isnan()
    assert recall[1] == 0


def test_wrong_input_is_refused():
    with pytest.raises(ConfigError, match="corrupt inputs: 1 of 1 are equal to the clean ones"):
        pair("and", ON, ON)
    pairs = pair("and", ON, OFF)
    donors = circuits.all_inputs(2)[None]
    with pytest.raises(ConfigError, match="ablation: got 'none'; allowed: corrupt, zero, mean"):
        patching.ablation(pairs, "none", donors)
    with pytest.raises(ConfigError, match="estimate: got 'exact'; allowed: gradient_clean, "):
        estimates.estimate(pairs, "exact")
    with pytest.raises(ConfigError, match="metric: got 'loss'; allowed: logit_diff, "):
        patching.measure("loss", pairs.clean, pairs.clean)
    many = pair("and", ON, OFF, distractors=12, words=np.arange(60))
    with pytest.raises(ConfigError, match="sets of parts: 15 parts; allowed: at most 12"):
        patching.shapley(many)
