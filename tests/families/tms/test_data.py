"""What x is distributed like.

Streams are fixed: a bound in standard errors holds every time or never.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tasks import make_task

from superpos.families.tms import drawn
from superpos.families.tms.data import circle, feature_values, inputs
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Structure

SAMPLES = 2**16
FULL = 2**32


def draw(task: Any, samples: int = SAMPLES, step: int = 0) -> np.ndarray:
    """Training inputs [M, B, F]."""
    return inputs.sample(task, Purpose.TRAIN, step, range(samples)).numpy()


def assert_share(found: np.ndarray, expected: float) -> None:
    """The share of true values is within 4 standard errors of a probability."""
    error = np.sqrt(expected * (1 - expected) / found.shape[0])
    assert np.all(np.abs(found.mean(0) - expected) <= 4 * error)


def assert_uncorrelated(x: np.ndarray) -> None:
    """No two columns [B, C] are correlated: standard error 1/sqrt(B) each."""
    correlation = np.corrcoef(x.T)
    off = correlation[~np.eye(len(correlation), dtype=bool)]
    assert np.abs(off).max() < 4.5 / np.sqrt(len(x))


def values(sparsity: float, u: list[int], **structure: Any) -> list[float]:
    """Feature values of a one-feature model for given draws."""
    rules = feature_values.cells(Structure(1, 1, **structure), np.array([[sparsity]]))
    words = torch.tensor(u).reshape(1, -1, 1)
    return feature_values.features(rules, words, words).flatten().tolist()


def test_thresholds_are_the_floor_of_s_times_two_to_the_32() -> None:
    sparsity = np.array([0.0, 0.25, 0.5, 0.9, 1 - 2.0**-32, 2.0**-33])
    # 0.9 * 4294967296 = 3865470566.4
    assert feature_values.thresholds(sparsity).tolist() == [
        0,
        2**30,
        2**31,
        3865470566,
        FULL - 1,
        0,
    ]


def test_values_of_given_draws() -> None:
    # S = 1/2: T = 2^31; active iff u >= T, value (u - T) / 2^31
    assert values(0.5, [0, 2**31 - 1, 2**31, 2**31 + 2**29, 2**31 + 2**30, FULL - 1]) == [
        0,
        0,
        0,
        0.25,
        0.5,
        1,
    ]
    # S = 3/4: T = 3 * 2^30, 2^30 active draws
    assert values(0.75, [3 * 2**30 - 1, 3 * 2**30, 3 * 2**30 + 2**27]) == [0, 0, 0.125]
    # S = 0: all are active, value u / 2^32
    assert values(0.0, [0, 1, 2**31, 3 * 2**30, FULL - 1]) == [0, 2.0**-32, 0.5, 0.75, 1]


def test_signed_values_of_given_draws() -> None:
    # 2 (u - T) / (2^32 - T) - 1 where active
    assert values(0.5, [0, 2**31, 2**31 + 2**30, FULL - 1], signed=True) == [0, -1, 0, 1]
    assert values(0.0, [0, 2**30, 2**31, 3 * 2**30], signed=True) == [-1, -0.5, 0, 0.5]


def test_the_rarest_feature_is_active_for_one_draw() -> None:
    rules = feature_values.cells(Structure(1, 1), np.array([[1 - 2.0**-32]]))
    assert (int(rules.low[0, 0]), int(rules.span[0, 0])) == (FULL - 1, 0)  # active iff u = 2^32 - 1
    # the one value is (u - T) = 0
    assert values(1 - 2.0**-32, [0, FULL - 2, FULL - 1], signed=True) == [0, 0, -1]


@pytest.mark.parametrize("density", [1.0, 0.5, 0.1, 0.01])
def test_marginals_of_independent_features(density: float) -> None:
    x = draw(make_task(3, 1, density=density, seed=[12]))[0]
    assert x.dtype == np.float32
    assert x.min() >= 0
    assert x.max() <= 1
    if density == 1:
        assert (x > 0).all()  # an exact zero has probability 5e-5 here, and this stream is fixed
    assert_share(x > 0, density)
    variance = density / 3 - density**2 / 4  # V(p)
    assert np.all(np.abs(x.mean(0) - density / 2) < 4 * np.sqrt(variance / SAMPLES))
    for feature in x.T:
        assert stats.kstest(feature[feature > 0], "uniform").pvalue > 1e-3


def test_every_feature_has_its_own_density() -> None:
    x = draw(make_task(3, 1, models=2, seed=[3, 3], density=[[1.0, 0.5, 0.1], [0.1, 0.5, 1.0]]))
    for column, density in enumerate((1.0, 0.5, 0.1)):
        assert_share(x[0, :, column : column + 1] > 0, density)
        assert_share(x[1, :, 2 - column : 3 - column] > 0, density)
    assert np.array_equal(x[0, :, 1], x[1, :, 1])  # models with one seed share their draws


def test_signed_features_are_uniform_on_both_sides() -> None:
    x = draw(make_task(2, 4, density=0.3, tied=False, hidden="relu", target="abs", signed=True))[0]
    assert_share(x != 0, 0.3)
    for feature in x.T:
        assert stats.kstest(feature[feature != 0], "uniform", args=(-1, 2)).pvalue > 1e-3
    assert_uncorrelated(x)


def test_correlated_sets_are_active_together() -> None:
    x = draw(make_task(6, 2, density=[0.3] * 3 + [0.05] * 3, correlation="correlated", set_size=3))[
        0
    ]
    active = x > 0
    assert np.array_equal(active, np.repeat(active[:, [0, 3]], 3, axis=1))
    assert_share(active[:, :3], 0.3)
    assert_share(active[:, 3:], 0.05)
    assert_share(active[:, :1] & active[:, 3:4], 0.3 * 0.05)  # two sets are independent
    together = x[active[:, 0], :3]
    assert_uncorrelated(together)  # the values within a set are
    assert stats.kstest(together.ravel(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("density", [1.0, 0.4])
def test_anticorrelated_sets_have_one_active_member(density: float) -> None:
    x = draw(make_task(6, 2, density=density, correlation="anticorrelated", set_size=3))[0]
    active = x > 0
    in_set = active.reshape(-1, 2, 3).sum(2)
    assert in_set.max() == 1  # never two
    assert_share(in_set == 1, density)  # otherwise none
    assert_share(active, density / 3)
    assert_share((in_set == 1).all(1)[:, None], density**2)  # two sets are independent
    assert stats.kstest(x[active], "uniform").pvalue > 1e-3


@settings(max_examples=60, deadline=None)
@given(
    width=st.one_of(st.integers(1, 40), st.integers(1, FULL)),
    set_size=st.integers(2, 7),
)
def test_anticorrelated_members_share_out_the_active_draws(width: int, set_size: int) -> None:
    structure = Structure(set_size, 1, correlation="anticorrelated", set_size=set_size)
    rules = feature_values.cells(structure, np.full((1, set_size), 1 - width / FULL))
    low, span = (np.array(field[0], dtype=np.int64) for field in (rules.low, rules.span))
    works = rules.scale[0] > 0
    sizes = np.where(works, span + 1, 0)
    assert sizes.sum() == width  # every active draw belongs to one member
    assert sizes.max() - sizes.min() <= 1
    assert np.array_equal(low[works], FULL - width + np.cumsum(np.append(0, sizes[works]))[:-1])


@pytest.mark.parametrize("density", [2.0**-32, 2.0**-31])
def test_a_set_rarer_than_its_members_is_not_always_active(density: float) -> None:
    """With fewer active draws than members some members are never active: never is not always."""
    task = make_task(3, 1, density=density, correlation="anticorrelated", set_size=3)
    assert not draw(task, 1000).any()


def test_finite_points_have_unit_length_and_stay() -> None:
    task = make_task(20, 2, models=2, density=0.3, n_points=50)
    x = inputs.batch(task, 0).numpy()
    assert x.shape == (2, 50, 20)
    assert np.allclose(np.linalg.norm(x, axis=-1), 1, atol=1e-6)
    assert np.array_equal(inputs.batch(task, 123).numpy(), x)
    assert not np.array_equal(x[0], x[1])  # another seed, other points


def test_models_of_one_data_seed_have_the_same_points() -> None:
    """Their weights begin with their own seeds; the samples that they are evaluated on belong to
    these, too.
    """
    own = make_task(20, 2, models=3, density=0.3, n_points=50)
    task = make_task(20, 2, models=3, density=0.3, n_points=50, data_seed=[2, 2, 5])
    x, alone = inputs.batch(task, 0).numpy(), inputs.batch(own, 0).numpy()
    np.testing.assert_array_equal(x[0], alone[2])
    np.testing.assert_array_equal(x[1], alone[2])
    assert not np.array_equal(x[2], alone[2])
    np.testing.assert_array_equal(
        inputs.evaluation(task, range(9)), inputs.evaluation(own, range(9))
    )


def test_a_point_without_active_features_stays_zero() -> None:
    x = inputs.batch(make_task(2, 1, density=0.05, n_points=100), 0).numpy()[0]
    length = np.linalg.norm(x, axis=-1)
    assert (length == 0).any()
    assert np.allclose(length[length > 0], 1)
    # 3, 4 -> 3/5, 4/5
    assert np.allclose(
        inputs.unit_length(torch.tensor([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]]
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"correlation": "circle", "set_size": 4}, {"n_points": 50}, {"sampler": "sparse"}],
)
def test_the_fast_way_to_inputs_gives_the_same_bits(options: dict[str, Any]) -> None:
    task = make_task(4, 2, models=3, density=0.02, batch_size=200, **options)
    assert torch.equal(drawn.batch(task, 7, "cpu"), inputs.batch(task, 7))
    samples = range(5, 300)
    assert torch.equal(drawn.sample(task, samples, "cpu"), inputs.evaluation(task, samples))


def test_batches_are_fresh() -> None:
    task = make_task(4, 1, density=0.5, batch_size=64)
    first, second = inputs.batch(task, 0), inputs.batch(task, 1)
    assert first.shape == (1, 64, 4)
    assert not torch.equal(first, second)
    assert torch.equal(first, inputs.batch(task, 0))
    assert not torch.equal(first, inputs.sample(task, Purpose.EVALUATE, 0, range(64)))


def test_activity_is_independent_across_features_samples_and_steps() -> None:
    task = make_task(5, 1, density=0.2, seed=[8])
    active = [draw(task, step=step)[0] > 0 for step in (0, 1)]
    columns = np.concatenate(
        [*active, np.roll(active[0], 1, axis=0), np.roll(active[0], 4, axis=0)], axis=1
    )
    assert_uncorrelated(columns.astype(float))
    assert_share((active[0][:, :2]).all(1)[:, None], 0.2**2)


def test_other_laws_at_given_draws() -> None:
    """S = 1/2: active from 2^31 on, at the levels 1/4, 1/2 and 3/4 of the law."""
    words = [0, 2**31 - 1, 2**31 + 2**29, 2**31 + 2**30, 2**31 + 3 * 2**29]
    assert values_of("one", words) == [0, 0, 1, 1, 1]
    assert values_of("sign", words) == [0, 0, -1, 1, 1]
    assert values_of("normal", words) == pytest.approx([0, 0, -0.67449, 0, 0.67449], abs=1e-5)
    assert values_of("exponential", words) == pytest.approx(
        [0, 0, np.log(4 / 3), np.log(2), np.log(4)], rel=1e-6
    )
    # the last and the first draw are finite
    assert values_of("normal", [FULL - 1, 2**31]) == pytest.approx([6.3, -6.3], abs=0.1)
    assert values_of("exponential", [FULL - 1, 2**31]) == pytest.approx([22.2, 0], abs=0.1)


def values_of(law: str, words: list[int]) -> list[float]:
    """Values of a law for the draws of a feature with S = 1/2."""
    rules = feature_values.cells(Structure(1, 1, values=law), np.array([[0.5]]))
    u = torch.tensor(words).reshape(1, -1, 1)
    return feature_values.features(rules, u, u, law).flatten().tolist()


@pytest.mark.parametrize("sampler", ["dense", "sparse"])
@pytest.mark.parametrize(
    "sets", [{}, {"correlation": "correlated"}, {"correlation": "anticorrelated"}]
)
@pytest.mark.parametrize(
    ("law", "mean", "square"),
    [("one", 1, 1), ("sign", 0, 1), ("normal", 0, 1), ("exponential", 1, 2)],
)
def test_moments_of_other_laws(
    law: str, mean: float, square: float, sets: dict[str, Any], sampler: str
) -> None:
    structure = sets | ({"set_size": 2} if sets else {})
    x = draw(make_task(4, 2, density=0.3, values=law, sampler=sampler, **structure))[0].astype(
        np.float64
    )
    active = x != 0
    share = 0.15 if structure.get("correlation") == "anticorrelated" else 0.3
    assert_share(active, share)
    for power, expected in ((1, mean), (2, square)):
        found = x**power
        spread = found[active].std() / np.sqrt(active.sum())
        assert abs(found[active].mean() - expected) <= 4 * spread + 1e-6


def test_chances_and_covariance_on_a_circle_by_hand() -> None:
    """Four members at 0, 90, 180 and 270 degrees from the place; s = ln 3, so that they have 3/4,
    1/2, 1/4 and 1/2.
    """
    chances = circle.chances(4, np.log(3))
    np.testing.assert_allclose(chances, [3 / 4, 1 / 2, 1 / 4, 1 / 2])
    found = circle.covariance(4, np.log(3))
    # E of the product of neighbours: (3/4 1/2 + 1/2 1/4 + 1/4 1/2 + 1/2 3/4) / 4 = 1/4; of those
    # opposite: 7/32
    np.testing.assert_allclose(found[0], [1 / 4, 0, 7 / 32 - 1 / 4, 0], atol=1e-12)


def test_features_on_a_circle() -> None:
    structure = {"correlation": "circle", "set_size": 6, "sharpness": 2.0, "values": "one"}
    always = draw(make_task(12, 2, density=1.0, **structure))[0]
    assert set(np.unique(always)) == {0, 1}
    expected = circle.covariance(6, 2.0)
    found = np.cov(always.T)
    np.testing.assert_allclose(found[:6, :6], expected, atol=4 * 0.25 / np.sqrt(SAMPLES))
    # two circles are independent
    assert np.abs(found[:6, 6:]).max() < 4.5 * 0.25 / np.sqrt(SAMPLES)
    assert_share(always, 0.5)
    rare = draw(make_task(12, 2, density=0.1, **structure))[0]
    assert_share(rare, 0.05)
    assert_share(rare[:, :6].any(axis=1), 0.1 * always[:, :6].any(axis=1).mean())


def test_values_on_a_circle_are_uniform_whatever_the_chance() -> None:
    x = draw(make_task(4, 2, density=1.0, correlation="circle", set_size=4, sharpness=3.0))[
        0
    ].astype(np.float64)
    for column in x.T:
        assert stats.kstest(column[column > 0], "uniform").pvalue > 1e-4
    alone = draw(
        make_task(
            4,
            2,
            models=2,
            seed=[5, 0],
            density=1.0,
            correlation="circle",
            set_size=4,
            sharpness=3.0,
        )
    )
    np.testing.assert_array_equal(alone[1], x.astype(np.float32))
