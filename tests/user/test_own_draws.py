"""Random numbers, initial values, frozen parameters and columns of a user's own functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tasks import make_task

import superpos
from superpos.errors import ConfigError
from superpos.families.tms.cpu import inputs as compiled
from superpos.families.tms.data import inputs
from superpos.families.tms.data.own_draws import own_draws
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Task
from superpos.user.functions import Own

SMALL = [
    "model.n_features=4",
    "train.batch_size=32",
    "data.sparsity=0.5",
    "record.loss_every=5",
    "engine.threads=1",
]
Tensors = dict[str, torch.Tensor]


def noisy(params: Tensors, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    h = x @ params["W"] + 0.1 * z
    return (h @ params["W"].mT + params["b"][:, None]).relu()


def wide(x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    return u[..., :4] * u[..., 4:8]


def kicked(params: Tensors, lr: torch.Tensor, step: int, z: torch.Tensor) -> Tensors:
    return {"b": params["b"] + lr[:, None] * z.sum(-1, keepdim=True)}


def polygon(params: Tensors, v: torch.Tensor) -> Tensors:
    angle = 2 * torch.pi * torch.arange(4) / 4
    square = torch.stack([angle.cos(), angle.sin()], dim=-1)
    return {"W": square + 0.01 * v}


def lengths(params: Tensors) -> Tensors:
    return {"length": params["W"].norm(dim=-1).mean(-1), "first": params["b"][:, 0]}


def projected(params: Tensors, x: torch.Tensor) -> torch.Tensor:
    return ((x @ params["P"]) @ params["encoder"].mT).relu()


PROJECTED = {"P": ("n", "m"), "encoder": ("n", "m")}
Z = {"z": ("normal", "m")}


def task_of(*seeds: int) -> Task:
    return make_task(4, 2, len(seeds), seed=seeds, batch_size=32)


def numbers(law: str, task: Task, step: int = 0, samples: range = range(4096)) -> torch.Tensor:
    own = Own.of({"model": noisy}, draws={"z": (law, "m", 3)})
    assert own is not None
    return own_draws(own, task, Purpose.OWN_TRAIN, step, samples, "cpu")["z"]


def test_draws_have_their_law_and_are_those_of_seed_step_and_sample() -> None:
    normal, uniform = (numbers(law, task_of(0, 1, 0)) for law in ("normal", "uniform"))
    assert normal.shape == uniform.shape == (3, 4096, 2, 3)
    error = 1 / np.sqrt(4096 * 2 * 3)
    assert normal[0].mean().abs() < 5 * error
    assert (normal[0].var() - 1).abs() < 5 * np.sqrt(2) * error
    assert (uniform[0].mean() - 0.5).abs() < 5 * error / np.sqrt(12)
    assert uniform.min() > 0
    assert uniform.max() < 1
    torch.testing.assert_close(
        torch.special.ndtr(normal.double()), uniform.double(), rtol=0, atol=1e-6
    )
    assert torch.equal(normal[0], normal[2])  # of one seed
    for other in (normal[1], numbers("normal", task_of(0), step=1)[0]):
        correlation = np.corrcoef(normal[0].flatten(), other.flatten())[0, 1]
        assert abs(correlation) < 5 * error
    part = numbers("normal", task_of(1), samples=range(100, 200))
    assert torch.equal(part[0], normal[1, 100:200])


def test_draws_of_several_names_differ() -> None:
    own = Own.of({"model": noisy, "data": wide}, draws={"z": ("normal", "m"), "u": ("normal", "m")})
    assert own is not None
    found = own_draws(own, task_of(0), Purpose.OWN_TRAIN, 0, range(512), "cpu")
    assert abs(np.corrcoef(found["z"].flatten(), found["u"].flatten())[0, 1]) < 0.2


def test_a_model_depends_on_its_own_row_alone(tmp_path: Path) -> None:
    functions: dict[str, Any] = {
        "model": noisy,
        "after_step": kicked,
        "init": polygon,
        "measure": lengths,
    }
    draws = {"z": ("normal", "m"), "v": ("normal", "n", "m")}
    overrides = [*SMALL, "train.steps=20"]
    together = superpos.train(
        [*overrides, "seed=range(0,4)"], **functions, draws=draws, out=tmp_path
    )
    alone = superpos.train([*overrides, "seed=2"], **functions, draws=draws, out=tmp_path)
    assert alone.table["row_id"].item() == together.table["row_id"][2]
    for name, value in alone.weights(0).items():
        np.testing.assert_allclose(value, together.weights(2)[name], rtol=1e-4, atol=1e-6)
    assert not np.allclose(together.weights(1)["W"], together.weights(2)["W"], atol=1e-3)


def test_data_of_more_random_numbers_than_features(tmp_path: Path) -> None:
    # Outputs 0 leave 4 E (u v)² = 4 / 9, with u and v uniform.
    overrides = [*SMALL, "train.steps=0", "model.init_std=0"]
    run = superpos.train(overrides, data=wide, draws={"u": ("uniform", 8)}, out=tmp_path)
    assert abs(run.table["loss"].item() - 4 / 9) < 5 * run.table["loss_se"].item()


def test_initial_values_and_columns_of_ones_own(tmp_path: Path) -> None:
    run = superpos.train(
        [*SMALL, "train.steps=0", "seed=range(0,3)"],
        init=polygon,
        measure=lengths,
        draws={"v": ("normal", "n", "m")},
        out=tmp_path,
    )
    square = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    jitter = (run.tensor("W") - square) / 0.01
    assert np.abs(jitter).max() < 5
    assert np.abs(jitter[0] - jitter[1]).max() > 0.1
    lengths_of = np.linalg.norm(run.tensor("W"), axis=-1).mean(axis=-1)
    np.testing.assert_allclose(run.table["own.length"], lengths_of, rtol=1e-6)
    assert run.table["own.first"].tolist() == [0, 0, 0]
    assert set(run.table["geometry"]) == {"2 digons"}
    assert (run.table["loss_kind"] == "exact").all()  # the loss is superpos's own


def test_frozen_parameters_are_drawn_by_the_seed_and_stay(tmp_path: Path) -> None:
    options: dict[str, Any] = {"params": PROJECTED, "frozen": ["P"], "encoder": "encoder"}
    overrides = [*SMALL, "seed=0,1"]
    start = superpos.train([*overrides, "train.steps=0"], model=projected, **options, out=tmp_path)
    run = superpos.train([*overrides, "train.steps=20"], model=projected, **options, out=tmp_path)
    np.testing.assert_array_equal(run.tensor("P"), start.tensor("P"))
    assert (run.tensor("encoder") != start.tensor("encoder")).all()
    assert not np.allclose(run.tensor("P")[0], run.tensor("P")[1])
    assert "d_star" in run.table
    free = superpos.train(
        [*overrides, "train.steps=20"], model=projected, params=PROJECTED, out=tmp_path
    )
    assert (free.tensor("P") != start.tensor("P")).all()
    assert "d_star" not in free.table
    assert superpos.load(run.path).own.frozen == {"P"}


def test_frozen_parameters_of_superposs_own_model(tmp_path: Path) -> None:
    run = superpos.train([*SMALL, "train.steps=20"], frozen=["W"], out=tmp_path)
    start = superpos.train([*SMALL, "train.steps=0"], frozen=["W"], out=tmp_path)
    np.testing.assert_array_equal(run.tensor("W"), start.tensor("W"))
    assert run.tensor("b").all()
    assert str(superpos.load(run.path).own) == "frozen=['W']"


def of_all(params: Tensors) -> Any:
    return {"W": params["W"] - params["W"].mean()}


def no_columns(params: Tensors) -> Any:
    return {"length": params["W"].norm(dim=-1)}


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        (
            {"model": noisy},
            r"model: got noisy\(.*; allowed: noisy\(params, x\), and further ones by the names of "
            r"draws",
        ),
        ({"model": noisy, "draws": {"z": "m"}}, "draws: got .*; allowed: {name: "),
        ({"model": noisy, "draws": {"z": ("cauchy", "m")}}, "draws: got .*; allowed: {name: "),
        ({"model": noisy, "draws": {"z": ("normal",)}}, "draws: got .*; allowed: {name: "),
        (
            {"model": noisy, "draws": {**Z, "y": ("normal", 1)}},
            "draws: no function takes an argument y",
        ),
        ({"frozen": ["V"]}, "frozen: got .*; allowed: a list of some of W, W1, W2, b"),
        ({"frozen": "W"}, "frozen: got 'W'; allowed: a list"),
        ({"measure": lengths, "frozen": ["W1"]}, "frozen: there is no W1; the parameters are W, b"),
        (
            {"measure": lengths, "frozen": ["W", "b"]},
            "frozen: names every parameter; nothing is left to train",
        ),
        (
            {"measure": no_columns},
            r"measure: no_columns gives length of shape \[3, 4\]; allowed: \[3\], a number a model",
        ),
        ({"init": of_all}, "init: of_all lets models .* change each other"),
        (
            {"model": projected, "params": PROJECTED, "encoder": "W"},
            "encoder: got 'W'; allowed: one of params whose shape",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(
    functions: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        superpos.train([*SMALL, "train.steps=2"], **functions, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.999])
@pytest.mark.parametrize(
    "options",
    [
        {"n_features": 5},
        {"n_features": 1},
        {"n_features": 130},
        {"n_features": 7, "signed": True},
        {"n_features": 7, "values": "one"},
        {"n_features": 7, "values": "normal"},
        {"n_features": 6, "correlation": "circle", "set_size": 6},
        {"n_features": 6, "correlation": "correlated", "set_size": 2},
        {"n_features": 6, "correlation": "anticorrelated", "set_size": 3},
    ],
)
def test_compiled_draws_are_those_of_the_sampler_bit_for_bit(
    options: dict[str, Any], sparsity: float
) -> None:
    options = dict(options)
    n = options.pop("n_features")
    density = np.full((3, n), 1 - sparsity)
    density[1] = 0.5
    task = make_task(n, 2, 3, seed=[3, 2**63 + 5, 3], density=density, **options)
    for samples in (range(1), range(300), range(3, 200), range(8192, 8192 + 130)):
        plain = inputs.dense(task, Purpose.TRAIN, 9, samples)
        assert torch.equal(compiled.dense(task, Purpose.TRAIN, 9, samples), plain)


def test_models_of_ones_own_take_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    taken = []

    def noted(*arguments: Any) -> torch.Tensor:
        taken.append(arguments[1])
        return dense(*arguments)

    dense = compiled.dense
    monkeypatch.setattr(compiled, "dense", noted)
    superpos.train([*SMALL, "train.steps=2"], measure=lengths, target=squared, out=tmp_path)
    assert {Purpose.TRAIN, Purpose.EVALUATE} <= set(taken)


def squared(x: torch.Tensor) -> torch.Tensor:
    return x**2


def test_numbers_are_fresh_in_every_step_on_a_finite_data_set(tmp_path: Path) -> None:
    overrides = [
        "model.n_features=4",
        "data.n_points=8",
        "train.optimizer=sgd",
        "train.lr=0",
        "record.loss_every=1",
    ]
    options: dict[str, Any] = {"model": noisy, "draws": Z, "out": tmp_path}
    run = superpos.train([*overrides, "train.steps=3", "engine.threads=1"], **options)
    assert len(np.unique(run.tensor("history/loss"))) == 3
