"""Energy levels of one perturbed feature, and polytopes in three dimensions: data, curves and what
is drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from memory_run import MemoryRun, make_run, texts
from numpy.typing import NDArray
from scipy.linalg import block_diag

import superpos
from superpos.families.tms import geometry, theory
from superpos.families.tms.analysis import energy_levels as levels
from superpos.families.tms.analysis import hulls
from superpos.families.tms.analysis.energy_levels import Crossing, Perturbed
from superpos.families.tms.analysis.points import points
from superpos.families.tms.explorer.theory import layers
from superpos.families.tms.figures import energy_levels, polytopes
from superpos.families.tms.geometry.shapes import simplex
from superpos.figures import registry, style
from superpos.maths.polygon import polygon
from superpos.store import Run

pytestmark = pytest.mark.slow

PAIRS = np.concatenate([polygon(4), np.zeros((1, 2))])  # two digons, the last feature dropped
DIGONS = "2 digons + 1 not represented"
FACTORS = [0.1, 0.2, 0.4, 1.0, 5.0]
FIVE: dict[str, Any] = {"model.n_features": 5, "model.n_hidden": 2, "data.density": 0.05}


def perturbed_run(key: str = "data.last", base: dict[str, Any] = FIVE) -> MemoryRun:
    """Seed 0 has two digons everywhere, seed 1 a pentagon."""
    return make_run(
        base, {key: FACTORS, "seed": [0, 1]}, lambda row: 1.1 * polygon(5) if row["seed"] else PAIRS
    )


# --- levels ---------------------------------------------------------------------------------------


def test_a_factor_scales_the_density_or_the_importance_of_the_last_feature() -> None:
    density, importance = Perturbed(3, 2, 0.1, "density").settings(np.array([0.5, 2.0]))
    np.testing.assert_allclose(density, [[0.1, 0.1, 0.05], [0.1, 0.1, 0.2]])
    np.testing.assert_allclose(importance, np.ones((2, 3)))
    density, importance = Perturbed(3, 2, 0.1, "importance").settings(np.array(3.0))
    np.testing.assert_allclose(density, [0.1, 0.1, 0.1])
    np.testing.assert_allclose(importance, [1, 1, 3])


@pytest.mark.parametrize(
    ("key", "what"), [("data.last", "density"), ("importance.last", "importance")]
)
def test_trained_models_have_their_exact_loss_and_a_name(key: str, what: Any) -> None:
    run = perturbed_run(key)
    chosen = points(run)
    assert levels.setting(chosen) == (key, Perturbed(5, 2, 0.05, what))
    models = levels.trained(run, chosen, key, Perturbed(5, 2, 0.05, what))
    assert sorted(set(models.factor)) == FACTORS
    assert set(models.label) == {"pentagon", DIGONS}
    at = np.flatnonzero((models.factor == 0.2) & (models.label == DIGONS))
    last = np.array([1, 1, 1, 1, 0.2])
    density, importance = (0.05 * last, 1.0) if what == "density" else (0.05, last)
    np.testing.assert_allclose(
        models.loss[at], theory.expected_loss(PAIRS, np.full(5, -0.1), density, importance)
    )
    best = models.best()
    np.testing.assert_array_equal(models.factor[best], FACTORS)
    assert all(models.loss[i] == models.loss[models.factor == models.factor[i]].min() for i in best)


def test_other_sweeps_perturb_no_single_feature() -> None:
    both = {"data.last": [0.5, 1.0], "importance.last": [0.5, 1.0]}
    for base, axes in (
        (FIVE, both),
        (FIVE, {"data.density": [0.1, 0.2]}),
        (FIVE | {"data.last": 0.5}, {}),
    ):
        assert levels.setting(points(make_run(base, axes, lambda row: PAIRS))) is None
    shifted = make_run(FIVE | {"importance.last": 2.0}, {"data.last": FACTORS}, lambda row: PAIRS)
    assert levels.setting(points(shifted)) is None


def test_curves_are_the_exact_minima_of_ideal_shapes() -> None:
    setting, factor = Perturbed(2, 1, 0.1, "importance"), np.array([0.04, 0.08])
    curves = levels.levels(
        setting, ["digon", "1 dedicated + 1 not represented", "pentagon"], factor
    )
    assert set(curves) == {"digon", "1 dedicated + 1 not represented"}
    # the last feature is dropped where it counts little: loss r V(p)
    np.testing.assert_allclose(
        curves["1 dedicated + 1 not represented"], factor * theory.variance(0.1), rtol=0.01
    )
    assert np.isnan(curves["digon"][0])
    assert curves["digon"][1] < curves["1 dedicated + 1 not represented"][1]


def test_a_crossing_lies_where_the_best_shape_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        theory,
        "crossing",
        lambda first, second, settings, low, high, m: (first, second, low, high, m),
    )
    curves = {"a": np.array([1.0, 2.0, 3.0, np.nan]), "b": np.array([2.0, 2.1, 2.2, 2.3])}
    (change,) = levels.crossings(
        Perturbed(5, 2, 0.1, "density"), np.array([0.1, 0.2, 0.4, 0.8]), curves
    )
    assert change == Crossing(("a", "b", 0.2, 0.4, 2), "a", "b")


def test_no_curves_have_no_crossings() -> None:
    assert levels.crossings(Perturbed(2, 1, 0.1, "density"), np.array([0.1, 1.0]), {}) == []
    # neither is known on both sides
    nowhere = {"a": np.array([1.0, np.nan]), "b": np.array([np.nan, 1.0])}
    assert levels.crossings(Perturbed(2, 1, 0.1, "density"), np.array([0.1, 1.0]), nowhere) == []


# --- energy levels --------------------------------------------------------------------------------


def drawn(published: float | None = 0.4) -> mpl.figure.Figure:
    run = perturbed_run()
    models = levels.trained(run, points(run), "data.last", Perturbed(5, 2, 0.05, "density"))
    factor = np.array([0.1, 1.0, 5.0])
    curves = {"pentagon": np.array([np.nan, 0.0089, 0.02]), DIGONS: np.array([0.003, 0.017, 0.02])}
    change = Crossing(0.25, DIGONS, "pentagon")
    return energy_levels.energy_levels(models, factor, curves, [change], "density", published)


def test_levels_show_models_curves_and_both_crossings() -> None:
    figure = drawn()
    _, losses, shares = figure.axes[:3]
    assert (losses.get_xscale(), losses.get_yscale()) == ("log", "log")
    upright = {
        line.get_xdata()[0] for line in losses.get_lines() if list(line.get_ydata()) == [0, 1]
    }
    assert upright == {0.25, 0.4}
    said = texts(figure)
    assert "exact crossing:\n4 times sparser" in said
    assert "published: about\n2.5 times sparser" in said
    named = [text.get_text() for text in losses.get_legend().get_texts()]
    assert sorted(named) == [f"{DIGONS} (5 models)", "pentagon (5 models)"]
    curves = [line for line in losses.get_lines() if list(line.get_xdata()) == [0.1, 1.0, 5.0]]
    assert len(curves) == 2
    heights = np.array([[bar.get_height() for bar in group] for group in shares.containers])
    # the first is "other"
    np.testing.assert_allclose(sorted(heights.tolist()), [[0] * 5, [0.5] * 5, [0.5] * 5])
    assert shares.get_xlabel() == "density of the last feature relative to the others"
    assert "published" not in texts(drawn(published=None))


def test_a_shape_has_one_colour_in_dots_curves_and_bars() -> None:
    colours = energy_levels.coloured(["a"] * 90 + ["b"] * 8 + ["c"] * 2)
    # c is rare
    assert colours == {"a": style.CYCLE[0], "b": style.CYCLE[1], energy_levels.OTHER: style.GREY}


def test_drawings_ring_the_perturbed_feature_on_the_first_axis() -> None:
    insets = drawn().axes[0].child_axes
    assert len(insets) == 4  # two of the five factors are nearest to the same place
    for inset in insets:
        ring = inset.get_lines()[-1]
        assert ring.get_markerfacecolor() == "none"
        np.testing.assert_allclose(ring.get_ydata(), 0, atol=1e-9)
        assert ring.get_xdata()[0] >= -1e-9


@pytest.mark.parametrize(("what", "factor", "text"), [
    ("density", 0.25, "4 times sparser"), ("density", 3.0, "3 times denser"),
    ("importance", 0.3678, "2.72 times less important"),
    ("importance", 2.0, "2 times more important"),
])  # fmt: skip
def test_a_factor_in_words(what: str, factor: float, text: str) -> None:
    assert energy_levels.words(what, factor) == text


@pytest.mark.parametrize(
    ("base", "axes", "reason"),
    [
        (FIVE | {"model.n_hidden": 3}, {"data.last": FACTORS},
         "needs model.n_hidden=2 in every model"),
        (FIVE | {"importance.decay": 0.9}, {"data.last": FACTORS},
         "needs importance.decay=1.0 in every model"),
        (FIVE | {"model.n_features": 6}, {"data.last": FACTORS}, "needs at most 5 features"),
        (FIVE, {"data.last": [0.5, 1.0]}, "needs at least 5 values above 0"),
        (FIVE, {"importance.last": [0.0, 0.1, 0.2, 0.5, 1.0]}, "needs at least 5 values above 0"),
        (FIVE, {"data.density": [0.1, 0.2]},
         "needs a sweep of data.last or importance.last, the other 1, and of nothing else but "
         "seeds"),
    ],
)  # fmt: skip
def test_levels_say_why_a_run_cannot_be_drawn(
    base: dict[str, Any], axes: dict[str, Any], reason: str
) -> None:
    run = make_run(
        base, axes, lambda row: np.ones((row["model.n_features"], row["model.n_hidden"]))
    )
    assert registry.reasons(run)["energy_levels"] == reason


def test_levels_of_a_small_run_are_drawn_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three features in two dimensions, through the exact theory."""
    monkeypatch.setattr(levels, "CURVE_POINTS", 3)
    three = FIVE | {"model.n_features": 3, "data.density": 0.1}
    triangle, pair = polygon(3), np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    run = make_run(
        three,
        {"importance.last": FACTORS},
        lambda row: triangle if row["importance.last"] > 0.3 else pair,
    )
    assert registry.reasons(run)["energy_levels"] is None
    figure = registry.draw(run, "energy_levels")
    assert "published" not in texts(figure)
    assert (
        min(text.get_fontsize() for text in figure.findobj(mpl.text.Text) if text.get_text()) >= 7
    )
    assert len(style.render(figure, "png")) > 1000


def test_models_that_diverged_have_no_part_in_the_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the labels of all models two are frequent, of those of the healthy ones one."""
    monkeypatch.setattr(levels, "CURVE_POINTS", 3)
    three = FIVE | {"model.n_features": 3, "data.density": 0.1}
    triangle, pair = polygon(3), np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    run = make_run(
        three,
        {"importance.last": FACTORS, "seed": [0, 1]},
        lambda row: pair if row["seed"] else triangle,
    )
    run.table["geometry"] = geometry.describe(np.stack(run.W))
    run.table.loc[run.table["seed"] == 1, "status"] = "diverged"
    assert levels.frequent(run.table["geometry"].tolist()) == [
        "triangle",
        "2 dedicated + 1 not represented",
    ]
    assert list(levels.exact_levels(run).curves) == ["triangle"]
    assert [curve.label for curve in layers(cast("Run", run)).curves] == ["triangle, exact"]
    legend = registry.draw(run, "energy_levels").axes[1].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["triangle (5 models)"]


# --- polytopes ------------------------------------------------------------------------------------

SOLIDS = {  # edges, and how many of them a flat face would add if it were cut into triangles
    "octahedron": (geometry.octahedron(), 12),
    "tetrahedron": (simplex(3), 6),
    "square antiprism": (geometry.square_antiprism(), 16),
    "icosahedron": (geometry.icosahedron(), 30),
    "pentagon in three dimensions": (np.pad(polygon(5), ((0, 0), (0, 1))), 5),
    "digon": (np.array([[1.0, 0, 0], [-1, 0, 0]]), 1),
    "three dedicated": (np.eye(3), 3),
}


def turned(W: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return W @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + rng.uniform(-0.01, 0.01, W.shape)


@pytest.mark.parametrize("name", SOLIDS)
def test_the_hull_has_the_edges_of_the_shape(name: str) -> None:
    W, n_edges = SOLIDS[name]
    for seed in range(3):
        assert len(hulls.hull(turned(W, seed)).edges) == n_edges


def test_what_faces_away_is_hidden() -> None:
    found = hulls.hull(
        np.array([[1, 1, 0], [1, -1, 0], [-1, -1, 0], [-1, 1, 0], [0, 0, 1.0], [0, 0, -1.5]])
    )
    hidden = {tuple(edge) for edge in found.edges[found.hidden].tolist()}
    assert hidden == {(0, 5), (1, 5), (2, 5), (3, 5)}  # those to the corner at the back
    assert {tuple(sorted(face)) for face in found.faces.tolist()} == {
        (0, 1, 4),
        (1, 2, 4),
        (2, 3, 4),
        (0, 3, 4),
    }


@pytest.mark.parametrize("name", SOLIDS)
def test_the_view_is_a_rotation_that_hides_no_corner(name: str) -> None:
    W = turned(SOLIDS[name][0])
    seen = polytopes.view(W)
    np.testing.assert_allclose(seen @ seen.T, W @ W.T, atol=1e-9)
    flat = seen[:, :2]
    apart = np.linalg.norm(flat[:, None] - flat, axis=-1)[np.triu_indices(len(W), 1)]
    assert apart.min() > 0.1


def test_a_panel_for_each_setting_with_the_name_of_its_shape() -> None:
    shapes = {4: simplex(3), 6: geometry.octahedron(), 8: geometry.square_antiprism()}
    run = make_run(
        {"model.n_hidden": 3},
        {"model.n_features": [4, 6, 8]},
        lambda row: shapes[row["model.n_features"]],
    )
    figure = registry.draw(run, "polytopes")
    assert [axes.get_title() for axes in figure.axes[:3]] == ["n = 4", "n = 6", "n = 8"]
    names = [axes.get_xlabel() for axes in figure.axes[:3]]
    assert names == ["tetrahedron", "octahedron (3 digons)", "square antiprism"]
    assert figure.axes[0].get_lines()[0].get_color() == style.GREY  # an edge
    assert len(style.render(figure, "png")) > 1000


def test_features_of_a_set_share_a_colour() -> None:
    sets = {
        "model.n_features": 6,
        "model.n_hidden": 3,
        "data.correlation": "correlated",
        "data.set_size": 3,
    }
    figure = registry.draw(make_run(sets, {}, lambda row: geometry.octahedron()), "polytopes")
    handles = figure.legends[0].legend_handles
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["set 1", "set 2"]
    assert [to_rgb(handle.get_color()) for handle in handles] == [
        to_rgb(colour) for colour in style.CYCLE[:2]
    ]


def test_importance_colours_the_features_where_it_varies() -> None:
    base = {"model.n_features": 6, "model.n_hidden": 3, "importance.decay": 0.5}
    figure = registry.draw(make_run(base, {}, lambda row: geometry.octahedron()), "polytopes")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "importance 1",
        "importance 0.0312",
    ]
    equal = make_run(base | {"importance.decay": 1.0}, {}, lambda row: geometry.octahedron())
    assert registry.draw(equal, "polytopes").legends == []


@pytest.mark.parametrize(
    "W", [np.zeros((3, 3)), np.eye(3)[:1], np.ones((4, 3)), block_diag(simplex(1), 1.0, 1.0)]
)
def test_flat_short_and_coinciding_features_are_drawn(W: NDArray[np.float64]) -> None:
    figure = polytopes.polytopes([W], ["one"], [np.zeros((len(W), 3))])
    assert len(style.render(figure, "png")) > 1000


@pytest.mark.parametrize(
    ("base", "axes", "reason"),
    [
        (FIVE, {}, "needs model.n_hidden=3 in every model"),
        ({"model.n_hidden": 3, "model.n_features": 17}, {}, "needs at most 16 features, found 17"),
        ({"model.n_hidden": 3}, {"seed": [0], "train.lr": np.geomspace(1e-4, 1, 13).tolist()},
         "needs 1 to 12 points in the sweep, found 13"),
    ],
)  # fmt: skip
def test_polytopes_say_why_a_run_cannot_be_drawn(
    base: dict[str, Any], axes: dict[str, Any], reason: str
) -> None:
    run = make_run(
        base, axes, lambda row: np.ones((row["model.n_features"], row["model.n_hidden"]))
    )
    assert registry.reasons(run)["polytopes"] == reason


def test_a_hidden_relu_has_no_polytopes(tmp_path: Path) -> None:
    small = ["model.n_hidden=3", "train.steps=1", "train.batch_size=4"]
    shown, hidden = (
        superpos.train([*small, f"model.hidden={kind}"], out=tmp_path)
        for kind in ("linear", "relu")
    )
    assert polytopes.applies(shown) is None
    assert polytopes.applies(hidden) == "needs model.hidden=linear in every model"
