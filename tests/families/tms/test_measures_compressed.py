"""max(x, 0) by fewer neurons than features: codes, measures and the figure on weights that are made
by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from memory_run import MemoryRun, make_run, texts
from numpy.typing import NDArray

from superpos.families.tms import theory
from superpos.families.tms.analysis import compressed as analysis
from superpos.families.tms.figures import compressed as figure
from superpos.families.tms.measures import compressed
from superpos.family import find
from superpos.store import Run
from superpos.store.later_keys import with_later_keys

BASE: dict[str, Any] = {
    "model.n_features": 4,
    "model.n_hidden": 2,
    "model.tied": False,
    "model.output": "linear",
    "model.hidden": "relu",
    "model.target": "relu",
    "model.bias": "none",
    "data.signed": True,
    "data.density": 0.5,
}
# feature 0 has a neuron of its own, 1 both halves of the other one's input, 2 none; 3 enters
# negatively
W1 = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, -1.0]])
W2 = np.array([[0.5, 0.0], [0.5, 0.5], [1.0, 1.0], [0.0, 3.0]])


@dataclass
class Untied(MemoryRun):
    """Models whose encoder is W and whose decoder is W2."""

    def weights(self, i: int, /) -> dict[str, NDArray[Any]]:
        return {"W1": self.W[i], "W2": W2, "b": np.zeros(4)}


def run_of(scale: tuple[float, ...] = (1.0, 0.2), **changes: Any) -> Untied:
    base = BASE | {key.replace("__", "."): value for key, value in changes.items()}
    made = make_run(
        base, {"train.loss_power,seed": [(2, 0), (4, 1)]}, lambda row: scale[row["seed"]] * W1
    )
    made.table = with_later_keys(made.table, find("tms"))  # as the table of a run in a folder
    return Untied(**vars(made))


def test_codes_by_hand() -> None:
    np.testing.assert_array_equal(analysis.codes(W1, W2), [[1, 0], [0.5, 0.5], [0, 0], [0, 0]])
    np.testing.assert_array_equal(analysis.response(W1, W2), [1, 1, 0, 0])
    np.testing.assert_array_equal(analysis.neurons_a_feature(W1, W2), [1, 2, np.nan, np.nan])


def test_losses_of_features_by_hand() -> None:
    X = np.array([[0.5, 0, 0, 0], [0, 0, 0.8, 0], [0, 0, 0, -1.0], [-1.0, 0, 0, 0]])
    out = [[0.5, 0.5, 1, 0], [0, 0, 0, 0], [0, 0.5, 1, 3], [0, 0, 0, 0]]
    error = np.square(np.array(out) - np.maximum(X, 0))
    np.testing.assert_allclose(analysis.feature_losses(W1, W2, X), error.mean(axis=0))


def test_measures() -> None:
    run = cast("Run", run_of())
    assert compressed.computed(run).values.tolist() == [0.5, 0]
    assert compressed.computed(run, {"train.loss_power": 4}).values.tolist() == [0]
    assert compressed.neurons_a_feature(run).values.tolist() == [1.5, 1.5]
    # two of four features without a neuron cost p/6 each
    assert theory.positive_part_floor(0.5, np.ones(4), 2) == pytest.approx(1 / 6)
    assert theory.positive_part_floor(0.5, [1, 5, 3, 2], 2) == pytest.approx(0.25)
    np.testing.assert_allclose(compressed.over_naive(run).values, 0.1 * 6)


def test_the_floor_is_the_loss_of_dedicated_neurons() -> None:
    own = np.eye(4)[:, :2]
    x = np.random.default_rng(0).uniform(-1, 1, (2**16, 4)) * (
        np.random.default_rng(1).random((2**16, 4)) < 0.5
    )
    loss = analysis.feature_losses(own, own, x).sum()
    assert loss == pytest.approx(theory.positive_part_floor(0.5, np.ones(4), 2), rel=0.02)


def test_unevenness_is_of_the_models_own_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "SAMPLES", 2**15)
    found = compressed.unevenness(cast("Run", run_of())).values
    x = np.random.default_rng(0).uniform(-1, 1, (2**16, 4)) * (
        np.random.default_rng(1).random((2**16, 4)) < 0.5
    )
    for value, scale in zip(found, (1.0, 0.2), strict=True):
        losses = analysis.feature_losses(scale * W1, W2, x)
        assert value == pytest.approx(losses.std() / losses.mean(), rel=0.03)


def test_the_figure_has_a_curve_a_power() -> None:
    run = run_of()
    assert figure.applies(run) is None
    drawn = figure.draw(run)
    assert "errors to the 2" in texts(drawn)
    assert "errors to the 4" in texts(drawn)
    np.testing.assert_allclose(drawn.axes[0].lines[0].get_ydata(), [1, 1, 0, 0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model__bias": "learned"}, "model.bias=none"),
        ({"model__target": "abs"}, "model.target=relu"),
        ({"model__n_hidden": 4}, "needs fewer neurons"),
        ({"data__density": (0.5, 0.5, 0.5, 0.1)}, "one density"),
    ],
)
def test_other_runs_have_no_such_figure(changes: dict[str, Any], words: str) -> None:
    assert words in str(figure.applies(run_of(**changes)))
