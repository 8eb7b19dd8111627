"""The fused CPU engine against the reference, tensor by tensor, by name.

Tolerances. Every number compared is a sum of products. Rounding errors of a sum of L float32 terms
grow like a random walk (Higham and Mary 2019): they stay below lambda * sqrt(L) * eps/2 of the sum
of the terms' magnitudes, lambda = 4 being beyond any plausible luck. Two engines: `unit(L)` = 4
sqrt(L) eps. `magnitudes` computes those sums of magnitudes in float64, L is the length of the
longest chain: forward, backward and over the batch.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from tasks import make_task, start
from tms import reference

from superpos.engines import Engine
from superpos.engines.task import State
from superpos.families.tms import FAMILY
from superpos.families.tms.cpu import FusedCpuEngine, call
from superpos.families.tms.data import inputs as data
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Task
from superpos.family import Adam

pytestmark = pytest.mark.slow

EPS = float(np.finfo(np.float32).eps)
REFERENCE, FUSED = reference(threads=1), FusedCpuEngine(threads=1)

SETS = {"correlation": "correlated", "set_size": 3}
FAMILIES: dict[str, dict[str, Any]] = {
    "relu output": {},
    "without a bias": {"bias": "none"},
    "fourth powers": {"loss_power": 4, "decay_bias": False},
    ("cubes, relu target"): {
        "loss_power": 3,
        "target": "relu",
        "tied": False,
        "hidden": "relu",
        "signed": True,
    },
    ("one of values 1, L1"): SETS
    | {"correlation": "anticorrelated", "values": "one", "l1": 0.003, "bias": "none"},
    "values 1": {"values": "one"},
    "rows pulled to length 1": {"norm_pull": 3.0},
    "rows of both matrices": {"norm_pull": 0.5, "tied": False, "optimizer": "sgd"},
    "L1, decay of W alone": {"l1": 0.1, "decay_bias": False},
    "linear output": {"output": "linear"},
    "relu hidden": {"hidden": "relu"},
    "relu hidden, linear output": {"hidden": "relu", "output": "linear"},
    "untied": {"tied": False},
    "untied, signed, linear": {"tied": False, "output": "linear", "signed": True},
    "absolute value": {"tied": False, "hidden": "relu", "target": "abs", "signed": True},
    "correlated": SETS,
    "anticorrelated": SETS | {"correlation": "anticorrelated"},
    "anticorrelated absolute value": SETS
    | {
        "correlation": "anticorrelated",
        "tied": False,
        "hidden": "relu",
        "target": "abs",
        "signed": True,
    },
}
FAMILIES |= {f"sparse {name}": family | {"sampler": "sparse"} for name, family in FAMILIES.items()}
FAMILIES |= {
    "points": {"n_points": 131},
    "points of one seed": {"n_points": 40, "data_seed": [7, 7, 3, 7, 2**64 - 1]},
    ("points of sets, signed"): SETS
    | {"n_points": 7, "tied": False, "output": "linear", "signed": True},
    ("points, absolute value"): {
        "n_points": 257,
        "tied": False,
        "hidden": "relu",
        "target": "abs",
        "signed": True,
    },
}
# n, m, batch: sizes around the tiles of the kernels, batches around the block of 128 samples
SHAPES = [
    (1, 1, 1), (1, 3, 333), (2, 1, 100), (3, 2, 127), (3, 5, 1), (5, 2, 129), (17, 3, 333),
    (33, 5, 100), (5, 17, 127), (17, 33, 128), (65, 17, 1), (33, 65, 127), (65, 65, 129),
    (8, 16, 256),
]  # fmt: skip


class Magnitudes(NamedTuple):
    """What the same sums would be if all terms had one sign, in float64."""

    samples: np.ndarray  # losses [M, B]
    grads: dict[str, np.ndarray]  # [M, ...]


def magnitudes(task: Task, params: dict[str, np.ndarray], x: torch.Tensor) -> Magnitudes:
    """Forward and backward pass on absolute values, without activations."""
    s, size = (
        task.structure,
        {name: np.abs(value.astype(np.float64)) for name, value in params.items()},
    )
    inputs = np.abs(x.double().numpy())  # [M, B, F]
    w1, w2 = (size["W"], size["W"]) if s.tied else (size["W1"], size["W2"])
    h = inputs @ w1
    error = h @ w2.mT + size["b"][:, None, :] + inputs
    weighted = task.importance[:, None, :] * error
    g = s.loss_power * weighted * error ** (s.loss_power - 2)
    g /= inputs.shape[1] * (s.n_features if s.reduction == "mean" else 1)
    encoder, decoder = inputs.mT @ (g @ w2), g.mT @ h
    weights = {"W": encoder + decoder} if s.tied else {"W1": encoder, "W2": decoder}
    samples = (task.importance[:, None, :] * error**s.loss_power).sum(-1)
    return Magnitudes(
        samples, {name: value + s.l1 for name, value in weights.items()} | {"b": g.sum(1)}
    )


def unit(task: Task, samples: int) -> float:
    n, m = task.structure.n_features, task.structure.n_hidden
    return 4 * np.sqrt(2 * n + m + samples) * EPS


def assert_near(name: str, found: Any, expected: Any, bound: Any) -> None:
    """Every element within its own bound; a failure names the tensor and the worst element."""
    difference = np.abs(np.asarray(found, np.float64) - expected)
    worst = np.unravel_index(np.argmax(difference - bound), difference.shape)
    allowed = np.broadcast_to(bound, difference.shape)
    assert np.all(difference <= allowed), (
        name,
        worst,
        found[worst],
        expected[worst],
        allowed[worst],
    )


def random_params(task: Task, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights, and biases that are not zero."""
    random = np.random.default_rng(seed)
    shapes = task.structure.param_shapes
    return {
        name: random.normal(0, 0.4, (len(task), *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def varied(n: int, m: int, models: int, **structure: Any) -> Task:
    """Models that differ in everything that may differ; some share a seed; both words of the last
    seed count.
    """
    size = structure.get("set_size", 1)
    if "data_seed" in structure:
        structure = structure | {"data_seed": structure["data_seed"][:models]}
    density = np.random.default_rng(1).uniform(0.1, 1, (models, n // size)).repeat(size, axis=1)
    return make_task(
        n, m, models, seed=[0, 3, 3, 2**64 - 1, 0][:models], density=density,
        importance=np.random.default_rng(2).uniform(0.2, 2, (models, n)),
        lr=np.linspace(1e-3, 1e-2, models), weight_decay=np.linspace(-0.1, 0.3, models),
        **structure,
    )  # fmt: skip


def check_gradients(
    task: Task, step: int = 2, params: dict[str, np.ndarray] | None = None, engine: Engine = FUSED
) -> None:
    params = random_params(task) if params is None else params
    losses, grads = REFERENCE.gradients(task, params, step)
    found_losses, found = engine.gradients(task, params, step)
    size = magnitudes(task, params, data.batch(task, step))
    bound = unit(task, task.structure.samples_per_step)
    assert_near("loss", found_losses, losses, bound * size.samples.mean(-1))
    trained = [name for name in task.structure.param_shapes if name not in task.structure.frozen]
    assert list(found) == list(grads) == trained
    for name in grads:
        assert_near(f"gradient of {name}", found[name], grads[name], bound * size.grads[name])


@pytest.mark.parametrize(("n", "m", "batch"), SHAPES)
def test_gradients_on_awkward_shapes(n: int, m: int, batch: int) -> None:
    check_gradients(varied(n, m, 3, batch_size=batch))
    check_gradients(varied(n, m, 2, batch_size=batch, **FAMILIES["absolute value"]))
    check_gradients(varied(n, m, 3, batch_size=batch, sampler="sparse"))
    check_gradients(varied(n, m, 2, batch_size=batch, **FAMILIES["sparse absolute value"]))


@pytest.mark.parametrize("output", ["relu", "linear"])
@pytest.mark.parametrize("n", range(1, 8))
def test_gradients_of_small_sizes(n: int, output: str) -> None:
    """Sizes with code of their own, and those next to them; the densest and the sparsest feature
    that there is.
    """
    for m in range(1, 5):
        for sampler in ("dense", "sparse"):
            task = varied(n, m, 3, batch_size=131, output=output, sampler=sampler)
            task.sparsity[:, 0] = [0, 1 - 2.0**-32, 0.5]
            check_gradients(task)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "m", "batch"), [(6, 2, 129), (33, 17, 100)])
def test_gradients_of_every_family(family: str, n: int, m: int, batch: int) -> None:
    check_gradients(varied(n, m, 5, batch_size=batch, reduction="sum", **FAMILIES[family]))


@pytest.mark.parametrize("family", ["relu output", "relu hidden", "absolute value"])
@pytest.mark.parametrize(("n", "m"), [(3, 1), (17, 2)])
def test_a_relu_is_flat_at_zero(family: str, n: int, m: int) -> None:
    """Outputs that are exactly 0, as where b = 0 and no hidden unit is active, have no gradient."""
    task = varied(n, m, 3, batch_size=100, **FAMILIES[family])
    params = random_params(task)
    params["b"][:] = 0
    check_gradients(task, params=params)
    nothing = {name: np.zeros_like(value) for name, value in params.items()}
    for engine in (REFERENCE, FUSED):
        assert not any(grad.any() for grad in engine.gradients(task, nothing, 0)[1].values())


def check_step(task: Task, step: int, engine: Engine = FUSED) -> None:
    """One step of both engines from the same state: parameters, moments and the recorded loss."""
    s, before = task.structure, start(task)
    before.params |= random_params(task)
    REFERENCE.advance(task, before, step)
    expected, found = deepcopy(before), deepcopy(before)
    REFERENCE.advance(task, expected, step + 1)
    engine.advance(task, found, step + 1)
    size = magnitudes(task, before.params, data.batch(task, step))
    bound = unit(task, s.samples_per_step)
    assert found.step == expected.step == step + 1
    assert_near(
        "history", found.history[:, step], expected.history[:, step], bound * size.samples.mean(-1)
    )
    assert np.array_equal(np.isnan(found.history), np.isnan(expected.history))
    for name in s.param_shapes:
        check_tensor(task, name, (before, expected, found), bound * size.grads[name])


def check_tensor(
    task: Task, name: str, states: tuple[State, State, State], grad_bound: np.ndarray
) -> None:
    """The bound on the gradient carried through the optimiser's formulas, and a few roundings of
    their terms.
    """
    before, expected, found = states
    rates = (task.lr, task.weight_decay)
    lr, decay = (value.reshape(-1, *[1] * (grad_bound.ndim - 1)) for value in rates)
    old = np.abs(before.params[name]).astype(np.float64)
    grad_bound = grad_bound + 2 * EPS * np.abs(decay) * old
    bound = 4 * EPS * old + lr * grad_bound
    if task.structure.optimizer != "sgd":
        moments = (before.first, before.second, expected.first, expected.second)
        m0, v0, m, v = (np.abs(moment[name]).astype(np.float64) for moment in moments)
        m_bound = 0.1 * grad_bound + 4 * EPS * (m + m0)
        # abs g <= 10 (m + m0)
        v_bound = 0.001 * (20 * (m + m0) + grad_bound) * grad_bound + 4 * EPS * (v + v0)
        assert_near(f"first moment of {name}", found.first[name], expected.first[name], m_bound)
        assert_near(f"second moment of {name}", found.second[name], expected.second[name], v_bound)
        unbias1, unbias2 = 1 - 0.9 ** (before.step + 1), np.sqrt(1 - 0.999 ** (before.step + 1))
        root = np.sqrt(v) / unbias2 + 1e-8
        root_bound = np.minimum(np.sqrt(v_bound), v_bound / np.maximum(np.sqrt(v), 1e-30)) / unbias2
        direction = m / unbias1 / root
        relative = np.minimum(root_bound / root + 8 * EPS, 1)
        bound = 4 * EPS * old + 2 * lr * (m_bound / unbias1 / root + direction * relative)
    assert_near(name, found.params[name], expected.params[name], bound)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_of_every_family(family: str) -> None:
    check_step(varied(6, 2, 5, batch_size=129, steps=10, loss_every=1, **FAMILIES[family]), step=0)
    check_step(varied(33, 5, 3, batch_size=100, steps=10, loss_every=1, **FAMILIES[family]), step=3)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    ("kind", "warmup"), [("constant", 0), ("linear", 0), ("cosine", 3), ("linear", 8)]
)
def test_a_step_of_every_optimiser(optimizer: str, reduction: str, kind: str, warmup: int) -> None:
    options = {
        "optimizer": optimizer,
        "reduction": reduction,
        "lr_schedule": kind,
        "warmup_steps": warmup,
    }
    for step in (0, 1, 6):
        check_step(varied(5, 2, 5, batch_size=33, steps=8, loss_every=1, **options), step)


def test_the_constants_of_adam_are_the_family_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """With beta1 = 3/4 and beta2 = 1/2: m = g / 4, v = g² / 2; corrected both are g and g².

    All but eps is exact.
    """
    monkeypatch.setattr(call, "FAMILY", replace(FAMILY, adam=Adam(0.75, 0.5, 0.125)))
    task = varied(5, 2, 3, batch_size=100, steps=1, loss_every=1, optimizer="adamw")
    state = start(task)
    before = deepcopy(state.params)
    _, grads = FUSED.gradients(task, before, 0)
    FUSED.advance(task, state, 1)
    for name, grad in grads.items():
        assert np.array_equal(state.first[name], grad / 4), name
        assert np.array_equal(state.second[name], grad**2 / 2), name
        lr, decay = (
            value.reshape(-1, *[1] * (grad.ndim - 1)) for value in (task.lr, task.weight_decay)
        )
        expected = (1 - lr * decay) * before[name] - lr * grad / (np.abs(grad) + 0.125)
        assert_near(name, state.params[name], expected, 8 * EPS * (np.abs(before[name]) + lr))


def test_training_for_long_reaches_the_same_loss() -> None:
    """200 steps of both: the trajectories stay together where a step is stable, as plain gradient
    descent is.
    """
    task = varied(
        5, 2, 5, batch_size=100, steps=200, loss_every=50, optimizer="sgd", reduction="sum"
    )
    states = [start(task), start(task)]
    for engine, state in zip((REFERENCE, FUSED), states, strict=True):
        engine.advance(task, state, 200)
    # each step adds at most one step's rounding, bounded by 200 units of a loss of about 1
    assert_near("history", states[1].history, states[0].history, 200 * unit(task, 100))
    assert not np.isnan(states[1].history).any()
    assert np.abs(states[1].params["W"] - start(task).params["W"]).max() > 0.01


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("samples", [1, 5000])
def test_evaluation(family: str, samples: int) -> None:
    check_evaluation(varied(6, 3, 5, **FAMILIES[family]), samples)


def check_evaluation(task: Task, samples: int, engine: Engine = FUSED) -> None:
    """Losses and standard errors of both engines."""
    params = random_params(task)
    mean, error = REFERENCE.evaluate(task, params, samples)
    found_mean, found_error = engine.evaluate(task, params, samples)
    x = data.sample(task, Purpose.EVALUATE, 0, range(samples))
    # [M, B]; float64 beyond a block of 128
    bound = unit(task, 128) * magnitudes(task, params, x).samples
    assert_near("loss", found_mean, mean, bound.mean(-1))
    # Standard deviations of l and l' differ by at most the root mean square of l - l'; squares of l
    # are rounded too.
    deviation, found_deviation = (
        value * np.sqrt(max(samples - 1, 1)) for value in (error, found_error)
    )
    apart = np.sqrt((bound**2).mean(-1))
    variance_bound = (2 * deviation + apart) * apart + 2 * EPS * (deviation**2 + mean**2)
    assert_near("variance", found_deviation**2, deviation**2, variance_bound)
