"""Figures of correlated sets: what they draw, from runs with known weights, and what they
refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from memory_run import MemoryRun, make_run
from numpy.typing import NDArray

from superpos.families.tms import geometry
from superpos.families.tms.figures import pca, sets
from superpos.figures import registry, style
from superpos.figures.points import NOTHING
from superpos.maths.polygon import polygon

HEXAGON = polygon(6)
PAIRS = {"model.n_hidden": 2, "data.correlation": "correlated", "data.set_size": 2}
THREE = PAIRS | {"model.n_features": 6}


def collapsed(count: int) -> NDArray[np.float64]:
    """A hexagon with partners side by side, the first `count` pairs as one direction of length
    1/√2.
    """
    W = HEXAGON.copy()
    for k in range(count):
        # the sum of two at 60° has length √3
        W[2 * k] = W[2 * k + 1] = (W[2 * k] + W[2 * k + 1]) / np.sqrt(6)
    return W


def pca_run(count: Callable[[dict[str, Any]], int], **axes: list[float]) -> MemoryRun:
    return make_run(
        THREE,
        {"data.density": [0.4, 0.01, 0.1, 0.05], "seed": [0, 1], **axes},
        lambda r: collapsed(count(r)),
    )


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text().replace("\n", " ") for text in figure.findobj(mpl.text.Text))


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("W", "set_size", "words"),
    [
        (HEXAGON, 2, "partners side by side"),
        (HEXAGON[[0, 3, 1, 4, 2, 5]], 2, "partners antipodal"),
        (HEXAGON[[0, 2, 1, 3, 4, 5]], 2, "partners mixed"),
        (polygon(4), 2, "partners orthogonal"),
        (collapsed(2), 2, "2 of 3 sets collapsed"),
        (np.kron([[1], [-1]], np.eye(3)), 3, "partners orthogonal"),
        (np.kron([[1], [-1]], np.eye(3))[[0, 3, 1, 4, 2, 5]], 3, "partners mixed"),
    ],
)
def test_how_partners_lie(W: NDArray[Any], set_size: int, words: str) -> None:
    assert geometry.partners(W, set_size) == words


# --- sets -----------------------------------------------------------------------------------------


@pytest.fixture
def settings() -> MemoryRun:
    """A hexagon, and two bases of three dimensions; the second seed is a little off, so its loss is
    higher.
    """
    shapes = {6: HEXAGON, 8: np.kron([[1], [-1]], np.eye(4))}
    return make_run(
        {"data.density": 0.05},
        {
            "model.n_features,model.n_hidden,data.correlation,data.set_size": [
                (6, 2, "correlated", 2),
                (8, 4, "anticorrelated", 4),
            ],
            "seed": [0, 1, 2],
        },
        lambda row: shapes[row["model.n_features"]] * (1.3 if row["seed"] else 1.0),
        lambda row: -row["seed"],  # the sampled loss would put the worst first
    )


def test_a_column_for_every_setting(settings: MemoryRun) -> None:
    figure = registry.draw(settings, "sets")
    words = texts(figure)
    assert "3 × 2 correlated n = 6, m = 2, 1−S = 0.05" in words
    assert "2 × 4 anticorrelated n = 8, m = 4, 1−S = 0.05" in words
    assert "hexagon, partners side by side" in words
    assert "share of 3 seeds" in words


def test_heat_maps_are_those_of_the_lowest_loss_with_the_sets_framed(settings: MemoryRun) -> None:
    images = registry.draw(settings, "sets").findobj(AxesImage)
    shown = [np.asarray(image.get_array()) for image in images]
    np.testing.assert_allclose(shown[0], HEXAGON @ HEXAGON.T, atol=1e-12)
    assert shown[1].shape == (8, 8)
    for image, size, n in zip(images, (2, 4), (6, 8), strict=False):
        frames = [patch for patch in image.axes.patches if isinstance(patch, Rectangle)]
        assert [frame.get_xy() for frame in frames] == [
            (k - 0.5, k - 0.5) for k in range(0, n, size)
        ]
        assert {frame.get_width() for frame in frames} == {size}


def test_arrows_have_a_colour_a_set_and_a_marker_a_member(settings: MemoryRun) -> None:
    axes = registry.draw(settings, "sets").axes[0]
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert [mark.get_markeredgecolor() for mark in marks] == [style.CYCLE[i // 2] for i in range(6)]
    assert [mark.get_marker() for mark in marks] == ["o", "s"] * 3


def test_bars_give_the_share_of_each_geometry_and_never_leave_out_the_best() -> None:
    orthogonal, axes = polygon(4), np.eye(2)  # the best of these, once in ten seeds
    antipodal, both, one = (
        orthogonal[[0, 2, 1, 3]],
        axes[[0, 0, 1, 1]],
        np.array([[1, 0], [1, 0], [0, 1], [0, -1]]),
    )
    kinds = [orthogonal, *([one] * 4), *([antipodal] * 3), *([both] * 2)]
    base = PAIRS | {"model.n_features": 4, "data.density": 0.01}
    run = make_run(base, {"seed": list(range(10))}, lambda row: kinds[row["seed"]])
    bars = registry.draw(run, "sets").axes[2].patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], [0.4, 0.3, 0.2, 0.1])
    blue = [mpl.colors.same_color(bar.get_facecolor(), style.CYCLE[0]) for bar in bars]
    assert blue == [False, False, False, True]


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        (
            {"data.correlation": "none", "data.set_size": 1},
            "needs 2 to 6 correlated or anticorrelated sets",
        ),
        ({"data.set_size": 6}, "needs 2 to 6 correlated or anticorrelated sets"),
        ({"model.tied": False}, "needs model.tied=true"),
        ({"model.output": "linear"}, "needs model.output=relu"),
        ({"data.density": (0.1,) * 4 + (0.2, 0.2)}, "needs one density for all features"),
    ],
)
def test_what_has_no_sets_is_refused(base: dict[str, Any], reason: str) -> None:
    run = make_run(THREE | base, {"seed": [0]}, lambda row: HEXAGON)
    assert reason in (sets.applies(run) or "")
    assert pca.applies(run) is not None


def test_a_run_without_finished_models_is_refused(settings: MemoryRun) -> None:
    settings.table["status"] = "diverged"
    assert sets.applies(settings) == NOTHING
    assert pca.applies(settings) is not None


# --- pca ------------------------------------------------------------------------------------------


def test_collapsed_sets_of_all_seeds_and_of_the_best() -> None:
    # at 0.1 and more the first seed has all pairs collapsed, the second two; below both are a
    # hexagon
    run = pca_run(lambda row: 0 if row["data.density"] < 0.1 else 3 - row["seed"])
    figure = registry.draw(run, "pca")
    counts = next(axes for axes in figure.axes if axes.get_ylabel() == "collapsed sets")
    dots = counts.collections[0]
    assert dots.get_offsets().tolist() == [
        [0.01, 0],
        [0.05, 0],
        [0.1, 2],
        [0.1, 3],
        [0.4, 2],
        [0.4, 3],
    ]
    np.testing.assert_allclose(dots.get_sizes(), pca.AREA * np.array([1, 1, 0.5, 0.5, 0.5, 0.5]))
    x, y = counts.lines[0].get_data()
    assert x.tolist() == [0.01, 0.05, 0.1, 0.4]
    assert y[:2].tolist() == [0, 0]
    assert set(y[2:]) <= {2, 3}


def test_families_are_measured_from_the_best_at_each_density() -> None:
    figure = registry.draw(pca_run(lambda row: row["seed"]), "pca")
    families = figure.axes[-1]
    lines = {line.get_label(): line.get_ydata() for line in families.lines}
    both = np.array([lines["0 collapsed"], lines["1 collapsed"]])
    np.testing.assert_allclose(np.nanmin(both, axis=0), 0, atol=1e-12)
    assert np.nanmax(both) <= pca.LIMIT
    assert np.isnan(lines["3 collapsed"]).all()


def test_arrows_show_both_ends_of_every_stretch() -> None:
    assert pca.shown_densities([0, 0, 0, 1, 2, 2]) == [0, 2, 3, 4, 5]
    assert pca.shown_densities([3]) == [0]
    assert pca.shown_densities(list(range(30)))[:1] == [0]
    assert len(pca.shown_densities(list(range(30)))) == 8
    figure = registry.draw(pca_run(lambda row: 0), "pca")
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == ["1−S = 0.01", "0.4"]


def test_pca_needs_densities_and_nothing_else_to_vary() -> None:
    assert pca.applies(pca_run(lambda row: 0)) is None
    needs = "needs 4 or more densities, and nothing else but seeds to vary"
    assert (
        pca.applies(make_run(THREE, {"data.density": [0.1, 0.2, 0.3]}, lambda row: HEXAGON))
        == needs
    )
    assert pca.applies(pca_run(lambda row: 0, **{"train.lr": [0.001, 0.01]})) == needs
    anti = make_run(
        THREE | {"data.correlation": "anticorrelated"},
        {"data.density": [0.1] * 4},
        lambda row: HEXAGON,
    )
    assert pca.applies(anti) == "needs data.correlation=correlated in every model"
