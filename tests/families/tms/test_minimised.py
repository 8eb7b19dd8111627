"""What a step minimises and starts from, by hand on both engines: powers of errors, L1, weight
decay, biases.

That both engines agree in general is in test_engines.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tasks import make_task, start
from tms import DEFAULTS, check_row, engine_of, reference

from superpos.compose.compose import compose
from superpos.engines import Engine
from superpos.engines.reference import ReferenceEngine
from superpos.errors import ConfigError
from superpos.families.tms import model, theory
from superpos.families.tms.cpu import FusedCpuEngine
from superpos.families.tms.data import inputs
from superpos.families.tms.exact_loss import has_exact_loss
from superpos.families.tms.own import Inputs, with_functions
from superpos.families.tms.structure import Structure, Task
from superpos.user.functions import Own

ENGINES = {"reference": reference(threads=1), "fused": FusedCpuEngine(threads=1)}
on_both = pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))


def params_of(task: Task, W: float, b: float) -> dict[str, np.ndarray]:
    """One number in every entry of W, one in every entry of b."""
    values = {"W": W, "b": b}
    return {
        name: np.full((len(task), *shape), values[name], np.float32)
        for name, shape in task.structure.param_shapes.items()
    }


@on_both
@pytest.mark.parametrize("power", [2, 3, 4])
def test_the_gradient_of_a_power(engine: Engine, power: int) -> None:
    """Of o = w² x + b, e = o - x: by b it is q |e|^(q-1) sign e, by w 2 w x times that, a mean over
    the batch.
    """
    task = make_task(1, 1, density=1.0, output="linear", batch_size=100, loss_power=power)
    x = inputs.batch(task, 0).numpy()[0, :, 0].astype(np.float64)
    error = 0.8**2 * x + 0.25 - x
    loss, grads = engine.gradients(task, params_of(task, 0.8, 0.25), 0)
    slope = power * np.abs(error) ** (power - 1) * np.sign(error)
    np.testing.assert_allclose(loss, [(np.abs(error) ** power).mean()], rtol=1e-5)
    np.testing.assert_allclose(grads["b"], [[slope.mean()]], rtol=1e-5)
    np.testing.assert_allclose(grads["W"], [[[(slope * 2 * 0.8 * x).mean()]]], rtol=1e-5)


@on_both
def test_the_column_loss_is_that_of_squares(engine: Engine) -> None:
    """Whatever the power that is trained on, so that models of both can be compared."""
    squares, fourth = (make_task(4, 2, density=0.5, loss_power=power) for power in (2, 4))
    for found, expected in zip(
        engine.evaluate(fourth, params_of(fourth, 0.3, 0.1), 5000),
        engine.evaluate(squares, params_of(squares, 0.3, 0.1), 5000),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


@on_both
def test_l1_adds_the_signs_of_weights_alone(engine: Engine) -> None:
    plain = make_task(5, 3, models=2, batch_size=64)
    taxed = replace(plain, structure=replace(plain.structure, l1=0.25))
    params = params_of(plain, 0.0, 0.2)
    params["W"][:, :, 0], params["W"][:, :, 1] = 0.5, -0.5
    losses, grads = engine.gradients(plain, params, 0)
    found_losses, found = engine.gradients(taxed, params, 0)
    np.testing.assert_array_equal(found_losses, losses)
    np.testing.assert_array_equal(found["b"], grads["b"])
    np.testing.assert_allclose(found["W"] - grads["W"], 0.25 * np.sign(params["W"]), atol=1e-7)


@on_both
def test_l1_is_the_same_whatever_the_reduction(engine: Engine) -> None:
    """Without importance nothing is left but the penalty; `train.reduction` is about the loss."""
    for reduction in ("mean", "sum"):
        task = make_task(3, 2, importance=0.0, l1=0.5, reduction=reduction, batch_size=16)
        grads = engine.gradients(task, params_of(task, -2.0, 1.0), 0)[1]
        np.testing.assert_allclose(grads["W"], np.full((1, 3, 2), -0.5), rtol=1e-6)
        assert not grads["b"].any()


@on_both
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_decay_of_weights_alone(engine: Engine, optimizer: str) -> None:
    task = make_task(
        3,
        2,
        importance=0.0,
        lr=0.5,
        weight_decay=0.1,
        decay_bias=False,
        optimizer=optimizer,
        steps=1,
        batch_size=16,
    )
    state = start(task)
    state.params |= params_of(task, 1.0, 1.0)
    engine.advance(task, state, 1)
    np.testing.assert_array_equal(state.params["b"], np.ones((1, 3), np.float32))
    # Adam's first step is lr, whatever the gradient
    expected = 0.5 if optimizer == "adam" else 1 - 0.5 * 0.1
    np.testing.assert_allclose(state.params["W"], np.full((1, 3, 2), expected), rtol=1e-6)


@on_both
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("n", [3, 18])
def test_a_model_without_a_bias(engine: Engine, optimizer: str, n: int) -> None:
    learned, none = (
        make_task(n, 2, models=2, bias=bias, optimizer=optimizer, steps=5, batch_size=32)
        for bias in ("learned", "none")
    )
    states = [start(learned), start(none)]
    for task, state in zip((learned, none), states, strict=True):
        engine.advance(task, state, 5)
    assert states[0].params["b"].any()
    assert not states[1].params["b"].any()
    assert (states[0].params["W"] != states[1].params["W"]).any()
    assert list(engine.gradients(none, states[1].params, 0)[1]) == ["W"]


@on_both
@pytest.mark.parametrize("tied", [True, False])
def test_rows_are_pulled_to_length_1(engine: Engine, tied: bool) -> None:
    """Without importance nothing else moves: W_i + lr γ (1/|W_i| - 1) W_i, here with lr γ = 0.5 ·
    0.2 = 0.1.
    """
    task = make_task(
        3,
        2,
        importance=0.0,
        lr=0.5,
        weight_decay=0.0,
        norm_pull=0.2,
        tied=tied,
        optimizer="sgd",
        steps=2,
        batch_size=16,
    )
    rows = np.float32([[[3.0, 4.0], [0.0, 0.5], [0.0, 0.0]]])
    state = start(task)
    names = ["W"] if tied else ["W1", "W2"]
    state.params |= {name: rows.copy() for name in names} | {"b": np.float32([[2.0, 0.0, 0.0]])}
    engine.advance(task, state, 1)
    for name in names:
        expected = [[[3 - 0.1 * 0.8 * 3, 4 - 0.1 * 0.8 * 4], [0, 0.5 + 0.1 * 0.5], [0, 0]]]
        np.testing.assert_allclose(state.params[name], expected, rtol=1e-6)
    np.testing.assert_array_equal(state.params["b"], np.float32([[2.0, 0.0, 0.0]]))


def test_initial_biases() -> None:
    same = model.initial_params(make_task(4, 2, models=3, bias_init=[-1.0, 0.0, 0.5]))
    np.testing.assert_array_equal(same["b"], np.float32([[-1.0] * 4, [0.0] * 4, [0.5] * 4]))
    np.testing.assert_array_equal(same["W"], model.initial_params(make_task(4, 2, models=3))["W"])
    spread = model.initial_params(make_task(500, 2, models=8, bias_init=2.0, bias_std=0.5))["b"]
    assert abs(spread.mean() - 2) < 4 * 0.5 / np.sqrt(4000)
    assert abs(spread.std() - 0.5) < 4 * 0.5 / np.sqrt(8000)
    alone = make_task(500, 2, seed=[3], bias_init=2.0, bias_std=0.5)
    np.testing.assert_array_equal(model.initial_params(alone)["b"][0], spread[3])


def test_initial_polygon() -> None:
    square = np.float32([[1, 0], [0, 1], [-1, 0], [0, -1], [0, 0]])
    exact = model.initial_params(make_task(5, 2, init_std=0.0, init="polygon:4", tied=False))
    for name in ("W1", "W2"):
        np.testing.assert_allclose(exact[name], [square], atol=1e-7)
    near = model.initial_params(make_task(5, 2, models=3, init_std=0.1, init="polygon:4"))
    usual = model.initial_params(make_task(5, 2, models=3, init_std=0.1))
    np.testing.assert_allclose(near["W"], usual["W"] + square, atol=1e-6)
    np.testing.assert_array_equal(near["b"], usual["b"])


def test_one_feature_at_a_time_costs_a_square_nothing() -> None:
    for start_at, expected in (("polygon:4", 1 / 15), ("polygon:3", 2 / 15)):
        params = model.initial_params(make_task(5, 2, init_std=0.0, init=start_at))
        loss = theory.one_hot_loss(params["W"], params["b"])
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
    usual = model.initial_params(make_task(5, 2))
    assert abs(theory.one_hot_loss(usual["W"], usual["b"])[0] - 1 / 15) > 0.05


@pytest.mark.parametrize(
    "engine", [FusedCpuEngine(), reference(threads=1)], ids=["fused", "reference"]
)
def test_engines_start_at_a_polygon(engine: Engine) -> None:
    task = make_task(
        5, 2, models=2, lr=0.05, init_std=0.01, init="polygon:4", density=1.0,
        correlation="anticorrelated", set_size=5, optimizer="sgd", batch_size=1024, steps=20,
    )  # fmt: skip
    state = start(task)
    engine.advance(task, state, 20)
    loss = theory.one_hot_loss(state.params["W"], state.params["b"])
    assert (np.abs(loss - 1 / 15) < 0.01).all()  # still near the level that it started at


@pytest.mark.parametrize("value", ["polygon:2", "polygon:", "square", 4, "polygon:4.5"])
def test_other_starts_are_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"model\.init: .*polygon:K with K corners"):
        compose([f"model.init={value}"])


def test_a_start_has_one_form() -> None:
    assert tuple(compose(["model.init=polygon:04"]).sweep.values("model.init")) == ("polygon:4",)


def test_targets() -> None:
    x = torch.tensor([[[-0.5, 0.0, 0.25]]])
    assert model.target(make_task(3, 2, target="relu", signed=True), x).flatten().tolist() == [
        0,
        0,
        0.25,
    ]


ALONE = ((0.5, False, 0.0, ()),)  # a tree of one feature, in canonical form
ROWS: list[tuple[dict[str, Any], list[str]]] = [
    ({"model.target": "relu"}, ["model.target: relu", "data.signed=true"]),
    ({"data.values": "sign"}, ["data.values=sign", "a relu output cannot be negative"]),
    (
        {"data.values": "one", "data.signed": True, "model.output": "linear"},
        ["data.values: one", "leave data.signed"],
    ),
    ({"data.sharpness": 3.0}, ["data.sharpness: 3", "data.correlation=circle"]),
    (
        {"data.correlation": "circle", "data.set_size": 5, "data.sampler": "sparse"},
        ["data.sampler: sparse", "dense"],
    ),
    ({"data.correlation": "pairs", "data.set_size": 3}, ["data.set_size: 3", "allowed: 2"]),
    (
        {
            "data.correlation": "pairs",
            "data.set_size": 2,
            "model.n_features": 4,
            "data.density": 0.2,
            "data.strength": -0.3,
        },
        ["data.strength: -0.3", "at least -0.25"],
    ),
    ({"data.strength": 0.3}, ["data.strength: 0.3 without data.correlation=pairs"]),
    ({"data.correlation": "exactly"}, ["data.exactly: is missing"]),
    ({"data.exactly": 2}, ["data.exactly: given without data.correlation=exactly"]),
    ({"data.correlation": "exactly", "data.exactly": 6}, ["data.exactly: 6", "model.n_features"]),
    (
        {"data.correlation": "exactly", "data.exactly": 2, "data.density": 0.3},
        ["data.density: given beside data.exactly"],
    ),
    (
        {"data.correlation": "exactly", "data.exactly": 2, "data.set_size": 5},
        ["data.set_size: 5 with data.correlation=exactly; leave it 1"],
    ),
    (
        {"data.correlation": "exactly", "data.exactly": 2, "data.sampler": "sparse"},
        ["data.sampler: sparse", "dense"],
    ),
    ({"data.correlation": "tree"}, ["data.tree: is missing"]),
    ({"data.tree": ALONE}, ["data.tree: given without data.correlation=tree"]),
    (
        {"data.correlation": "tree", "data.tree": ALONE * 6},
        ["data.tree: 6 features", "n_features=5"],
    ),
    (
        {"data.correlation": "tree", "data.tree": ALONE * 5, "data.density": 0.1},
        ["data.density: given beside data.tree"],
    ),
    (
        {"data.correlation": "tree", "data.tree": ALONE, "data.density": (0.1,) * 5},
        ["data.density: a list beside data.tree"],
    ),
    (
        {
            "data.correlation": "tree",
            "data.tree": ((0.5, True, 0.0, (0.6, 0.5)),),
        },
        ["data.tree: exclusive children", "1.1"],
    ),
    (
        {"model.init": "polygon:4", "model.n_hidden": 3},
        ["model.init: polygon:4", "model.n_hidden=3"],
    ),
    ({"model.init": "polygon:6"}, ["model.init: polygon:6", "at most model.n_features=5"]),
    ({"data.seed": 3}, ["data.seed: 3 without data.n_points"]),
    ({"model.bias": "none", "model.bias_init": 0.5}, ["model.bias: none", "model.bias_init=0.5"]),
    ({"model.bias": "none", "model.bias_std": 2.0}, ["model.bias: none", "model.bias_std=2"]),
    (
        {"model.bias": "none", "train.decay_bias": False},
        ["model.bias: none", "train.decay_bias=false"],
    ),
]


@pytest.mark.parametrize(("changes", "words"), ROWS)
def test_what_does_not_fit(changes: dict[str, Any], words: list[str]) -> None:
    [fault] = check_row({**DEFAULTS, **changes})
    assert all(word in fault for word in words), fault


@pytest.mark.parametrize(
    "changes",
    [
        {"model.target": "relu", "data.signed": True},
        {"model.target": "relu", "data.values": "normal"},
        {"model.output": "linear", "data.values": "sign"},
        {"data.values": "exponential"},
        {"model.bias": "none"},
    ],
)
def test_what_fits(changes: dict[str, Any]) -> None:
    assert check_row({**DEFAULTS, **changes}) == []


def test_engines_say_what_they_lack() -> None:
    for values in ("sign", "normal", "exponential"):
        choice = engine_of(Structure(5, 2, output="linear", values=values))
        assert choice.engine.name == "reference"
        assert f"data.values={values}" in choice.reason
        with pytest.raises(
            ConfigError,
            match=rf"fused CPU engine draws values that are uniform or 1 only .*{values}",
        ):
            engine_of(Structure(5, 2, output="linear", values=values), backend="fused")
    for had in (
        {"values": "one"},
        {"loss_power": 4},
        {"l1": 0.1},
        {"bias": "none"},
        {"decay_bias": False},
    ):
        assert engine_of(Structure(5, 2, **had)).engine.name == "fused"


def test_a_gpu_says_what_it_lacks() -> None:
    pytest.importorskip("triton")
    from superpos.families.tms.gpu import FusedGpuEngine

    lacking = {
        "train.loss_power=4": {"loss_power": 4}, "train.l1=0.1": {"l1": 0.1},
        "model.bias=none": {"bias": "none"}, "train.norm_pull=0.5": {"norm_pull": 0.5},
        "train.decay_bias=false": {"decay_bias": False}, "data.values=normal": {"values": "normal"},
        "model.target=relu": {"target": "relu", "signed": True},
    }  # fmt: skip
    for words, structure in lacking.items():
        assert words in str(FusedGpuEngine().unsupported(Structure(5, 2, **structure)))
    assert FusedGpuEngine().unsupported(Structure(5, 2, values="one")) is None


def test_exact_losses_are_of_uniform_values() -> None:
    assert has_exact_loss(Structure(3, 2))
    assert not has_exact_loss(Structure(3, 2, values="one"))
    # the column loss is of squares for them, too
    assert has_exact_loss(Structure(3, 2, loss_power=4, l1=0.1))


def test_steps_of_one_s_own_come_after_the_pull_to_length_1() -> None:
    def doubled(
        params: dict[str, torch.Tensor], lr: torch.Tensor, step: int
    ) -> dict[str, torch.Tensor]:
        return {"W": 2 * params["W"]}

    own = Own.of({"after_step": doubled})
    assert own is not None
    family = with_functions(own)
    task = make_task(
        1, 1, importance=0.0, lr=0.5, weight_decay=0.0, norm_pull=0.2, optimizer="sgd", steps=1
    )
    state = start(task)
    state.params |= params_of(task, 2.0, 0.0)
    ReferenceEngine(family, threads=1).advance(task, state, 1)
    np.testing.assert_allclose(state.params["W"], [[[2 * (2 - 0.1 * 0.5 * 2)]]], rtol=1e-6)


def test_models_of_one_s_own_are_trained_on_the_power() -> None:
    def shift(params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return 0 * x + params["b"][:, None]

    own = Own.of({"model": shift})
    assert own is not None
    family = with_functions(own)
    task = make_task(2, 1, loss_power=4, importance=[[1.0, 3.0]])
    params = {"b": torch.tensor([[0.5, 1.0]])}
    inputs = Inputs(torch.tensor([[[0.0, 0.5], [1.5, 1.0]]]), {})
    assert family.losses(task, params, inputs, {}, 0).tolist() == [[0.5**4 + 3 * 0.5**4, 1.0]]
    assert family.losses(task, params, inputs, {}, None).tolist() == [[0.5**2 + 3 * 0.5**2, 1.0]]
