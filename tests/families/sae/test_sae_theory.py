"""Exact optima against brute force, quadrature and Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq, minimize

from superpos.families.sae import metrics, theory

PENALTIES = [0.05, 0.2, 0.8, 1.6]
DENSITY = 0.05


def expected(function, density: float) -> float:
    """E function(x) of a feature: 0, or uniform on [0, 1] with probability `density`."""
    kinks = np.linspace(0, 1, 401)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    x = (kinks[:-1, None] + (nodes + 1) / 800).ravel()
    active = (function(x) * np.tile(weights, 400)).sum() / 800
    return (1 - density) * float(function(np.zeros(1))[0]) + density * float(active)


SIZES = [(2, 5), (2, 10), (10, 40), (16, 32), (64, 128), (3, 1), (1, 4)]


@pytest.mark.parametrize(("d", "m"), SIZES)
def test_chance_against_random_latents(d: int, m: int) -> None:
    rng = np.random.default_rng(0)
    D = rng.normal(size=(2000, m, d))
    C = metrics.cosines(np.eye(d)[:1], D, np.ones((2000, m), dtype=bool))
    greatest = metrics.mmcs(C)
    error = greatest.std() / 2000**0.5
    assert abs(theory.chance(d, m) - greatest.mean()) < 4 * error + 1e-9
    share = metrics.found(C, 0.4).mean()
    assert abs(theory.chance_found(d, m, 0.4) - share) < 4 * (0.25 / 2000) ** 0.5


def test_chance_by_hand() -> None:
    np.testing.assert_allclose(theory.chance(2, 1), 0, atol=1e-12)
    np.testing.assert_allclose(theory.chance(1, 3), 1 - 2 / 8)
    # of two latents on a circle the angle of the nearer one has density 2 (1 − a/π)/π on [0, π]
    by_hand = quad(lambda a: np.cos(a) * 2 * (1 - a / np.pi) / np.pi, 0, np.pi)[0]
    np.testing.assert_allclose(theory.chance(2, 2), by_hand)
    missed = 1 - np.arccos(0.9) / np.pi
    np.testing.assert_allclose(theory.chance_found(2, 5, 0.9), 1 - missed**5)
    published = theory.chance([2, 2, 10, 16, 64], [5, 10, 40, 32, 128])
    np.testing.assert_allclose(published, [0.80, 0.93, 0.64, 0.50, 0.32], atol=0.006)
    assert np.all(np.diff(theory.chance(100, [100, 400, 3200, 10**6])) > 0)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("bias", [True, False])
def test_l1_optimum_against_minimisation(penalty: float, bias: bool) -> None:
    """Encoder scale, encoder bias and decoder bias of one feature are free; D is a unit."""

    def code(x, scale, b_e, c):
        return np.maximum(scale * (x - c) + b_e, 0)

    def loss(free):
        scale, b_e, c = (*free, 0.0)[:3]

        def objective(x):
            f = code(x, scale, b_e, c)
            return (x - c - f) ** 2 + penalty * f

        return expected(objective, DENSITY)

    start = [0.9, -0.4 * penalty, 0.01][: 3 if bias else 2]
    found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-12})
    exact = theory.l1_optimum(DENSITY, penalty, decoder_bias=bias)
    scale, b_e, c = (*found.x, 0.0)[:3]
    np.testing.assert_allclose(exact.loss, found.fun, rtol=2e-5)
    np.testing.assert_allclose(exact.encoder_bias, b_e, atol=5e-3)
    np.testing.assert_allclose(exact.decoder_bias, c, atol=5e-3)
    np.testing.assert_allclose(scale, 1, atol=2e-2)
    fires = expected(lambda x: code(x, 1, b_e, c) > 0, DENSITY)
    product = expected(lambda x: x * (c + code(x, 1, b_e, c)), DENSITY)
    square = expected(lambda x: (c + code(x, 1, b_e, c)) ** 2, DENSITY)
    error = expected(lambda x: (x - c - code(x, 1, b_e, c)) ** 2, DENSITY)
    np.testing.assert_allclose(exact.l0, fires, rtol=2e-2)
    np.testing.assert_allclose(exact.gamma, product / square, rtol=2e-2)
    np.testing.assert_allclose(exact.fvu, error / (DENSITY / 3 - DENSITY**2 / 4), rtol=2e-2)


def test_l1_by_formula() -> None:
    t = np.array(PENALTIES) / 2
    exact = theory.l1_optimum(DENSITY, PENALTIES, decoder_bias=False)
    np.testing.assert_allclose(exact.loss, DENSITY * (t**3 / 3 + t * (1 - t)))
    np.testing.assert_allclose(exact.l0, DENSITY * (1 - t))
    np.testing.assert_allclose(exact.gamma, 1 + 3 * t / (2 * (1 - t)))
    biased = theory.l1_optimum(DENSITY, PENALTIES)
    assert (biased.loss < exact.loss).all()


@pytest.mark.parametrize("bias", [True, False])
def test_where_l1_dies(bias: bool) -> None:
    dies = 2 - DENSITY if bias else 2
    ends = (dies - 1e-4, dies + 1e-4)
    before, after = (theory.l1_optimum(DENSITY, end, decoder_bias=bias) for end in ends)
    assert before.l0 > 0
    assert after.l0 == 0
    np.testing.assert_allclose(before.loss, after.loss, rtol=1e-6)
    variance = DENSITY / 3 - DENSITY**2 / 4
    np.testing.assert_allclose(after.fvu, 1 if bias else (DENSITY / 3) / variance)
    np.testing.assert_allclose(before.decoder_bias, after.decoder_bias, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("penalty", [0.05, 0.4, 0.8])
def test_latents_lean_on_all_others(penalty: float) -> None:
    """The best common tilt of the decoder for codes as they are, of exact moments."""
    n = 16

    def code(x):
        return np.maximum(x - penalty / 2, 0)

    mean_code = expected(code, DENSITY)
    square = expected(lambda x: code(x) ** 2, DENSITY)
    product = expected(lambda x: x * code(x), DENSITY)

    def error(lean):
        own = 1 / np.sqrt(1 + (n - 1) * lean**2)
        other = lean * own
        # one dimension: (x − own f − other Σ f_j)² with n − 1 others, all independent
        linear = own * product + other * (n - 1) * DENSITY / 2 * mean_code
        others = (n - 1) * (square + (n - 2) * mean_code**2)
        crossed = 2 * own * other * (n - 1) * mean_code**2
        return -2 * linear + own**2 * square + crossed + other**2 * others

    options = {"xatol": 1e-9, "fatol": 1e-16}
    lean = minimize(error, [0.01], method="Nelder-Mead", options=options).x[0]
    exact = theory.l1_mixing(DENSITY, penalty, n)
    minimum = 1 / np.sqrt(1 + (n - 1) * lean**2)
    np.testing.assert_allclose(1 - exact, 1 - minimum, rtol=0.02)  # first order in the lean


@pytest.mark.parametrize("penalty", [0.01, 0.04, 0.25])
@pytest.mark.parametrize("bandwidth", [1e-3, 0.1, 0.15])
def test_jumprelu_threshold_is_where_the_estimator_vanishes(
    penalty: float,
    bandwidth: float,
) -> None:
    """dL/dθ = −(1/ε) E K((z − θ)/ε) (θ ∂L/∂f + λ), with f = z where z > θ, else 0."""

    def estimate(theta):
        below = quad(lambda x: theta * -2 * x + penalty, theta - bandwidth / 2, theta)[0]
        above = quad(lambda x: penalty, theta, theta + bandwidth / 2)[0]
        return -(below + above) / bandwidth

    theta = brentq(estimate, bandwidth / 2 + 1e-9, 0.9)
    np.testing.assert_allclose(theory.jumprelu_threshold(penalty, bandwidth), theta, rtol=1e-9)


def test_jumprelu_optimum() -> None:
    penalty = 0.09
    thetas = np.linspace(0.01, 0.99, 9801)
    losses = theory.jumprelu_loss(DENSITY, penalty, thetas)
    np.testing.assert_allclose(
        thetas[losses.argmin()],
        theory.jumprelu_threshold(penalty),
        atol=2e-4,
    )

    def objective(x):
        return np.where(x > 0.3, penalty, x**2)

    np.testing.assert_allclose(
        theory.jumprelu_loss(DENSITY, penalty, 0.3),
        expected(objective, DENSITY),
        rtol=2e-3,
    )


def test_batchtopk_threshold_against_a_batch() -> None:
    rng = np.random.default_rng(0)
    n, density, k = 16, 0.05, 0.6
    codes = rng.random((100_000, n)) * (rng.random((100_000, n)) < density)
    kept = np.sort(codes.ravel())[-int(k * len(codes)) :]
    theta, error = theory.batchtopk_threshold(n * density, k)
    np.testing.assert_allclose(theta, kept.min(), rtol=0.02)
    np.testing.assert_allclose(
        error,
        (codes**2).sum(axis=1).mean() - (kept**2).sum() / len(codes),
        rtol=0.04,
    )
    np.testing.assert_allclose(theory.batchtopk_threshold(0.8, 1.0), (0, 0))


def best_code(target: np.ndarray, D: np.ndarray, penalty: float) -> float:
    """min over f ≥ 0 of ‖target − f D‖² + λ Σ f, by bounded minimisation."""

    def loss(f):
        e = target - f @ D
        return e @ e + penalty * f.sum(), -2 * D @ e + penalty

    bounds = [(0, None)] * len(D)
    return minimize(loss, np.full(len(D), 0.3), jac=True, bounds=bounds, tol=1e-12).fun


@pytest.mark.parametrize("penalty", [0.05, 0.3, 1.5])
def test_absorbed_and_composed_codes_against_bounded_minimisation(penalty: float) -> None:
    both, sum_latent = np.ones(2), np.ones((1, 2)) / 2**0.5
    costs = theory.pair_costs(penalty)
    np.testing.assert_allclose(costs.truth, best_code(both, np.eye(2), penalty), rtol=1e-6)
    np.testing.assert_allclose(costs.together, best_code(both, sum_latent, penalty), rtol=1e-6)
    single = best_code(both * [1, 0], np.eye(2), penalty)
    truth, composed = theory.composed_losses(0.1, 0.02, penalty)
    np.testing.assert_allclose(truth, 0.2 * single + 0.02 * costs.truth, rtol=1e-6)
    np.testing.assert_allclose(composed, 0.2 * single + 0.02 * costs.together, rtol=1e-6)
    all_three = np.concatenate([np.eye(2), sum_latent])
    np.testing.assert_allclose(costs.together, best_code(both, all_three, penalty), rtol=1e-6)
    np.testing.assert_allclose(
        theory.absorption_gain(penalty, 0.03),
        0.03 * (costs.truth - costs.together),
    )


def test_absorption_gains_wherever_a_latent_lives() -> None:
    penalty = np.linspace(0.01, 1.99, 100)
    assert (theory.absorption_gain(penalty, 1) > 0).all()
    formula = (2 - 2**0.5) * penalty - penalty**2 / 4
    np.testing.assert_allclose(theory.absorption_gain(penalty, 1), formula)
    np.testing.assert_allclose(theory.ABSORPTION_ENDS, 2.343, atol=1e-3)
    assert theory.composed_losses(0.1, 0.1, 0.2).truth == pytest.approx(0.076)
    assert theory.composed_losses(0.1, 0.1, 0.2).together == pytest.approx(0.0653, abs=5e-5)


@pytest.mark.parametrize(
    ("child", "alone", "cosine"),
    [(0.2, 0, 0.2434), (0.5, 0, 0.5547), (0.2, 0.1, 0.2219), (0.1, 0.25, -0.576)],
)
def test_hedging_against_the_principal_direction(child: float, alone: float, cosine: float) -> None:
    parent = 0.25
    states = np.array([[1, 1], [1, 0], [0, 1], [0, 0]])
    weight = [
        parent * child,
        parent * (1 - child),
        (1 - parent) * alone,
        (1 - parent) * (1 - alone),
    ]
    covariance = np.cov(states.T, aweights=np.array(weight), ddof=0)
    direction = np.linalg.eigh(covariance)[1][:, -1]
    direction *= np.sign(direction[0])
    found = theory.hedging_cosines(parent, child, alone)
    np.testing.assert_allclose(found, direction, rtol=1e-9)
    np.testing.assert_allclose(found.child, cosine, atol=5e-4)


def test_hedging_with_several_children() -> None:
    """A parent of three children that exclude each other, of which it has one in 60% of cases."""
    p, q, a = 0.15, 0.2, 0.01
    states = np.concatenate([np.eye(4)[1:] + np.eye(4)[0], np.eye(4)])
    states = np.concatenate([states, np.zeros((1, 4))])
    weight = np.array([p * q] * 3 + [p * (1 - 3 * q)] + [(1 - p) * a] * 3 + [(1 - p) * (1 - 3 * a)])
    direction = np.linalg.eigh(np.cov(states.T, aweights=weight, ddof=0))[1][:, -1]
    direction *= np.sign(direction[0])
    found = theory.hedging_cosines(p, q, a, 3)
    np.testing.assert_allclose(direction, [found.parent, *[found.child] * 3], rtol=1e-9)
    np.testing.assert_allclose(theory.hedging_cosines(p, q, 0, 3).parent, 0.935, atol=5e-4)


def test_independent_features_are_not_hedged() -> None:
    np.testing.assert_allclose(theory.hedging_cosines(0.25, 0.1, 0.1), (1, 0), atol=1e-12)


def test_scaling_keeps_the_most_frequent() -> None:
    p = 1 / np.arange(1, 129)
    p *= 3 / p.sum()
    np.testing.assert_allclose(theory.zipf_constant(3, 128), p[31] * 32)
    losses = theory.scaling_loss(p[::-1], [0, 8, 128], 0.1)
    variance = p / 3 - p**2 / 4
    np.testing.assert_allclose(losses[0], variance.sum())
    kept = theory.l1_optimum(p[:8], 0.1).loss
    np.testing.assert_allclose(losses[1], kept.sum() + variance[8:].sum())
    np.testing.assert_allclose(losses[2], theory.l1_optimum(p, 0.1).loss.sum())
    free = theory.scaling_loss(p, [8, 64], 0.0, decoder_bias=False)
    np.testing.assert_allclose(free, [p[8:].sum() / 3, p[64:].sum() / 3])
