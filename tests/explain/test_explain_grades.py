"""What is true of a model, and how right an explanation of it is: by hand, and where grades must be
1.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from superpos import explain
from superpos.explain import grades, truth

RNG = np.random.default_rng(0)
W = RNG.normal(size=(4, 5, 2))
B = 0.3 * RNG.normal(size=(4, 5))
X = truth.active_inputs(5, 3, 20)
DIGON = np.array([[[1.0], [-1.0]]])
BIAS = np.array([[0.1, 0.1]])


def test_the_strongest_cause_by_hand() -> None:
    # Two outputs that move and one that does not; effects of three inputs.
    real = np.array([[[[3.0, -1.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]]])
    right = grades.grade_causes(real, real)
    assert (right.grade[0], right.missed[0], right.signs[0], right.graded[0], right.still[0]) == (
        1,
        0,
        1,
        2,
        1,
    )
    # The first is missed and its sign wrong, the second is one of two that are named alike.
    found = np.array([[[[-1.0, 2.0, 0.0], [0.0, 0.4, 0.4], [9.0, 9.0, 9.0]]]])
    wrong = grades.grade_causes(real, found)
    assert wrong.grade[0] == pytest.approx((0 + 1 / 2) / 2)
    assert wrong.missed[0] == pytest.approx(1 / 4)
    assert wrong.signs[0] == pytest.approx(1 / 4)


def test_who_gives_nothing_names_nothing() -> None:
    real = np.array([[[[3.0, -1.0]]]])
    nothing = grades.grade_causes(real, np.zeros_like(real))
    assert (nothing.grade[0], nothing.missed[0], nothing.signs[0]) == (0, 1, 0)


def test_where_no_output_moves_there_is_no_grade() -> None:
    dead = np.full((1, 2), -5.0)
    x = np.array([[0.5, 0.5]])
    effects = truth.effects(DIGON, dead, x, "drop", density=0.1)
    found = grades.grade_causes(effects, explain.shapley(DIGON, dead, x))
    assert np.isnan(found.grade[0]) and (found.graded[0], found.still[0]) == (0, 2)
    of_sets = grades.grade_sets(truth.sets(DIGON, dead, x), explain.shapley(DIGON, dead, x))
    assert np.isnan(of_sets.grade[0]) and (of_sets.graded[0], of_sets.still[0]) == (0, 2)
    of_model = grades.grade_model(np.zeros((1, 2, 2)), np.ones((1, 2, 2)))
    assert np.isnan(of_model.grade[0]) and (of_model.graded[0], of_model.still[0]) == (0, 2)


@pytest.mark.parametrize("method", [explain.shapley, explain.occlusion, explain.gradient])
def test_r_squared_is_that_of_all_sets_one_by_one(method: Any) -> None:
    table = explain.value_table(W, B, X)
    found = method(W, B, X)
    whole = table[..., -1:]
    total = np.zeros(4)
    error = np.zeros(4)
    for number, inside in enumerate(product([0, 1], repeat=5)):
        place = sum(bit << j for j, bit in enumerate(inside))
        predicted = (found * (1 - np.array(inside))).sum(-1)
        error += ((whole[..., 0] - table[..., place] - predicted) ** 2).sum(axis=(1, 2))
        total += ((table[..., place] - table.mean(axis=-1)) ** 2).sum(axis=(1, 2))
        assert number < 32
    grade = grades.grade_sets(truth.sets(W, B, X), found).grade
    assert grade == pytest.approx(1 - error / total, abs=1e-12)


def test_no_additive_explanation_beats_the_best_one_and_its_offset() -> None:
    sets = truth.sets(W, B, X)
    ceiling = 1 - (np.maximum(sets.variance - (sets.best**2).sum(-1) / 4, 0)).sum(
        axis=(1, 2)
    ) / sets.variance.sum(axis=(1, 2))
    for method in (
        explain.shapley,
        explain.occlusion,
        explain.integrated_gradients,
        explain.banzhaf,
    ):
        found: Any = method(W, B, X)
        assert (grades.grade_sets(sets, found).grade <= ceiling + 1e-12).all()


def test_every_method_is_right_of_linear_models_and_of_the_identity() -> None:
    eye = np.broadcast_to(np.eye(5), (4, 5, 5))
    for weights, b, output in ((W, B, "linear"), (eye, np.zeros((4, 5)), "relu")):
        options: Any = {"output": output}
        drop = truth.effects(weights, b, X, "drop", density=0.2, **options)
        sets = truth.sets(weights, b, X, **options)
        for method in (
            explain.gradient_times_input,
            explain.integrated_gradients,
            explain.occlusion,
            explain.shapley,
            explain.banzhaf,
        ):
            found: Any = method(weights, b, X, **options)
            assert grades.grade_causes(drop, found).grade == pytest.approx(np.ones(4))
            assert grades.grade_sets(sets, found).grade == pytest.approx(np.ones(4))


def test_ranks_of_a_model_by_hand() -> None:
    true = np.array([[[0.0, 1.0, 2.0], [0.0, 0.0, 0.0]]])
    assert grades.grade_model(
        true, np.array([[[0.1, 5.0, 9.0], [1.0, 2.0, 3.0]]])
    ).grade == pytest.approx([1])
    assert grades.grade_model(
        true, np.array([[[9.0, 5.0, 0.1], [1.0, 2.0, 3.0]]])
    ).grade == pytest.approx([-1])
    assert grades.grade_model(true, np.ones((1, 2, 3))).grade == pytest.approx([0])


def test_effects_are_what_their_questions_say() -> None:
    effects = {
        question: truth.effects(DIGON, BIAS, np.array([[0.6, 0.2]]), question, density=0.5)
        for question in ("drop", "resample", "global", "structure")
    }
    assert effects["drop"][0, 0] == pytest.approx(np.array([[0.5, -0.2], [-0.3, 0.0]]))
    assert effects["structure"][0].tolist() == [[1, -1], [-1, 1]]
    # f_0 = 0.5 less its mean over x_0: half the time 0 (−0.1 is off), else the mean of relu(x_0 −
    # 0.1), 0.9²/2.
    assert effects["resample"][0, 0, 0, 0] == pytest.approx(0.5 - 0.5 * 0.9**2 / 2)
    with pytest.raises(ValueError, match="allowed: drop, resample, global, structure"):
        truth.effects(DIGON, BIAS, X[:, :2], "sets", density=0.5)
    with pytest.raises(ValueError, match="ReLU hidden layer"):
        truth.effects(DIGON, BIAS, X[:, :2], "structure", density=0.5, hidden="relu")
    with pytest.raises(ValueError, match="got 13 features; allowed: up to 12"):
        truth.sets(np.ones((1, 13, 2)), np.zeros((1, 13)), np.zeros((1, 13)))


def test_test_inputs_have_so_many_features_on() -> None:
    assert ((truth.active_inputs(8, 3, 50) > 0).sum(axis=1) == 3).all()
    in_sets = truth.active_inputs(8, 3, 50, set_size=2).reshape(50, 4, 2) > 0
    assert (in_sets.any(-1) == in_sets.all(-1)).all() and (in_sets.all(-1).sum(-1) == 1).all()


def test_data_are_those_of_the_models() -> None:
    density = np.array([[0.1, 1.0], [0.5, 0.5]])
    x = truth.data(density, 40000)
    assert (x > 0).mean(axis=1) == pytest.approx(density, abs=0.02)
    assert x.mean(axis=1) == pytest.approx(density / 2, abs=0.02)
    together = truth.data(np.full((1, 4), 0.3), 40000, set_size=2)[0] > 0
    assert (together[:, 0] == together[:, 1]).all()
    assert (together[:, 0] & together[:, 2]).mean() == pytest.approx(0.09, abs=0.01)
