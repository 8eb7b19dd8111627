"""Optimisers against torch.optim, and by hand; learning-rate schedules by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from superpos.maths import optimisers

EPS = np.finfo(np.float32).eps
STEPS = 50
ADAM = (0.9, 0.999, 1e-8)  # torch's
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def zeros(param: torch.Tensor) -> optimisers.Update:
    return optimisers.Update(param, torch.zeros_like(param), torch.zeros_like(param))


def one_step(
    optimizer: str,
    param: float,
    grad: float,
    lr: float,
    weight_decay: float,
    step: int = 0,
    **old: float,
) -> Any:
    """One number, one step, in float64: parameter, first and second moment."""
    values = [
        torch.tensor([[value]], dtype=torch.float64)
        for value in (param, old.get("m", 0), old.get("v", 0))
    ]
    rates = [torch.tensor([value], dtype=torch.float64) for value in (lr, weight_decay)]
    new = optimisers.update(
        optimizer,
        ADAM,
        step,
        *rates,
        optimisers.Update(*values),
        torch.tensor([[grad]], dtype=torch.float64),
    )
    return tuple(value.item() for value in new)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("scale", [1.0, 1e-7], ids=["ordinary", "as small as eps"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1, -0.05])
@pytest.mark.parametrize("adam", [ADAM, (0.8, 0.95, 1e-4)], ids=["torch's constants", "others"])
def test_50_steps_as_torch(
    optimizer: str, scale: float, weight_decay: float, adam: tuple[float, float, float]
) -> None:
    random = torch.Generator().manual_seed(3)
    initial = torch.randn(1, 4, 3, generator=random)
    grads = scale * torch.randn(STEPS, 1, 4, 3, generator=random)
    lr = 0.01
    # torch refuses a negative decay; its sign is set afterwards
    theirs = initial.clone().requires_grad_()
    constants = {} if optimizer == "sgd" else {"betas": adam[:2], "eps": adam[2]}
    other = OPTIMIZERS[optimizer]([theirs], lr=lr, weight_decay=abs(weight_decay), **constants)
    other.param_groups[0]["weight_decay"] = weight_decay
    ours = zeros(initial.clone())
    rates = torch.tensor([lr]), torch.tensor([weight_decay])
    for step in range(STEPS):
        theirs.grad = grads[step].clone()
        other.step()
        ours = optimisers.update(optimizer, adam, step, *rates, ours, grads[step])
    # A step rounds the parameter once or twice and a move of at most a few lr about ten times, each
    # to within eps / 2; torch multiplies in another order. Both sides together:
    bound = STEPS * EPS * (2 * initial.abs() + 20 * lr)
    assert ((ours.param - theirs).abs() <= bound).all()
    assert (ours.param - initial).abs().max() > 0 or scale < 1
    if optimizer != "sgd":
        state = other.state[theirs]
        for name, found in (("exp_avg", ours.first), ("exp_avg_sq", ours.second)):
            # A moment is a sum of about 1 / (1 - beta) terms of one sign or both, each rounded a
            # few times.
            largest = float(state[name].abs().max())
            assert torch.allclose(found, state[name], rtol=STEPS * EPS, atol=STEPS * EPS * largest)


def test_sgd_by_hand() -> None:
    # g = 0.5 + 0.1 * 2 = 0.7; 2 - 0.01 * 0.7
    assert one_step("sgd", 2.0, 0.5, 0.01, 0.1) == pytest.approx((1.993, 0, 0), rel=1e-12)


def test_adam_by_hand() -> None:
    # g = 0.5 + 0.1 * 2 = 0.7; m = 0.1 g = 0.07, v = 0.001 g^2 = 0.00049; corrected they are g and
    # g^2: a move of lr
    found = one_step("adam", 2.0, 0.5, 0.01, 0.1)
    assert found == pytest.approx((2 - 0.01 * 0.7 / (0.7 + 1e-8), 0.07, 0.00049), rel=1e-7)


def test_adamw_by_hand() -> None:
    # the decay stays out of the moments: m = 0.05, v = 0.00025, a move of lr; 2 (1 - 0.01 * 0.1) -
    # 0.01
    assert one_step("adamw", 2.0, 0.5, 0.01, 0.1) == pytest.approx(
        (1.998 - 0.01, 0.05, 0.00025), rel=1e-7
    )


def test_adam_in_its_second_step_by_hand() -> None:
    # m = 0.9 * 0.1 + 0.1 * (-1) = -0.01, v = 0.999 * 0.001 + 0.001 * 1 = 0.001999
    # corrected: m / (1 - 0.81) = -1/19, v / (1 - 0.998001) = 1; a move of +lr / 19
    found = one_step("adam", 0.0, -1.0, 0.01, 0.0, step=1, m=0.1, v=0.001)
    assert found == pytest.approx((0.01 / 19, -0.01, 0.001999), rel=1e-6)


def test_eps_stands_outside_the_root() -> None:
    # g = 1e-8: m = g, sqrt v = g; lr g / (g + 1e-8) = lr / 2
    assert one_step("adam", 0.0, 1e-8, 0.01, 0.0)[0] == pytest.approx(-0.005, rel=1e-6)


def test_a_gradient_of_zero_moves_nothing_but_by_decay() -> None:
    assert one_step("adam", 2.0, 0.0, 0.01, 0.0) == (2.0, 0.0, 0.0)
    assert one_step("adamw", 2.0, 0.0, 0.01, 0.1)[0] == pytest.approx(2 * (1 - 0.001), rel=1e-7)


def test_every_model_has_its_own_rates() -> None:
    param, grad = torch.ones(3, 2, 2), torch.full((3, 2, 2), 0.5)
    lr, decay = torch.tensor([0.1, 0.2, 0.0]), torch.tensor([0.0, 1.0, 5.0])
    together = optimisers.update("sgd", ADAM, 0, lr, decay, zeros(param), grad).param
    # 1 - 0.1 * 0.5; 1 - 0.2 * (0.5 + 1); 1
    assert torch.allclose(together[:, 0, 0], torch.tensor([0.95, 0.7, 1.0]))
    for optimizer in OPTIMIZERS:
        whole = optimisers.update(optimizer, ADAM, 3, lr, decay, zeros(param), grad)
        for i in range(3):
            part = slice(i, i + 1)
            alone = optimisers.update(
                optimizer, ADAM, 3, lr[part], decay[part], zeros(param[part]), grad[part]
            )
            assert all(torch.equal(a, b[part]) for a, b in zip(alone, whole, strict=True))


@pytest.mark.parametrize(
    ("kind", "steps", "warmup", "expected"),
    [
        ("constant", 3, 0, [1, 1, 1]),
        ("linear", 4, 0, [1, 0.75, 0.5, 0.25]),
        ("cosine", 4, 0, [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]),
        ("constant", 4, 2, [0.5, 1, 1, 1]),
        ("constant", 3, 1, [1, 1, 1]),
        ("linear", 4, 3, [1 / 3, 0.75 * 2 / 3, 0.5, 0.25]),
        ("cosine", 2, 2, [0.5, 0.5]),
        ("linear", 1, 0, [1]),
        ("cosine", 0, 0, []),
    ],
)
def test_schedules_by_hand(kind: str, steps: int, warmup: int, expected: list[float]) -> None:
    found = optimisers.schedule(kind, steps, warmup)
    assert found.shape == (steps,)
    assert found.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "steps", "share", "expected"),
    [
        ("linear", 5, 0.4, [1, 1, 1, 1, 0.5]),
        ("cosine", 8, 0.5, [1, 1, 1, 1, 1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]),
        ("constant", 3, 0.5, [1, 1, 1]),
        ("linear", 3, 1e-6, [1, 1, 1]),
    ],
)
def test_a_rate_that_falls_over_the_last_share(
    kind: str, steps: int, share: float, expected: list[float]
) -> None:
    found = optimisers.schedule(kind, steps, 0, share)
    assert found.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)
