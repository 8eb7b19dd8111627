"""Names and components of ideal, turned, scaled and slightly broken shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.sparse.csgraph import connected_components

from superpos.families.tms import geometry
from superpos.families.tms.geometry import graph, shapes
from superpos.families.tms.geometry.polytopes import polytope_names

CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / np.sqrt(3)

POLYTOPES = {
    "dedicated": np.eye(1),
    "digon": shapes.simplex(1),
    "triangle": shapes.polygon(3),
    "tetrahedron": shapes.simplex(3),
    "4-simplex": shapes.simplex(4),
    "square": shapes.polygon(4),
    "pentagon": shapes.polygon(5),
    "hexagon": shapes.polygon(6),
    "heptagon": shapes.polygon(7),
    "octagon": shapes.polygon(8),
    "9-gon": shapes.polygon(9),
    "octahedron": geometry.octahedron(),
    "square antiprism": geometry.square_antiprism(),
    "icosahedron": geometry.icosahedron(),
    "2/1": np.ones((2, 1)),
    "3/1": np.array([[1.0], [1.0], [-1.0]]),
    "3/2": np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]),
    "8/3": CUBE,
}
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=25, deadline=None)


def random_rotation(seed: int, m: int) -> NDArray[np.float64]:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(m, m)))[0]


@pytest.mark.parametrize("name", POLYTOPES)
def test_polytope_of_ideal_shapes(name: str) -> None:
    assert geometry.polytope(POLYTOPES[name]) == name


@pytest.mark.parametrize("name", [name for name in POLYTOPES if name != "9-gon"])
@given(seed=seeds)
@few
def test_polytope_keeps_under_rotation_order_length_and_a_little_noise(
    name: str, seed: int
) -> None:
    rng, ideal = np.random.default_rng(seed), POLYTOPES[name]
    spare = np.pad(ideal, ((0, 0), (0, 2)))  # two dimensions that the shape does not use
    noisy = spare + rng.uniform(-0.02, 0.02, spare.shape)
    W = rng.permutation(
        noisy * rng.uniform(0.8, 1.2, (len(ideal), 1)) @ random_rotation(seed, spare.shape[1])
    )
    assert geometry.polytope(W) == name


def test_two_vectors_are_a_digon_up_to_twenty_degrees() -> None:
    for degrees, name in [
        (0, "2/1"),
        (19, "2/1"),
        (21, "2/2"),
        (90, "2/2"),
        (159, "2/2"),
        (161, "digon"),
    ]:
        angle = np.deg2rad(degrees)
        assert geometry.polytope(np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])) == name


def test_polytope_refuses_a_vector_without_direction() -> None:
    with pytest.raises(ValueError, match="finite length above 0"):
        geometry.polytope(np.array([[1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="finite length above 0"):
        geometry.polytope(np.array([[1.0, np.nan]]))


def test_square_antiprism_is_a_tight_frame() -> None:
    shape = geometry.square_antiprism()
    np.testing.assert_allclose(shape.T @ shape, 8 / 3 * np.eye(3), atol=1e-12)


def test_components_by_hand() -> None:
    W = np.zeros((2, 5, 3))
    # 1 and 3 are a digon, 2 is too short
    W[0] = [[0, 1, 0], [1, 0, 0], [0, 0.1, 0], [-1, 0, 0], [0, 0, 1]]
    W[1] = [[0.1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0.6, 0.8], [1, 0, 0]]  # 3 joins 1 and 2
    np.testing.assert_array_equal(geometry.components(W), [[0, 1, -1, 1, 2], [-1, 0, 0, 0, 1]])
    np.testing.assert_array_equal(geometry.n_components(W), [3, 2])


@given(seed=seeds, features=st.integers(1, 40), edges=st.floats(0, 2))
@few
def test_components_are_those_of_a_graph_library(seed: int, features: int, edges: float) -> None:
    """Weights whose inner products are a random sparse graph's adjacency matrix with a large
    diagonal.
    """
    rng = np.random.default_rng(seed)
    graphs = rng.random((3, features, features)) < edges / features
    graphs |= graphs.mT | np.eye(features, dtype=bool)
    # W Wᵀ is the graph, with n + 1 on the diagonal
    W = np.linalg.cholesky(graphs + features * np.eye(features))
    found = geometry.components(W, tau=0.5)
    assert found.tolist() == [connected_components(graph)[1].tolist() for graph in graphs]


def test_a_long_chain_is_one_component_in_any_order() -> None:
    chain = 10 * np.eye(300) + np.eye(300, k=1) + np.eye(300, k=-1)
    order = np.random.default_rng(0).permutation(300)
    W = np.linalg.cholesky(np.stack([chain, chain[order][:, order]]))
    np.testing.assert_array_equal(geometry.components(W, tau=0.5), np.zeros((2, 300)))


def test_an_edge_needs_more_than_tau() -> None:
    W = np.array([[[1.0, 0.0], [0.12, 1.0]]])  # W_0·W_1 = 0.12
    np.testing.assert_array_equal(geometry.components(W, tau=0.1), [[0, 0]])
    np.testing.assert_array_equal(geometry.components(W, tau=0.13), [[0, 1]])


def test_nothing_represented_is_no_component() -> None:
    W = np.zeros((2, 3, 2))
    np.testing.assert_array_equal(geometry.components(W), np.full((2, 3), -1))
    np.testing.assert_array_equal(geometry.n_components(W), [0, 0])


@pytest.mark.parametrize("tau", [0.05, 0.1, 0.2])
def test_the_count_is_stable_where_shapes_are_separated(tau: float) -> None:
    rng = np.random.default_rng(0)
    W = block_diag(shapes.simplex(1), shapes.polygon(5), shapes.simplex(3), np.eye(2))
    noisy = W @ random_rotation(1, W.shape[1]) + rng.uniform(-0.003, 0.003, W.shape)
    assert geometry.n_components(noisy[None], tau).tolist() == [5]


ROBUST = {
    "digon": shapes.simplex(1),
    "triangle": shapes.polygon(3),
    "pentagon": shapes.polygon(5),
    "hexagon": shapes.polygon(6),
    "tetrahedron": shapes.simplex(3),
    "square antiprism": geometry.square_antiprism(),
    "icosahedron": geometry.icosahedron(),
    "2 digons": shapes.polygon(4),
    "3 digons": geometry.octahedron(),
    "pentagon + digon": block_diag(shapes.polygon(5), shapes.simplex(1)),
    "2 digons + 1 not represented": np.concatenate((shapes.polygon(4), np.zeros((1, 2)))),
}


def jittered(W: NDArray[np.float64], jitter: float) -> NDArray[np.float64]:
    """Sixty copies of W, turned, with lengths from 0.9 to 1.1 and noise on every entry."""
    rng = np.random.default_rng(0)
    turns = np.stack([random_rotation(seed, W.shape[1]) for seed in range(60)])
    scaled = W * rng.uniform(0.9, 1.1, (60, len(W), 1))
    return scaled @ turns + rng.uniform(-jitter, jitter, scaled.shape)


@pytest.mark.parametrize("label", ROBUST)
def test_labels_do_not_hang_on_the_threshold(label: str) -> None:
    W = jittered(ROBUST[label], 0.01)
    for tau in (0.05, 0.07, 0.1, 0.14, 0.2):
        assert set(geometry.describe(W, tau)) == {label}
    assert geometry.stable(W).all()


@pytest.mark.parametrize(
    ("label", "shape"), [("2 digons", shapes.polygon(4)), ("3 digons", geometry.octahedron())]
)
def test_a_square_and_an_octahedron_are_digons_also_where_noise_joins_them(
    label: str, shape: NDArray[np.float64]
) -> None:
    W = jittered(shape, 0.06)
    assert (geometry.n_components(W, tau=0.05) == 1).any()
    assert set(geometry.describe(W, tau=0.05)) == {label}


def test_a_label_that_hangs_on_the_threshold_is_not_stable() -> None:
    # W_0·W_1 = 0.15: an edge at 0.05 and 0.1, none at 0.2
    joined = np.array([[1.0, 0.0], [0.15, 1.0]])
    np.testing.assert_array_equal(geometry.stable(np.stack([joined, np.eye(2)])), [False, True])
    assert geometry.stable(np.zeros((0, 2, 2))).tolist() == []


def ring(*gaps: float) -> NDArray[np.float64]:
    """Unit vectors in the plane with these angles in degrees between neighbours; the last gap
    closes the circle.
    """
    angle = np.deg2rad(np.cumsum((0, *gaps))[:-1])
    return np.stack((np.cos(angle), np.sin(angle)), axis=-1)


@pytest.mark.parametrize(
    ("gaps", "name"),
    [
        ((56, 56, 83, 83, 82), "pentagon"),  # one feature 7 times sparser: the exact minimum
        # one feature 10 times more important: the exact minimum
        ((84, 84, 64, 64, 64), "pentagon"),
        ((52.1, 77, 77, 77, 76.9), "pentagon"),
        ((51.9, 77, 77, 77, 77.1), "5/2"),
        ((45, 45, 90, 90, 90), "5/2"),  # a square with one more feature
        ((41, 79, 60, 60, 60, 60), "hexagon"),
        ((30.1, 59.9, 45, 45, 45, 45, 45, 45), "octagon"),  # a third of 45° is less than 20°
        ((29.9, 60.1, 45, 45, 45, 45, 45, 45), "8/2"),
    ],
)
def test_a_stretched_polygon_keeps_its_name_up_to_twenty_degrees(
    gaps: tuple[float, ...], name: str
) -> None:
    assert sum(gaps) == pytest.approx(360)
    assert geometry.polytope(ring(*gaps)) == name
    assert geometry.polytope(np.pad(ring(*gaps), ((0, 0), (0, 1))) @ random_rotation(0, 3)) == name


# Share of random directions that pass for a shape: an arc of 40° of 360°, a cap of 20° (1 − cos
# 20°)/2, and so on.
@pytest.mark.parametrize(
    ("k", "d", "at_most"),
    [(2, 2, 0.12), (2, 3, 0.035), (3, 2, 0.025), (4, 2, 0.009), (5, 2, 0.004), (6, 2, 0.002),
     (4, 3, 0.002), (5, 3, 0.001), (6, 3, 0.0005), (8, 3, 0.0), (12, 3, 0.0)],
)  # fmt: skip
def test_random_directions_seldom_have_a_name(k: int, d: int, at_most: float) -> None:
    W = np.random.default_rng(0).normal(size=(6000, k, d))
    names = polytope_names(W)
    assert np.mean(["/" not in name for name in names]) <= at_most


def test_shuffled_weights_of_a_pentagon_are_no_pentagon() -> None:
    rng = np.random.default_rng(0)
    entries = np.tile(1.13 * shapes.polygon(5), (2000, 1, 1)).reshape(2000, 10)
    shuffled = rng.permuted(entries, axis=1).reshape(2000, 5, 2)
    assert np.mean(geometry.describe(shuffled) == "pentagon") < 0.02


LABELS = {
    "pentagon": shapes.polygon(5),
    "2 digons + 1 dedicated": block_diag(shapes.simplex(1), shapes.simplex(1), 1.0),
    "digon + 3 not represented": np.concatenate((shapes.simplex(1), np.zeros((3, 1)))),
    "3 digons": geometry.octahedron(),
    "2 digons": shapes.polygon(4),
    "2 icosahedra": block_diag(geometry.icosahedron(), geometry.icosahedron()),
    "tetrahedron + digon + 2 dedicated": block_diag(1.0, shapes.simplex(1), shapes.simplex(3), 1.0),
    "2 tetrahedra": block_diag(shapes.simplex(3), shapes.simplex(3)),
    "2 4-simplices": block_diag(shapes.simplex(4), shapes.simplex(4)),
    "2 × 3/1": block_diag(np.ones((3, 1)), np.ones((3, 1))),
    "2 not represented": np.full((2, 3), 0.1),
    "3 dedicated": np.eye(3),
}


@pytest.mark.parametrize("label", LABELS)
def test_describe(label: str) -> None:
    W = np.asarray(LABELS[label])
    assert geometry.describe(W[None]).tolist() == [label]
    shuffled = np.random.default_rng(0).permutation(W) @ random_rotation(0, W.shape[1])
    assert geometry.describe(shuffled[None].astype(np.float32)).tolist() == [label]


def test_describe_many_models_at_once() -> None:
    one_line = np.array(
        [[[1.0], [-1.0]], [[1.0], [0.0]], [[0.1], [0.2]], [[1.0], [1.0]], [[np.nan], [1.0]]]
    )
    labels = geometry.describe(np.tile(one_line, (5000, 1, 1)))
    expected = [
        "digon",
        "1 dedicated + 1 not represented",
        "2 not represented",
        "2/1",
        "not finite",
    ]
    assert labels.tolist() == expected * 5000


def test_labels_of_many_models_are_those_of_each_alone() -> None:
    """Shapes of the same name and size add up, squares count as digons, and each model keeps its
    own.
    """
    rng = np.random.default_rng(0)
    blocks = [
        np.eye(1),
        shapes.simplex(1),
        shapes.polygon(4),
        shapes.simplex(2),
        shapes.polygon(5),
        np.zeros((1, 1)),
    ]
    models = []
    for _ in range(60):
        W = block_diag(*(blocks[i] for i in rng.integers(0, len(blocks), 4)))
        models.append(np.pad(W, ((0, 20 - len(W)), (0, 8 - W.shape[1]))))
    labels = geometry.describe(np.stack(models)).tolist()
    assert labels == [geometry.describe(W[None])[0] for W in models]
    assert len(set(labels)) > 20


def test_describe_does_not_depend_on_the_block_of_models(monkeypatch: pytest.MonkeyPatch) -> None:
    W = np.random.default_rng(0).normal(size=(40, 5, 2))
    whole = geometry.describe(W).tolist()
    monkeypatch.setattr(graph, "GRAM_ENTRIES", 3 * 25)  # three models at a time
    assert geometry.describe(W).tolist() == whole
    assert [geometry.describe(w[None])[0] for w in W] == whole


def test_no_models() -> None:
    assert geometry.describe(np.zeros((0, 5, 2))).tolist() == []
    assert geometry.components(np.zeros((0, 5, 2))).shape == (0, 5)


@given(seeds)
@few
def test_align_keeps_the_shape_and_undoes_any_rotation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(4, 5, 3))
    aligned = geometry.align(W)
    np.testing.assert_allclose(aligned @ aligned.mT, W @ W.mT, atol=1e-9)
    np.testing.assert_allclose(geometry.align(W @ random_rotation(seed, 3)), aligned, atol=1e-7)


def test_align_by_hand() -> None:
    # feature 0 is short, so 1 goes along the first axis; 2 is its antipode; 3 gives the second axis
    W = np.array([[[0.1, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 0.0]]])
    np.testing.assert_allclose(geometry.align(W), [[[0, 0.1], [1, 0], [-1, 0], [0, 1]]], atol=1e-12)


def test_align_of_a_flat_or_empty_model_is_finite() -> None:
    flat = np.array([[[2.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], np.zeros((2, 3))])
    aligned = geometry.align(flat)
    np.testing.assert_allclose(aligned @ aligned.mT, flat @ flat.mT, atol=1e-12)
    np.testing.assert_allclose(aligned[0, :, 0], [2, -1], atol=1e-12)


def test_align_to_a_target_undoes_a_rotation() -> None:
    W = np.random.default_rng(0).normal(size=(3, 5, 2))
    turned = W @ np.stack([random_rotation(i, 2) for i in range(3)])
    np.testing.assert_allclose(geometry.align(turned, W), W, atol=1e-12)
    np.testing.assert_allclose(geometry.align(turned[:1], W[0]), W[:1], atol=1e-12)


def test_nearly_orthogonal_vectors_are_no_large_simplex() -> None:
    """13 axes and the vector opposite to them all: every angle is within 12° of those of a simplex
    of 14.
    """
    assert geometry.polytope(shapes.simplex(13)) == "13-simplex"
    assert geometry.polytope(np.concatenate([np.eye(13), -np.ones((1, 13))])) == "14/13"


def test_components_have_the_names_of_their_shapes_the_largest_first() -> None:
    W = np.zeros((7, 3))
    W[[5, 1], 0] = 1.0, -0.9
    W[2, 1] = 0.8
    W[3, 2] = 1.0
    W[0] = 0.1  # not represented
    found = [(name, features.tolist()) for name, features in geometry.named_components(W)]
    assert found == [("digon", [1, 5]), ("dedicated", [2]), ("dedicated", [3])]
    assert geometry.named_components(np.zeros((3, 2))) == []


@given(st.integers(0, 2**32 - 1))
def test_components_of_a_model_are_those_that_its_label_counts(seed: int) -> None:
    W = np.random.default_rng(seed).normal(0, 0.6, size=(8, 3))
    found = geometry.named_components(W)
    assert len(found) == geometry.n_components(W[None])[0]
    assert [name for name, _ in found] == [geometry.polytope(W[features]) for _, features in found]
    assert (
        sorted(feature for _, features in found for feature in features)
        == np.flatnonzero(geometry.components(W[None])[0] >= 0).tolist()
    )
