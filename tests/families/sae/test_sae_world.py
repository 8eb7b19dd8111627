"""Worlds of sparse autoencoders: laws of activity, magnitudes, dictionaries, inputs that models of
one world share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from saes import make_sae_task, make_world
from scipy.stats import kstest, multivariate_normal, norm

from superpos.families.sae.counts import edges_of
from superpos.families.sae.law import frequencies
from superpos.families.sae.purposes import Purpose
from superpos.families.sae.world import inputs
from superpos.families.sae.world.dictionary import dictionary
from superpos.families.sae.world.magnitudes import magnitudes
from superpos.families.sae.world.synthetic import random_pairs
from superpos.maths import activity
from superpos.maths.streams import RANGE
from superpos.maths.trees import Node, nodes, sums

N = 2**16
TREE = ((0.5, True, 0.1, (0.25, (0.5, False, 0.0, (0.4,)))), (0.2, False, 0.0, (0.3, 0.6)))


def drawn(n: int, words: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, RANGE, (n, words)))


def close(share: Any, p: Any, n: int = N, sigmas: float = 5) -> bool:
    """Whether shares of n draws are within so many standard deviations of probabilities."""
    share, p = np.asarray(share), np.asarray(p)
    return bool((np.abs(share - p) <= sigmas * np.sqrt(p * (1 - p) / n) + 1e-9).all())


# --- frequencies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "options", "expected"),
    [
        ("constant", {}, [0.5, 0.5, 0.5]),
        ("linear", {}, [0.75, 0.5, 0.25]),  # 1, 2/3, 1/3
        ("linear", {"last": 0.0}, [1.0, 0.5, 0.0]),
        ("geometric", {"decay": 0.5}, [6 / 7, 3 / 7, 1.5 / 7]),
        ("zipf", {}, [9 / 11, 4.5 / 11, 3 / 11]),
        ("zipf", {"exponent": 0.0}, [0.5, 0.5, 0.5]),
    ],
)
def test_frequencies_by_hand(law: str, options: dict[str, float], expected: list[float]) -> None:
    given: Any = {"exponent": None, "decay": 0.99, "last": None} | options
    found = frequencies(law, 3, 1.5, **given)
    assert found == pytest.approx(expected)


def test_a_log_uniform_law_is_uniform_in_the_logarithm_and_in_random_order() -> None:
    world = make_world(n_features=100, frequency="loguniform", active=2.0, seed=3)
    p = world.density
    assert p.sum() == pytest.approx(2)
    logs = np.sort(np.log(p))
    np.testing.assert_allclose(np.diff(logs), np.log(1000) / 100, rtol=1e-9)
    assert (np.diff(p) > 0).sum() in range(30, 70)
    assert (
        make_world(n_features=100, frequency="loguniform", active=2.0, seed=4).density != p
    ).any()


# --- laws of activity -----------------------------------------------------------------------------


def test_independent_features_by_hand() -> None:
    law = activity.Independent(np.array([0.25, 1.0]))
    words = torch.tensor([[0, 0], [3 * 2**30 - 1, 1], [3 * 2**30, 2**31], [RANGE - 1, RANGE - 1]])
    assert law.active(words).tolist() == [[False, True], [False, True], [True, True], [True, True]]
    levels = law.levels(words)[2:]
    np.testing.assert_allclose(levels, [[0.5 / 2**30, 0.5], [1, 1]], atol=1e-9)


def test_independent_features_and_their_levels() -> None:
    law = activity.Independent(np.array([0.02, 0.3, 0.9]))
    words = drawn(N, 3)
    active = law.active(words).numpy()
    assert close(active.mean(0), law.density)
    both = (active[:, 0] & active[:, 1]).mean()
    assert close(both, 0.02 * 0.3)
    for g in range(3):
        assert kstest(law.levels(words).numpy()[active[:, g], g], "uniform").pvalue > 1e-4


def test_a_copula_has_exact_marginals_and_the_given_correlations() -> None:
    rho = np.array([[1, 0.5, -0.4], [0.5, 1, 0.0], [-0.4, 0.0, 1]])
    law = activity.Copula(np.array([0.1, 0.4, 0.3]), activity.symmetric_root(rho))
    active = law.active(drawn(N, 3)).numpy()
    assert close(active.mean(0), law.density)
    z = activity.gaussians(drawn(N, 3)).numpy() @ law.mix
    np.testing.assert_allclose(np.corrcoef(z.T), rho, atol=0.02)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        pair = multivariate_normal(cov=rho[np.ix_([i, j], [i, j])])
        # both above is as likely as both below the mirrored bounds
        expected = pair.cdf(norm.ppf(law.density[[i, j]]))
        assert close((active[:, i] & active[:, j]).mean(), expected)


def test_a_singular_copula_is_drawn() -> None:
    # a feature that is the sum of others
    world = make_world(n_features=5, rho=(1.0, 0.5, 0.5, 0.5, 0.5), active=2.0)
    np.testing.assert_allclose(world.law.mix.T @ world.law.mix, correlations([0.5] * 4), atol=1e-7)
    assert close(world.codes(False, 0, range(N)).gt(0).double().mean(0), world.density)


def correlations(row: list[float]) -> np.ndarray:
    matrix = np.eye(len(row) + 1)
    matrix[0, 1:] = matrix[1:, 0] = row
    return matrix


def test_random_correlations_have_a_unit_diagonal_and_their_size() -> None:
    low = make_world(n_features=40, correlation="low_rank", rank=2, strength=0.6).law
    found = low.mix.T @ low.mix
    np.testing.assert_allclose(np.diag(found), 1)
    off = found[~np.eye(40, dtype=bool)]
    assert np.abs(off).max() <= 0.6
    assert np.abs(off).max() > 0.5
    assert np.linalg.matrix_rank(found - 0.4 * np.eye(40), tol=1e-6) == 2
    pairs = make_world(n_features=40, correlation="pairs").law
    found = pairs.mix.T @ pairs.mix
    np.testing.assert_allclose(np.diag(found), 1)
    off = found[np.triu_indices(40, 1)]
    assert 0.3 < (off > 0.05).mean() < 0.6
    assert 0.3 < (off < -0.05).mean() < 0.6
    other = make_world(n_features=40, correlation="pairs", seed=1).law
    assert np.abs(other.mix - pairs.mix).max() > 0.1


def test_pairs_before_they_are_made_positive() -> None:
    found = random_pairs({"seed": 0}, 60, 0.9)
    off = np.abs(found[np.triu_indices(60, 1)])
    assert close((off > 0).mean(), 0.7, len(off))
    assert 0.3 <= off[off > 0].min() < 0.32
    assert 0.88 < off.max() <= 0.9
    np.testing.assert_array_equal(found, found.T)


def test_the_features_of_a_tree_are_numbered_with_their_children_after_them() -> None:
    found = nodes(TREE)
    assert [node.parent for node in found] == [-1, 0, 0, 2, -1, 4, 4]
    assert [node.word for node in found] == [0, 1, 1, 3, 4, 5, 6]
    assert found[1:3] == [Node(0, 1, (0, 0.25), (0, 0.1)), Node(0, 1, (0.25, 0.75), (0.1, 0.2))]
    assert sorted(sums(TREE)) == pytest.approx([0.2, 0.75])


def test_children_need_their_parents_and_exclude_each_other() -> None:
    world = make_world(n_features=9, tree=TREE, active=0.6, frequency="constant")
    expected = [0.5, 0.5 * 0.25 + 0.5 * 0.1, 0.5 * 0.5 + 0.5 * 0.1, 0.4 * 0.3, 0.2, 0.06, 0.12]
    np.testing.assert_allclose(world.density[:7], expected, atol=1e-8)
    # those that the tree does not name
    np.testing.assert_allclose(world.density[7:], 0.3, atol=1e-8)
    active = world.codes(False, 0, range(N)).numpy() > 0
    assert close(active.mean(0), world.density)
    assert not (active[:, 1] & active[:, 2]).any()
    assert not (active[:, 3] & ~active[:, 2]).any()
    assert not ((active[:, 5] | active[:, 6]) & ~active[:, 4]).any()
    assert close(active[active[:, 0], 1].mean(), 0.25, active[:, 0].sum())
    assert close(active[~active[:, 0], 1].mean(), 0.1, (~active[:, 0]).sum())
    assert close((active[:, 5] & active[:, 6]).mean(), 0.2 * 0.3 * 0.6)


def test_edges_of_a_tree() -> None:
    tree = ((0.2, True, 0.0, (0.5, (0.3, False, 0.0, (0.1,)))), (0.1, False, 0.0, ()))
    edges = edges_of(make_world(n_features=6, tree=tree))
    assert edges.parents.tolist() == [0, 0, 2]
    assert edges.children.tolist() == [1, 2, 3]
    assert len(edges_of(make_world()).parents) == 0


def test_exactly_so_many_are_active() -> None:
    world = make_world(n_features=6, exactly=2)
    active = world.codes(False, 0, range(N)).numpy() > 0
    assert (active.sum(1) == 2).all()
    assert close(active.mean(0), world.density)
    pairs = (active[:, :, None] & active[:, None]).mean(0)[np.triu_indices(6, 1)]
    assert close(pairs, np.full(15, 1 / 15))
    equal = activity.Exactly(3, 2).active(torch.tensor([[5, 5, 5], [7, 1, 1]]))
    assert equal.tolist() == [[False, True, True], [True, False, True]]


# --- magnitudes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        ("uniform", ("uniform",)),
        ("abs_normal", ("halfnorm",)),
        ("lognormal", ("lognorm", (0.3,))),
    ],
)
def test_magnitudes_have_their_distribution(kind: str, law: Any) -> None:
    values = magnitudes(kind, 0.3, activity.uniforms(drawn(2**13, 1)))[:, 0].numpy()
    assert kstest(values, *law).pvalue > 1e-3


def test_magnitudes_by_hand() -> None:
    level = torch.tensor([0.5, norm.cdf(1.0), norm.cdf(-5.0)], dtype=torch.float64)
    assert magnitudes("one", 0.3, level).tolist() == [1, 1, 1]
    assert magnitudes("normal", 0.3, level).tolist() == pytest.approx([1, 1.3, 0])
    assert magnitudes("lognormal", 0.3, level)[:2].tolist() == pytest.approx([1, np.exp(0.3)])


@pytest.mark.parametrize("law", [{}, {"exactly": 2}, {"rho": (1.0, 0.9, 0, 0, 0, 0)}])
@pytest.mark.parametrize("sigma", [0.15, 1.0, 3.0])
def test_a_feature_of_magnitude_0_is_not_active(law: dict[str, Any], sigma: float) -> None:
    """Magnitudes 1 + σN are cut at 0: at σ = 3 that is 37% of them."""
    world = make_world(magnitude="normal", sigma=sigma, **law)
    active = world.codes(False, 0, range(N)).numpy() > 0
    assert close(active.mean(0), world.density)
    np.testing.assert_allclose(world.density, world.law.density * norm.cdf(1 / sigma))


@pytest.mark.parametrize(
    "law", [{}, {"exactly": 2}, {"rho": (1.0, 0.9, 0, 0, 0, 0)}, {"tree": TREE, "n_features": 7}]
)
def test_magnitudes_do_not_depend_on_what_is_active(law: dict[str, Any]) -> None:
    world = make_world(**law)
    codes = world.codes(False, 0, range(2**14)).numpy()
    assert codes.max() <= 1
    for g in range(codes.shape[1]):
        assert kstest(codes[codes[:, g] > 0, g], "uniform").pvalue > 1e-4


# --- dictionaries ---------------------------------------------------------------------------------


def gram(kind: str, cosine: float, n: int, d: int, seed: int = 0) -> np.ndarray:
    A = dictionary(kind, cosine, n, d, seed).astype(np.float64)
    assert A.shape == (n, d)
    np.testing.assert_allclose(np.linalg.norm(A, axis=1), 1, rtol=1e-6)
    return A @ A.T


def test_dictionaries() -> None:
    np.testing.assert_allclose(gram("orthonormal", 0, 5, 7), np.eye(5), atol=1e-6)
    for cosine in (0.3, -0.2):
        np.testing.assert_allclose(
            gram("cosine", cosine, 6, 6), (1 - cosine) * np.eye(6) + cosine, atol=1e-6
        )
    off = gram("sphere", 0, 200, 50)[np.triu_indices(200, 1)]
    assert abs(off.mean()) < 5 / np.sqrt(50 * len(off))
    assert off.std() == pytest.approx(1 / np.sqrt(50), rel=0.03)
    spread = gram("cosine", 0.1, 60, 30)[np.triu_indices(60, 1)]
    assert spread.mean() == pytest.approx(0.1, abs=0.02)
    assert spread.std() < 0.8 / np.sqrt(30)
    assert np.abs(gram("sphere", 0, 5, 7) - gram("sphere", 0, 5, 7, seed=1)).max() > 0.1


def test_a_narrow_spread_is_as_narrow_as_can_be() -> None:
    """Four rows in three dimensions at cosine 0 are a tight frame."""
    off = gram("cosine", 0.0, 4, 3)[np.triu_indices(4, 1)]
    assert 2 * (off**2).sum() == pytest.approx(4 * 4 / 3 - 4, rel=1e-3)


# --- activations ----------------------------------------------------------------------------------


def test_activations_are_codes_times_features_and_noise() -> None:
    world = make_world(noise=0.5)
    samples = range(5, 5 + 2**12)
    left = world.activations(True, 0, samples) - world.codes(True, 0, samples) @ torch.from_numpy(
        world.features
    )
    assert kstest(left.flatten().numpy() / 0.5, "norm").pvalue > 1e-3


@pytest.mark.parametrize("parts", [[32, 32], [1024, 1024], [8192, 8192], [8192, 300]])
def test_samples_are_the_same_in_any_stretch(parts: list[int]) -> None:
    """Codes belong to a sample.

    Activations are a product of matrices, whose bits belong to its range.
    """
    world = make_world(correlation="pairs", noise=0.1, n_features=5)
    n = sum(parts)
    stretches = [range(0, parts[0]), range(parts[0], n)]
    codes = torch.cat([world.codes(True, 0, part) for part in stretches])
    assert torch.equal(world.codes(True, 0, range(n)), codes)
    made = torch.cat([world.activations(True, 0, part) for part in stretches])
    torch.testing.assert_close(world.activations(True, 0, range(n)), made)
    for part in stretches:  # the same range gives the same bits, whatever was drawn before
        assert torch.equal(world.activations(True, 0, part), made[part.start : part.stop])


def test_streams_steps_and_worlds_differ() -> None:
    def drawn_of(evaluation: bool, step: int, seed: int = 0) -> torch.Tensor:
        world = make_world(correlation="pairs", noise=0.1, n_features=5, seed=seed)
        return world.activations(evaluation, step, range(50))

    every = [drawn_of(True, 0), drawn_of(False, 0), drawn_of(False, 1), drawn_of(True, 0, seed=1)]
    for i in range(4):
        assert all((every[i] != every[j]).any() for j in range(i))


def test_models_of_one_world_share_its_batches() -> None:
    worlds = (make_world(), make_world(seed=1))
    task = make_sae_task(3, worlds=worlds, world=[1, 0, 1])
    x = inputs.batch(task, 3)
    assert x.shape == (3, 32, 4)
    assert torch.equal(x[0], x[2])
    assert (x[0] != x[1]).any()
    torch.testing.assert_close(x[1], worlds[0].activations(False, 3, range(32)))
    assert torch.equal(inputs.batch(task.take(slice(2, 3)), 3)[0], x[2])
    assert inputs.codes(task, range(7)).shape == (3, 7, 6)
    assert inputs.sample(task, range(7)).shape == (3, 7, 4)


def test_purposes_stay_in_their_block() -> None:
    streams = set(Purpose) - {Purpose.MAGNITUDE, Purpose.NOISE}
    of_worlds = {
        stream + added for stream in (Purpose.TRAIN, Purpose.EVALUATE) for added in (8, 16)
    }
    assert all(32 <= purpose < 64 for purpose in streams | of_worlds)
    assert not streams & of_worlds
    assert len(of_worlds) == 4
