"""What the figures show: panels, labels, numbers and colours, from runs with known weights."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, PolyCollection, QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from memory_run import DIGON_AND_ONE, MemoryRun, make_run, plan, texts, titles
from numpy.typing import NDArray

import superpos
from superpos import store
from superpos.errors import SuperposError
from superpos.families.tms import theory
from superpos.families.tms.analysis import fractions, phases
from superpos.families.tms.analysis.points import by_density, points
from superpos.families.tms.figures import dimensionality, features
from superpos.families.tms.figures import superposition as heat_maps
from superpos.figures import graph_layout, loss, registry, style
from superpos.maths.polygon import polygon

pytestmark = pytest.mark.slow

SMALL = {"model.n_features": 5, "model.n_hidden": 2, "importance.decay": 0.9}
SPARSE = [0.05, 1.0, 0.3]


@pytest.fixture
def small() -> MemoryRun:
    """Three densities out of order, two seeds: the second has the lower loss and the pentagon."""
    return make_run(
        SMALL,
        {"data.density": SPARSE, "seed": [0, 1]},
        lambda row: polygon(5) if row["seed"] else DIGON_AND_ONE,
        lambda row: 0.1 if row["seed"] else 0.2,
    )


# --- records --------------------------------------------------------------------------------------


def test_points_group_seeds_and_put_the_lowest_loss_first(small: MemoryRun) -> None:
    found = points(small)
    assert [dict(point.varied) for point in found] == [{"data.density": p} for p in SPARSE]
    assert [point.models.tolist() for point in found] == [[1, 0], [3, 2], [5, 4]]
    assert [point.density for point in by_density(found)] == [1.0, 0.3, 0.05]
    np.testing.assert_allclose(found[0].importance, [1, 0.9, 0.81, 0.729, 0.6561])


def test_diverged_models_are_left_out(small: MemoryRun) -> None:
    small.table.loc[[1, 2, 3], "status"] = "diverged"
    assert [point.models.tolist() for point in points(small)] == [[0], [5, 4]]


def test_importance_of_a_point_has_the_factor_on_the_last_feature_or_is_the_list() -> None:
    run = make_run(SMALL | {"importance.last": 3.0}, {}, lambda row: DIGON_AND_ONE)
    np.testing.assert_allclose(points(run)[0].importance, [1, 0.9, 0.81, 0.729, 3 * 0.6561])
    run = make_run(
        SMALL | {"importance.values": (1.0, 2.0, 3.0, 4.0, 5.0)}, {}, lambda row: DIGON_AND_ONE
    )
    np.testing.assert_allclose(points(run)[0].importance, [1, 2, 3, 4, 5])


def test_a_density_list_has_no_one_density_unless_all_are_equal() -> None:
    run = make_run(
        SMALL, {"data.density": [((0.1, 0.1, 0.1, 0.1, 0.5),), 0.1]}, lambda row: DIGON_AND_ONE
    )
    lists, equal = points(run)
    assert np.isnan(lists.density)
    assert equal.density == 0.1
    assert registry.reasons(run)["geometry"] == "needs one density for all features"


def test_what_follows_from_other_settings_does_not_count_as_varied() -> None:
    run = make_run(
        {},
        {"model.n_features,model.n_hidden": [(5, 2), (6, 3)]},
        lambda row: np.eye(row["model.n_features"]),
    )
    assert [list(point.varied) for point in points(run)] == [
        ["model.n_features", "model.n_hidden"]
    ] * 2
    assert points(run)[0].label() == "n = 5\nm = 2"


# --- features -------------------------------------------------------------------------------------


def test_features_draws_the_best_seed_of_every_density_from_dense_to_sparse(
    small: MemoryRun,
) -> None:
    figure = registry.draw(small, "features")
    assert titles(figure) == ["1 − S = 1", "1 − S = 0.3", "1 − S = 0.05"]
    panels = figure.axes[:3]
    assert [axes.get_xlabel() for axes in panels] == ["pentagon"] * 3
    assert len({axes.get_xlim() + axes.get_ylim() for axes in panels}) == 1
    assert {axes.get_aspect() for axes in panels} == {1.0}
    assert figure.axes[3].get_ylabel() == "importance"


def test_arrows_end_at_the_features_and_show_importance() -> None:
    importance = np.array([1.0, 0.9, 0.81, 0.729, 0.6561])
    figure = features.arrows([DIGON_AND_ONE], ["one"], [importance])
    arrows = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 2][-5:]
    ends = np.array(
        [[line.get_xdata()[1], line.get_ydata()[1]] for line in figure.axes[0].get_lines()[2::2]]
    )
    np.testing.assert_allclose(ends, DIGON_AND_ONE, atol=1e-12)  # already in the fixed gauge
    scale = features.importance_norm([importance])
    assert len(arrows) == 5
    for line, value in zip(figure.axes[0].get_lines()[2::2], importance, strict=True):
        np.testing.assert_allclose(to_rgb(line.get_color()), style.IMPORTANCE(scale(value))[:3])
    assert figure.axes[0].get_xlabel() == "digon\n+ 1 dedicated\n+ 2 not represented"


def test_equal_importance_needs_no_colour_bar() -> None:
    figure = features.arrows([DIGON_AND_ONE] * 2, ["a", "b"], [np.ones(5)] * 2)
    assert len(figure.axes) == 2


# --- superposition --------------------------------------------------------------------------------


def test_heat_maps_hold_the_products_the_biases_and_the_norms() -> None:
    b = np.linspace(-1, 1, 5)
    figure = heat_maps.heat_maps([[heat_maps.Column("one", DIGON_AND_ONE, b)]])
    matrix, bars = figure.axes[:2]
    shown = np.ma.filled(matrix.get_images()[0].get_array(), np.nan)
    np.testing.assert_allclose(shown[:, :5], DIGON_AND_ONE @ DIGON_AND_ONE.T)
    assert np.isnan(shown[:, 5]).all()  # the gap
    np.testing.assert_allclose(shown[:, 6], b)
    assert matrix.get_images()[0].get_clim() == (-1, 1)
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], [1, 0.9, 0.8, 0.1, 0])
    assert bars.get_ylim()[0] > bars.get_ylim()[1]  # feature 0, the most important, is on top


def test_bars_are_coloured_by_interference() -> None:
    figure = heat_maps.heat_maps(
        [[heat_maps.Column("one", np.array([[1.0, 0], [0, 1], [-1, 0]]), np.zeros(3))]]
    )
    colours = [bar.get_facecolor() for bar in figure.axes[1].patches]
    assert colours == [style.SUPERPOSED(1.0), style.SUPERPOSED(0.0), style.SUPERPOSED(1.0)]


def test_superposition_has_a_column_a_model_the_linear_first() -> None:
    axes = {"model.output,data.density": [("relu", 0.1), ("linear", 1.0), ("relu", 1.0)]}
    run = make_run(SMALL, axes, lambda row: DIGON_AND_ONE)
    figure = registry.draw(run, "superposition")
    assert titles(figure) == ["linear\n1−S = 1", "ReLU\n1−S = 1", "ReLU\n1−S = 0.1"]
    assert len(figure.axes) == 2 * 3 + 2  # and two colour keys
    assert "n = 5, m = 2" in texts(figure)


def test_superposition_gives_every_size_its_own_band() -> None:
    axes = {"model.n_features,model.n_hidden": [(5, 2), (6, 2)], "data.density": [1.0, 0.1]}
    run = make_run({}, axes, lambda row: np.ones((row["model.n_features"], 2)))
    figure = registry.draw(run, "superposition")
    assert len(figure.axes) == 2 * 2 * 2 + 2
    assert {"n = 5, m = 2", "n = 6, m = 2"} <= {
        line for line in texts(figure).splitlines() if line.startswith("n =")
    }


def test_features_stand_in_order_of_importance() -> None:
    run = make_run(
        SMALL | {"importance.values": (1.0, 2.0, 3.0, 4.0, 5.0)}, {}, lambda row: DIGON_AND_ONE
    )
    figure = registry.draw(run, "superposition")
    np.testing.assert_allclose(
        [bar.get_width() for bar in figure.axes[1].patches], [0, 0.1, 0.8, 0.9, 1]
    )
    assert "more important" in texts(figure)
    assert "more important" not in texts(
        registry.draw(make_run({}, {}, lambda row: DIGON_AND_ONE), "superposition")
    )


def test_many_models_are_spread_evenly_over_bands() -> None:
    run = make_run(
        SMALL, {"data.density": np.linspace(0.1, 1, 10).tolist()}, lambda row: DIGON_AND_ONE
    )
    figure = registry.draw(run, "superposition")
    assert len(figure.axes) == 2 * 2 * 5 + 2  # two bands of five


# --- phase diagram --------------------------------------------------------------------------------

R, P = np.array([0.1, 2.0, 10.0]), np.array([1.0, 0.1, 0.01])
KEY_WHITE, KEY_BLUE, KEY_RED = [1, 1, 1], style.SUPERPOSED(0.0)[:3], style.SUPERPOSED(1.0)[:3]


def phase_run(
    W: Callable[[float, float, int], NDArray[Any]], seeds: int = 1, n: int = 2
) -> MemoryRun:
    return make_run(
        {"model.n_features": n, "model.n_hidden": n - 1},
        {"importance.last": R.tolist(), "data.density": P.tolist(), "seed": list(range(seeds))},
        lambda row: W(row["importance.last"], row["data.density"], row["seed"]),
    )


def ideal(r: float, p: float, seed: int = 0) -> NDArray[np.float64]:
    """Digon where it is the best candidate, otherwise the more important feature; seed 1 is always
    bad.
    """
    if seed == 1:
        return np.zeros((2, 1))
    dropped = p / 3 - p**2 / 4
    if (1 + r) * p**2 / 6 < min(1, r) * dropped:
        return np.array([[1.0], [-1.0]])
    return np.array([[0.0], [1.0]]) if r > 1 else np.array([[1.0], [0.0]])


def meshes(figure: Figure) -> list[NDArray[Any]]:
    """Colours [R, P, 3] of the panels with cells."""
    found = [
        mesh for axes in figure.axes for mesh in axes.collections if isinstance(mesh, QuadMesh)
    ]
    return [np.asarray(mesh.get_array())[..., :3] for mesh in found]


def test_phase_colours_of_the_three_corners_and_of_nothing_known() -> None:
    norm, interference = (
        np.array([0.0, 1.0, 1.0, 1.4, np.nan]),
        np.array([1.0, 0.0, 1.0, 2.0, np.nan]),
    )
    colours = style.phase_colours(norm, interference)
    np.testing.assert_allclose(colours, [KEY_WHITE, KEY_BLUE, KEY_RED, KEY_RED, [0.6] * 3])
    # half a norm is halfway to white
    np.testing.assert_allclose(
        style.phase_colours(np.array(0.5), np.array(0.0)), (1 + np.array(KEY_BLUE)) / 2
    )


def test_the_phase_diagram_shows_the_swept_last_feature() -> None:
    figure = registry.draw(phase_run(ideal), "phase_diagram")
    trained, candidate, exact = meshes(figure)
    # p = 1: 1/12 for one feature against (1 + r)/6 for the digon, so the less important one is
    # dropped
    np.testing.assert_allclose(trained[0, 0], KEY_WHITE)  # r = 0.1: the last
    np.testing.assert_allclose(trained[2, 0], KEY_BLUE)  # r = 10: the other
    # p = 0.01, r = 2: the less important feature costs 0.0033, the digon 3·0.0001/6 = 0.00005
    for panel in (trained, candidate):
        np.testing.assert_allclose(panel[1, 2], KEY_RED)
    np.testing.assert_allclose(candidate, trained)
    np.testing.assert_allclose(exact[0, 0], KEY_WHITE, atol=1e-3)
    np.testing.assert_allclose(exact[2, 0], KEY_BLUE, atol=1e-3)


def test_the_phase_diagram_has_log_axes_dense_left_and_important_on_top() -> None:
    figure = registry.draw(phase_run(ideal), "phase_diagram")
    panels = figure.axes[:3]
    assert titles(figure) == ["trained", "candidate theory", "exact minimum"]
    for axes in panels:
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert axes.get_xlim()[0] > axes.get_xlim()[1]
        assert axes.get_ylim()[0] < axes.get_ylim()[1]
        assert any(isinstance(line, LineCollection) for line in axes.collections)
    assert panels[0].get_xlabel() == "feature density 1 − S"
    assert panels[0].get_ylabel() == "relative importance r of feature 2"
    assert {"not represented", "dedicated", "superposed"} <= set(texts(figure).splitlines())


def test_the_caption_counts_cells_and_seeds() -> None:
    figure = registry.draw(phase_run(ideal, seeds=2), "phase_diagram")
    assert "trained, best of 2" in titles(figure)
    assert "Trained (best of 2 seeds) is in the same phase in 100.0% of 9 cells" in texts(figure)


def test_a_missing_cell_is_grey_and_is_not_counted() -> None:
    run = phase_run(ideal)
    run.table.loc[8, "status"] = "diverged"  # r = 10, p = 0.01
    figure = registry.draw(run, "phase_diagram")
    np.testing.assert_allclose(meshes(figure)[0][2, 2], 0.6)
    assert "of 8 cells" in texts(figure)


def test_models_are_ranked_by_their_exact_loss() -> None:
    run = phase_run(ideal, seeds=2)
    run.table["loss"] = np.where(run.table["seed"] == 1, 0.0, 1.0)  # what a lucky sample might say
    grid, models = phases.trained(run)
    np.testing.assert_array_equal(grid.importance, R)
    np.testing.assert_array_equal(grid.density, P)
    assert (models.loss[..., 0] < models.loss[..., 1]).all()
    np.testing.assert_allclose(models.best()[2, 0], [[0], [1]])


@pytest.mark.parametrize("n", [2, 3])
def test_exact_minima_agree_with_themselves(n: int) -> None:
    grid = phases.Grid(R, P)
    known = theory.minimise_loss(*grid.tables(n), n - 1)
    minimum, minimum_loss = phases.exact(grid, n)
    models = phases.Models(known.W[:, :, None], known.loss[:, :, None])
    found = phases.agreement(models, phases.phase_of(known.W), minimum, minimum_loss, grid)
    assert (found.cells, found.agree, found.seeds_found, found.cells_found) == (9, 1, 1, 1)


def test_agreement_by_hand() -> None:
    grid = phases.Grid(np.array([0.1, 1.0]), np.array([1.0, 0.1]))
    label = np.array([[0, 2], [1, 2]], dtype=np.int8)
    shown = phases.Phase(
        np.ones((2, 2)), np.ones((2, 2)), np.array([[0, 2], [0, -1]], dtype=np.int8)
    )
    minimum = phases.Phase(np.ones((2, 2)), np.ones((2, 2)), label)
    loss_of = np.array([[[1.0, 1.02], [1.005, np.nan]], [[2.0, 3.0], [np.nan, np.nan]]])
    models = phases.Models(np.zeros((2, 2, 2, 2, 1)), loss_of)
    found = phases.agreement(models, shown, minimum, np.ones((2, 2)), grid)
    # three cells are known, two agree; cells a factor 10 apart are all clear of the boundary
    # between them
    assert (found.cells, found.far, found.seeds) == (3, 3, 2)
    assert found.agree == found.agree_far == 2 / 3
    assert found.seeds_found == 2 / 5  # 1.0 and 1.005 of the five models
    assert found.cells_found == 2 / 3


def test_the_caption_of_a_fine_grid_tells_the_cells_away_from_the_boundary() -> None:
    found = phases.Agreement(
        100, 10, agree=0.97, far=80, agree_far=1.0, seeds_found=0.5, cells_found=0.99
    )
    assert phases.caption(found).splitlines() == [
        (
            "Line: boundary of the exact minimum. Trained (best of 10 seeds) is in the same phase "
            "in "
            "97.0% of 100 cells,"
        ),
        "and in 100.0% of the 80 cells more than 10% from that boundary.",
        (
            "50.0% of the models reach a loss within 1% of the exact minimum; in 99.0% of the "
            "cells "
            "the best one does."
        ),
    ]


def test_cell_edges_are_midway_on_log_axes() -> None:
    np.testing.assert_allclose(
        phases.edges(np.array([1.0, 0.1, 0.01])), 10 ** np.array([0.5, -0.5, -1.5, -2.5])
    )


# --- geometry and dimensionality ------------------------------------------------------------------


def test_geometry_draws_d_star_of_the_best_seeds_over_inverse_density(small: MemoryRun) -> None:
    figure = registry.draw(small, "geometry")
    axes = figure.axes[0]
    best = next(line for line in axes.get_lines() if line.get_marker() == "o")
    np.testing.assert_allclose(best.get_xdata(), [1, 1 / 0.3, 20])
    # pentagon of unit vectors: m/‖W‖² = 2/5
    np.testing.assert_allclose(best.get_ydata(), [2 / 5] * 3)
    dots = next(line for line in axes.get_lines() if len(line.get_xdata()) == 6)
    # the other seed: 2/(1 + .81 + .64 + .01)
    assert sorted(set(np.round(dots.get_ydata(), 6))) == [0.4, round(2 / 2.46, 6)]
    assert axes.get_xscale() == "log"
    guides = {
        float(line.get_ydata()[0]) for line in axes.get_lines() if line.get_linestyle() == "--"
    }
    assert guides == {1.0, 0.5}


def test_geometry_has_a_line_for_every_other_setting() -> None:
    axes = {"model.n_hidden": [2, 3], "data.density": SPARSE}
    run = make_run({"model.n_features": 5}, axes, lambda row: np.eye(5)[:, : row["model.n_hidden"]])
    figure = registry.draw(run, "geometry")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "m = 2",
        "m = 3",
    ]


def test_a_model_without_weights_has_no_place_in_geometry_but_does_no_harm() -> None:
    run = make_run(
        SMALL, {"data.density": SPARSE}, lambda row: np.eye(5, 2) * (row["data.density"] < 1)
    )
    figure = registry.draw(run, "geometry")
    assert np.isfinite(figure.axes[0].get_ylim()).all()
    assert len(style.render(figure, "png")) > 1000


def test_dimensionality_names_the_fractions_and_shows_every_feature(small: MemoryRun) -> None:
    figure = registry.draw(small, "dimensionality")
    named = texts(figure)
    for label in (
        "1 dedicated",
        "3/4 tetrahedron",
        "2/3 triangle",
        "1/2 digon",
        "2/5 pentagon",
        "3/8 square antiprism",
    ):
        assert label in named
    columns = [line for line in figure.axes[0].get_lines() if line.get_marker() == "."]
    assert len(columns) == 3
    for line in columns:
        np.testing.assert_allclose(line.get_ydata(), [2 / 5] * 5)
    centres = [np.exp(np.log(line.get_xdata()).mean()) for line in columns]
    np.testing.assert_allclose(centres, [1, 1 / 0.3, 20])


def test_the_caption_counts_what_stands_out_and_its_label_is_bold() -> None:
    # 12 and 3; 9 are too few
    digons, pentagons = np.repeat([0.5, 0.4875], [8, 3]), np.repeat([0.5, 0.4], [4, 9])
    figure = dimensionality.scatter(np.array([1.0, 0.1]), [digons, pentagons])
    said = " ".join(texts(figure).split())
    assert "at least 10 features within 0.005" in said
    assert "either side: 1/2 digon 12 (below 3, above 0)." in said
    bold = [
        text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_fontweight() == "bold"
    ]
    assert bold == ["1/2 digon"]


def test_the_caption_says_when_nothing_stands_out() -> None:
    lines = fractions.lines_found(np.linspace(0, 1, 2000))
    assert lines == {}
    assert dimensionality.caption(lines).endswith("either side: none.")
    assert fractions.lines_found(np.zeros(50)) == {}  # not represented is no shape
    assert set(fractions.lines_found(np.full(15, 0.4))) == {"pentagon"}


def test_features_of_one_density_stand_in_order_of_dimensionality() -> None:
    figure = dimensionality.scatter(
        np.array([1.0, 0.1]), [np.array([0.1, 1.0, 0.5]), np.array([0.5, 0.5, 0.5])]
    )
    first = next(line for line in figure.axes[0].get_lines() if line.get_marker() == ".")
    np.testing.assert_allclose(first.get_ydata(), [1, 0.5, 0.1])
    assert (np.diff(first.get_xdata()) > 0).all()


def test_labels_are_spread_by_hand() -> None:
    # 0.4 and 0.38 are too near: 0.05 apart about their middle 0.39
    np.testing.assert_allclose(graph_layout.spread([1.0, 0.4, 0.38], 0.05), [1, 0.415, 0.365])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_spread_labels_keep_their_order_and_their_distance(positions: list[float]) -> None:
    placed = graph_layout.spread(sorted(positions, reverse=True), 0.05)
    assert (-np.diff(placed) >= 0.05 - 1e-9).all()
    assert np.isclose(np.mean(placed), np.mean(positions))


def test_log_axes_have_short_numbers() -> None:
    figure = style.new_figure(2, 2)
    axes = figure.subplots()
    axes.set(xscale="log", xlim=(1e-6, 1), yscale="log", ylim=(0.1, 10))
    style.plain_log_numbers(axes.xaxis)
    style.plain_log_numbers(axes.yaxis)
    assert axes.xaxis.get_major_formatter().format_ticks([1e-6, 1e-3, 0.1, 1]) == [
        "$10^{-6}$",
        "0.001",
        "0.1",
        "1",
    ]
    assert {0.1, 0.3, 1, 3, 10} <= set(np.round(axes.yaxis.get_majorticklocs(), 6))


# --- loss -----------------------------------------------------------------------------------------


def with_history(run: MemoryRun) -> MemoryRun:
    run.steps = np.array([0, 100, 200])
    run.losses = np.arange(1, len(run.W) + 1)[:, None] * np.array([1.0, 0.5, 0.25])
    return run


def test_loss_draws_median_and_band_of_every_density(small: MemoryRun) -> None:
    figure = registry.draw(with_history(small), "loss")
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["1 − S = 1", "1 − S = 0.3", "1 − S = 0.05"]
    # density 1 is models 2 and 3, with losses 3 and 4 times the curve: median 3.5
    np.testing.assert_allclose(lines[0].get_ydata(), [3.5, 1.75, 0.875])
    assert figure.axes[0].get_yscale() == "log"
    assert titles(figure) == ["median and 10–90% of 6 models"]


def test_loss_band_by_hand_and_nothing_after_divergence() -> None:
    losses = np.array([[1.0, np.nan, np.nan], [2.0, 4.0, np.nan], [3.0, 8.0, np.nan]])
    figure = loss.curves([loss.Curve("", np.array([0, 1, 2]), losses)])
    line = figure.axes[0].get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(), [0, 1])
    np.testing.assert_allclose(line.get_ydata(), [2, 6])
    (band,) = [c for c in figure.axes[0].collections if isinstance(c, PolyCollection)]
    at_start = [y for x, y in band.get_paths()[0].vertices if x == 0]
    np.testing.assert_allclose([min(at_start), max(at_start)], [1.2, 2.8])  # 10% and 90% of 1, 2, 3


def test_a_loss_of_nothing_but_zeros_is_drawn() -> None:
    figure = loss.curves([loss.Curve("", np.array([0, 1]), np.zeros((2, 2)))])
    assert figure.axes[0].get_yscale() == "linear"
    assert len(style.render(figure, "png")) > 1000
    mixed = loss.curves([loss.Curve("", np.array([0, 1]), np.array([[0.0, 0.5], [0.0, 0.5]]))])
    assert mixed.axes[0].get_yscale() == "log"


def test_losses_recorded_at_other_steps_are_other_curves() -> None:
    run = with_history(
        make_run(SMALL, {"train.steps": [5, 7], "seed": [0, 1]}, lambda row: DIGON_AND_ONE)
    )
    figure = registry.draw(run, "loss")
    assert [line.get_label() for line in figure.axes[0].get_lines()] == ["steps = 5", "steps = 7"]
    np.testing.assert_allclose(
        figure.axes[0].get_lines()[1].get_ydata(), 3.5 * np.array([1, 0.5, 0.25])
    )


def test_loss_of_many_points_is_one_curve_of_all_models() -> None:
    run = make_run(
        SMALL, {"train.lr": np.geomspace(1e-4, 1e-2, 30).tolist()}, lambda row: DIGON_AND_ONE
    )
    figure = registry.draw(with_history(run), "loss")
    (line,) = figure.axes[0].get_lines()
    # median of 1 … 30
    np.testing.assert_allclose(line.get_ydata(), 15.5 * np.array([1, 0.5, 0.25]))
    assert figure.axes[0].get_legend() is None


# --- registry -------------------------------------------------------------------------------------


def test_available_figures_follow_from_the_sweep(small: MemoryRun) -> None:
    assert registry.available(small) == ["features", "superposition", "geometry", "dimensionality"]
    assert registry.available(with_history(small)) == [
        "features", "superposition", "geometry", "dimensionality", "loss",
    ]  # fmt: skip
    assert "phase_diagram" in registry.available(phase_run(ideal))


REASONS = {
    "features": ({"model.n_hidden": 3}, {}, "needs model.n_hidden=2 in every model"),
    "superposition": ({"model.tied": False}, {}, "needs model.tied=true in every model"),
    "phase_diagram": (
        {"model.n_features": 4},
        {},
        "needs models of one size, n=2 with m=1 or n=3 with m=2",
    ),
    "geometry": (
        {},
        {"data.density": [0.1, 1.0]},
        "needs at least 3 densities in the sweep, found 2",
    ),
    "dimensionality": (
        {"data.last": 0.5},
        {"data.density": SPARSE},
        "needs data.last=1.0 in every model",
    ),
    "loss": ({}, {}, "no training loss was recorded: train with record.loss_every above 0"),
}


@pytest.mark.parametrize("name", REASONS)
def test_a_figure_says_why_a_run_cannot_show_it(name: str) -> None:
    base, axes, reason = REASONS[name]
    run = make_run(
        base, axes, lambda row: np.ones((row["model.n_features"], row["model.n_hidden"]))
    )
    assert registry.reasons(run)[name] == reason
    with pytest.raises(SuperposError, match=f"figure '{name}'"):
        registry.draw(run, name)


def test_an_unknown_figure_is_an_error_with_the_known_ones(small: MemoryRun) -> None:
    with pytest.raises(
        SuperposError,
        match="no figure 'arrows'; it is for runs of family=sae; there are features, ",
    ):
        registry.draw(small, "arrows")


@pytest.mark.parametrize("columns", [["model"], None])
def test_a_run_without_finished_models_has_no_figures(
    small: MemoryRun, columns: list[str] | None
) -> None:
    small.table = (
        small.table.iloc[:0]
        if columns is None
        else pd.DataFrame({"model": pd.Series(dtype=np.int64)})
    )
    assert registry.available(small) == []


@pytest.mark.parametrize(
    ("name", "file_format"),
    [
        ("features", "png"),
        ("superposition", "png"),
        ("dimensionality", "svg"),
        ("geometry", "pdf"),
        ("loss", "png"),
    ],
)
def test_the_same_run_gives_the_same_file(small: MemoryRun, name: str, file_format: Any) -> None:
    run = with_history(small)
    first = style.render(registry.draw(run, name), file_format)
    assert len(first) > 1000
    assert first == style.render(registry.draw(run, name), file_format)


def test_every_text_is_at_least_seven_points(small: MemoryRun) -> None:
    for run in (with_history(small), phase_run(ideal)):
        for name in registry.available(run):
            sizes = [
                text.get_fontsize()
                for text in registry.draw(run, name).findobj(mpl.text.Text)
                if text.get_text()
            ]
            assert min(sizes) >= 7, name


def test_drawing_leaves_global_settings_alone(small: MemoryRun) -> None:
    before = dict(mpl.rcParams)
    style.render(registry.draw(small, "geometry"), "png")
    assert dict(mpl.rcParams) == before
    loaded = "import sys, superpos.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0


def test_figures_of_a_run_on_disk(tmp_path: Path, small: MemoryRun) -> None:
    sweep = plan(SMALL, {"data.density": SPARSE, "seed": [0, 1]})
    folder = store.RunFolder.open(
        tmp_path, "demo", "0123456789ab", {"plan": sweep.to_json(), "chunks": [list(range(6))]}
    )
    tensors = {
        "W": np.stack(small.W).astype(np.float32),
        "b": np.stack(small.b).astype(np.float32),
        "history/step": np.array([0, 10]),
        "history/loss": np.ones((6, 2), dtype=np.float32),
    }
    folder.publish(0, tensors, small.table)
    run = store.load(folder.path)
    assert registry.available(run) == [
        "features",
        "superposition",
        "geometry",
        "dimensionality",
        "loss",
    ]
    assert titles(registry.draw(run, "features")) == ["1 − S = 1", "1 − S = 0.3", "1 − S = 0.05"]


def test_a_share_is_rounded_down() -> None:
    assert [phases.percent(share) for share in (1.0, 2499 / 2500, 0.619, 0.0)] == [
        "100.0%",
        "99.9%",
        "61.9%",
        "0.0%",
    ]


def test_a_sampler_that_follows_from_the_density_is_no_setting_of_its_own(tmp_path: Path) -> None:
    every = [
        "model.n_features=16",
        "train.steps=0",
        "train.batch_size=128",
        "seed=0,1",
        "data.density=0.01,0.5",
    ]
    run = superpos.train(every, out=tmp_path)
    assert run.table["data.sampler"].nunique() == 2
    assert len(points(run)) == 2
    both = superpos.train(
        [*every[:-1], "data.density=0.01", "data.sampler=dense,sparse"], out=tmp_path
    )
    assert len(points(both)) == 2
