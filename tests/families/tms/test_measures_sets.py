"""Measures of feature sets, on weights worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from memory_run import MemoryRun, make_run
from test_figures_sets import HEXAGON, PAIRS, THREE, collapsed

from superpos.families.tms import theory
from superpos.families.tms.measures import sets
from superpos.maths.polygon import polygon

FOUR = PAIRS | {"model.n_features": 4}
ORTHOGONAL = polygon(4)
ANTIPODAL = ORTHOGONAL[[0, 2, 1, 3]]


@pytest.fixture
def pairs() -> MemoryRun:
    """Two densities of four seeds: partners orthogonal in the first, antipodal (which loses more)
    in the others.
    """
    return make_run(
        FOUR,
        {"data.density": [0.2, 0.1], "seed": [0, 1, 2, 3]},
        lambda row: ANTIPODAL if row["seed"] else ORTHOGONAL,
        lambda row: -row["seed"],  # a sampled loss that would choose the last one
    )


def test_partners_of_every_seed_and_of_the_best_of_some(pairs: MemoryRun) -> None:
    assert sets.partners(pairs, "partners orthogonal", 2).values.tolist() == [1, 0, 0, 0] * 2
    assert sets.partners(pairs, "partners orthogonal", 2, of=2).values.tolist() == [1, 0] * 2
    assert sets.partners(
        pairs, "partners orthogonal", 2, of=4, where={"data.density": 0.1}
    ).values.tolist() == [1]
    assert (
        sets.partners(pairs, "partners antipodal", 2, shape="2 digons").values.tolist()
        == [0, 1, 1, 1] * 2
    )
    assert sets.partners(pairs, "partners antipodal", 2, shape="hexagon").values.tolist() == [0] * 8


def test_models_of_independent_features_are_ranked_by_the_loss_of_the_run() -> None:
    run = make_run(
        {"model.n_features": 4, "model.n_hidden": 2, "data.density": 0.1},
        {"seed": [0, 1]},
        lambda row: ORTHOGONAL if row["seed"] else ANTIPODAL,
        lambda row: row["seed"],
    )
    assert sets.partners(run, "partners antipodal", 2, of=2).values.tolist() == [1]


def test_overlap_by_hand() -> None:
    turned = np.array([[0.6, 0.8], [-0.8, 0.6]])
    run = make_run(
        FOUR | {"data.density": 0.1}, {"seed": [0]}, lambda row: np.concatenate((np.eye(2), turned))
    )
    within, between = (sets.overlap(run, 2, pairs) for pairs in ("within", "between"))
    np.testing.assert_allclose(within.values, [0], atol=1e-15)
    np.testing.assert_allclose(between.values, [np.sqrt(1 / 2)])  # 0.6, 0.8, −0.8, 0.6
    assert (within.expected, between.expected) == (0, pytest.approx(np.sqrt(1 / 2)))


def test_collapsed_sets_of_trials_and_of_the_exact_minimum() -> None:
    run = make_run(
        THREE,
        {"data.density": [0.01, 0.5], "seed": [0]},
        lambda row: collapsed(1 if row["data.density"] < 0.1 else 3),
    )
    found = sets.collapsed(run, 2)
    assert found.values.tolist() == [1, 3]
    assert found.expected is None
    dense = make_run(FOUR | {"data.density": 0.7}, {"seed": [0]}, lambda row: ORTHOGONAL)
    # two pairs in two dimensions: PCA
    assert sets.collapsed(dense, 2, exact=True) == (np.array([0.0]), 2.0)


def test_excess_is_1_at_the_minimum_and_more_elsewhere() -> None:
    minimum = theory.minimise_loss(
        np.full((1, 4), 0.1), np.ones(4), 2, correlation="correlated", set_size=2
    )
    run = make_run(
        FOUR | {"data.density": 0.1},
        {"seed": [0, 1]},
        lambda row: ANTIPODAL if row["seed"] else minimum.W[0],
    )
    run.b[0] = minimum.b[0]
    found = sets.excess(run, "correlated", 2)
    assert found.expected == 1
    np.testing.assert_allclose(found.values[0], 1)
    assert found.values[1] > 2


def test_what_is_left_of_the_loss(pairs: MemoryRun) -> None:
    pairs.b = [np.zeros(4)] * 8
    left = sets.explained(pairs, "anticorrelated", 2, where={"data.density": 0.1}).values
    assert (left[1:] < 1e-25).all()  # antipodal
    assert left[0] > 0.01
    nothing = make_run(FOUR | {"data.density": 0.1}, {"seed": [0]}, lambda row: np.zeros((4, 2)))
    nothing.b = [np.zeros(4)]
    for correlation in ("correlated", "anticorrelated"):
        np.testing.assert_allclose(sets.explained(nothing, correlation, 2).values, 1, rtol=0.01)


def test_digons_across_the_sets_have_the_loss_of_digons() -> None:
    digon = theory.minimise_loss(np.full((1, 2), 0.1), np.ones(2), n_hidden=1)
    long, short = digon.W[0, :, 0]
    across = np.array([[long, 0], [0, long], [short, 0], [0, short]])
    run = make_run(
        FOUR | {"data.density": 0.1},
        {"seed": [0, 1]},
        lambda row: across[[0, 2, 1, 3]] if row["seed"] else across,
    )
    run.b = [np.repeat(digon.b[0], 2), np.tile(digon.b[0], 2)]
    found = sets.against_digons(run, 2).values
    np.testing.assert_allclose(found[0], 1, rtol=2e-3)
    assert found[1] > 2


def test_pca_of_two_pairs_keeps_their_sums() -> None:
    keep = np.kron(np.eye(2), [[1], [1]]) / np.sqrt(2)
    run = make_run(
        FOUR | {"data.density": 0.7},
        {"seed": [0, 1]},
        lambda row: HEXAGON[:4] if row["seed"] else keep,
    )
    run.b = [np.zeros(4)] * 2
    found = sets.against_pca(run, 2)
    np.testing.assert_allclose(
        found.values[0], 1, rtol=2e-3
    )  # (a − b)/√2 is lost: E (a − b)² / 2 a pair, its mean is 0
    assert found.values[1] > 1.1
