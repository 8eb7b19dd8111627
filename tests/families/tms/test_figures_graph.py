"""Feature graphs, their layout, and adversarial vulnerability: from weights whose shapes are
known.
"""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from memory_run import MemoryRun, make_run
from numpy.typing import NDArray

from superpos.families.tms import geometry, theory
from superpos.families.tms.analysis import feature_graph as drawn
from superpos.families.tms.analysis import vulnerability as attacks
from superpos.families.tms.figures import d_star, feature_graph, vulnerability
from superpos.families.tms.geometry.shapes import simplex
from superpos.figures import graph_layout, registry, style
from superpos.maths.polygon import polygon

Floats = NDArray[np.float64]
UNIFORM = {"model.n_features": 9, "model.n_hidden": 4, "importance.decay": 1.0}
DENSITIES = [1.0, 0.4, 0.2]


def blocks(*shapes: Floats, n: int, m: int) -> Floats:
    """W[n, m] with the shapes in spaces of their own, the remaining features 0."""
    W, row, column = np.zeros((n, m)), 0, 0
    for shape in shapes:
        size, span = shape.shape
        W[row : row + size, column : column + span] = shape
        row, column = row + size, column + span
    return W


ONE = np.ones((1, 1))
OF_DENSITY = {
    1.0: blocks(ONE, ONE, ONE, ONE, n=9, m=4),
    0.4: blocks(simplex(1), simplex(1), simplex(1), simplex(1), n=9, m=4),
    0.2: blocks(polygon(5), simplex(1), ONE, n=9, m=4),
}


@pytest.fixture
def uniform() -> MemoryRun:
    """Dedicated features, then four digons, then a pentagon, a digon and a dedicated feature."""
    return make_run(
        UNIFORM, {"data.density": DENSITIES}, lambda row: OF_DENSITY[row["data.density"]]
    )


def edges(axes: Axes) -> list[LineCollection]:
    return [found for found in axes.collections if isinstance(found, LineCollection)]


def nodes(axes: Axes) -> Floats:
    return np.concatenate([line.get_xydata() for line in axes.get_lines()])


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(mpl.text.Text))


# --- layout ---------------------------------------------------------------------------------------


def test_shapes_in_a_plane_keep_their_distances() -> None:
    turned = polygon(5) @ np.linalg.qr(np.random.default_rng(0).normal(size=(7, 7)))[0][:2]
    place = graph_layout.project(turned)
    np.testing.assert_allclose(place @ place.T, polygon(5) @ polygon(5).T, atol=1e-12)
    np.testing.assert_allclose(np.ptp(graph_layout.project(simplex(1)), axis=0), [2, 0], atol=1e-12)


@pytest.mark.parametrize(("shape", "corners"), [(simplex(3), 4), (geometry.square_antiprism(), 8)])
def test_a_polytope_is_seen_from_where_its_nodes_form_a_ring(shape: Floats, corners: int) -> None:
    place = graph_layout.project(shape)
    np.testing.assert_allclose(np.linalg.norm(place, axis=1), np.sqrt(2 / 3), atol=0.06)
    # side of the regular polygon of that radius
    ring = 2 * np.sqrt(2 / 3) * np.sin(np.pi / corners)
    assert graph_layout.nearest(place) == pytest.approx(ring, rel=0.08)


def test_nearest_and_spacing_by_hand() -> None:
    place = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 6.0]])  # nearest neighbours at 5, 2, 2
    assert graph_layout.nearest(place) == 2
    np.testing.assert_allclose(graph_layout.unit_spacing(place), place / 2)
    assert graph_layout.nearest(place[:1]) == 1
    np.testing.assert_array_equal(graph_layout.unit_spacing(place[:1]), place[:1])


def test_the_farthest_node_is_on_top() -> None:
    place = graph_layout.upright(np.array([[1.0, 0.0], [5.0, 0.0], [0.0, 0.0]]))  # centre (2, 0)
    np.testing.assert_allclose(place, [[0, -1], [0, 3], [0, -2]], atol=1e-12)
    np.testing.assert_array_equal(graph_layout.upright(np.array([[7.0, 3.0]])), [[0, 0]])


def test_springs_keep_cliques_together_and_nodes_apart() -> None:
    weight = np.kron(np.eye(2), np.ones((8, 8))) * (1 - np.eye(16))
    weight[0, 8] = weight[8, 0] = 0.2
    place = graph_layout.springs(weight)
    distance = np.linalg.norm(place[:, None] - place[None], axis=-1)
    inside = np.kron(np.eye(2, dtype=bool), np.ones((8, 8), dtype=bool))
    assert distance[inside].mean() < 0.5 * distance[~inside].mean()
    assert graph_layout.nearest(place) > 0.1
    np.testing.assert_array_equal(place, graph_layout.springs(weight))


def test_four_equal_boxes_are_packed_into_a_square() -> None:
    packing = graph_layout.pack(np.full((4, 2), 2.0))
    np.testing.assert_allclose(packing.size, [4, 4])
    np.testing.assert_allclose(packing.corner, [[0, 2], [2, 2], [0, 0], [2, 0]])


@given(st.lists(st.tuples(st.floats(0.5, 9), st.floats(0.5, 9)), min_size=1, max_size=12))
def test_boxes_never_overlap_and_stay_inside(sizes: list[tuple[float, float]]) -> None:
    boxes = np.array(sizes)
    corner, size = graph_layout.pack(boxes)
    assert (corner >= -1e-9).all()
    assert (corner + boxes <= size + 1e-9).all()
    for i in range(len(boxes)):
        beside = (corner[i] + boxes[i] <= corner + 1e-9) | (corner + boxes <= corner[i] + 1e-9)
        assert np.delete(beside.any(axis=1), i).all()


# --- feature graphs -------------------------------------------------------------------------------


def test_components_are_named_the_largest_first() -> None:
    found = feature_graph.components(OF_DENSITY[0.2])
    assert [(shape.name, len(shape.W)) for shape in found] == [
        ("pentagon", 5),
        ("digon", 2),
        ("dedicated", 1),
    ]


def test_edges_are_products_above_the_threshold() -> None:
    W = np.array([[1.0, 0.0], [-0.5, 0.5], [0.09, 1.0]])  # products −.5, .09, .455
    np.testing.assert_allclose(geometry.strengths(W), [[0, 0.5, 0], [0.5, 0, 0.455], [0, 0.455, 0]])


def test_panels_are_where_each_kind_of_shape_has_most_features(uniform: MemoryRun) -> None:
    found = [feature_graph.components(OF_DENSITY[p]) for p in DENSITIES]
    # dedicated: 4, 0, 1; digon: 0, 8, 2; pentagon: 0, 0, 5
    assert feature_graph.panels(found) == [0, 1, 2]
    assert feature_graph.panels([found[2], found[0], found[2]]) == [0, 1]
    assert feature_graph.panels([[], []]) == [0]


def test_a_panel_has_every_node_and_every_edge(uniform: MemoryRun) -> None:
    figure = registry.draw(uniform, "feature_graph")
    assert [axes.get_title() for axes in figure.axes] == [
        "1 − S = 1,  D* = 1.00",
        "1 − S = 0.4,  D* = 0.50",
        "1 − S = 0.2,  D* = 0.50",
    ]
    assert [len(nodes(axes)) for axes in figure.axes] == [4, 8, 8]
    assert [sum(len(found.get_segments()) for found in edges(axes)) for axes in figure.axes] == [
        0,
        4,
        10 + 1,
    ]
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "4 dedicated + 5 not represented",
        "4 digons + 1 not represented",
        "pentagon + digon + 1 dedicated\n+ 1 not represented",
    ]
    for axes in figure.axes:
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        x, y = nodes(axes).T
        assert left < x.min() <= x.max() < right
        assert low < y.min() <= y.max() < high


def test_stronger_edges_are_darker() -> None:
    (axes,) = feature_graph.graphs([blocks(polygon(5), n=5, m=3)], ["one"]).axes
    (found,) = edges(axes)
    # five sides of cos 72° = 0.309, then five diagonals of 0.809
    np.testing.assert_allclose(
        found.get_colors()[:, 0], np.repeat(0.97 - 0.85 * np.array([0.309, 0.809]), 5), atol=1e-3
    )


def test_colours_and_key_name_the_shapes_that_occur(uniform: MemoryRun) -> None:
    figure = registry.draw(uniform, "feature_graph")
    pentagon = figure.axes[2].get_lines()[0]
    assert to_rgba(pentagon.get_color()) == to_rgba(style.CYCLE[1])
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key[:3] == ["dedicated (D = 1)", "digon (D = 1/2)", "pentagon (D = 2/5)"]
    assert "> 0.1" in key[3]
    assert drawn.kind("58/20") == ("no named shape", style.GREY)
    assert drawn.kind("hexagon")[0] == "another named shape"


def test_a_caption_breaks_between_shapes_only() -> None:
    W = blocks(polygon(5), simplex(3), simplex(2), simplex(1), ONE, n=20, m=9)
    assert feature_graph.caption(W, 46).splitlines() == [
        "pentagon + tetrahedron + triangle + digon",
        "+ 1 dedicated + 5 not represented",
    ]


def test_a_caption_tells_when_the_components_depend_on_the_threshold() -> None:
    W = np.array([[1.0, 0.0], [0.15, 1.0]])
    assert (
        feature_graph.caption(W, 46).splitlines()[1] == "components at τ = 0.05, 0.1, 0.2: 1, 1, 2"
    )


def test_tangles_and_empty_graphs_are_drawn() -> None:
    tangle = np.random.default_rng(0).normal(size=(30, 4)) / 2
    figure = feature_graph.graphs([tangle, np.zeros((30, 4)), np.ones((5, 4)) / 2], ["a", "b", "c"])
    assert [len(axes.get_lines()) for axes in figure.axes] == [1, 0, 1]
    # five features in one direction do not hide each other
    assert graph_layout.nearest(nodes(figure.axes[2])) > 0.3
    assert len(style.render(figure, "png")) > 1000


# --- the exact curve of D* ------------------------------------------------------------------------


def exact_lines(figure: Figure) -> list[Floats]:
    label = d_star.EXACT_LABEL
    return [
        np.asarray(line.get_xydata())
        for line in figure.axes[0].get_lines()
        if line.get_label() == label
    ]


def test_geometry_has_the_exact_curve_of_crowded_uniform_models() -> None:
    base = {"model.n_features": 10, "model.n_hidden": 2}
    run = make_run(base, {"data.density": DENSITIES}, lambda row: np.eye(10, 2))
    (curve,) = exact_lines(registry.draw(run, "geometry"))
    assert (curve[0, 0], curve[-1, 0]) == (pytest.approx(1), pytest.approx(5))
    digons = np.interp(1 / 0.3, *curve.T)
    assert digons == pytest.approx(float(theory.d_star(0.3)), abs=1e-3)
    assert digons == pytest.approx(0.49, abs=0.005)
    for other in ({"importance.decay": 0.9}, {"model.output": "linear"}, {"model.n_features": 9}):
        run = make_run(
            base | other,
            {"data.density": DENSITIES},
            lambda row: np.eye(row["model.n_features"], 2),
        )
        assert exact_lines(registry.draw(run, "geometry")) == []


# --- vulnerability --------------------------------------------------------------------------------


@pytest.mark.parametrize("density", [1.0, 0.3])
def test_inputs_are_the_data_of_the_models(density: float) -> None:
    X = attacks.inputs(density, 50)
    assert X.shape == (attacks.N_INPUTS, 50)
    active = X[X > 0]
    # 10,000 draws: four standard errors
    assert active.size / X.size == pytest.approx(density, abs=0.02)
    assert active.mean() == pytest.approx(0.5, abs=0.025)
    assert active.max() <= 1
    np.testing.assert_array_equal(X, attacks.inputs(density, 50))


def test_an_attack_on_dedicated_features_costs_its_squared_length() -> None:
    assert attacks.rise(np.eye(3), np.zeros(3), 1.0, "linear") == pytest.approx(1)
    # 2 for a digon: see the metric's own test; inputs so sparse that never both features are active
    assert attacks.rise(np.array([[1.0], [-1.0]]), np.zeros(2), 0.01) == pytest.approx(2)


def test_vulnerability_is_relative_to_the_dense_model(uniform: MemoryRun) -> None:
    found = attacks.measure(uniform)
    np.testing.assert_array_equal(found.density, DENSITIES)
    np.testing.assert_allclose(found.per_dimension, [1, 2, 2])
    own = [attacks.rise(OF_DENSITY[p], np.full(9, -0.1), p) for p in DENSITIES]
    np.testing.assert_allclose(found.relative, np.array(own) / own[0])
    sparse = found.take(found.density < 1)
    assert np.isnan(sparse.relative).all()
    np.testing.assert_array_equal(sparse.models, [1, 2])


def measured(per_dimension: list[float], rise: list[float]) -> attacks.Vulnerability:
    count = len(rise)
    density = np.geomspace(1, 0.1, count)
    return attacks.Vulnerability(np.arange(count), density, np.array(per_dimension), np.array(rise))


def test_rank_correlation_and_slope_by_hand() -> None:
    squares = measured([1, 2, 3], [2, 8, 18])
    np.testing.assert_allclose(squares.relative, [1, 4, 9])
    assert attacks.rank_correlation(squares) == pytest.approx(1)
    assert attacks.exponent(squares) == pytest.approx(2)
    # ranks 1 2 3 against 1 3 2: 1 − 6·(0 + 1 + 1)/(3·8) = 1/2
    assert attacks.rank_correlation(measured([1, 2, 3], [1, 3, 2])) == pytest.approx(0.5)
    assert np.isnan(attacks.rank_correlation(measured([2, 2, 2], [1, 3, 2])))


def test_the_vulnerability_figure_shows_every_model_and_the_correlation() -> None:
    figure = vulnerability.panels(measured([1, 2, 3], [2, 8, 18]))
    upper, lower, against = figure.axes
    means = next(line for line in upper.get_lines() if line.get_marker() == "o")
    np.testing.assert_allclose(means.get_xydata(), [[10, 9], [np.sqrt(10), 4], [1, 1]])
    np.testing.assert_allclose(lower.get_lines()[0].get_ydata(), [1, 2, 3])
    np.testing.assert_allclose(against.get_lines()[0].get_xydata(), [[1, 1], [2, 4], [3, 9]])
    assert "rank correlation 1.000 over 3 models" in against.get_title()
    assert "slope of the logarithms 2.00" in against.get_title()


def test_seeds_are_averaged_and_shown_each() -> None:
    found = attacks.Vulnerability(
        np.arange(4), np.array([1, 1, 0.5, 0.5]), np.arange(1.0, 5), np.arange(1.0, 5)
    )
    upper = vulnerability.panels(found).axes[0]
    dots, means = upper.get_lines()[:2]
    np.testing.assert_allclose(dots.get_ydata(), np.arange(1, 5) / 1.5)
    np.testing.assert_allclose(sorted(means.get_ydata()), [1, 3.5 / 1.5])


# --- registry -------------------------------------------------------------------------------------

REASONS: dict[str, tuple[str, dict[str, Any], list[float], str]] = {
    "two dimensions": (
        "feature_graph",
        {"model.n_hidden": 2},
        DENSITIES,
        "needs at least 3 hidden dimensions, found 2",
    ),
    ("few densities"): (
        "feature_graph",
        {},
        [1.0, 0.1],
        "needs at least 3 densities in the sweep, found 2",
    ),
    ("no dense model"): (
        "vulnerability",
        {},
        [0.4, 0.3, 0.2],
        "needs the dense model to compare with: density 1",
    ),
    "importance": (
        "vulnerability",
        {"importance.decay": 0.9},
        DENSITIES,
        "needs features of equal importance",
    ),
    "linear": (
        "vulnerability",
        {"model.output": "linear"},
        DENSITIES,
        "needs model.output=relu in every model",
    ),
}


@pytest.mark.parametrize("case", REASONS)
def test_a_figure_says_why_a_run_cannot_show_it(case: str) -> None:
    name, base, densities, reason = REASONS[case]
    run = make_run(
        UNIFORM | base, {"data.density": densities}, lambda row: np.ones((9, row["model.n_hidden"]))
    )
    assert registry.reasons(run)[name] == reason


def test_a_sweep_of_uniform_models_has_both_figures_with_readable_text(uniform: MemoryRun) -> None:
    assert {"geometry", "dimensionality", "feature_graph", "vulnerability"} <= set(
        registry.available(uniform)
    )
    for name in ("feature_graph", "vulnerability"):
        figure = registry.draw(uniform, name)
        assert min(t.get_fontsize() for t in figure.findobj(mpl.text.Text) if t.get_text()) >= 7
        assert style.render(figure, "png") == style.render(registry.draw(uniform, name), "png")
