"""Forward pass and loss by hand, initial weights, and the sampled loss against the exact one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tasks import make_task
from tms import reference

from superpos.engines import Engine
from superpos.families.tms import model, theory
from superpos.families.tms.cpu import FusedCpuEngine
from superpos.families.tms.structure import Structure, Task
from superpos.maths.sampling import mean_and_error

ENGINES: list[Engine] = [reference(threads=1), FusedCpuEngine(threads=1)]
SAMPLES = 2**20


def tensors(**values: Any) -> dict[str, torch.Tensor]:
    """Parameters or inputs of one model."""
    return {name: torch.tensor(value, dtype=torch.float64)[None] for name, value in values.items()}


def task_of(structure: Structure, importance: Any = 1.0) -> Task:
    values = vars(structure) | {
        "n": structure.n_features,
        "m": structure.n_hidden,
        "importance": importance,
    }
    return make_task(
        **{name: value for name, value in values.items() if name not in ("n_features", "n_hidden")}
    )


def forward(structure: Structure, x: list[list[float]], **params: Any) -> list[list[float]]:
    outputs, parts = model.forward(task_of(structure), tensors(**params), tensors(x=x)["x"])
    assert outputs is parts["output"]
    return outputs[0].tolist()


def losses(
    structure: Structure, x: list[list[float]], importance: list[float], **params: Any
) -> list[float]:
    return model.losses(task_of(structure, importance), tensors(**params), tensors(x=x)["x"])[
        0
    ].tolist()


TIED = {"W": [[2.0], [1.0]], "b": [0.5, -1.0]}
X = [[1.0, 0.5], [0.0, 0.25]]
# h = 2 * 1 + 1 * 0.5 = 2.5, W h + b = [5.5, 1.5];  h = 0.25, W h + b = [1, -0.75]


def test_linear_model() -> None:
    structure = Structure(2, 1, output="linear")
    assert forward(structure, X, **TIED) == [[5.5, 1.5], [1.0, -0.75]]
    # I = (1, 2): (1 - 5.5)^2 + 2 (0.5 - 1.5)^2 = 20.25 + 2;  (0 - 1)^2 + 2 (0.25 + 0.75)^2 = 1 + 2
    assert losses(structure, X, [1.0, 2.0], **TIED) == [22.25, 3.0]


def test_a_part_is_replaced_and_what_follows_from_it() -> None:
    task, params, x = task_of(Structure(2, 1)), tensors(**TIED), tensors(x=X)["x"]
    hidden = torch.tensor([[[1.0], [-1.0]]], dtype=torch.float64)
    outputs, parts = model.forward(task, params, x, replace={"hidden": hidden})
    assert parts["hidden"] is hidden
    # W h + b = [2 + 0.5, 1 - 1], [-2 + 0.5, -1 - 1]
    assert outputs[0].tolist() == [[2.5, 0.0], [0.0, 0.0]]
    whole = {name: value.clone() for name, value in model.forward(task, params, x)[1].items()}
    assert torch.equal(model.forward(task, params, x, replace=whole)[0], whole["output"])
    assert model.forward(task, params, x, replace={"output": x})[0] is x


def test_relu_output_model() -> None:
    structure = Structure(2, 1)
    assert forward(structure, X, **TIED) == [[5.5, 1.5], [1.0, 0.0]]
    # (0 - 1)^2 + 2 (0.25 - 0)^2 = 1 + 0.125
    assert losses(structure, X, [1.0, 2.0], **TIED) == [22.25, 1.125]


def test_relu_hidden_model() -> None:
    structure = Structure(2, 2, hidden="relu")
    params = {"W": [[1.0, -1.0], [0.5, 1.0]], "b": [-1.0, 0.0]}
    # h = [0.5 + 0.125, -0.5 + 0.25]^+ = [0.625, 0];  W h + b = [0.625 - 1, 0.3125]
    assert forward(structure, [[0.5, 0.25]], **params) == [[0.0, 0.3125]]
    # (0.5 - 0)^2 + (0.25 - 0.3125)^2 = 0.25 + 0.00390625
    assert losses(structure, [[0.5, 0.25]], [1.0, 1.0], **params) == [0.25390625]


def test_untied_model() -> None:
    structure = Structure(2, 1, tied=False, output="linear")
    params = {"W1": [[1.0], [2.0]], "W2": [[3.0], [-4.0]], "b": [0.5, 1.0]}
    # h = 1 * 1 + 2 * 0.5 = 2;  [3 * 2 + 0.5, -4 * 2 + 1]
    assert forward(structure, [[1.0, 0.5]], **params) == [[6.5, -7.0]]


def test_the_known_solution_computes_absolute_values() -> None:
    """n = 3, m = 6: W1 = [I, -I] in the paper's orientation, W2 = [I I], b = 0 has no loss."""
    structure = Structure(3, 6, tied=False, hidden="relu", target="abs", signed=True)
    eye = np.eye(3)
    params = {"W1": np.hstack([eye, -eye]), "W2": np.hstack([eye, eye]), "b": np.zeros(3)}
    x = [[-0.5, 0.25, 0.0], [1.0, -1.0, -0.125]]
    assert forward(structure, x, **params) == [[0.5, 0.25, 0.0], [1.0, 1.0, 0.125]]
    assert losses(structure, x, [1.0, 0.5, 0.25], **params) == [0.0, 0.0]
    # without weights: I . |x|^2 = 0.25 + 0.5 * 0.0625
    nothing = {name: np.zeros_like(value) for name, value in params.items()}
    assert losses(structure, x[:1], [1.0, 0.5, 0.25], **nothing) == [0.28125]


def test_initial_weights_are_normal_and_biases_zero() -> None:
    task = make_task(60, 40, models=2, init_std=[0.1, 3.0], tied=False)
    params = model.initial_params(task)
    assert {name: value.shape for name, value in params.items()} == {
        "W1": (2, 60, 40),
        "W2": (2, 60, 40),
        "b": (2, 60),
    }
    assert all(value.dtype == np.float32 for value in params.values())
    assert not params["b"].any()
    error = 1 / np.sqrt(2 * 2400)  # relative standard error of a standard deviation of 2400 numbers
    for name in ("W1", "W2"):
        assert params[name].std(axis=(1, 2)) == pytest.approx([0.1, 3.0], rel=4 * error)
        assert np.all(
            np.abs(params[name].mean(axis=(1, 2))) < 4 * np.array([0.1, 3.0]) / np.sqrt(2400)
        )
    overlap = np.corrcoef(params["W1"][0].ravel(), params["W2"][0].ravel())[0, 1]
    assert abs(overlap) < 4 / np.sqrt(2400)  # two tensors, two draws


def test_initial_weights_are_a_models_own() -> None:
    many = make_task(5, 3, models=300, init_std=np.linspace(0.1, 2, 300))
    together = model.initial_params(many)["W"]
    for i in (0, 17, 299):
        assert np.array_equal(model.initial_params(many.take(slice(i, i + 1)))["W"][0], together[i])
    assert np.array_equal(
        model.initial_params(make_task(5, 3, init_std=0.0))["W"], np.zeros((1, 5, 3))
    )


def test_mean_and_standard_error() -> None:
    # l = 1, 3: sum 4, sum of squares 10; mean 2, standard deviation (n - 1) sqrt(2), error sqrt(2)
    # / sqrt(2)
    mean, error = mean_and_error(np.array([[4.0, 10.0], [6.0, 18.0]]), 2)
    assert mean.tolist() == [2.0, 3.0]
    assert error.tolist() == [1.0, 0.0]
    # a model whose losses overflow has no error, and no warning is raised
    mean, error = mean_and_error(
        np.array([[np.inf, np.inf], [4.0, np.inf], [np.nan, np.nan], [4.0, 10.0]]), 2
    )
    assert mean.tolist()[:2] == [np.inf, 2.0]
    assert np.isnan(error).tolist() == [True, True, True, False]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
@pytest.mark.parametrize("output", ["relu", "linear"])
def test_sampled_loss_agrees_with_the_exact_loss(engine: Engine, output: str) -> None:
    """Data, forward pass and the scale of the loss at once: within 4 standard errors of theory."""
    task = make_task(
        3,
        2,
        models=3,
        seed=[1, 1, 2**40],
        output=output,
        density=[[1.0, 0.9, 0.5], [0.3, 0.1, 0.7], [0.05, 0.05, 0.2]],
        importance=[[1, 0.5, 2], [1, 1, 1], [0, 3, 1]],
    )
    random = np.random.default_rng(0)
    params = {"W": random.normal(0, 0.7, (3, 3, 2)), "b": random.normal(0, 0.2, (3, 3))}
    params32 = {name: value.astype(np.float32) for name, value in params.items()}
    mean, error = engine.evaluate(task, params32, SAMPLES)
    exact = theory.expected_loss(
        params32["W"], params32["b"], 1 - task.sparsity, task.importance, output
    )
    assert np.all(error > 0)
    assert np.all(error < 0.01 * mean)
    assert np.all(np.abs(mean - exact) < 4 * error), ((mean - exact) / error).tolist()


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_sampled_loss_of_no_model_is_the_second_moment(engine: Engine) -> None:
    """W = 0, b = 0: L = sum I E x^2 = p/3 (1 + 2) for every correlation; sets of 2, density p/2
    when anticorrelated.
    """
    for correlation, density in (("correlated", 0.3), ("anticorrelated", 0.15)):
        task = make_task(
            2, 1, density=0.3, importance=[1.0, 2.0], correlation=correlation, set_size=2
        )
        nothing = {"W": np.zeros((1, 2, 1), np.float32), "b": np.zeros((1, 2), np.float32)}
        mean, error = engine.evaluate(task, nothing, 2**18)
        assert abs(mean[0] - density) < 4 * error[0]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_the_standard_error_is_that_of_the_samples(engine: Engine) -> None:
    """One feature, W = 0: losses are x^2 with E x^2 = p/3, E x^4 = p/5; variance p/5 - p^2/9."""
    nothing = {"W": np.zeros((1, 1, 1), np.float32), "b": np.zeros((1, 1), np.float32)}
    _, error = engine.evaluate(make_task(1, 1, density=0.4), nothing, 10_001)
    assert error[0] == pytest.approx(np.sqrt((0.4 / 5 - 0.4**2 / 9) / 10_001), rel=0.03)
