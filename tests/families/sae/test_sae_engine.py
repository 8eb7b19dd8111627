"""The fused engine of autoencoders against the reference, tensor by tensor, by name.

Tolerances. Every number compared is a sum of products. Rounding errors of a sum of L float32 terms
stay below 4 sqrt(L) eps/2 of the sum of the terms' magnitudes (see test_engines); `magnitudes`
computes those sums in float64, for the cells that are active. That a cell lies so near to its
threshold that two roundings disagree about it happens once in some 1e5 of these tasks; their seeds
are fixed.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numba import njit
from sae_tasks import make_task, make_world, start_of

from superpos.engines import choose
from superpos.engines.compiled.vectors import LANES, STRIDE, WIDTH
from superpos.engines.reference import ReferenceEngine
from superpos.engines.task import State
from superpos.families.sae import FAMILY
from superpos.families.sae.cpu import FusedSaeEngine, batches, select
from superpos.families.sae.model import encode, penalty_factor
from superpos.families.sae.purposes import Purpose
from superpos.families.sae.structure import Task
from superpos.families.sae.world.magnitudes import magnitudes as of_levels
from superpos.families.sae.world.synthetic import Synthetic
from superpos.maths import trees
from superpos.maths.streams import key_words

pytestmark = pytest.mark.slow

EPS = float(np.finfo(np.float32).eps)
REFERENCE, FUSED = ReferenceEngine(FAMILY, threads=1), FusedSaeEngine(threads=1)

KINDS: dict[str, dict[str, Any]] = {
    "l1": {"kind": "l1", "penalty": [0.05, 0.1, 0.3]},
    "topk": {"kind": "topk", "k": [1, 2, 4]},
    "batchtopk": {"kind": "batchtopk", "k": [0.7, 2, 3.5]},
    "jumprelu": {"kind": "jumprelu", "penalty": [0.01, 0.03, 0.1], "bandwidth": [0.1, 0.2, 0.3]},
}
MODIFIERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no b_d": {"decoder_bias": False},
    "tied": {"tied": True},
    "tied, no b_d": {"tied": True, "decoder_bias": False},
    "frozen": {"frozen": "decoder"},
    "prefixes": {"prefixes": (2, 5, 12)},
    "weighted prefixes": {"prefixes": (2, 5, 12), "prefix_weights": [0.25, 0.5, 2]},
    "one weighted prefix": {"prefixes": (12,), "prefix_weights": [0.25]},
    "mean": {"reduction": "mean"},
    "adamw": {"optimizer": "adamw", "weight_decay": [0, 0.1, 0.3]},
    "coupled decay": {"weight_decay": [0, 0.1, 0.3]},
}
# G, d, m, batch: around whole vectors, blocks of 128 samples, groups of 32 latents, four vectors of
# a row
SHAPES = [
    (1, 1, 1, 1), (2, 2, 5, 128), (3, 1, 17, 129), (17, 16, 31, 100), (33, 17, 33, 300),
    (40, 65, 65, 127), (20, 130, 20, 64),
]  # fmt: skip


class Magnitudes(NamedTuple):
    """What the same sums would be if all terms had one sign, in float64."""

    loss: np.ndarray  # [M]
    grads: dict[str, np.ndarray]  # [M, ...]


def magnitudes(task: Task, params: dict[str, np.ndarray], x: torch.Tensor, step: int) -> Magnitudes:
    """Forward and backward pass on absolute values, for the cells that the reference takes for
    active.
    """
    s = task.structure
    tensors = {name: torch.from_numpy(value) for name, value in params.items()}
    codes = encode(task, tensors, x, {"threshold": torch.zeros(len(task))}, step)
    on = codes.on.detach().double().numpy()
    size = {name: np.abs(value.astype(np.float64)) for name, value in params.items()}
    encoder, decoder = size.get("E", size["D"]), size["D"]
    b_d = size.get("b_d", np.zeros((len(task), s.n_dims)))[:, None, :]
    inputs = np.abs(x.double().numpy()) + b_d  # [M, B, d]
    f = on * (inputs @ encoder.mT + size["b_e"][:, None, :])
    weights = task.prefix_weights.sum(-1)[:, None, None]
    error = f @ decoder + inputs
    penalty = penalty_factor(s, step) * task.penalty[:, None, None]
    active = f if s.kind == "l1" else on if s.kind == "jumprelu" else 0 * on
    loss = (weights * error**2).sum((1, 2)) + (penalty * active).sum((1, 2))
    g = 2 * weights * error
    q = g @ decoder.mT + (penalty if s.kind == "l1" else 0)
    dz = on * q
    d_decoder, d_encoder, d_b_e = f.mT @ g, dz.mT @ inputs, dz.sum(1)
    if s.tied:
        d_decoder = d_decoder + d_encoder
    along = (d_decoder * decoder).sum(-1, keepdims=True) * decoder
    grads = {"E": d_encoder, "D": d_decoder + along, "b_e": d_b_e}
    grads["b_d"] = g.sum(1) + (d_b_e[:, None, :] @ encoder)[:, 0]
    if "theta" in params:
        width = task.bandwidth[:, None, None]
        theta = params["theta"][:, None, :]
        near = np.abs(codes.pre.double().numpy() - theta) < width / 2
        grads["theta"] = (near / width * (theta * q + penalty)).sum(1)
    scale = s.gradient_scale / x.shape[1]
    return Magnitudes(loss / x.shape[1], {name: scale * grads[name] for name in params})


def unit(task: Task) -> float:
    s = task.structure
    return 4 * np.sqrt(2 * s.n_dims + 2 * s.latents + s.batch_size) * EPS


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


def random_start(task: Task) -> State:
    """A state with biases that are not zero, and an encoder that is not the decoder's."""
    state, random = start_of(task), np.random.default_rng(0)
    for name, value in state.params.items():
        if name != "D":
            value += random.normal(0, 0.1, value.shape).astype(np.float32)
    if "theta" in state.params:
        np.abs(state.params["theta"], out=state.params["theta"])
    return state


def check_gradients(task: Task, step: int = 2) -> None:
    params = random_start(task).params
    losses, grads = REFERENCE.gradients(task, params, step)
    found_losses, found = FUSED.gradients(task, params, step)
    size = magnitudes(task, params, FAMILY.batch(task, step, "cpu"), step)
    assert_near("loss", found_losses, losses, unit(task) * size.loss)
    assert list(found) == list(grads)
    for name in grads:
        assert_near(f"gradient of {name}", found[name], grads[name], unit(task) * size.grads[name])


def varied(n: int, d: int, m: int, batch: int, **options: Any) -> Task:
    """Three models in two worlds that differ in everything that may differ."""
    return make_task(
        n, d, m, 3, worlds=2, lr=[1e-3, 3e-3, 1e-2], batch_size=batch, steps=10,
        **{"loss_every": 1, **options},
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d", "m", "batch"), SHAPES)
def test_gradients_on_awkward_shapes(kind: str, n: int, d: int, m: int, batch: int) -> None:
    options = KINDS[kind]
    if "k" in options:
        options = options | {"k": np.minimum(options["k"], m)}
    check_gradients(varied(n, d, m, batch, **options))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("modifier", MODIFIERS)
def test_gradients_of_every_modifier(kind: str, modifier: str) -> None:
    check_gradients(varied(16, 8, 12, 129, **KINDS[kind], **MODIFIERS[modifier]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("modifier", MODIFIERS)
def test_a_step_of_every_modifier(kind: str, modifier: str) -> None:
    task = varied(16, 8, 12, 129, **KINDS[kind], **MODIFIERS[modifier])
    check_step(task, 0)
    check_step(task, 3)


@pytest.mark.parametrize(("schedule", "share"), [("linear", 0.2), ("cosine", 1.0)])
def test_a_step_late_in_a_schedule(schedule: str, share: float) -> None:
    """Rates that fall, a penalty that is still growing, and a k that is still falling."""
    options = {
        "lr_schedule": schedule,
        "decay_share": share,
        "warmup_steps": 9,
        "penalty_warmup": 1,
    }
    check_step(varied(16, 8, 12, 100, **KINDS["l1"], **options), 9)
    check_step(varied(16, 8, 12, 100, **KINDS["topk"], anneal_k=3, **options), 4)
    check_step(varied(16, 8, 12, 100, **KINDS["batchtopk"], anneal_k=3, **options), 4)


def check_step(task: Task, step: int) -> None:
    """One step of both engines from the same state: parameters, moments, loss and extra state."""
    before = random_start(task)
    REFERENCE.advance(task, before, step)
    expected, found = deepcopy(before), deepcopy(before)
    REFERENCE.advance(task, expected, step + 1)
    FUSED.advance(task, found, step + 1)
    size = magnitudes(task, before.params, FAMILY.batch(task, step, "cpu"), step)
    assert found.step == expected.step == step + 1
    loss = unit(task) * size.loss
    assert_near("history", found.history[:, step], expected.history[:, step], loss)
    assert np.array_equal(np.isnan(found.history), np.isnan(expected.history))
    frozen = FAMILY.frozen(task.structure)
    for name in task.structure.param_shapes:
        if name in frozen:
            assert np.array_equal(found.params[name], before.params[name])
        else:
            check_tensor(task, name, (before, expected, found), unit(task) * size.grads[name])
    for name, value in expected.extra.items():
        bound = 0 if name == "idle" else unit(task) * np.abs(value).max()
        assert_near(name, found.extra[name], value, bound)


def check_tensor(
    task: Task,
    name: str,
    states: tuple[State, State, State],
    grad: np.ndarray,
) -> None:
    """The bound on the gradient carried through the optimiser's formulas, and a few roundings of
    their terms.
    """
    before, expected, found = states
    lr, decay = (v.reshape(-1, *[1] * (grad.ndim - 1)) for v in (task.lr, task.weight_decay))
    old = np.abs(before.params[name]).astype(np.float64)
    grad = grad + 2 * EPS * np.abs(decay) * old
    moments = (before.first, before.second, expected.first, expected.second)
    m0, v0, m, v = (np.abs(moment[name]).astype(np.float64) for moment in moments)
    m_bound = 0.1 * grad + 4 * EPS * (m + m0)
    v_bound = 0.001 * (20 * (m + m0) + grad) * grad + 4 * EPS * (v + v0)  # abs g <= 10 (m + m0)
    assert_near(f"first moment of {name}", found.first[name], expected.first[name], m_bound)
    assert_near(f"second moment of {name}", found.second[name], expected.second[name], v_bound)
    unbias1, unbias2 = 1 - 0.9 ** (before.step + 1), np.sqrt(1 - 0.999 ** (before.step + 1))
    root = np.sqrt(v) / unbias2 + 1e-8
    root_bound = np.minimum(np.sqrt(v_bound), v_bound / np.maximum(np.sqrt(v), 1e-30)) / unbias2
    direction = m / unbias1 / root
    relative = np.minimum(root_bound / root + 8 * EPS, 1)
    bound = 4 * EPS * old + 2 * lr * (m_bound / unbias1 / root + direction * relative)
    if name == "D":  # a row's length is that of its errors off at most
        bound = bound + np.linalg.norm(bound, axis=-1, keepdims=True) + 8 * EPS
    assert_near(name, found.params[name], expected.params[name], bound)


def test_thresholds_do_not_fall_below_zero() -> None:
    task = varied(16, 8, 12, 129, kind="jumprelu", theta=1e-4)
    states = [start_of(task), start_of(task)]
    for engine, state in zip((REFERENCE, FUSED), states, strict=True):
        engine.advance(task, state, 4)
        assert state.params["theta"].min() == 0
    assert np.array_equal(*[state.params["theta"] == 0 for state in states])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [1, 3000])
def test_evaluation(kind: str, samples: int) -> None:
    """By the rule of inference: batchtopk has a threshold of its own."""
    task = varied(16, 8, 12, 100, **KINDS[kind], prefixes=(5, 12), prefix_weights=[0.5, 1])
    state = start_of(task)
    REFERENCE.advance(task, state, 10)
    expected = REFERENCE.evaluate(task, state.params, samples, state.extra)
    found = FUSED.evaluate(task, state.params, samples, state.extra)
    size = magnitudes(task, state.params, FAMILY.sample(task, range(samples), "cpu"), 9)
    assert_near("loss", found[0], expected[0], unit(task) * size.loss * 4)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-3, atol=1e-6)


def test_training_for_long_reaches_the_same_loss() -> None:
    """Trajectories part by rounding, and stay as near as the errors that restless steps of Adam
    make of it.
    """
    for options in KINDS.values():
        task = make_task(12, 6, 12, 3, batch_size=128, steps=400, loss_every=1, lr=3e-3, **options)
        states = [start_of(task), start_of(task)]
        for engine, state in zip((REFERENCE, FUSED), states, strict=True):
            engine.advance(task, state, 400)
        late = [state.history[:, 300:].mean(1) for state in states]
        np.testing.assert_allclose(*late, rtol=0.02)
        assert (late[0] < 0.8 * states[0].history[:, 0]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_dead_latents_are_restarted(kind: str) -> None:
    """Both engines find the same latents dead and start them along the same inputs."""
    options = KINDS[kind] | ({"penalty": [0.5, 1, 1.5]} if kind == "l1" else {})
    options |= {"penalty": [0.5, 1, 2]} if kind == "jumprelu" else {}
    task = varied(16, 8, 24, 64, **options, restart_every=5)
    states = [random_start(task), random_start(task)]
    for state in states:
        state.params["b_e"][:, :6] = -10  # never active
        state.extra["idle"][:, 20] = 7  # does not count where it fires
    REFERENCE.advance(task, states[0], 5)
    FUSED.advance(task, states[1], 5)
    assert np.array_equal(states[1].extra["idle"], states[0].extra["idle"])
    assert (states[1].params["b_e"][:, :6] == 0).all()
    assert (states[1].first["E"][:, :6] == 0).all()
    for name, value in states[0].params.items():
        np.testing.assert_allclose(states[1].params[name], value, rtol=0, atol=1e-4)
    REFERENCE.advance(task, states[0], 10)
    FUSED.advance(task, states[1], 10)
    np.testing.assert_allclose(states[1].history, states[0].history, rtol=1e-3)


@njit
def lane_floors(z: np.ndarray, floors: np.ndarray, k: int) -> None:
    select.lane_floors((z.ctypes.data, floors.ctypes.data, len(z), k, LANES // WIDTH))


@njit
def floor_of(values: np.ndarray, floor: np.ndarray, k: int) -> None:
    select.floor_of((values.ctypes.data, len(values) // WIDTH, k, floor.ctypes.data))


def ties(shape: tuple[int, ...]) -> np.ndarray:
    """Many equal numbers, and zeros of both signs; neighbouring floats, tiny and huge ones."""
    one = np.float32(1)
    pool = [0, -0.0, -1, one, np.nextafter(one, 2), np.nextafter(one, 0), 1e-44, 1e38, 0.5, 2]
    return np.random.default_rng(0).choice(np.array(pool, np.float32), shape)


@pytest.mark.parametrize("k", [0, 1, 2, 5, 11, 12])
def test_the_k_largest_of_a_sample(k: int) -> None:
    """Those above the next largest: of equal numbers at the bound none counts, nor does 0."""
    z = np.zeros((12, STRIDE), np.float32)
    z[:, :LANES] = ties((12, LANES))
    floors = np.empty(LANES, np.float32)
    lane_floors(z, floors, k)
    ordered = np.sort(np.maximum(z[:, :LANES], 0), axis=0)[::-1]
    bound = ordered[k] if k < 12 else np.zeros(LANES)
    assert np.array_equal(z[:, :LANES] > floors, z[:, :LANES] > bound)


@pytest.mark.parametrize("floor", [0.0, 0.5])
def test_the_k_largest_of_a_batch(floor: float) -> None:
    values = ties((20 * WIDTH,))
    positive = np.sort(values[values > floor])[::-1]
    for k in range(len(positive)):
        found = np.array([floor], np.float32)
        floor_of(values, found, k)
        assert np.array_equal(values > found, values > positive[k])


@pytest.mark.parametrize("kind", ["topk", "batchtopk"])
def test_equal_samples_are_equally_coded(kind: str) -> None:
    """Features that are on or off give many samples the very same codes: no order decides."""
    world = {"magnitude": "one", "dictionary": "orthonormal"}
    task = make_task(
        4,
        4,
        4,
        3,
        k=1,
        kind=kind,
        batch_size=200,
        steps=5,
        start="truth",
        world=world,
    )
    check_gradients(task, 0)


WORLDS: dict[str, dict[str, Any]] = {
    "one": {"magnitude": "one"},
    "uniform": {},
    "normal": {"magnitude": "normal", "sigma": 0.5},
    "abs_normal": {"magnitude": "abs_normal"},
    "lognormal": {"magnitude": "lognormal"},
    "always": {"active": 12.0},
    "never": {"active": 1e-9},
    "zipf": {"frequency": "zipf", "exponent": 1.0},
}


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("evaluation", [False, True])
def test_the_codes_are_those_of_the_world_bit_for_bit(name: str, evaluation: bool) -> None:
    world = make_world(
        12,
        5,
        seed=2**63 + 5,
        **({"active": 2.0, "frequency": "constant"} | WORLDS[name]),
    )
    assert isinstance(world, Synthetic)
    first, samples, step = (128, 300, 0) if evaluation else (0, 300, 7)
    low, high = (int(word[0]) for word in key_words(np.array([world.seed], np.uint64)))
    purpose = Purpose.EVALUATE if evaluation else Purpose.TRAIN
    stream = batches.Stream(low, high, int(purpose), step, first, 2, 64, samples)
    level, row, feature = batches.locate(stream, 2, 384, world.law.thresholds)
    values = of_levels(world.magnitude, world.sigma, torch.from_numpy(level)).numpy()
    found = np.zeros((2, 384, 12), np.float32)
    found[row // 384, row % 384, feature] = values
    expected = np.zeros_like(found)
    for at in range(2):
        numbers = range(first + 64 * at, first + 64 * at + samples)
        expected[at, :samples] = world.codes(evaluation, step + 2 * at, numbers).numpy()
    assert np.array_equal(found, expected)
    assert found.any() == (name != "never")


@pytest.mark.parametrize(
    "law",
    [
        {"tree": [{"p": 0.5, "children": [0.3, 0.2]}]},
        {"exactly": 3, "active": 3.0},
        {"correlation": "pairs"},
        {"noise": 0.1},
    ],
    ids=["tree", "exactly", "copula", "noise"],
)
def test_worlds_that_the_kernels_do_not_draw(law: dict[str, Any]) -> None:
    law = law | ({"tree": trees.parse(law["tree"])} if "tree" in law else {})
    check_gradients(varied(12, 8, 12, 129, **KINDS["l1"], world=law))


def test_what_is_left_to_the_reference_and_why() -> None:
    structure = make_task(4, 4, 4).structure
    reasons = {
        "gates": replace(structure, kind="gated"),
        "AuxK": replace(structure, kind="topk", aux_k=2),
        "Adam": replace(structure, optimizer="sgd"),
    }
    for word, other in reasons.items():
        reason = FUSED.unsupported(other)
        assert reason is not None
        assert word in reason
        assert choose(FAMILY, other).engine.name == "reference"
    for options in KINDS.values():
        assert choose(FAMILY, replace(structure, kind=options["kind"])).engine.name == "fused"


def test_no_engine_goes_beyond_the_last_step() -> None:
    task = varied(4, 4, 4, 16)
    with pytest.raises(ValueError, match="advance to step 11 of 10"):
        FUSED.advance(task, start_of(task), 11)
