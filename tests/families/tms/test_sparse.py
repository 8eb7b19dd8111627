"""What the sparse sampler draws is distributed as what the dense one draws.

Streams are fixed: a bound holds or not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tasks import make_task

from superpos.families.tms import exact_loss
from superpos.families.tms.cpu import FusedCpuEngine
from superpos.families.tms.data import inputs, sparse
from superpos.families.tms.data.which_sampler import LEAST_CELLS, LEAST_SPARSITY, prefers_sparse
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Structure, Task

SAMPLES = 10**6  # of 10 features: 10^7 cells
FUSED = FusedCpuEngine(threads=1)


def draw(density: Any, samples: int = SAMPLES, n: int = 10, **structure: Any) -> np.ndarray:
    """Training inputs [B, F] of one model."""
    task = make_task(n, 1, density=density, seed=[5], sampler="sparse", **structure)
    return inputs.sample(task, Purpose.TRAIN, 0, range(samples)).numpy()[0]


def assert_counts(found: Any, trials: int, probability: Any) -> None:
    """Counts within 4 standard errors of their expectation."""
    error = np.sqrt(trials * np.asarray(probability) * (1 - np.asarray(probability)))
    assert np.all(np.abs(np.asarray(found) - trials * np.asarray(probability)) <= 4 * error)


def test_the_logarithm() -> None:
    words = torch.cat([torch.tensor([0, 1, 2**31, 2**32 - 1]), torch.randint(2**32, (10**5,))])
    expected = -np.log((words.numpy() + 0.5) / 2**32)
    # where its series is cut
    assert np.abs(sparse.minus_log(words).numpy() - expected).max() < 4e-11


def test_gaps_of_given_words() -> None:
    # p = 1/2: the gap is the number of halvings of u / 2^32 below 1. u = 2^31 + 1 is just above
    # 1/2.
    rate = torch.from_numpy(sparse.gap_rate(np.array([[0.5, 0.7]])))  # of the largest density
    words = torch.tensor([2**32 - 1, 2**31 + 1, 2**31 - 1, 2**30 + 1, 2**30 - 1, 1])
    # 3/2 / 2^32 lies between 2^-32 and 2^-31
    assert sparse.gaps(words, rate).tolist() == [0, 0, 1, 1, 2, 31]
    always = torch.from_numpy(sparse.gap_rate(np.array([[0.0]])))
    assert sparse.gaps(words, always).tolist() == [0] * 6


def test_gaps_are_geometric() -> None:
    p = 0.03
    words = torch.randint(2**32, (10**6,), generator=torch.Generator().manual_seed(0))
    found = sparse.gaps(words, torch.tensor([-1 / math.log(1 - p)], dtype=torch.float64)).numpy()
    bins = np.array([*range(100), 10**9])
    probability = np.diff([*stats.geom.cdf(bins[:-1], p), 1.0])
    counts = np.histogram(found, bins)[0]
    assert stats.chisquare(counts, probability * len(found)).pvalue > 1e-3


@pytest.mark.parametrize(
    "density", [0.01, 0.1, [0.04, 0.04, 0.02, 0.01, 0.005, 0.001, 1e-4, 0.03, 0.04, 0.02]]
)
def test_marginals_of_ten_million_cells(density: Any) -> None:
    x = draw(density)
    active = x != 0
    assert_counts(active.sum(0), SAMPLES, density)
    # by place in the segment
    per_row = active[: SAMPLES // 1024 * 1024].reshape(-1, 1024, 10).sum((0, 2))
    mean = np.mean(density) * 10 * (SAMPLES // 1024)
    spread = np.sum(np.broadcast_to(density, 10) * (1 - np.broadcast_to(density, 10))) * (
        SAMPLES // 1024
    )
    assert np.all(np.abs(per_row[[0, 1, 511, 1022, 1023]] - mean) <= 4 * np.sqrt(spread))


def test_values_are_uniform_and_independent_of_where_they_stand() -> None:
    x = draw(0.02)
    sample, feature = np.nonzero(x)
    values = x[sample, feature]
    assert stats.kstest(values, "uniform").pvalue > 1e-3
    gap = np.diff(sample * 10 + feature)
    for other in (gap, values[:-1], feature[:-1]):  # and of the value before
        assert abs(np.corrcoef(values[1:], other)[0, 1]) < 4 / np.sqrt(len(gap))


def test_values_of_unequal_densities_are_uniform_in_every_feature() -> None:
    x = draw([0.04, 0.01, 0.002] * 3 + [0.04], signed=True, output="linear")
    for column in x.T:
        assert stats.kstest(column[column != 0], "uniform", args=(-1, 2)).pvalue > 1e-3


def test_active_features_of_a_sample_are_independent() -> None:
    density, samples = 0.1, SAMPLES
    active = draw(density) != 0
    counts = np.bincount(active.sum(1), minlength=11)
    expected = stats.binom.pmf(np.arange(11), 10, density) * samples
    few = expected < 10
    merged = [np.append(c[~few], c[few].sum()) for c in (counts, expected)]
    assert stats.chisquare(*merged).pvalue > 1e-3
    for i, j in ((0, 1), (0, 9), (4, 5), (8, 9)):
        assert_counts((active[:, i] & active[:, j]).sum(), samples, density**2)
    for lag in (1, 2, 1024):  # from sample to sample, also over segments
        assert_counts((active[lag:, 3] & active[:-lag, 3]).sum(), samples - lag, density**2)
        assert_counts((active[lag:, 0] & active[:-lag, 9]).sum(), samples - lag, density**2)


def test_correlated_sets() -> None:
    x = draw([0.03] * 3 + [0.01] * 3, n=6, correlation="correlated", set_size=3)
    active = x != 0
    for first in (0, 3):
        together = active[:, first : first + 3]
        assert np.array_equal(together.all(1), together.any(1))
    assert_counts(active[:, [0, 3]].sum(0), SAMPLES, [0.03, 0.01])
    values = x[active[:, 0], :3]
    assert all(stats.kstest(column, "uniform").pvalue > 1e-3 for column in values.T)
    assert np.abs(np.corrcoef(values.T) - np.eye(3)).max() < 4 / np.sqrt(len(values))


def test_anticorrelated_sets() -> None:
    x = draw([0.03] * 3 + [0.01] * 3, n=6, correlation="anticorrelated", set_size=3)
    active = x != 0
    assert active[:, :3].sum(1).max() == 1 == active[:, 3:].sum(1).max()
    assert_counts(active.sum(0), SAMPLES, np.repeat([0.01, 0.01 / 3], 3))
    assert stats.kstest(x[active], "uniform").pvalue > 1e-3


def test_the_sparsest_and_the_densest_features() -> None:
    rare = draw(1e-6)
    assert_counts((rare != 0).sum(), rare.size, 1e-6)  # 10 +- 13 of ten million
    assert not draw(2.0**-32).any()
    full = draw(1.0, 5000)
    assert (full != 0).all()
    assert abs(full.mean() - 0.5) < 4 * np.sqrt(1 / 12 / full.size)


def test_a_batch_is_the_start_of_a_larger_one() -> None:
    many = draw(0.02, 100_003)
    for batch in (1, 7, 1023, 1024, 1025, 100_003):
        assert np.array_equal(draw(0.02, batch), many[:batch])
    task = make_task(10, 1, density=0.02, seed=[5], sampler="sparse")
    some = inputs.sample(task, Purpose.TRAIN, 0, range(1000, 3000)).numpy()[0]
    assert np.array_equal(some, many[1000:3000])


def test_draws_of_a_model_are_its_own() -> None:
    task = make_task(6, 1, 4, density=0.1, seed=[1, 2, 1, 1], sampler="sparse")
    task.sparsity[3, 2] = 0.99
    x = inputs.sample(task, Purpose.TRAIN, 3, range(500))
    for i in range(4):
        assert torch.equal(
            inputs.sample(task.take(slice(i, i + 1)), Purpose.TRAIN, 3, range(500))[0], x[i]
        )
    assert torch.equal(x[0], x[2])
    assert not torch.equal(x[0], x[1])
    other = inputs.sample(task, Purpose.TRAIN, 4, range(500))
    assert not torch.equal(x, other)
    assert not torch.equal(x, inputs.sample(task, Purpose.EVALUATE, 3, range(500)))


def trained_alike(
    sampler: str, density: Any, samples: int, models: int = 48, **structure: Any
) -> Task:
    """Models with seeds of their own and the same sizes."""
    return make_task(
        5, 2, models, density=density, importance=[1, 0.9, 0.8, 0.7, 0.6], batch_size=samples,
        sampler=sampler, reduction="sum", **structure,
    )  # fmt: skip


def mean_and_error(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over the models, whose draws are independent."""
    return values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values))


@pytest.mark.parametrize("density", [0.01, [0.04, 0.01, 0.03, 0.002, 0.04], 0.3])
def test_loss_and_gradient_have_the_expectation_of_theory(density: Any) -> None:
    samples, random = 20_000, np.random.default_rng(3)
    params = {"W": random.normal(0, 0.6, (5, 2)), "b": np.array([-0.1, 0.05, 0.0, -0.02, 0.1])}
    task = trained_alike("sparse", density, samples)
    same = {
        name: np.repeat(value[None].astype(np.float32), len(task), 0)
        for name, value in params.items()
    }
    found, grads = FUSED.gradients(task, same, 0)
    evaluated, error = FUSED.evaluate(task, same, samples)

    def exact(changed: dict[str, np.ndarray]) -> float:
        return float(
            exact_loss.exact_loss(task.take(slice(0, 1)), {k: v[None] for k, v in changed.items()})[
                0
            ]
        )

    for values in (found, evaluated):
        mean, spread = mean_and_error(values)
        assert abs(mean - exact(params)) < 4 * spread
    assert np.allclose(error, evaluated.std(ddof=1), rtol=0.5)  # what an evaluation says of itself
    for name, value in params.items():
        for index in np.ndindex(value.shape):
            step = np.zeros_like(value)
            step[index] = 1e-4
            slope = (
                exact(params | {name: value + step}) - exact(params | {name: value - step})
            ) / 2e-4
            mean, spread = mean_and_error(grads[name][(slice(None), *index)])
            assert abs(mean - slope) < 4 * spread + 1e-6, (name, index)


@pytest.mark.parametrize("density", [0.02, [0.04] * 3 + [0.01] * 2])
def test_both_samplers_have_one_expectation(density: Any) -> None:
    """Of a model without exact theory here: absolute values."""
    structure = {"tied": False, "hidden": "relu", "target": "abs", "signed": True}
    random, found = np.random.default_rng(4), {}
    params: dict[str, np.ndarray] = {}
    for sampler in ("dense", "sparse"):
        task = trained_alike(sampler, density, 20_000, **structure)
        shapes = task.structure.param_shapes
        params = params or {
            name: random.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()
        }
        same = {name: np.repeat(value[None], len(task), 0) for name, value in params.items()}
        loss, grads = FUSED.gradients(task, same, 0)
        found[sampler] = {"loss": mean_and_error(loss)} | {
            name: mean_and_error(grad) for name, grad in grads.items()
        }
    for name, (mean, error) in found["sparse"].items():
        other, its_error = found["dense"][name]
        assert np.all(np.abs(mean - other) <= 4 * np.hypot(error, its_error) + 1e-7), name


def test_which_sampler_follows_from_the_model_alone() -> None:
    enough = Structure(LEAST_CELLS // 128, 2, batch_size=128)
    few = Structure(LEAST_CELLS // 128, 2, batch_size=127)
    at, below = np.full((1, 16), LEAST_SPARSITY), np.full((1, 16), LEAST_SPARSITY)
    below[0, 3] -= 1e-9
    both = np.concatenate([at, below])
    assert prefers_sparse(enough, both).tolist() == [True, False]
    assert prefers_sparse(few, both).tolist() == [False, False]
    assert not prefers_sparse(Structure(16, 2, n_points=1000), at).any()
