"""Sparse autoencoders: every gradient by name against its formula, codes by hand, upkeep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from saes import hand_gradients, make_sae_task, make_world, random_params, reference_gradients

from superpos.engines.task import Stepped
from superpos.families.sae.model import (
    encode,
    forward,
    initial_params,
    k_of,
    losses,
    penalty_factor,
)
from superpos.families.sae.upkeep import after_step, extra_state, restarts

KINDS: dict[str, dict[str, Any]] = {
    "l1": {"penalty": [0.3, 0.02]},
    "topk": {"kind": "topk", "k": [1, 3]},
    "batchtopk": {"kind": "batchtopk", "k": [1.5, 3.3]},
    "jumprelu": {"kind": "jumprelu", "penalty": [0.3, 0.02], "bandwidth": [2.0, 0.4]},
    "gated": {"kind": "gated", "penalty": [0.3, 0.02]},
}
MODIFIERS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "tied": {"tied": True},
    "no decoder bias": {"decoder_bias": False},
    "prefixes": {"prefixes": (1, 3, 5), "prefix_weights": [0.5, 2.0, 1.0]},
    "frozen": {"frozen": "decoder"},
    "aux": {"aux_k": 2},
}
CASES = [
    (kind, modifier)
    for kind in KINDS
    for modifier in MODIFIERS
    if not (kind == "gated" and modifier == "tied") and (modifier != "aux" or "topk" in kind)
]


@pytest.mark.parametrize(("kind", "modifier"), CASES)
@pytest.mark.parametrize("step", [0, 19])
def test_every_gradient_is_that_of_its_formula(kind: str, modifier: str, step: int) -> None:
    task = make_sae_task(2, penalty_warmup=0.2, **{**KINDS[kind], **MODIFIERS[modifier]})
    params = random_params(task)
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 7, 4)))
    extra = {
        "threshold": torch.zeros(2),
        "idle": torch.tensor([[0, 100, 7, 200, 300], [0, 0, 0, 0, 0]]),
    }
    (loss, grads), (expected, wanted) = (
        made(task, params, x, extra, step) for made in (reference_gradients, hand_gradients)
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    assert (
        grads.keys() == wanted.keys() == params.keys() - ({"D"} if modifier == "frozen" else set())
    )
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, wanted[name], rtol=1e-10, atol=1e-13, err_msg=name)
        assert np.abs(grad).max() > 0, name


def test_the_penalty_grows_in_equal_parts() -> None:
    structure = make_sae_task(steps=20, penalty_warmup=0.21).structure  # over 5 steps
    assert [penalty_factor(structure, step) for step in (0, 1, 4, 5, 19, None)] == [
        0.2,
        0.4,
        1,
        1,
        1,
        1,
    ]
    assert penalty_factor(make_sae_task(penalty_warmup=0.0).structure, 0) == 1


def test_an_annealed_k_falls_over_the_first_part() -> None:
    task = make_sae_task(steps=100, kind="topk", k=2.0, anneal_k=2.0)
    assert [k_of(task, step)[0] for step in (0, 30, 60, 99, None)] == [4, 3, 2, 2, 2]
    assert k_of(make_sae_task(kind="topk", k=2.0, anneal_k=9.0, latents=5), 0)[0] == 5


def codes(kind: str, z: list[list[float]], step: int | None, **values: Any) -> np.ndarray:
    """Codes of one model whose latents are its inputs."""
    world = make_world(n_features=3, n_dims=3)
    task = make_sae_task(worlds=(world,), kind=kind, latents=3, decoder_bias=False, **values)
    unit = torch.eye(3)[None]
    params = {"E": unit, "D": unit, "b_e": torch.zeros(1, 3), "theta": torch.full((1, 3), 0.5)}
    extra = {"threshold": torch.tensor([0.25])}
    return encode(task, params, torch.tensor([z]), extra, step).f[0].numpy()


def test_codes_by_hand() -> None:
    z = [[3.0, 1.0, 2.0], [-1.0, 0.5, -2.0], [0.25, 0.5, -1.0]]
    assert codes("l1", z, 0).tolist() == [[3, 1, 2], [0, 0.5, 0], [0.25, 0.5, 0]]
    assert codes("topk", z, 0, k=2.0).tolist() == [[3, 0, 2], [0, 0.5, 0], [0.25, 0.5, 0]]
    assert codes("topk", z, 0, k=3.0).tolist() == codes("l1", z, 0).tolist()
    # .5 twice: a tie
    assert codes("batchtopk", z, 0, k=1.0).tolist() == [[3, 1, 2], [0, 0, 0], [0, 0, 0]]
    assert codes("batchtopk", z, 0, k=5 / 3).tolist() == [[3, 1, 2], [0, 0.5, 0], [0, 0.5, 0]]
    # above .25
    assert codes("batchtopk", z, None, k=1.0).tolist() == [[3, 1, 2], [0, 0.5, 0], [0, 0.5, 0]]
    assert codes("jumprelu", z, 0).tolist() == [[3, 1, 2], [0, 0, 0], [0, 0, 0]]


def test_ties_do_not_fire() -> None:
    assert codes("topk", [[2.0, 1.0, 1.0], [1.0, 1.0, 1.0]], 0, k=2.0).tolist() == [
        [2, 0, 0],
        [0, 0, 0],
    ]


def test_a_loss_by_hand() -> None:
    task = make_sae_task(worlds=(make_world(n_features=2, n_dims=2),), latents=2, penalty=0.5)
    params = {
        "E": torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]),
        "D": torch.tensor([[[3.0, 4.0], [0.0, 1.0]]]),  # taken at length 1
        "b_e": torch.tensor([[0.0, -1.0]]),
        "b_d": torch.tensor([[1.0, 0.0]]),
    }
    x = torch.tensor([[[2.0, 3.0]]])  # z = (1, 2), x̂ = (.6, .8) + (0, 2) + (1, 0) = (1.6, 2.8)
    assert losses(task, params, x, {}, None).item() == pytest.approx(0.16 + 0.04 + 0.5 * 3)


def test_parts_can_be_replaced() -> None:
    task = make_sae_task(2, penalty=0.1)
    params = {name: value.float() for name, value in random_params(task).items()}
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    out, parts = forward(task, params, x)
    again, _ = forward(task, params, 0 * x, {"latents": parts["latents"]})
    assert torch.equal(again, out)
    assert forward(task, params, x, {"output": x})[0] is x


def test_where_decoders_start() -> None:
    world = make_world(n_features=6, n_dims=4)
    task = make_sae_task(
        3, worlds=(world,), latents=8, start=["random", "truth", "truth+noise"], kind="jumprelu"
    )
    params = initial_params(task)
    D = params["D"].astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(D, axis=-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(params["E"], params["D"])
    assert not params["b_e"].any()
    assert (params["theta"] == np.float32(0.1)).all()
    cosines = (D[:, :6] * world.features).sum(-1)
    np.testing.assert_allclose(cosines[1], 1, rtol=1e-6)
    assert (cosines[2] > 0.99).all()
    assert (cosines[2] < 1 - 1e-6).any()
    assert (np.abs(cosines[0]) < 0.99).all()
    few = initial_params(make_sae_task(worlds=(world,), latents=2, start="truth"))["D"][0]
    np.testing.assert_allclose(few, world.features[:2], rtol=1e-6)


def stepped(task: Any, params: dict[str, torch.Tensor], extra: dict[str, Any]) -> Stepped:
    ones = {name: torch.ones_like(value) for name, value in params.items()}
    return Stepped(
        params, ones, ones, {name: torch.as_tensor(value) for name, value in extra.items()}, params
    )


def test_rows_of_d_and_thresholds_are_put_right() -> None:
    task = make_sae_task(kind="jumprelu")
    params = {name: value.float() for name, value in random_params(task).items()}
    params["D"] = 3 * params["D"]
    params["theta"][0, 0] = -1.0
    found = after_step(task, stepped(task, params, {}), torch.zeros(1, 2, 4), 0)
    torch.testing.assert_close(found.params["D"], params["D"] / 3)
    assert found.params["theta"][0, 0] == 0
    assert (found.params["theta"][0, 1:] == params["theta"][0, 1:]).all()


def test_the_threshold_of_batchtopk_is_a_moving_average() -> None:
    world = make_world(n_features=2, n_dims=2)
    task = make_sae_task(worlds=(world,), kind="batchtopk", k=1.0, latents=2, decoder_bias=False)
    unit = torch.eye(2)[None]
    params = {"E": unit, "D": unit, "b_e": torch.zeros(1, 2)}
    extra = extra_state(task)
    assert extra.keys() == {"threshold"}
    state = stepped(task, params, extra)
    # the two largest: 2 and 3
    first = after_step(task, state, torch.tensor([[[1.0, 2.0], [3.0, 0.5]]]), 0)
    assert first.extra["threshold"].tolist() == [2.0]
    second = after_step(task, first, torch.tensor([[[4.0, 1.0], [3.0, 0.5]]]), 1)
    assert second.extra["threshold"].tolist() == pytest.approx([0.99 * 2 + 0.01 * 3])
    nothing = after_step(task, second, -torch.ones(1, 2, 2), 2)
    assert nothing.extra["threshold"].tolist() == second.extra["threshold"].tolist()


def test_latents_that_never_fired_start_anew() -> None:
    world = make_world(n_features=2, n_dims=2)
    task = make_sae_task(
        2, worlds=(world,), latents=3, decoder_bias=False, restart_every=4, steps=100, seed=[1, 2]
    )
    E = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]]] * 2)
    params = {
        "E": E,
        "D": E / E.norm(dim=-1, keepdim=True),
        "b_e": torch.tensor([[0.0, -99.0, 0.0]] * 2),
    }
    assert extra_state(task)["idle"].shape == (2, 3)
    x = torch.tensor([[[1.0, 0.0], [3.0, 4.0]]] * 2)
    state = stepped(task, params, {"idle": np.array([[0, 3, 0], [0, 2, 0]], dtype=np.int32)})
    early = after_step(task, state, x, 2)
    assert early.extra["idle"].tolist() == [[0, 4, 0], [0, 3, 0]]
    assert (early.params["b_e"] == params["b_e"]).all()
    found = after_step(task, state, x, 3)
    # the second model's has not waited long enough
    assert found.extra["idle"].tolist() == [[0, 0, 0], [0, 3, 0]]
    assert found.params["b_e"].tolist() == [[0, 0, 0], [0, -99, 0]]
    torch.testing.assert_close(found.params["D"][0, 1].norm(), torch.tensor(1.0))
    row = found.params["D"][0, 1]
    assert min((row - torch.tensor(unit)).abs().max() for unit in ([1.0, 0.0], [0.6, 0.8])) < 1e-6
    # of live rows of length 1 and 2
    torch.testing.assert_close(found.params["E"][0, 1], 0.2 * 1.5 * row)
    for name in ("E", "D", "b_e"):
        assert not found.first[name][0, 1].any()
        assert not found.second[name][0, 1].any()
        assert found.first[name][0, 0].all()
        assert found.first[name][1].all()
    assert not found.params["E"][1].sub(params["E"][1]).any()


def test_inputs_are_drawn_in_proportion_to_the_squared_loss() -> None:
    world = make_world(n_features=2, n_dims=2)
    task = make_sae_task(
        worlds=(world,), latents=400, decoder_bias=False, restart_every=1, steps=100
    )
    params = {
        "E": torch.zeros(1, 400, 2),
        "D": torch.nn.functional.normalize(torch.ones(1, 400, 2), dim=-1),
        "b_e": torch.full((1, 400), -1.0),
    }
    # losses 1, 2 and 0: drawn as 1 to 4
    x = torch.tensor([[[1.0, 0.0], [0.0, 2.0**0.5], [0.0, 0.0]]])
    found = after_step(task, stepped(task, params, extra_state(task)), x, 0).params["D"][0]
    share = (found[:, 0] > 0.5).float().mean()
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 400) ** 0.5
    assert ((found[:, 0] > 0.99) | (found[:, 1] > 0.99)).all()


def test_restarts_end_before_training_does() -> None:
    structure = make_sae_task(steps=100, restart_every=10).structure
    assert [step + 1 for step in range(100) if restarts(structure, step)] == [
        10,
        20,
        30,
        40,
        50,
        60,
        70,
    ]
    assert not restarts(make_sae_task(steps=100).structure, 9)
