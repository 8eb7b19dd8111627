"""Which features are active together: pairs, trees, exactly so many; by frequencies of many
samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from tasks import make_task

from superpos.compose.compose import compose
from superpos.families.tms import fused
from superpos.families.tms.data import inputs, laws
from superpos.families.tms.exact_loss import has_exact_loss
from superpos.families.tms.purposes import Purpose
from superpos.maths import trees

SAMPLES = 2**16
TREE = trees.parse([{"p": 0.4, "exclusive": True, "alone": 0.1, "children": [0.5, 0.25]}])
LAWS: list[dict[str, Any]] = [
    {"correlation": "pairs", "set_size": 2, "strength": 0.5},
    {"correlation": "tree", "tree": TREE},
    {"correlation": "exactly", "exactly": 2},
]


def draw(n_features: int = 4, density: float = 0.2, **options: Any) -> np.ndarray:
    """Training inputs [B, F] of one model."""
    task = make_task(n_features, 2, density=density, **options)
    return inputs.sample(task, Purpose.TRAIN, 3, range(SAMPLES))[0].numpy()


def assert_shares(found: np.ndarray, expected: Any) -> None:
    """Shares [...] of `SAMPLES` are within 4 standard errors of probabilities."""
    p = np.asarray(expected)
    assert np.all(np.abs(found - p) <= 4 * np.sqrt(p * (1 - p) / SAMPLES))


@pytest.mark.parametrize("strength", [-0.25, 0.0, 0.5, 1.0])
def test_pairs_have_the_correlation_that_is_given(strength: float) -> None:
    p = 0.2
    on = draw(density=p, correlation="pairs", set_size=2, strength=strength) > 0
    together = (on.T.astype(float) @ on) / SAMPLES
    expected = np.full((4, 4), p**2)
    np.fill_diagonal(expected, p)
    for i, j in ((0, 1), (1, 0), (2, 3), (3, 2)):
        expected[i, j] = p**2 + strength * p * (1 - p)
    assert_shares(together, expected)
    if strength == 1:
        assert (on[:, 0] == on[:, 1]).all()
    if strength == -0.25:  # the lowest that two features of this density can have
        assert not (on[:, 0] & on[:, 1]).any()


@pytest.mark.parametrize("k", [1, 2, 4])
def test_exactly_so_many_are_active_and_all_sets_alike(k: int) -> None:
    on = draw(correlation="exactly", exactly=k) > 0
    assert (on.sum(axis=1) == k).all()
    sets, counts = np.unique(on @ [1, 2, 4, 8], return_counts=True)
    n_sets = {1: 4, 2: 6, 4: 1}[k]
    assert len(sets) == n_sets
    assert_shares(counts / SAMPLES, 1 / n_sets)


def test_children_of_a_tree() -> None:
    on = draw(correlation="tree", tree=TREE) > 0
    # 0.4; with it 0.5 and 0.25, else 0.1 each; the fourth is by itself
    assert_shares(on.mean(axis=0), [0.4, 0.4 * 0.5 + 0.6 * 0.1, 0.4 * 0.25 + 0.6 * 0.1, 0.2])
    assert not (on[:, 1] & on[:, 2]).any()
    assert_shares((on[:, 0] & on[:, 1]).mean(), 0.2)
    assert_shares((on[:, 0] & on[:, 3]).mean(), 0.4 * 0.2)


@pytest.mark.parametrize("options", LAWS)
def test_values_are_uniform_and_those_of_a_feature_alone(options: dict[str, Any]) -> None:
    x = draw(**options).astype(np.float64)
    for column in x.T:
        assert stats.kstest(column[column > 0], "uniform").pvalue > 1e-4
    both = x[(x[:, 0] > 0) & (x[:, 3] > 0)]
    assert abs(np.corrcoef(both[:, 0], both[:, 3])[0, 1]) < 4.5 / np.sqrt(len(both))
    ones = draw(values="one", **options)
    np.testing.assert_array_equal(ones, x > 0)


@pytest.mark.parametrize("options", LAWS)
def test_a_model_does_not_depend_on_those_beside_it(options: dict[str, Any]) -> None:
    rows = {"density": np.array([[0.3] * 4, [0.2] * 4]), "seed": [5, 0], "models": 2}
    both = inputs.sample(make_task(4, 2, **rows, **options), Purpose.TRAIN, 3, range(SAMPLES))
    np.testing.assert_array_equal(both[1].numpy(), draw(seed=[0], **options))


@pytest.mark.parametrize("options", LAWS)
def test_what_does_not_know_these_laws_says_so(options: dict[str, Any]) -> None:
    structure = make_task(4, 2, density=0.2, **options).structure
    assert f"data.correlation={options['correlation']}" in (fused.unknown_law(structure) or "")
    assert not has_exact_loss(structure)


def test_one_of_all_features_is_one_anticorrelated_set() -> None:
    """The same distribution from other draws: one feature at a time, uniform."""
    one = draw(correlation="exactly", exactly=1)
    hot = draw(density=1.0, correlation="anticorrelated", set_size=4)
    assert stats.ks_2samp(one.sum(axis=1), hot.sum(axis=1)).pvalue > 1e-4
    assert_shares((one > 0).mean(axis=0), 0.25)


def test_densities_follow_from_the_law() -> None:
    """In the table, and in what is trained: a tree's own, and what is given of all others."""
    tree = [{"p": 0.5, "children": [0.5]}]
    given: list[tuple[list[str], Any]] = [
        (["data.correlation=exactly", "data.exactly=2"], 0.4),
        (["data.correlation=tree", f"data.tree={tree}"], [0.5, 0.25, 0.1, 0.1, 0.1]),
        (["data.correlation=tree", f"data.tree={tree * 2}"], [0.5, 0.25, 0.5, 0.25, 0.1]),
    ]
    for overrides, density in given:
        sweep = compose([override.replace("'", "") for override in overrides]).sweep
        columns = sweep.columns()
        assert np.asarray(columns["data.density"].tolist()[0]) == pytest.approx(density)
        assert np.asarray(columns["data.sparsity"].tolist()[0]) == pytest.approx(
            1 - np.asarray(density)
        )
        task = sweep.task(np.arange(1))
        np.testing.assert_allclose(task.density[0], density, atol=1e-12)
        made = laws.law(task.structure, task.density[0])
        np.testing.assert_allclose(made.density, task.density[0], atol=1e-9)
