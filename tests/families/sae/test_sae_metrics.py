"""Metrics of dictionaries against values by hand, and the traps of other implementations."""

from __future__ import annotations

import numpy as np
import pytest

from superpos.families.sae import metrics

TWO = np.eye(2)
ALIVE = np.ones(2, dtype=bool)


def circle(*degrees: float) -> np.ndarray:
    """Unit vectors [len(degrees), 2] at these angles."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def test_cosines_are_signed_of_any_length_and_minus_one_for_the_dead() -> None:
    A = np.array([[3.0, 4.0], [0.0, 0.0]])
    D = np.array([[2.0, 0.0], [-3.0, -4.0], [0.0, 1.0]])
    alive = np.array([True, True, False])
    C = metrics.cosines(A, D, alive)
    np.testing.assert_allclose(C, [[0.6, -1, -1], [0, 0, -1]])
    best = metrics.best(C)
    np.testing.assert_allclose(best.cosine, [0.6, 0])
    np.testing.assert_array_equal(best.latent, [0, 0])


def test_recall_of_directions() -> None:
    # features at 0° and 90°; latents at 0°, 60° and (dead) 90°
    alive = np.array([True, True, False])
    C = metrics.cosines(TWO, circle(0, 60, 90), alive)
    recall = (1 + np.cos(np.radians(30))) / 2
    np.testing.assert_allclose(metrics.mmcs(C), recall)
    np.testing.assert_allclose(metrics.found(C, 0.9), 0.5)
    np.testing.assert_allclose(metrics.found(C, 0.8), 1)
    assert metrics.found(C, 1.0) == 0  # above the threshold, not at it


def test_features_that_do_not_count() -> None:
    C = metrics.cosines(TWO, circle(0, 60), ALIVE)
    scored = np.array([[True, False], [False, True], [False, False]])
    of_three = np.broadcast_to(C, (3, 2, 2))
    near = np.cos(np.radians([0, 30]))
    np.testing.assert_allclose(metrics.mmcs(of_three, scored), [*near, np.nan])
    np.testing.assert_allclose(metrics.found(of_three, 0.9, scored), [1, 0, np.nan])
    np.testing.assert_allclose(metrics.mcc(of_three, ALIVE, scored), [*near, np.nan])
    np.testing.assert_allclose(metrics.uniqueness(of_three, ALIVE, scored), [0.5, 0.5, np.nan])


def test_matching_is_one_to_one_and_dead_latents_count_nothing() -> None:
    # both features are nearest to latent 0; one of them has to take the other
    D = circle(45, 100)
    C = metrics.cosines(TWO, D, ALIVE)
    np.testing.assert_allclose(metrics.mmcs(C), (np.sqrt(0.5) + np.cos(np.radians(10))) / 2)
    np.testing.assert_allclose(metrics.mcc(C, ALIVE), metrics.mmcs(C))
    crowded = metrics.cosines(TWO, circle(45, 225), ALIVE)
    np.testing.assert_allclose(metrics.mmcs(crowded), np.sqrt(0.5))
    np.testing.assert_allclose(metrics.mcc(crowded, ALIVE), 0, atol=1e-12)  # √½ and −√½
    alive = np.array([True, False])
    one_dead = metrics.cosines(TWO, circle(0, 90), alive)
    np.testing.assert_allclose(metrics.mcc(one_dead, alive), 0.5)
    more_features = metrics.cosines(TWO, circle(0), np.array([True]))
    np.testing.assert_allclose(metrics.mcc(more_features, np.array([True])), 1)


def test_a_latent_on_the_opposite_of_a_feature_has_not_found_it() -> None:
    D = -np.eye(3)
    alive = np.array([True, True, False])
    C = metrics.cosines(np.eye(3), D, alive)
    np.testing.assert_allclose(metrics.mcc(C, alive), 0, atol=1e-12)
    np.testing.assert_allclose(metrics.mmcs(C), 0, atol=1e-12)
    # as other tools score it, this dictionary of nothing is perfect
    np.testing.assert_allclose(metrics.unsigned_mcc(np.eye(3), D), 1)
    scored = np.array([True, False, True])
    np.testing.assert_allclose(metrics.unsigned_mcc(np.eye(3), D[:2], scored), 0.5)


def test_agreement_of_seeds_knows_no_order() -> None:
    D = np.stack([circle(0, 90), circle(90, 0), circle(0, 180)])
    alive = np.ones((3, 2), dtype=bool)
    # 0 and 1 agree; 2 shares one latent with each, its other is opposite: (1 + 0)/2
    np.testing.assert_allclose(metrics.pairwise_mcc(D, alive), (1 + 0.5 + 0.5) / 3)
    alive[1, 0] = False  # the one at 90°
    np.testing.assert_allclose(metrics.pairwise_mcc(D, alive), (0.5 + 0.5 + 0.5) / 3)
    assert np.isnan(metrics.pairwise_mcc(D[:1], alive[:1]))


def test_detection_by_hand() -> None:
    # 8 hits, 10 firings, 16 times active; a latent that never fires; a feature that is never active
    found = metrics.detection(np.array([8, 0, 0]), np.array([10, 0, 5]), np.array([16, 4, 0]))
    np.testing.assert_allclose(found.precision, [0.8, 0, np.nan])
    np.testing.assert_allclose(found.recall, [0.5, 0, np.nan])
    np.testing.assert_allclose(found.f1, [2 * 0.8 * 0.5 / 1.3, 0, np.nan])


def test_uniqueness_sees_two_latents_of_one_feature() -> None:
    """After a one-to-one matching it would be 1 whatever the latents are."""
    D = circle(0, 10, 20, 90)
    for alive, expected in (([1, 1, 1, 0], 1 / 3), ([1, 0, 0, 1], 1), ([1, 1, 1, 1], 1 / 2)):
        live = np.array(alive, dtype=bool)
        C = metrics.cosines(TWO, D, live)
        np.testing.assert_allclose(metrics.uniqueness(C, live), expected)


def test_overlap_of_the_decoder() -> None:
    D = circle(0, 60, 90)
    expected = (0.5 + 0 + np.cos(np.radians(30))) / 3
    np.testing.assert_allclose(metrics.decoder_overlap(D), expected)
    np.testing.assert_allclose(metrics.decoder_overlap(circle(0, 120)), 0.5)
    assert np.isnan(metrics.decoder_overlap(circle(0)))


def test_sparsity_and_dead_latents() -> None:
    np.testing.assert_allclose(metrics.l0(np.array([[3, 0, 7]]), 10), [1])
    np.testing.assert_allclose(metrics.dead_share(np.array([[True, False, False, True]])), [0.5])


def test_unexplained_variance_is_relative_to_the_mean() -> None:
    x = np.array([[1.0, 2.0], [3.0, 2.0]])  # mean (2, 2): Σ‖x − x̄‖² = 2
    e = np.array([[0.5, 0.0], [0.0, 0.5]])
    found = metrics.fvu((e**2).sum(), (x**2).sum(), x.sum(axis=0), 2)
    np.testing.assert_allclose(found, 0.25)
    assert np.isnan(metrics.fvu(1.0, 8.0, np.array([4.0, 0.0]), 2))  # all inputs equal


@pytest.mark.filterwarnings("error")
def test_sums_that_have_overflowed_have_no_score() -> None:
    assert np.isnan(metrics.fvu(np.inf, np.inf, np.array([0.0]), 2))
    assert np.isnan(metrics.gamma(np.inf, np.inf))


def test_gamma_is_the_factor_that_mends_a_reconstruction() -> None:
    x = np.array([2.0, 0.0])
    short = np.array([0.5, 0.0])
    np.testing.assert_allclose(metrics.gamma(short @ x, short @ short), 4)
    assert np.isnan(metrics.gamma(0.0, 0.0))


def test_absorption_by_hand() -> None:
    # silent in 9 of 10 samples with the child, in 1 of 4 without; an edge whose child never comes
    silent = np.array([9, 0])
    active = np.array([10, 0])
    gap = metrics.absorption(silent, active, np.array([1, 1]), np.array([4, 4]))
    np.testing.assert_allclose(gap, [0.9 - 0.25, np.nan])


def test_leak_is_the_parent_in_the_latent_of_the_child() -> None:
    # parent at 0°, child at 90°; the child's latent is half parent
    C = metrics.cosines(TWO, circle(0, 45), ALIVE)
    np.testing.assert_allclose(metrics.leak(C, np.array([0]), np.array([1])), [np.sqrt(0.5)])
    clean = metrics.cosines(TWO, circle(0, 90), ALIVE)
    np.testing.assert_allclose(metrics.leak(clean, np.array([0]), np.array([1])), [0], atol=1e-12)


def test_loss_recovered() -> None:
    np.testing.assert_allclose(metrics.loss_recovered(1.0, np.array([0.2, 1.5]), 0.0), [0.8, -0.5])
    assert np.isnan(metrics.loss_recovered(1.0, 0.5, 1.0))


SHARES = {(5, 0.95): 0.41, (5, 0.9): 0.54, (10, 0.95): 0.66, (10, 0.9): 0.79}


@pytest.mark.parametrize(("latents", "threshold"), SHARES)
def test_thresholds_below_chance_find_any_features(latents: int, threshold: float) -> None:
    """In two dimensions random latents "find" half of any features."""
    rng = np.random.default_rng(0)
    D = rng.normal(size=(4000, latents, 2))
    alive = np.ones((4000, latents), dtype=bool)
    C = metrics.cosines(circle(0, 72, 144, 216, 288), D, alive)
    share = metrics.found(C, threshold).mean()
    np.testing.assert_allclose(share, SHARES[latents, threshold], atol=0.01)


def test_what_is_not_finite_is_no_number_and_disturbs_no_other() -> None:
    D = np.stack([circle(0, 90), circle(0, 90)])
    D[0, 1, 1] = np.inf
    alive = np.ones((2, 2), dtype=bool)
    C = metrics.cosines(TWO, D, alive)
    for values in (
        metrics.mmcs(C),
        metrics.found(C, 0.9),
        metrics.mcc(C, alive),
        metrics.uniqueness(C, alive),
    ):
        np.testing.assert_allclose(values, [np.nan, 1])
    np.testing.assert_allclose(metrics.decoder_overlap(D), [np.nan, 0], atol=1e-12)


def test_no_live_latent() -> None:
    alive = np.zeros(2, dtype=bool)
    C = metrics.cosines(TWO, TWO, alive)
    assert metrics.mmcs(C) == -1
    assert metrics.mcc(C, alive) == 0
    assert np.isnan(metrics.uniqueness(C, alive))


def test_every_sae_alone_gives_the_same() -> None:
    rng = np.random.default_rng(1)
    A = rng.normal(size=(3, 6, 4))
    D = rng.normal(size=(3, 5, 4))
    alive = rng.random((3, 5)) < 0.7
    scored = rng.random((3, 6)) < 0.7
    C = metrics.cosines(A, D, alive)
    for i in range(3):
        for measure in (metrics.mmcs, lambda C, scored: metrics.found(C, 0.5, scored)):
            np.testing.assert_array_equal(measure(C, scored)[i], measure(C[i], scored[i]))
        for of_both in (metrics.mcc, metrics.uniqueness):
            together = of_both(C, alive, scored)[i]
            np.testing.assert_array_equal(together, of_both(C[i], alive[i], scored[i]))
