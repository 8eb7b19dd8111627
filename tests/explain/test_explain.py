"""Attributions: by hand, against brute force and samples, and by the identities that define
them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest

from superpos import explain
from superpos.explain import layers, values

M, N, K = 3, 5, 2
RNG = np.random.default_rng(0)
W = RNG.normal(size=(M, N, K))
B = 0.3 * RNG.normal(size=(M, N))
X = np.maximum(RNG.random((6, N)) - 0.4, 0) / 0.6
ROWS = RNG.random((4, N))
HIDDEN = (RNG.normal(size=(M, N, 4)), RNG.normal(size=(M, N, 4)))

# By hand: x' = relu(x_0 − x_1 + b), relu(x_1 − x_0 + b): a digon with b = 0.1, at (0.6, 0.2).
DIGON = np.array([[[1.0], [-1.0]]])
BIAS = np.array([[0.1, 0.1]])
POINT = np.array([[0.6, 0.2]])


def outputs(weights: Any, b: Any, x: Any, hidden: str = "linear", output: str = "relu") -> Any:
    """The model, written down once more: x [B, n] or [M, B, n]."""
    first, second = weights if isinstance(weights, tuple) else (weights, weights)
    h = x @ first
    z = (np.maximum(h, 0) if hidden == "relu" else h) @ np.swapaxes(second, 1, 2) + b[:, None]
    return np.maximum(z, 0) if output == "relu" else z


def brute_shapley(value: Callable[[frozenset[int]], Any], n: int) -> Any:
    """The mean over all orders of what a feature adds."""
    found: Any = 0.0
    orders = list(permutations(range(n)))
    for order in orders:
        for place, j in enumerate(order):
            before = frozenset(order[:place])
            change = np.zeros((*np.shape(value(before)), n))
            change[..., j] = value(before | {j}) - value(before)
            found = found + change / len(orders)
    return found


def draws(density: Any, samples: int, n: int, seed: int = 1) -> Any:
    """Inputs [M, samples, n] of densities [M]."""
    u = np.random.default_rng(seed).random((1, samples, n))
    p = np.asarray(density, dtype=float).reshape(-1, 1, 1)
    return np.maximum(u - (1 - p), 0) / p


def test_a_digon_by_hand() -> None:
    # f_0 = 0.5 with both, 0.7 with x_0 alone, 0 with x_1 alone, 0.1 with none; f_1 is 0, 0, 0.3,
    # 0.1.
    table = explain.value_table(DIGON, BIAS, POINT)[0, 0]
    assert table == pytest.approx(np.array([[0.1, 0.7, 0.0, 0.5], [0.1, 0.0, 0.3, 0.0]]))
    expected = {
        explain.gradient: [[1, -1], [0, 0]],
        explain.gradient_times_input: [[0.6, -0.2], [0, 0]],
        explain.occlusion: [[0.5, -0.2], [-0.3, 0]],
        explain.shapley: [[(0.6 + 0.5) / 2, (-0.1 - 0.2) / 2], [(-0.1 - 0.3) / 2, (0.2 + 0) / 2]],
        # z goes from 0.1 to 0.5, and for the other one to −0.3: a quarter of that way is on.
        explain.integrated_gradients: [[0.6, -0.2], [-0.15, 0.05]],
    }
    for method, values_by_hand in expected.items():
        found: Any = method(DIGON, BIAS, POINT)
        assert found[0, 0] == pytest.approx(np.array(values_by_hand, dtype=float), abs=1e-15), (
            method
        )


def test_what_is_off_at_both_ends_gets_nothing_from_gradients_and_something_from_shapley() -> None:
    bias = np.array([[-0.1, -0.1]])
    assert not explain.integrated_gradients(DIGON, bias, np.array([[0.2, 0.5]]))[0, 0, 0].any()
    assert explain.shapley(DIGON, bias, np.array([[0.2, 0.5]]))[0, 0, 0] == pytest.approx(
        [0.05, -0.05]
    )


@pytest.mark.parametrize("output", ["relu", "linear"])
@pytest.mark.parametrize("hidden", ["linear", "relu"])
def test_shapley_values_are_the_mean_over_all_orders(hidden: Any, output: Any) -> None:
    weights = HIDDEN if hidden == "relu" else W
    options = {"hidden": hidden, "output": output}

    def value(row: Any) -> Callable[[frozenset[int]], Any]:
        def of(inside: frozenset[int]) -> Any:
            chosen = np.isin(np.arange(N), list(inside))
            return outputs(weights, B, np.where(chosen, X, row), **options)

        return of

    found = explain.shapley(weights, B, X, baseline=ROWS[0], **options)
    assert np.abs(found - brute_shapley(value(ROWS[0]), N)).max() < 1e-13
    rows = explain.shapley(weights, B, X, background=ROWS, **options)
    by_row = [brute_shapley(value(row), N) for row in ROWS]
    assert np.abs(rows - np.mean(by_row, axis=0)).max() < 1e-13


def test_attributions_are_complete() -> None:
    whole = outputs(W, B, np.broadcast_to(X, (M, *X.shape)))
    p = np.array([0.2, 0.5, 1.0])
    change = whole - outputs(W, B, np.broadcast_to(ROWS[:1], (M, 1, N)))
    for found in (
        explain.shapley(W, B, X, baseline=ROWS[0]),
        explain.integrated_gradients(W, B, X, baseline=ROWS[0]),
    ):
        assert np.abs(found.sum(-1) - change).max() < 1e-13
    table = explain.value_table(W, B, X, density=p)
    assert (
        np.abs(explain.shapley(W, B, X, density=p).sum(-1) - (whole - table[..., 0])).max() < 1e-14
    )
    hidden = explain.integrated_gradients(HIDDEN, B, X, hidden="relu")
    start = outputs(HIDDEN, B, np.zeros((M, 1, N)), "relu")
    assert (
        np.abs(
            hidden.sum(-1) - outputs(HIDDEN, B, np.broadcast_to(X, (M, *X.shape)), "relu") + start
        ).max()
        < 1e-13
    )


def test_all_methods_agree_on_linear_models() -> None:
    G = W @ W.mT
    truth = G[:, None] * X[:, None]
    options: dict[str, Any] = {"output": "linear"}
    same = [
        explain.gradient_times_input(W, B, X, **options),
        explain.integrated_gradients(W, B, X, **options),
        explain.occlusion(W, B, X, **options),
        explain.shapley(W, B, X, **options),
        explain.banzhaf(W, B, X, **options),
        explain.lime(W, B, X, density=0.3, ridge=0, **options),
    ]
    assert max(np.abs(found - truth).max() for found in same) < 1e-13
    about_the_mean = truth - G[:, None] * np.float64(0.3 / 2)
    for found in (
        explain.shapley(W, B, X, density=0.3, **options),
        explain.resample_effect(W, B, X, density=0.3, **options),
    ):
        assert np.abs(found - about_the_mean).max() < 1e-13
    total = G**2 * (0.3 / 3 - 0.3**2 / 4)
    assert np.abs(explain.sobol_total(W, B, density=0.3, **options) - total).max() < 1e-13


def test_equal_inputs_get_equal_credit_and_unread_ones_none() -> None:
    G = np.array([[[0.8, 0.8, 0.0], [-0.5, 0.3, 0.0], [0.0, 0.0, 1.0]]])
    weights, b = explain.of_products(G), np.array([[-0.2, 0.1, 0.0]])
    x = np.array([[0.7, 0.7, 0.4]])
    for found in (
        explain.shapley(weights, b, x),
        explain.banzhaf(weights, b, x),
        explain.shapley(weights, b, x, density=0.3),
        explain.resample_effect(weights, b, x, density=0.3),
    ):
        assert found[0, 0, 0, 0] == pytest.approx(found[0, 0, 0, 1], abs=1e-15)
        assert np.abs(found[0, 0, :2, 2]).max() < 1e-15


def test_banzhaf_values_are_the_best_additive_fit() -> None:
    table = explain.value_table(W, B, X)
    design = np.hstack([np.ones((2**N, 1)), values.members(N)])
    fit = np.linalg.lstsq(design, np.moveaxis(table, -1, 0).reshape(2**N, -1), rcond=None)[0][1:]
    assert (
        np.abs(explain.banzhaf(W, B, X) - np.moveaxis(fit.reshape(N, M, len(X), N), 0, -1)).max()
        < 1e-12
    )


@pytest.mark.parametrize("density", [0.3, [0.2, 0.5, 1.0]])
def test_the_integral_over_the_data_is_what_backgrounds_converge_to(density: Any) -> None:
    rows = draws(np.broadcast_to(density, M), 2000, N)
    exact = explain.shapley(W, B, X[:2], density=density)
    assert np.abs(exact - explain.shapley(W, B, X[:2], background=rows)).max() < 0.1
    mean = explain.value_table(W, B, X[:2], density=density)[..., 0]
    empty = outputs(W, B, rows)
    error = empty.std(axis=1) / np.sqrt(rows.shape[1])
    assert (np.abs(mean - empty.mean(axis=1)[:, None]) <= 4 * error[:, None]).all()


def test_sampled_values_lie_within_their_errors() -> None:
    exact = explain.shapley(W, B, X, density=0.4)
    found = explain.shapley_sampled(W, B, X, density=0.4, samples=300, seed=3)
    assert (np.abs(found.values - exact) <= 5 * found.error + 1e-12).all()
    assert found.error.max() < 0.2
    fixed = explain.shapley_sampled(HIDDEN, B, X, samples=400, hidden="relu")
    assert (
        np.abs(fixed.values - explain.shapley(HIDDEN, B, X, hidden="relu"))
        <= 5 * fixed.error + 1e-12
    ).all()


@pytest.mark.parametrize("q", [0.02, 0.1, 0.3, 0.6, 1.0])
def test_conditional_values_credit_a_partner_that_is_not_read(q: float) -> None:
    """f_0 = relu(x_0), and x_1 is on with it: (1 − q)/4 where the set is on, −q/4 where it is
    off.
    """
    eye = np.eye(2)[None]
    x = np.array([[0.4, 0.7], [0.0, 0.0]])
    found = explain.conditional_shapley(eye, np.zeros((1, 2)), x, density=q, set_size=2)
    assert found[0, :, 0, 1] == pytest.approx([(1 - q) / 4, -q / 4], abs=1e-12)
    assert np.abs(explain.shapley(eye, np.zeros((1, 2)), x, density=q)[0, :, 0, 1]).max() < 1e-16


@pytest.mark.parametrize("size", [3, 4])
def test_conditional_values_in_larger_sets(size: int) -> None:
    """Who is known first switches the set on, which adds (1 − q)/2 to f_0 unless x_0 itself is
    known: each partner is first with 1/size, so it gets (1 − q)/2 · 1/size of the output that it
    does not move.
    """
    q = 0.3
    eye = np.eye(size)[None]
    x = np.linspace(0.2, 0.9, size)[None]
    found = explain.conditional_shapley(eye, np.zeros((1, size)), x, density=q, set_size=size)
    assert found[0, 0, 0, 1:] == pytest.approx(np.full(size - 1, (1 - q) / 2 / size), abs=1e-12)


def test_conditional_values_are_those_of_data_given_the_known_features() -> None:
    x = np.array([[0.4, 0.7, 0.0, 0.0]])
    weights, b = W[:1, :4], B[:1, :4]
    rng = np.random.default_rng(5)
    u = rng.random((20000, 4))
    on = np.repeat(rng.random((20000, 2)) < 0.3, 2, axis=1)

    def value(inside: frozenset[int]) -> Any:
        chosen = np.isin(np.arange(4), list(inside))
        known = chosen.reshape(2, 2).any(axis=1)
        sets = np.where(known, x.reshape(2, 2).any(axis=1), on.reshape(-1, 2, 2).any(axis=2))
        return outputs(weights, b, np.where(chosen, x, u * np.repeat(sets, 2, axis=1))[None])[
            0
        ].mean(axis=0)

    found = explain.conditional_shapley(weights, b, x, density=0.3, set_size=2)[0, 0]
    assert np.abs(found - brute_shapley(value, 4)).max() < 0.02


@pytest.mark.parametrize("hidden", ["linear", "relu"])
def test_resampling_is_the_mean_over_new_values(hidden: Any) -> None:
    weights = HIDDEN if hidden == "relu" else W
    x = np.repeat(X[:1], 100001, axis=0)
    x[1:, 2] = np.maximum(np.linspace(0, 1, 100000) - 0.6, 0) / 0.4
    found = explain.resample_effect(weights, B, X[:1], density=0.4, hidden=hidden)[:, 0, :, 2]
    f = outputs(weights, B, np.broadcast_to(x, (M, *x.shape)), hidden)
    assert np.abs(found - (f[:, 0] - f[:, 1:].mean(axis=1))).max() < 1e-4


def test_lines_through_hidden_relus_are_exact() -> None:
    steps = (np.arange(4000) + 0.5) / 4000
    start, end = np.full(N, 0.1), X[:2]
    gradients = [
        explain.gradient(HIDDEN, B, start + t * (end - start), hidden="relu") for t in steps
    ]
    way = (end - start)[:, None]
    found = explain.integrated_gradients(HIDDEN, B, end, baseline=start, hidden="relu")
    assert np.abs(found - np.mean(gradients, axis=0) * way).max() < 2e-3


def test_linear_hidden_units_that_never_switch_are_one_piece() -> None:
    """With positive weights and inputs no unit switches, and both kinds of model are the same."""
    positive = (np.abs(HIDDEN[0]), HIDDEN[1])
    for method in (
        explain.integrated_gradients,
        explain.occlusion,
        explain.shapley,
        explain.gradient,
    ):
        a: Any = method(positive, B, X, hidden="relu")
        b: Any = method(positive, B, X)
        assert np.abs(a - b).max() < 1e-13


def test_pieces_of_a_line_make_the_whole() -> None:
    model = layers.Layers.of(HIDDEN, B, "relu")
    start, end = model.inputs(ROWS[:2]), model.inputs(X[:2])
    parts = list(layers.pieces(model, start, end))
    assert np.abs(sum(part.length for part in parts) - 1).max() < 1e-15
    assert np.abs(parts[0].low - model.before(start)).max() < 1e-13
    assert np.abs(parts[-1].high - model.before(end)).max() < 1e-13
    for one, following in pairwise(parts):
        assert np.abs(one.high - following.low).max() < 1e-12


def test_sobol_indices_and_importances_are_those_of_samples() -> None:
    p = np.array([0.2, 0.5, 1.0])
    x = draws(p, 20000, N)
    f, other = outputs(W, B, x), draws(p, 20000, N, seed=2)
    exact = explain.sobol_total(W, B, density=p)
    own = explain.permutation_importance(W, B, density=p)
    for j in range(N):
        changed = x.copy()
        changed[..., j] = other[..., j]
        g = outputs(W, B, changed)
        half = (f - g) ** 2 / 2
        assert (
            np.abs(exact[..., j] - half.mean(axis=1)) <= 5 * half.std(axis=1) / 141 + 1e-15
        ).all()
        rise = (x - g) ** 2 - (x - f) ** 2
        assert (np.abs(own[..., j] - rise.mean(axis=1)) <= 5 * rise.std(axis=1) / 141 + 1e-15).all()
    given = explain.sobol_total(W, B, x, density=p)
    assert np.abs(given - exact).max() < 0.1 * exact.max()
    assert (
        np.abs(explain.permutation_importance(W, B, x, of="output") - 2 * exact).max()
        < 0.2 * exact.max()
    )


def test_the_loss_does_not_see_interference() -> None:
    own = explain.permutation_importance(W, B, density=0.3)
    assert not own[:, ~np.eye(N, dtype=bool)].any()
    assert (explain.sobol_total(W, B, density=0.3)[:, ~np.eye(N, dtype=bool)] >= 0).all()
    linear = explain.permutation_importance(W, B, density=0.3, output="linear")
    assert linear[:, 0, 0] == pytest.approx(2 * (W[:, 0] ** 2).sum(-1) * (0.3 / 3 - 0.3**2 / 4))


def test_permuting_one_feature_of_a_digon_by_hand() -> None:
    """Features that are never on together come together, which charges the other output with what
    it never met.
    """
    x = np.array([[0.5, 0.0], [0.0, 0.4]])
    # it swaps
    seed = next(seed for seed in range(20) if np.random.default_rng(seed).permutation(2)[0] == 1)
    found = explain.permutation_importance(DIGON, np.zeros((1, 2)), x, of="output", seed=seed)
    # x_0 goes to (0, 0.5): f_0 0.5 → 0 and 0 → 0.1, f_1 0 → 0 and 0.4 → 0.
    assert found[0, :, 0] == pytest.approx([(0.25 + 0.01) / 2, (0.0 + 0.16) / 2])


@pytest.mark.parametrize("q", [0.1, 0.4, 0.8])
def test_permuting_features_that_exclude_each_other_charges_what_never_happens(q: float) -> None:
    """Either feature is on with q/2, never both.

    With x_0 permuted both are, with q²/4, and relu(x_1 − x_0) loses the smaller of them, whose mean
    square is 1/6; in the data x_0 changes nothing of the other output.
    """
    rng = np.random.default_rng(0)
    which = rng.random(400_000)
    x = np.stack([which < q / 2, (which >= q / 2) & (which < q)], axis=1) * rng.random((400_000, 2))
    found = explain.permutation_importance(DIGON, np.zeros((1, 2)), x, of="output")
    assert found[0, 1, 0] == pytest.approx(q**2 / 24, rel=0.12)
    assert not explain.occlusion(DIGON, np.zeros((1, 2)), x)[0, :, 1, 0].any()


def test_lime_is_parallel_to_the_row_and_samples_converge_to_it() -> None:
    p = np.array([0.3, 0.5, 1.0])
    std = np.sqrt(p / 3 - p**2 / 4)
    closed = explain.lime_coefficients(W, B, X, density=p, samples=20000)
    rows = (W @ W.mT)[:, None] * std[:, None, None, None]
    cosine = (closed * rows).sum(-1) / np.sqrt((closed**2).sum(-1) * (rows**2).sum(-1))
    assert np.abs(cosine - 1).max() < 1e-12
    sampled = explain.lime_coefficients(W, B, X, density=p, samples=20000, seed=0)
    assert np.sqrt(((sampled - closed) ** 2).mean()) < 0.01
    assert (
        np.abs(
            explain.lime(W, B, X, density=p, samples=20000)
            - closed * X[:, None] / std[:, None, None, None]
        ).max()
        < 1e-14
    )


def test_the_ridge_of_lime_decides_where_the_kernel_is_narrow() -> None:
    factors = (
        explain.lime_ridge_factor(5, 1.0, width=3),
        explain.lime_ridge_factor(5, 1.0, width=0.25),
    )
    assert factors[0] > 0.99 > 0.2 > factors[1]
    assert explain.lime_ridge_factor(5, 1.0, width=0.25, ridge=0) == 1
    closed = explain.lime_coefficients(W, B, X, density=0.5, width=0.4, samples=50000)
    sampled = explain.lime_coefficients(W, B, X, density=0.5, width=0.4, samples=50000, seed=0)
    assert np.sqrt(((sampled - closed) ** 2).mean()) < 0.03


def test_lime_takes_mean_and_deviation_from_a_background() -> None:
    assert np.allclose(
        explain.lime_coefficients(W, B, X, background=draws([0.4], 200000, N)[0]),
        explain.lime_coefficients(W, B, X, density=0.4),
        atol=5e-3,
    )


def test_large_models_are_explained_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = explain.shapley(W, B, X)
    monkeypatch.setattr(values, "_BLOCK", 40)
    assert np.array_equal(explain.shapley(W, B, X), whole)


WIDE = np.ones((1, 13, 2))
REFUSED: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: explain.shapley(WIDE, np.zeros((1, 13)), np.zeros((1, 13))),
        "got 13 features; allowed: up to 12",
    ),
    (
        lambda: explain.shapley(WIDE[:, :9], np.zeros((1, 9)), np.zeros((1, 9)), density=0.1),
        "got 9 features",
    ),
    (lambda: explain.shapley(HIDDEN, B, X, density=0.1, hidden="relu"), "ReLU hidden layer"),
    (lambda: explain.lime(HIDDEN, B, X, density=0.1, hidden="relu"), "no closed form"),
    (lambda: explain.sobol_total(HIDDEN, B, density=0.1, hidden="relu"), "ReLU hidden layer"),
    (lambda: explain.shapley(W, B, X, density=0), "above 0, up to 1"),
    (lambda: explain.shapley(W, B, X, density=0.1, baseline=ROWS[0]), "got several"),
    (lambda: explain.shapley(W, B, X, density=np.ones((2, 2))), "got shape"),
    (lambda: explain.shapley(W, B, X, background=np.zeros((0, N))), "got no rows"),
    (lambda: explain.shapley(W, B, X, baseline=np.zeros(4)), "baseline: got shape"),
    (lambda: explain.shapley(W, B, X[:, :3]), "x: got shape"),
    (lambda: explain.shapley(W, B[:, :3], X), "W and b: got shapes"),
    (lambda: explain.gradient(W, B, X, output="tanh"), "output: got 'tanh'"),  # type: ignore[arg-type]
    (lambda: explain.conditional_shapley(W, B, X, density=0.1, set_size=1), "set_size: got 1"),
    (lambda: explain.conditional_shapley(W, B, X, density=0.1, set_size=2), "a divisor of n = 5"),
    (
        lambda: explain.conditional_shapley(
            W[:, :4], B[:, :4], [[1, 0, 0, 0]], density=0.1, set_size=2
        ),
        "a part is on",
    ),
    (lambda: explain.shapley_sampled(W, B, X, samples=1), "samples: got 1"),
    (lambda: explain.permutation_importance(W, B, X, of="accuracy"), "of: got 'accuracy'"),  # type: ignore[arg-type]
    (lambda: explain.permutation_importance(W, B), "one of them"),
    (lambda: explain.lime(W, B, X, density=0.1, width=0), "allowed: above 0"),
    (lambda: explain.lime(W, B, X), "one of them"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_cannot_be_is_refused_in_words(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=r".") as fault:
        call()
    assert words in str(fault.value)
