"""The exact loss on correlated and anticorrelated sets: by hand, by enumeration, by other methods,
by sampling.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks import make_task

from superpos.families.tms.data import inputs
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.theory import (
    closed_form_loss,
    expected_loss,
    loss_and_gradient,
    minimise_loss,
    quadrature_loss,
    refine,
)
from superpos.families.tms.theory.active import ActiveSets, Correlation
from superpos.families.tms.theory.exact import Output

KINDS: tuple[Correlation, ...] = ("correlated", "anticorrelated")
Model = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def random_model(seed: int, n: int, m: int, set_size: int) -> Model:
    """W, b, density, importance of one model, of ordinary size; a density a set."""
    rng = np.random.default_rng(seed)
    density = np.repeat(rng.uniform(0.05, 1, n // set_size), set_size)
    return rng.normal(size=(n, m)), 0.3 * rng.normal(size=n), density, rng.uniform(0.1, 2, n)


def test_a_digon_by_hand() -> None:
    # W = (1, -1), b = 0: both outputs miss min(x_0, x_1) when both are active, E min^2 = 1/6.
    # Correlated features are active together with probability p, not p^2; anticorrelated ones never
    # are. Importances 1 and 3, p = 0.4.
    model = [[1.0], [-1.0]], [0.0, 0.0], 0.4, [1.0, 3.0]
    np.testing.assert_allclose(expected_loss(*model), 4 * 0.4**2 / 6, rtol=1e-14)
    np.testing.assert_allclose(
        expected_loss(*model, correlation="correlated", set_size=2), 4 * 0.4 / 6, rtol=1e-14
    )
    np.testing.assert_allclose(
        expected_loss(*model, correlation="anticorrelated", set_size=2), 0, atol=1e-16
    )


def test_the_mean_of_a_pair_by_hand() -> None:
    # Linear, W = (1, 1)/sqrt 2: both outputs are (x_0 + x_1)/2, and each misses (x_0 - x_1)/2. Both
    # active (0.6): 2 * E (x - y)^2 / 4 = 2 * (1/6) / 4 = 1/12. One active (0.6, anticorrelated): 2
    # * (1/3) / 4 = 1/6.
    model = np.full((2, 1), np.sqrt(0.5)), np.zeros(2), 0.6, 1.0, "linear"
    np.testing.assert_allclose(
        expected_loss(*model, correlation="correlated", set_size=2), 0.05, rtol=1e-14
    )
    np.testing.assert_allclose(
        expected_loss(*model, correlation="anticorrelated", set_size=2), 0.1, rtol=1e-14
    )


@pytest.mark.parametrize("correlation", KINDS)
def test_sets_of_one_are_independent_features(correlation: Correlation) -> None:
    model = random_model(1, 3, 2, 1)
    sets = loss_and_gradient(*model, correlation=correlation, set_size=1)
    np.testing.assert_allclose(sets.loss, expected_loss(*model), rtol=1e-14)
    np.testing.assert_allclose(sets.W, loss_and_gradient(*model).W, rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    correlation=st.sampled_from(KINDS),
    shape=st.sampled_from([(2, 1, 2), (3, 2, 3), (4, 2, 2)]),
)
def test_three_methods_agree(
    seed: int, correlation: Correlation, shape: tuple[int, int, int]
) -> None:
    model, set_size = random_model(seed, *shape), shape[2]
    exact = expected_loss(*model, correlation=correlation, set_size=set_size)
    kind = {"correlation": correlation, "set_size": set_size}
    np.testing.assert_allclose(exact, quadrature_loss(*model, **kind), rtol=1e-12)
    tolerance = 1e-16 * 4**4 / np.abs(model[0] @ model[0].T).prod(axis=1).min() + 1e-12
    np.testing.assert_allclose(
        exact, closed_form_loss(*model, **kind), rtol=min(tolerance, 1e-3), atol=tolerance
    )


@pytest.mark.parametrize("correlation", KINDS)
@pytest.mark.parametrize("set_size", [2, 3])
def test_six_features_agree_with_the_closed_form(correlation: Correlation, set_size: int) -> None:
    # all inner products are above 0.02: at least 11 digits are left
    model = random_model(0, 6, 3, set_size)
    kind = {"correlation": correlation, "set_size": set_size}
    np.testing.assert_allclose(
        expected_loss(*model, **kind), closed_form_loss(*model, **kind), rtol=1e-11
    )


def enumerated(
    p: np.ndarray, set_size: int, active: tuple[int, ...], correlation: Correlation
) -> float:
    """Probability of one 0/1 pattern, from the definition of the sets."""
    chance = 1.0
    for start in range(0, len(active), set_size):
        count, density = sum(active[start : start + set_size]), p[start]
        if correlation == "correlated":
            chance *= {0: 1 - density, set_size: density}.get(count, 0.0)
        else:
            chance *= {0: 1 - density, 1: density / set_size}.get(count, 0.0)
    return chance


@pytest.mark.parametrize("correlation", KINDS)
def test_chances_moments_and_marginals_by_enumeration(correlation: Correlation) -> None:
    p = np.array([0.3, 0.3, 0.3, 0.8, 0.8, 0.8])
    sets = ActiveSets(correlation, 3)
    patterns = list(product((0, 1), repeat=6))
    joint = np.array([enumerated(p, 3, pattern, correlation) for pattern in patterns])
    on = np.array(patterns)
    np.testing.assert_allclose(sets.active(p), joint @ on, rtol=1e-14)
    second = np.einsum("s,si,sj->ij", joint, on, on) / 4 + np.diag(joint @ on) / 12  # E x^2 = 1/3
    np.testing.assert_allclose(
        sets.covariance(p), second - np.outer(sets.mean(p), sets.mean(p)), atol=1e-16
    )
    for features in ([0, 1, 2, 3, 4, 5], [4, 1, 0], [5, 2]):  # all; some of each set, in any order
        chance = sets.chances(p[features][:, None], np.array(features)[:, None])
        for pattern in product((0, 1), repeat=len(features)):
            expected = joint[(on[:, features] == pattern).all(axis=1)].sum()
            chosen = tuple(np.flatnonzero(pattern).tolist())
            np.testing.assert_allclose(
                chance(chosen), expected, atol=1e-15, err_msg=f"{features} {pattern}"
            )


@pytest.mark.parametrize("output", ["relu", "linear"])
@pytest.mark.parametrize("correlation", KINDS)
def test_samples_of_the_data_agree(correlation: Correlation, output: Output) -> None:
    W, b, density, importance = random_model(3, 4, 2, 2)
    task = make_task(4, 2, density=density, correlation=correlation, set_size=2)
    kind = {"correlation": correlation, "set_size": 2}
    parts = []
    for first in range(0, 1_000_000, 100_000):
        x = (
            inputs.sample(task, Purpose.EVALUATE, 0, range(first, first + 100_000))[0]
            .double()
            .numpy()
        )
        z = x @ (W @ W.T) + b
        parts.append((x - (np.maximum(z, 0) if output == "relu" else z)) ** 2 @ importance)
    losses = np.concatenate(parts)
    off = abs(losses.mean() - expected_loss(W, b, density, importance, output, **kind))
    assert off < 4 * losses.std() / 1000
    independent = abs(losses.mean() - expected_loss(W, b, density, importance, output))
    assert independent > 10 * losses.std() / 1000  # the test sees the difference


@pytest.mark.parametrize("output", ["relu", "linear"])
@pytest.mark.parametrize("correlation", KINDS)
@pytest.mark.parametrize(("n", "m", "set_size"), [(4, 2, 2), (3, 2, 3)])
def test_gradient_against_central_differences(
    n: int, m: int, set_size: int, correlation: Correlation, output: Output
) -> None:
    W, b, density, importance = random_model(n, n, m, set_size)
    W[0], h = 0.0, 1e-5  # G_0j = 0, but x_0 still depends on the features of its set
    kind = {"correlation": correlation, "set_size": set_size}
    got = loss_and_gradient(W, b, density, importance, output, **kind)
    step = h * np.eye(n * m + n)
    Ws, bs = step[:, : n * m].reshape(-1, n, m), step[:, n * m :]
    up, down = (
        expected_loss(W + s * Ws, b + s * bs, density, importance, output, **kind) for s in (1, -1)
    )
    np.testing.assert_allclose(np.append(got.W, got.b), (up - down) / (2 * h), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("correlation", KINDS)
def test_batches_broadcast(correlation: Correlation) -> None:
    W, b, _, importance = random_model(0, 4, 2, 2)
    densities = np.array([0.1, 0.5, 1.0])
    kind = {"correlation": correlation, "set_size": 2}
    losses = expected_loss(
        np.stack([W, W[::-1]])[:, None], b, densities[:, None], importance, **kind
    )
    single = [[expected_loss(w, b, p, importance, **kind) for p in densities] for w in (W, W[::-1])]
    np.testing.assert_allclose(losses, single, rtol=1e-14)


def test_sets_that_do_not_interact_may_be_many() -> None:
    # Ten correlated pairs, each in a dimension of its own as the mean of both: as by hand above, 10
    # * p / 12 when linear; the ReLU changes nothing, as no output is negative.
    W = np.kron(np.eye(10), np.full((2, 1), np.sqrt(0.5)))
    loss = expected_loss(W, np.zeros(20), 0.6, 1.0, correlation="correlated", set_size=2)
    np.testing.assert_allclose(loss, 10 * 0.05, rtol=1e-13)


def test_sets_that_are_too_large_or_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="depends on 20 features, the exact ReLU loss allows 10"):
        expected_loss(np.ones((20, 2)), 0.0, 0.1, 1.0, correlation="correlated", set_size=10)
    with pytest.raises(ValueError, match="sets of 3 do not divide 4 features"):
        expected_loss(np.ones((4, 2)), 0.0, 0.1, 1.0, correlation="correlated", set_size=3)
    with pytest.raises(ValueError, match="the same for all features of a set"):
        expected_loss(
            np.ones((2, 1)), 0.0, [0.1, 0.2], 1.0, correlation="anticorrelated", set_size=2
        )
    with pytest.raises(ValueError, match="correlation is 'none'"):
        expected_loss(np.ones((2, 1)), 0.0, 0.1, 1.0, set_size=2)


def test_minima_of_correlated_and_anticorrelated_pairs() -> None:
    # TMS, "The geometry of superposition": correlated features are orthogonal, anticorrelated ones
    # antipodal.
    correlated = minimise_loss(
        np.full(4, 0.1), 1.0, 2, n_random=0, correlation="correlated", set_size=2
    )
    gram = correlated.W @ correlated.W.T
    # the exact optimum is just beyond: -0.019
    np.testing.assert_allclose([gram[0, 1], gram[2, 3]], 0, atol=0.03)
    anticorrelated = minimise_loss(
        np.full(4, 0.1), 1.0, 2, n_random=0, correlation="anticorrelated", set_size=2
    )
    gram = anticorrelated.W @ anticorrelated.W.T
    norms = np.sqrt(np.diag(gram))
    assert gram[0, 1] / (norms[0] * norms[1]) < -0.999
    assert gram[2, 3] / (norms[2] * norms[3]) < -0.999
    assert anticorrelated.loss < 1e-9  # two exclusive features fit in one dimension
    assert correlated.loss > 1e-3


def test_refine_descends_on_the_loss_of_the_sets() -> None:
    W, b, density, importance = random_model(5, 4, 2, 2)
    kind = {"correlation": "correlated", "set_size": 2}
    found = refine(W, b, density, importance, **kind)
    np.testing.assert_array_equal(
        found.loss, expected_loss(found.W, found.b, density, importance, **kind)
    )
    slope = loss_and_gradient(found.W, found.b, density, importance, **kind)
    assert np.abs(slope.W).max() < 1e-6
    # not that of independent
    assert np.abs(loss_and_gradient(found.W, found.b, density, importance).W).max() > 1e-3
