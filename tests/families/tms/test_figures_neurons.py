"""Neurons stacked and as heat maps, and the asymmetric motif: from weights made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from memory_run import MemoryRun, make_run, texts, titles
from numpy.typing import NDArray
from test_neurons import motif as sketch

from superpos.families.tms.figures import motif, neurons
from superpos.figures import registry, style

Floats = NDArray[np.float64]
RELU = {"model.hidden": "relu", "importance.decay": 0.5}
ABSOLUTE = RELU | {"model.tied": False, "model.target": "abs", "data.signed": True}
# neuron 0 holds features 1 and 2, neuron 1 feature 0
TIED = np.array([[0, 1.0], [0.5, 0], [-2, 0.05]])


@dataclass
class UntiedRun(MemoryRun):
    """A run whose models have W1 and W2."""

    W2: list[NDArray[Any]] = field(default_factory=list)

    def weights(self, i: int, /) -> dict[str, NDArray[Any]]:
        return {"W1": self.W[i], "W2": self.W2[i], "b": self.b[i]}


def make_untied(
    axes: dict[str, list[Any]],
    weights: Callable[[dict[str, Any]], tuple[Floats, Floats]],
    loss_of: Callable[[dict[str, Any]], float] = lambda row: 0.1,
) -> UntiedRun:
    n, m = weights({key: values[0] for key, values in axes.items()})[0].shape
    base = ABSOLUTE | {"model.n_features": n, "model.n_hidden": m}
    run = make_run(base, axes, lambda row: weights(row)[0], loss_of)
    rows = run.table.to_dict("records")
    return UntiedRun(run.sweep, run.table, run.W, run.b, W2=[weights(row)[1] for row in rows])


@pytest.fixture
def small() -> MemoryRun:
    """Two densities out of order, features in the wrong order, two seeds of which the second is
    better.
    """
    base = RELU | {"model.n_features": 3, "model.n_hidden": 2, "importance.values": (4.0, 1.0, 2.0)}
    return make_run(
        base,
        {"data.density": [0.1, 1.0], "seed": [0, 1]},
        lambda row: TIED if row["seed"] else np.ones((3, 2)),
        lambda row: 0.1 if row["seed"] else 0.2,
    )


def bars(axes: Axes) -> Floats:
    """Left, bottom, right and top of every piece of a stack, sorted by neuron and height."""
    (pieces,) = [found for found in axes.collections if isinstance(found, PolyCollection)]
    corners = np.array([path.vertices[:4] for path in pieces.get_paths()])
    box = np.hstack([corners.min(axis=1), corners.max(axis=1)])
    return box[np.lexsort((box[:, 1], box[:, 0]))]


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def test_a_stack_has_positive_weights_above_and_negative_ones_below() -> None:
    with style.context():
        axes = style.new_figure(2, 2).subplots()
        neurons.stack(
            axes, np.array([[1.0, 0], [0.5, -1], [-2, -0.5], [0.004, 0]]), np.zeros((4, 2, 4))
        )
    expected = [[-2, 0], [0, 1], [1, 1.5], [-1.5, -1], [-1, 0]]  # the sliver of 0.004 is left out
    np.testing.assert_allclose(bars(axes)[:, [1, 3]], expected)
    np.testing.assert_allclose(bars(axes)[:, [0, 2]].mean(axis=1), [0, 0, 0, 1, 1], atol=1e-12)
    low, high = axes.get_ylim()
    assert low < -2
    assert high > 1.5


def test_the_best_model_of_each_density_the_densest_first_in_order_of_importance(
    small: MemoryRun,
) -> None:
    figure = registry.draw(small, "neurons")
    assert titles(figure) == ["1−S = 1", "1−S = 0.1"]
    upper, lower = panels(figure)[0], panels(figure)[2]
    # importance 4, 1, 2: features 0, 2, 1; neuron 1 holds the first of them and comes first
    np.testing.assert_allclose(lower.images[0].get_array(), [[1, 0], [0.05, -2], [0, 0.5]])
    np.testing.assert_allclose(bars(upper)[:, [1, 3]], [[0, 1], [1, 1.05], [-2, 0], [0, 0.5]])
    assert "monosemantic:\n1 of 2" in texts(figure)
    colours = next(c for c in upper.collections if isinstance(c, PolyCollection)).get_facecolors()
    assert len(np.unique(colours, axis=0)) == 3  # one a feature


def absolute(row: dict[str, Any]) -> tuple[Floats, Floats]:
    """14 features and 14 neurons: seven features with a neuron a sign, and one that shares the last
    neuron.
    """
    W1 = np.zeros((14, 14))
    W1[np.arange(14) // 2, np.arange(14)] = np.tile([1.0, -1.0], 7)
    W1[7, 13] = 0.5
    return W1, np.abs(W1)


def test_many_neurons_stand_in_rows_coloured_by_the_number_of_their_features() -> None:
    figure = registry.draw(make_untied({"data.density": [0.3, 1.0]}, absolute), "neurons")
    shown = panels(figure)
    assert [axes.get_title() for axes in shown[:4]] == ["input $W_1$", "output $W_2$"] * 2
    assert [shown[0].get_ylabel(), shown[4].get_ylabel()] == ["1−S = 1", "1−S = 0.3"]
    assert "monosemantic: 13 of 14" in texts(figure)
    # 8 of 14 features are used
    np.testing.assert_array_equal(shown[2].images[0].get_array(), absolute({})[0][:8])
    np.testing.assert_array_equal(shown[3].images[0].get_array(), absolute({})[1][:8])
    colours = next(
        c for c in shown[0].collections if isinstance(c, PolyCollection)
    ).get_facecolors()
    assert [len(group) for group in np.unique(colours, axis=0, return_counts=True)] == [2, 2]
    assert sorted(np.unique(colours, axis=0, return_counts=True)[1].tolist()) == [2, 13]


def test_neurons_that_are_dead_or_not_finite_are_drawn() -> None:
    for value in (0.0, np.nan):
        run = make_untied(
            {"data.density": [0.3]}, lambda row, value=value: (np.full((14, 14), value),) * 2
        )
        assert len(style.render(registry.draw(run, "neurons"), "png")) > 1000


def motif_run(**axes: list[Any]) -> UntiedRun:
    """Dense models without a motif; of the sparse ones only seed 1 has one, and not the lowest
    loss.
    """

    def weights(row: dict[str, Any]) -> tuple[Floats, Floats]:
        return sketch(inhibition=-4.5 if row["data.density"] < 1 and row["seed"] == 1 else 0.0)

    return make_untied(
        {"data.density": [1.0, 0.03], "seed": [0, 1]} | axes, weights, lambda row: 1.0 + row["seed"]
    )


def test_the_motif_of_any_model_is_drawn_with_its_weights() -> None:
    figure = registry.draw(motif_run(), "motif")
    assert titles(figure) == ["1 − S = 0.03, model 3"]
    left, right = figure.axes
    words = [text.get_text() for text in left.texts]
    assert sorted(word for word in words if word[-1].isdigit()) == sorted(
        ["2.00", "−0.50", "1.00", "0.00", "0.50", "2.00", "0.00", "−4.50"]
    )
    assert {"$x_{0}$", "$x_{1}$", "$y_{0}$", "$y_{1}$", "asymmetric", "inhibits"} <= set(words)
    widths = {
        arrow.get_linewidth(): arrow.get_edgecolor()
        for arrow in left.patches
        if isinstance(arrow, FancyArrowPatch)
    }
    assert widths[max(widths)] == motif.NEGATIVE  # the inhibition
    neuron, both, output = (line.get_ydata() for line in right.get_lines()[1:])
    # bias -0.1 and the output's ReLU
    assert (neuron[-1], both[-1], output[-1]) == pytest.approx((4, -0.5, 0))
    assert (neuron[0], both[0], output[0]) == pytest.approx((0, 0, 0))


def test_features_of_the_motif_are_numbered_by_importance() -> None:
    run = motif_run(**{"importance.values": [((1.0, 2.0, 3.0),)]})
    assert {"$x_{1}$", "$x_{2}$"} <= {
        text.get_text() for text in registry.draw(run, "motif").axes[0].texts
    }


def test_figures_say_which_runs_they_cannot_show(small: MemoryRun) -> None:
    none = motif_run(**{"data.density": [1.0]})
    assert motif.applies(none) == (
        "needs a neuron that holds two features asymmetrically and one that inhibits it, and found "
        "none"
    )
    assert "motif" not in registry.available(none)
    assert {"motif", "neurons"} <= set(registry.available(motif_run()))
    assert motif.applies(small) == "needs model.tied=false in every model"
    linear = make_run({}, {"data.density": [1.0]}, lambda row: np.eye(5, 2))
    assert (
        neurons.applies(linear) == motif.applies(linear) == "needs model.hidden=relu in every model"
    )
    many = make_run(
        RELU, {"data.density": np.linspace(0.1, 1, 9).tolist()}, lambda row: np.eye(5, 2)
    )
    assert neurons.applies(many) == "needs 1 to 8 points in the sweep, found 9"
    wide = make_run(
        RELU | {"model.n_features": 3, "model.n_hidden": 65}, {}, lambda row: np.eye(3, 65)
    )
    assert neurons.applies(wide) == "needs at most 200 features and 64 neurons, found 3 and 65"
    mixed = make_run(RELU, {"model.n_hidden": [2, 3]}, lambda row: np.eye(5, row["model.n_hidden"]))
    assert neurons.applies(mixed) == "needs one number of features and of neurons"


def test_text_is_readable_and_files_repeat(small: MemoryRun) -> None:
    rows = make_untied({"data.density": [1.0]}, absolute)
    for run, name in ((small, "neurons"), (rows, "neurons"), (motif_run(), "motif")):
        words = registry.draw(run, name).findobj(mpl.text.Text)
        assert min(text.get_fontsize() for text in words if text.get_text()) >= 7
    first, second = (style.render(registry.draw(small, "neurons"), "svg") for _ in range(2))
    assert first == second
