"""The fused engine of transformers against the reference, tensor by tensor, by name.

Both compute in float32, in orders of their own. The truth is the reference's mathematics in
float64: sums of some thousand terms in float32 are some units in the last place of their largest
results off, so the bound is 32 of these of the largest element of a tensor, for both engines; a
wrong term is some percent.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from numba import njit
from transformer_tasks import KINDS, make_task, start_of

import superpos
from superpos.engines import choose
from superpos.engines.compiled import exponentials
from superpos.engines.compiled.vectors import (
    WIDTH,
    Floats,
    Value,
    integer,
    load,
    store,
    vector_pass,
)
from superpos.engines.reference import ReferenceEngine
from superpos.engines.task import State
from superpos.families.transformer import FAMILY
from superpos.families.transformer.cpu import MOST_BYTES, FusedTransformerEngine, tokens
from superpos.families.transformer.cpu.call import Memory, models_of, shape_of
from superpos.families.transformer.data.inputs import batch, sample
from superpos.families.transformer.purposes import Purpose
from superpos.families.transformer.structure import Structure, Task

EPS = float(np.finfo(np.float32).eps)
BOUND = 32 * EPS
REFERENCE, FUSED = ReferenceEngine(FAMILY, threads=1), FusedTransformerEngine(threads=1)
POSITIONS = ["none", "stream", "scores", "relative", "pointer"]
# T, d, k, H, B, layers: around whole vectors, tiles of 4 positions, blocks of 8, groups of 16
# sequences
SHAPES = [
    (2, 1, 1, 1, 1, 1), (3, 2, 3, 2, 16, 2), (8, 16, 4, 1, 17, 1), (9, 17, 5, 3, 15, 2),
    (12, 33, 16, 1, 32, 3), (21, 18, 7, 2, 40, 4), (33, 7, 9, 1, 3, 2),
]  # fmt: skip


def exact(task: Task, state: State, step: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Losses [M] and gradients of one step in float64."""
    leaves = {
        name: torch.from_numpy(value).double().requires_grad_()
        for name, value in state.params.items()
    }
    losses = FAMILY.losses(task, leaves, batch(task, step), {}, step).mean(-1)
    grads = torch.autograd.grad(losses.sum(), list(leaves.values()))
    return losses.detach().numpy(), {
        name: grad.numpy() for name, grad in zip(leaves, grads, strict=True)
    }


def check_gradients(task: Task, step: int = 3) -> None:
    state = start_of(task)
    losses, grads = exact(task, state, step)
    for engine in (REFERENCE, FUSED):
        found_loss, found = engine.gradients(task, state.params, step)
        assert list(found) == list(grads) == list(task.structure.param_shapes)
        np.testing.assert_allclose(found_loss, losses, rtol=BOUND, atol=EPS)
        for name, grad in grads.items():
            error = np.abs(found[name] - grad).max()
            assert error <= BOUND * np.abs(grad).max() + EPS * BOUND, (engine.name, name, error)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("batch_size", [3, 35])
def test_tokens_are_those_of_the_reference(name: str, batch_size: int) -> None:
    """In training and in evaluation, of every kind of language, with what each position counts."""
    task = make_task(3, batch_size=batch_size, context=21, **KINDS[name])
    shape, models = shape_of(task.structure), models_of(task, 0, 12)
    memory = Memory(shape)
    for purpose, step, expected in (
        (Purpose.TRAIN, 7, batch(task, 7)),
        (Purpose.EVALUATE, 0, sample(task, range(batch_size))),
    ):
        counted = expected.trained.sum(-1).clamp(min=1)
        for model in range(3):
            for first in range(0, batch_size, WIDTH):
                valid = min(WIDTH, batch_size - first)
                key, language = models.key[model].tolist(), int(models.language[model])
                where = (int(purpose), step, first, valid)
                tokens.draw(shape, models.tables, language, *key, *where, memory.room)
                found = memory.arrays["tokens"].view(np.int32).reshape(-1, WIDTH)[:22, :valid].T
                np.testing.assert_array_equal(found, expected.tokens[model, first : first + valid])
                weights = memory.arrays["weights"].reshape(-1, WIDTH)
                trained = expected.trained[model, first : first + valid].float()
                share = trained / counted[model, first : first + valid, None]
                np.testing.assert_array_equal(weights[:21, :valid].T, share)
                assert not weights[:, valid:].any()
                assert not weights[21:].any()


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_on_awkward_shapes(positions: str, shape: tuple[int, ...]) -> None:
    context, d, k, heads, size, layers = shape
    sizes = {"context": context, "d_model": d, "d_head": k, "n_heads": heads, "batch_size": size}
    check_gradients(make_task(positions=positions, n_layers=layers, **sizes))


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("smear", [False, True])
@pytest.mark.parametrize("direct", [False, True])
def test_gradients_of_every_option(positions: str, smear: bool, direct: bool) -> None:
    options = {"positions": positions, "smear": smear, "direct": direct}
    for layers in (1, 2):
        check_gradients(make_task(n_layers=layers, n_heads=2, context=11, d_head=6, **options))


@pytest.mark.parametrize("name", KINDS)
def test_gradients_on_every_language(name: str) -> None:
    check_gradients(make_task(3, **KINDS[name]))
    check_gradients(make_task(3, n_layers=0, positions="none", batch_size=40, **KINDS[name]))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("step", [0, 5])
def test_a_step_of_every_optimiser(optimizer: str, step: int) -> None:
    """Moments are as far apart as gradients are; the step is that of the optimiser's formula for
    these moments.
    """
    schedule = {"lr_schedule": "linear", "decay_share": 0.5, "warmup_steps": 4}
    rates = {"lr": [0.01, 0.03], "weight_decay": [0, 0.1]}
    task = make_task(optimizer=optimizer, smear=True, **schedule, **rates)
    before = start_of(task)
    REFERENCE.advance(task, before, step)
    expected, found = deepcopy(before), deepcopy(before)
    REFERENCE.advance(task, expected, step + 1)
    FUSED.advance(task, found, step + 1)
    assert found.step == expected.step == step + 1
    np.testing.assert_allclose(found.history, expected.history, rtol=BOUND)
    beta1, beta2, eps = FAMILY.adam
    lr, decay = task.lr * task.structure.lr_factors[step], task.weight_decay
    grads = exact(task, before, step)[1]
    for name, old in before.params.items():
        rate, coupled = (v.reshape(-1, *[1] * (old.ndim - 1)) for v in (lr, decay))
        largest = np.abs(grads[name] + coupled * old).max()
        for group, power in (("first", 1), ("second", 2)):
            one, other = (getattr(state, group)[name] for state in (found, expected))
            assert (
                np.abs(one - other).max()
                <= 4 * BOUND * largest**power + BOUND * np.abs(other).max()
            ), name
        m, v = (getattr(found, group)[name].astype(np.float64) for group in ("first", "second"))
        if optimizer == "sgd":
            step_of = rate * (grads[name] + coupled * old)
        else:
            root = np.sqrt(v / (1 - beta2 ** (step + 1))) + eps
            step_of = rate * (m / (1 - beta1 ** (step + 1)) / root)
            step_of += rate * coupled * old if optimizer == "adamw" else 0
        bound = 8 * EPS * np.abs(old) + BOUND * rate * max(1.0, largest)
        assert (np.abs(found.params[name] - (old - step_of)) <= bound).all(), name


@pytest.mark.parametrize("name", ["seen pairs", "source", "chain"])
@pytest.mark.parametrize("samples", [1, 100])
def test_evaluation(name: str, samples: int) -> None:
    task = make_task(3, **KINDS[name])
    params = start_of(task).params
    expected = REFERENCE.evaluate(task, params, samples)
    found = FUSED.evaluate(task, params, samples)
    np.testing.assert_allclose(found[0], expected[0], rtol=BOUND)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-7)


def test_training_for_long_reaches_the_same_loss() -> None:
    """Trajectories part by rounding; what they have learned in the end does not."""
    task = make_task(3, d_model=16, context=16, smear=True, n_layers=1, steps=300, lr=0.01)
    states = [start_of(task), start_of(task)]
    for engine, state in zip((REFERENCE, FUSED), states, strict=True):
        engine.advance(task, state, 300)
    late = [state.history[:, 250:].mean(1) for state in states]
    np.testing.assert_allclose(*late, rtol=0.02)
    assert (late[0] < 0.7 * states[0].history[:, 0]).all()


@vector_pass
def _exp_and_log(b: Value, x: Floats, exp: Floats, log: Floats) -> None:
    """Of 16 numbers."""
    store(b, exponentials.exp(b, load(b, x, integer(0))), exp, integer(0))
    store(b, exponentials.log(b, load(b, x, integer(0))), log, integer(0))


@njit
def _exponentials(x: np.ndarray, exp: np.ndarray, log: np.ndarray) -> None:
    for i in range(0, len(x), WIDTH):
        at = i * 4
        _exp_and_log((x.ctypes.data + at, exp.ctypes.data + at, log.ctypes.data + at))


def both(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = np.empty_like(x), np.empty_like(x)
    _exponentials(x, *found)
    return found


def test_exp_and_log_are_right_to_two_units_in_the_last_place() -> None:
    random = np.random.default_rng(0)
    below = -np.concatenate(
        [random.uniform(0, 87, 4096), random.uniform(0, 1e-3, 2032), np.zeros(16)]
    )
    x = below.astype(np.float32)
    exact_exp = np.exp(x.astype(np.float64))
    assert (np.abs(both(x)[0] - exact_exp) <= 2 * np.spacing(exact_exp.astype(np.float32))).all()
    x = np.exp(random.uniform(0, 10, 4096)).astype(np.float32)
    exact_log = np.log(x.astype(np.float64))
    assert (
        np.abs(both(x)[1] - exact_log)
        <= 2 * np.spacing(np.maximum(exact_log, 2**-4).astype(np.float32))
    ).all()


def test_exp_and_log_at_their_ends() -> None:
    x = np.array([-np.inf, -88, -87.5, np.nan, 0, -1e-30, 80, -1e30, *[1] * 8], np.float32)
    exp, log = both(x)
    assert exp[[0, 1, 2, 7]].tolist() == [0, 0, 0, 0]
    assert np.isnan(exp[3])
    assert np.isnan(log[3])
    assert exp[[4, 5]].tolist() == [1, 1]
    assert log[8] == 0


def test_what_the_engine_does_not_do_is_said() -> None:
    big = Structure(context=4096)
    reason = FUSED.unsupported(big)
    assert reason is not None
    assert f"allowed: {MOST_BYTES // 2**20} MiB" in reason
    given_up = choose(FAMILY, big)
    assert given_up.engine.name == "reference"
    assert given_up.reason == reason
    assert choose(FAMILY, Structure()).engine == FusedTransformerEngine(None)


def test_stops_behind_the_end_are_refused() -> None:
    task = make_task()
    with pytest.raises(ValueError, match="advance to step 13 of 12"):
        FUSED.advance(task, start_of(task), 13)


def test_a_fused_engine_is_taken_by_default(tmp_path: Path) -> None:
    """Its runs keep histories and snapshots as those of the reference do."""
    sizes = [
        "model.d_model=8",
        "model.d_head=4",
        "language.context=8",
        "train.steps=4",
        "train.warmup_steps=1",
    ]
    run = superpos.train(
        ["family=transformer", *sizes, "record.snapshots=3", "record.loss_every=1"], out=tmp_path
    )
    assert run.table["backend"].tolist() == ["fused"]
    assert np.isfinite(run.history(0)[1]).all()
    steps, kept = run.snapshots(0)
    assert steps.tolist() == [0, 2, 4]
    for name, value in run.weights(0).items():
        np.testing.assert_array_equal(kept[name][-1], value)
        assert (kept[name][0] != value).any()
