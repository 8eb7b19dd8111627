"""Blocks of equal features, D*(p), and the floor of linear models."""

from __future__ import annotations

import numpy as np
import pytest

from superpos.families.tms.theory import (
    block_optima,
    d_star,
    expected_loss,
    linear_floor,
    loss_and_gradient,
    polygon,
    refine,
    variance,
)
from superpos.families.tms.theory.active import Correlation
from superpos.families.tms.theory.blocks import polytopes

# whose exact loss takes milliseconds
SMALL = ("dedicated", "digon", "triangle", "tetrahedron", "pentagon")


def test_a_dedicated_feature_is_exact_and_worth_its_variance() -> None:
    p = np.array([0.01, 0.3, 1.0])
    blocks = block_optima(p)
    assert blocks.names[0] == "dedicated"
    np.testing.assert_allclose(blocks.loss[:, 0], 0, atol=1e-15)
    np.testing.assert_allclose(blocks.norm[:, 0], 1, rtol=1e-7)
    np.testing.assert_allclose(blocks.gain[:, 0], variance(p), rtol=1e-12)


def test_a_sparse_digon_by_hand() -> None:
    # For p -> 0 a digon has s = 1, b = 0 and errs by p^2 / 3: its gain is 2 V - p^2 / 3.
    p = 0.001
    blocks = block_optima(p)
    at = blocks.names.index("digon")
    np.testing.assert_allclose(blocks.loss[at], p**2 / 3, rtol=0.01)
    assert blocks.loss[at] < p**2 / 3
    np.testing.assert_allclose(blocks.gain[at], 2 * variance(p) - blocks.loss[at], rtol=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_the_loss_is_that_of_the_model_and_cannot_be_improved(name: str) -> None:
    p = np.array([1.0, 0.6, 0.2, 0.05, 0.005])
    blocks, shape = block_optima(p), polytopes()[name]
    at = blocks.names.index(name)
    assert shape.shape == (blocks.features[at], blocks.dimensions[at])
    W, b = (
        blocks.norm[:, at, None, None] * shape,
        np.repeat(blocks.bias[:, at, None], len(shape), axis=1),
    )
    found = loss_and_gradient(W, b, p[:, None], 1.0)
    np.testing.assert_allclose(found.loss, blocks.loss[:, at], rtol=1e-9, atol=1e-14)
    # Stationary in norm and bias; a shape may still want to bend.
    np.testing.assert_allclose((found.W * shape).sum(axis=(-2, -1)) / p, 0, atol=1e-8)
    np.testing.assert_allclose(found.b.sum(axis=-1) / p, 0, atol=1e-8)
    for scale, shift in ((1.01, 0), (0.99, 0), (1, 0.01), (1, -0.01), (1.3, -0.2), (0.7, 0.3)):
        assert (expected_loss(scale * W, b + shift, p[:, None], 1.0) >= found.loss - 1e-14).all()


def test_larger_blocks_are_models_too() -> None:
    blocks = block_optima(0.1)
    for name in ("hexagon", "heptagon"):
        at = blocks.names.index(name)
        W = blocks.norm[at] * polytopes()[name]
        np.testing.assert_allclose(
            expected_loss(W, blocks.bias[at], 0.1, 1.0), blocks.loss[at], rtol=1e-9
        )


def test_the_square_antiprism_by_sampling() -> None:
    blocks = block_optima(0.2)
    at = blocks.names.index("square antiprism")
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(200_000, 8)) * (rng.uniform(size=(200_000, 8)) < 0.2)
    W = blocks.norm[at] * polytopes()["square antiprism"]
    losses = np.square(x - np.maximum(x @ (W @ W.T) + blocks.bias[at], 0)).sum(axis=1)
    assert abs(losses.mean() - blocks.loss[at]) < 4 * losses.std() / np.sqrt(len(x))


def test_a_free_pentagon_stays_as_it_is() -> None:
    blocks = block_optima(0.05)
    free = refine(polygon(5), np.zeros(5), 0.05, 1.0)  # each vector and bias on its own
    np.testing.assert_allclose(blocks.loss[blocks.names.index("pentagon")], free.loss, rtol=1e-9)


def test_d_star_takes_the_greatest_gain() -> None:
    # Nearly a dimension each when dense, digons at a half, then pentagons: d / (k s^2), s > 1, so
    # below 2/5.
    p = np.array([[1.0, 0.3], [0.205, 0.1]])
    (dense, plateau), (pentagon, sparse) = d_star(p)
    assert 0.97 < dense < 1
    np.testing.assert_allclose(plateau, 0.49, atol=0.002)
    assert 0.35 < pentagon < 0.4
    assert np.isnan(sparse)  # the square antiprism is better: larger blocks may be better still
    # also where the hexagon or the heptagon is best of those tried
    assert np.isnan(d_star([0.18, 0.01, 0.001])).all()
    blocks = block_optima(p)
    assert blocks.gain.shape == (2, 2, len(polytopes()))
    best = blocks.names.index("pentagon")
    assert blocks.gain[1, 0].argmax() == best
    np.testing.assert_allclose(
        pentagon, 2 / np.sum((blocks.norm[1, 0, best] * polygon(5)) ** 2), rtol=1e-9
    )


def test_densities_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(ValueError, match="density must lie in"):
        block_optima(0.0)


def test_the_linear_floor_drops_the_smallest_products() -> None:
    # I V(p) = V(0.9), 2 V(0.1), V(0.5): V = 0.0975, 0.0308333, 0.1041667; so 2 * 0.0308333 is
    # dropped first.
    density, importance = [0.9, 0.1, 0.5], [1.0, 2.0, 1.0]
    products = variance(density) * importance
    np.testing.assert_allclose(
        [linear_floor(density, importance, m) for m in range(5)],
        [products.sum(), products[:2].sum(), products[1], 0, 0],
        atol=1e-15,
    )
    assert linear_floor(np.full((2, 3), 0.5), importance, 1).shape == (2,)


@pytest.mark.parametrize("correlation", ["correlated", "anticorrelated"])
def test_the_linear_floor_of_sets_is_reached_and_not_passed(correlation: Correlation) -> None:
    density, importance = np.repeat([0.3, 0.8], 2), np.repeat([2.0, 1.0], 2)
    kind = {"correlation": correlation, "set_size": 2}
    floor = linear_floor(density, importance, 2, **kind)
    # Of each pair the principal component: the sum where both are active, the difference where only
    # one is.
    other = 1 if correlation == "correlated" else -1
    options = [
        np.array([[1, other, 0, 0], [0, 0, 1, other]]),
        np.array([[1, 1, 0, 0], [1, -1, 0, 0]]),
    ]
    losses = []
    for rows in options:
        W = rows.T / np.sqrt(2)
        mean = density / 2 if correlation == "correlated" else density / 4
        losses.append(
            expected_loss(W, mean - W @ W.T @ mean, density, importance, "linear", **kind)
        )
    np.testing.assert_allclose(min(losses), floor, rtol=1e-12)
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(2000, 4, 2)) * 0.6, 0.1 * rng.normal(size=(2000, 4))
    assert (expected_loss(W, b, density, importance, "linear", **kind) > floor).all()
