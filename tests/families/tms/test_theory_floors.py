"""Losses of known codes: worked out by hand, against a least-squares fit and samples, and against
training.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tasks import make_task

from superpos.families.tms import model, theory

DENSITIES = st.floats(0.001, 1)


def sampled_loss(
    W1: NDArray[np.float64],
    W2: NDArray[np.float64],
    b: NDArray[np.float64],
    x: NDArray[np.float64],
    tied: bool = False,
) -> tuple[float, float]:
    """Mean loss and its standard error, importance 1, with a ReLU hidden layer; |x| for untied
    weights.
    """
    n, m = W1.shape
    task = make_task(n, m, hidden="relu", tied=tied, target="identity" if tied else "abs")
    named = {"W": W1, "b": b} if tied else {"W1": W1, "W2": W2, "b": b}
    params = {name: torch.from_numpy(value)[None] for name, value in named.items()}
    losses = model.losses(task, params, torch.from_numpy(x)[None])[0].numpy()
    return float(losses.mean()), float(losses.std() / np.sqrt(len(losses)))


def signed(density: float, shape: tuple[int, int], seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, shape) * (rng.random(shape) < density)


def test_dense_floors_by_hand() -> None:
    # V(1) = 1/12; importance 4, 2, 1: two neurons leave 1, or 2 + 1 for |x|
    assert theory.dedicated_floor(1, [1, 4, 2], 2) == pytest.approx(1 / 12)
    assert theory.absolute_value_floor(1, [1, 4, 2], 2) == pytest.approx(3 / 12)
    # three neurons: the odd one brings feature 1 from 1/12 to 1/15
    assert theory.absolute_value_floor(1, [1, 4, 2], 3) == pytest.approx(2 / 15 + 1 / 12)
    assert (
        theory.absolute_value_floor(1, [1, 4, 2], 6) == theory.dedicated_floor(1, [1, 4, 2], 3) == 0
    )
    assert theory.absolute_value_floor(1, [1, 4, 2], 9) == 0


def test_one_output_by_hand() -> None:
    assert [theory.absolute_value_loss(1, k) for k in (0, 1, 2)] == pytest.approx(
        [1 / 12, 1 / 15, 0]
    )
    with pytest.raises(ValueError, match="0, 1 or 2, got 3"):
        theory.absolute_value_loss(1, 3)


@pytest.mark.parametrize("density", [1.0, 0.3])
def test_one_neuron_is_the_least_squares_fit_of_the_absolute_value_on_its_half(
    density: float,
) -> None:
    p = density  # moments of u = relu(x) and t = |x|, integrated by hand
    u, uu, t, tt, tu = p / 4, p / 6, p / 2, p / 3, p / 6
    slope, bias = np.linalg.solve([[uu, u], [u, 1]], [tu, t])
    expected = tt - slope * tu - bias * t
    assert slope > 0
    assert bias > 0
    assert theory.absolute_value_loss(p, 1) == pytest.approx(expected, rel=1e-12)
    found, error = sampled_loss(
        np.ones((1, 1)), slope * np.ones((1, 1)), np.full(1, bias), signed(p, (200_000, 1))
    )
    assert abs(found - expected) < 4 * error
    # nothing on a grid of slopes of either sign and biases, cut-off outputs among them, is better
    x = np.linspace(0, 1, 201)
    for w, c in product(np.linspace(-2, 2, 41), np.linspace(-1, 1, 41)):
        active = (
            np.mean((x - np.maximum(w * x + c, 0)) ** 2) / 2 + np.mean((x - max(c, 0)) ** 2) / 2
        )
        assert p * active + (1 - p) * max(c, 0) ** 2 > expected - 1e-4


@given(DENSITIES)
def test_the_second_neuron_saves_at_least_as_much_as_the_first(density: float) -> None:
    none, one, two = (theory.absolute_value_loss(density, k) for k in (0, 1, 2))
    assert none == pytest.approx(float(theory.variance(density)))
    assert none - one <= (one - two) * (1 + 1e-12)


@given(DENSITIES, st.lists(st.floats(0.01, 1), min_size=1, max_size=4), st.integers(0, 9))
def test_the_absolute_value_floor_is_the_best_of_all_ways_to_give_out_neurons(
    density: float, importance: list[float], n_neurons: int
) -> None:
    ways = product((0, 1, 2), repeat=len(importance))
    cost = [
        sum(
            weight * theory.absolute_value_loss(density, k)
            for weight, k in zip(importance, way, strict=True)
        )
        for way in ways
        if sum(way) <= n_neurons
    ]
    assert theory.absolute_value_floor(density, importance, n_neurons) == pytest.approx(
        min(cost), abs=1e-15
    )


@pytest.mark.parametrize("n_neurons", [2, 3, 4, 5])
def test_the_pair_code_gives_back_features_alone(n_neurons: int) -> None:
    W = theory.pair_code(n_neurons)
    assert W.shape == (n_neurons * (n_neurons - 1) // 2, n_neurons)
    assert ((W > 0).sum(axis=1) == 2).all()
    assert len(np.unique(W > 0, axis=0)) == len(W)
    alone = np.linspace(0, 1, 3)[:, None, None] * np.eye(len(W))
    np.testing.assert_allclose(np.maximum(np.maximum(alone @ W, 0) @ W.T, 0), alone, atol=1e-15)


@pytest.mark.parametrize(("n_neurons", "expected"), [(3, 0.0), (4, 0.5 * 6), (5, 1.5 * 10)])
def test_two_features_of_the_pair_code_together(n_neurons: int, expected: float) -> None:
    W = theory.pair_code(n_neurons)
    n = len(W)
    assert theory.pair_code_loss(1, np.ones(n), n_neurons) == pytest.approx(expected)
    total, variance = 0.0, 0.0
    for i in range(n):
        for j in range(i):
            x = np.zeros((1000, n))
            x[:, [i, j]] = np.random.default_rng(n * i + j).random((1000, 2))
            loss, error = sampled_loss(W, W, np.zeros(n), x, tied=True)
            total, variance = total + loss, variance + error**2
    assert abs(total - expected) <= 4 * np.sqrt(variance) + 1e-12


def test_the_pair_code_loses_more_when_its_signs_are_wrong() -> None:
    W = np.abs(theory.pair_code(4)) * np.where(theory.pair_code(4) > 0, 1, 0)  # without inhibition
    loss, _ = sampled_loss(W, W, np.zeros(6), np.eye(6), tied=True)
    assert loss > 0.5
